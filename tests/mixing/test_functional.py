import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from textmix.errors import ConfigError
from textmix.mixing.functional import (
    blend,
    blended_accuracy,
    blended_loss,
    draw_lam,
    draw_partner,
    fold_lam,
    plain_loss,
    resolve_problem_type,
    sample_losses,
    union_mask,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 2.0, 8.0])
def test_beta_has_the_moments_of_the_distribution(alpha: float) -> None:
    lam = draw_lam(200_000, generator(), alpha=alpha)
    variance = 1 / (4 * (2 * alpha + 1))
    assert lam.mean().item() == pytest.approx(0.5, abs=5 * math.sqrt(variance / 200_000))
    assert lam.var().item() == pytest.approx(variance, rel=0.02)


def test_beta_fills_its_quantiles() -> None:
    from scipy.stats import beta, kstest

    lam = draw_lam(20_000, generator(1), alpha=0.4).double().numpy()
    assert kstest(lam, beta(0.4, 0.4).cdf).pvalue > 0.01


def test_beta_of_a_tiny_alpha_is_finite_and_extreme() -> None:
    lam = draw_lam(10_000, generator(), alpha=1e-3)
    assert torch.isfinite(lam).all()
    assert ((lam < 0.01) | (lam > 0.99)).float().mean() > 0.95


def test_uniform_and_fixed_lam() -> None:
    uniform = draw_lam(50_000, generator(), kind="uniform")
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.01)
    assert uniform.var().item() == pytest.approx(1 / 12, rel=0.03)
    assert draw_lam(3, generator(), kind="fixed", value=0.25).tolist() == [0.25] * 3


def test_folded_lam_outweighs_the_partner() -> None:
    assert fold_lam(torch.tensor([0.2, 0.7, 0.5])).tolist() == pytest.approx([0.8, 0.7, 0.5])


@given(size=st.integers(2, 33), seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_partner_is_a_permutation_without_fixed_points(size: int, seed: int) -> None:
    partner = draw_partner(size, generator(seed))
    assert sorted(partner.tolist()) == list(range(size))
    assert (partner != torch.arange(size)).all()


def test_every_other_row_is_an_equally_likely_partner() -> None:
    source, counts = generator(), torch.zeros(4, 4)
    for _ in range(6000):
        counts[torch.arange(4), draw_partner(4, source)] += 1
    assert counts.diagonal().sum() == 0
    off_diagonal = counts[~torch.eye(4, dtype=torch.bool)]
    assert ((off_diagonal - 2000).abs() < 5 * math.sqrt(2000)).all()


def loop_blend(hidden: list, lam: list, partner: list, lengths: list, padding: str) -> list:
    """Blend position by position in plain Python."""
    out = []
    for i, row in enumerate(hidden):
        other = hidden[partner[i]]
        blended = []
        for t in range(len(row)):
            own_real, other_real = t < lengths[i], t < lengths[partner[i]]
            vector = []
            for a, b in zip(row[t], other[t], strict=True):
                if own_real and other_real:
                    vector.append(lam[i] * a + (1 - lam[i]) * b)
                elif own_real:
                    vector.append(lam[i] * a if padding == "zero" else a)
                elif other_real:
                    vector.append((1 - lam[i]) * b if padding == "zero" else b)
                else:
                    vector.append(0.0)
            blended.append(vector)
        out.append(blended)
    return out


@given(data=st.data(), size=st.integers(1, 33), padding=st.sampled_from(["zero", "copy"]))
@settings(deadline=None, max_examples=50)
def test_blend_equals_a_plain_loop(data: st.DataObject, size: int, padding: str) -> None:
    source = generator(data.draw(st.integers(0, 2**16)))
    length = data.draw(st.integers(1, 6))
    lengths = data.draw(st.lists(st.integers(0, length), min_size=size, max_size=size))
    hidden = torch.randn(size, length, 3, dtype=torch.float64, generator=source)
    lam = torch.rand(size, dtype=torch.float64, generator=source)
    partner = draw_partner(size, source) if size > 1 else torch.zeros(1, dtype=torch.long)
    mask = torch.arange(length)[None] < torch.tensor(lengths)[:, None]
    blended = blend(hidden, lam, partner, mask, padding)
    expected = loop_blend(hidden.tolist(), lam.tolist(), partner.tolist(), lengths, padding)
    torch.testing.assert_close(blended, torch.tensor(expected, dtype=torch.float64), atol=1e-12, rtol=1e-12)


def test_blend_by_hand() -> None:
    hidden = torch.tensor([[1.0, 2.0], [5.0, 10.0]])
    blended = blend(hidden, torch.tensor([0.75, 0.5]), torch.tensor([1, 0]))
    assert blended.tolist() == [[2.0, 4.0], [3.0, 6.0]]


def test_blend_ignores_what_padding_holds_even_nan() -> None:
    hidden = torch.tensor([[[1.0], [2.0]], [[3.0], [float("nan")]]])
    mask = torch.tensor([[True, True], [True, False]])
    blended = blend(hidden, torch.tensor([0.5, 0.5]), torch.tensor([1, 0]), mask)
    assert blended.flatten().tolist() == [2.0, 1.0, 2.0, 1.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_blend_keeps_the_dtype(dtype: torch.dtype) -> None:
    hidden = torch.ones(2, 3, 4, dtype=dtype)
    mask = torch.ones(2, 3, dtype=torch.bool)
    for padding in ("zero", "copy"):
        assert blend(hidden, torch.tensor([0.3, 0.3]), torch.tensor([1, 0]), mask, padding).dtype == dtype


@pytest.mark.parametrize("dtype", [torch.long, torch.bool, torch.float32])
def test_union_mask_attends_to_what_either_row_does(dtype: torch.dtype) -> None:
    own = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1]])
    mask = own.to(dtype) if dtype != torch.float32 else (1.0 - own) * torch.finfo(torch.float32).min
    united = union_mask(mask, torch.tensor([2, 0, 1]))
    real = united == 0 if dtype == torch.float32 else united.bool()
    assert real.tolist() == [[True] * 4, [True, True, False, False], [True, False, True, True]]
    assert united.dtype == dtype


def test_union_mask_leaves_a_shared_mask_alone() -> None:
    shared = torch.zeros(1, 1, 4, 4)
    assert union_mask(shared, torch.tensor([1, 0])) is shared


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(x) for x in row)
    return [math.exp(x) / total for x in row]


def loop_loss(row: list[float], target: object, kind: str) -> float:
    """Score one row in plain Python."""
    if kind == "single_label_classification":
        weights = target if isinstance(target, list) else [float(i == target) for i in range(len(row))]
        return -sum(w * math.log(p) for w, p in zip(weights, softmax(row), strict=True))
    values = target if isinstance(target, list) else [target]
    if kind == "multi_label_classification":
        sigmoid = [1 / (1 + math.exp(-x)) for x in row]
        terms = [-(y * math.log(p) + (1 - y) * math.log(1 - p)) for y, p in zip(values, sigmoid, strict=True)]
    else:
        terms = [(x - y) ** 2 for x, y in zip(row, values, strict=True)]
    return sum(terms) / len(terms)


def targets(kind: str, size: int, classes: int, source: torch.Generator) -> torch.Tensor:
    if kind == "integer":
        return torch.randint(classes, (size,), generator=source)
    if kind == "soft":
        return torch.rand(size, classes, dtype=torch.float64, generator=source).softmax(dim=-1)
    if kind == "multi":
        return torch.randint(2, (size, classes), generator=source).double()
    return torch.randn(size, classes, dtype=torch.float64, generator=source)


KINDS = {
    "integer": "single_label_classification",
    "soft": "single_label_classification",
    "multi": "multi_label_classification",
    "regression": "regression",
}


@given(size=st.integers(1, 33), kind=st.sampled_from(list(KINDS)), items=st.booleans(), seed=st.integers(0, 2**16))
@settings(deadline=None, max_examples=80)
def test_blended_loss_equals_a_plain_loop(size: int, kind: str, items: bool, seed: int) -> None:
    source = generator(seed)
    logits = torch.randn(size, 4, dtype=torch.float64, generator=source)
    labels = targets(kind, size, 4, source)
    lam = torch.rand(size, dtype=torch.float64, generator=source)
    partner = draw_partner(size, source) if size > 1 else torch.zeros(1, dtype=torch.long)
    rows, given_labels = logits.tolist(), labels.tolist()
    losses = [
        lam[i].item() * loop_loss(rows[i], given_labels[i], KINDS[kind])
        + (1 - lam[i].item()) * loop_loss(rows[i], given_labels[int(partner[i])], KINDS[kind])
        for i in range(size)
    ]
    # The window has three times the rows of this batch; the stock Trainer counts every entry of (B, C) labels.
    window = 3 * labels.numel() if items else None
    expected = sum(losses) / (3 * size if items else size)
    loss = blended_loss(logits, labels, lam, partner, KINDS[kind], window)
    assert loss.item() == pytest.approx(expected, abs=1e-10)


def test_a_single_number_may_have_one_dimension() -> None:
    logits = torch.tensor([[1.0], [3.0]])
    assert sample_losses(logits, torch.tensor([0.0, 1.0]), "regression").tolist() == [1.0, 4.0]


def test_losses_are_float32_under_half_precision() -> None:
    logits = torch.randn(4, 3, dtype=torch.bfloat16)
    assert sample_losses(logits, torch.tensor([0, 1, 2, 0]), "single_label_classification").dtype == torch.float32


def test_blended_accuracy_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]])  # predicts 0, 0, 1
    labels = torch.tensor([0, 1, 1])
    accuracy = blended_accuracy(logits, labels, torch.full((3,), 0.75), torch.tensor([1, 2, 0]))
    # Row 0 is right itself; row 1 neither itself nor by its partner; row 2 is right itself.
    assert accuracy.item() == pytest.approx((0.75 + 0 + 0.75) / 3)


def test_plain_loss_without_labels_is_none() -> None:
    assert plain_loss(torch.zeros(2, 3), None, None) is None


def test_problem_type_is_never_guessed_from_float_labels() -> None:
    logits = torch.zeros(2, 3)
    with pytest.raises(ConfigError, match="may be soft or multi-label"):
        resolve_problem_type(None, logits, torch.zeros(2, 3))
    with pytest.raises(ConfigError, match=r"unknown config\.problem_type 'ranking'"):
        resolve_problem_type("ranking", logits, torch.tensor([0, 1]))
    assert resolve_problem_type(None, logits, torch.tensor([0, 1])) == "single_label_classification"
    assert resolve_problem_type(None, torch.zeros(2, 1), torch.zeros(2)) == "regression"
    assert resolve_problem_type("multi_label_classification", logits, torch.zeros(2, 3)) == "multi_label_classification"
