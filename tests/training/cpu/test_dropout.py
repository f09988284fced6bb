import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers as hf
from packaging.version import Version
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface, BertConfig, BertForSequenceClassification
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from tests.support.families import FAMILIES, Family, fresh
from tests.support.family_configs import BERT_LIKE, END
from textmix.training.cpu import dropout
from textmix.training.cpu.dropout import ByteDropout, byte_dropout, byte_dropout_attention, draw_noise


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.3, 0.999, 1 / 512])
def test_the_chance_is_exact(keep: float) -> None:
    torch.manual_seed(0)
    size = 4_000_000
    mask = draw_noise(size, keep, torch.float32) > 0
    error = (keep * (1 - keep) / size) ** 0.5
    # Bytes alone would miss 0.9 by 0.0016, eleven standard errors.
    assert abs(mask.double().mean().item() - keep) < 4 * error
    # Neighbours are independent.
    both = (mask[1:] & mask[:-1]).double().mean().item()
    assert abs(both - keep**2) < 5 * (keep**2 / size) ** 0.5


def test_draws_follow_torch_s_seed_and_move_its_generator_on() -> None:
    torch.manual_seed(5)
    first, second = draw_noise(100, 0.5, torch.float32), draw_noise(100, 0.5, torch.float32)
    torch.manual_seed(5)
    assert torch.equal(draw_noise(100, 0.5, torch.float32), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_what_stays_is_scaled_and_so_is_its_gradient(dtype: torch.dtype) -> None:
    module, given = ByteDropout(0.25), torch.ones(40, 50, dtype=dtype, requires_grad=True)
    output = module(given)
    assert output.dtype == dtype
    scaled = torch.tensor(1 / 0.75, dtype=dtype)
    assert set(output.flatten().tolist()) == {0.0, scaled.item()}
    output.sum().backward()
    assert torch.equal(given.grad, output.detach())


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_the_ends_and_evaluation_are_those_of_dropout(rate: float) -> None:
    given = torch.randn(3, 4)
    assert torch.equal(ByteDropout(rate)(given), nn.Dropout(rate)(given))
    assert ByteDropout(0.5).eval()(given) is given


def test_a_model_is_left_as_it_was() -> None:
    class Own(nn.Dropout):
        """A dropout of somebody else's, with a forward of its own."""

    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), Own(0.5))
    with byte_dropout(model):
        assert [type(module) for module in model] == [nn.Linear, ByteDropout, Own]
    assert [type(module) for module in model] == [nn.Linear, nn.Dropout, Own]


# Attention of their own, position biases, or none.
OWN_ATTENTION = ("DeBERTa-v2", "MPNet", "XLNet", "Funnel", "Longformer", "MVP", "BigBird-Pegasus")
NO_PLAIN_ATTENTION = (*OWN_ATTENTION, "T5", "mT5", "UMT5", "TextCNN", "TextRNN", "FastText")


def dispatches(model: nn.Module) -> bool:
    """Whether this version of transformers has its attention take an implementation by name, as later ones all do."""
    return hasattr(sys.modules[type(model.base_model).__module__], "ALL_ATTENTION_FUNCTIONS")


def attend_by_loop(query: Tensor, key: Tensor, value: Tensor, seen: Tensor, noise: Tensor) -> Tensor:
    rows, heads, length, width = query.shape
    output = torch.zeros(rows, length, heads, width, dtype=query.dtype)
    for row in range(rows):
        for head in range(heads):
            for place in range(length):
                keys = [other for other in range(length) if seen[row, other]]
                scores = torch.stack([query[row, head, place] @ key[row, head, other] * 0.3 for other in keys])
                for other, weight in zip(keys, scores.softmax(dim=0), strict=True):
                    kept = weight * noise[row, head, place, other]
                    output[row, place, head] += kept * value[row, head, other]
    return output


@pytest.mark.parametrize("kind", ["none", "bool", "added"])
def test_attention_drops_weights_out(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(3, 2, 7, 4, dtype=torch.float64) for _ in range(3))
    seen = torch.arange(7) < torch.tensor([7, 4, 1])[:, None]
    if kind == "none":
        seen = torch.ones(3, 7, dtype=torch.bool)
    noise = draw_noise(3 * 2 * 7 * 7, 0.6, torch.float64)
    monkeypatch.setattr(dropout, "draw_noise", lambda size, keep, dtype: noise if keep == 0.6 else None)
    module = nn.Module()
    module.is_causal = False
    rows = seen[:, None, None].expand(3, 1, 7, 7)
    added = torch.zeros(3, 1, 7, 7, dtype=torch.float64).masked_fill(~rows, -1e300)
    mask = {"none": None, "bool": rows, "added": added}[kind]
    output, weights = byte_dropout_attention(module, query, key, value, mask, dropout=0.4, scaling=0.3)
    assert weights is None
    expected = attend_by_loop(query, key, value, seen, noise.view(3, 2, 7, 7))
    torch.testing.assert_close(output, expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(
    ("rate", "mask", "options"),
    [
        (0.0, True, {}),
        (1.0, True, {}),
        (0.4, False, {"is_causal": True}),
        (0.4, True, {"position_bias": torch.zeros(1, 2, 7, 7)}),
        (0.4, True, {"softcap": 50.0}),
    ],
)
def test_other_attention_is_left_to_sdpa(
    rate: float, mask: bool, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def sdpa(*args: Any, **kwargs: Any) -> None:
        given.extend((args, kwargs))

    monkeypatch.setattr(dropout, "stock_sdpa", lambda: sdpa)
    module, states = nn.Module(), torch.randn(3, 2, 7, 4)
    seen = torch.ones(3, 1, 7, 7, dtype=torch.bool) if mask else None
    byte_dropout_attention(module, states, states, states, seen, dropout=rate, scaling=0.3, **options)
    assert given == [(module, states, states, states, seen, rate, 0.3), options]


def keep_everything(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """Let dropout of attention drop nothing; returns what it is asked for."""
    drawn: list[tuple[int, float]] = []

    def draw(size: int, keep: float, dtype: torch.dtype) -> Tensor:
        drawn.append((size, keep))
        return torch.ones(size, dtype=dtype)

    monkeypatch.setattr(dropout, "draw_noise", draw)
    return drawn


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_models_attend_alike_and_are_left_as_they_were(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fresh(family.name).float().train()
    lengths = torch.tensor([11, 4, 7])
    mask = (torch.arange(11) < lengths[:, None]).long()
    mask = mask.flip(1) if family.left else mask
    ids = torch.where(mask.bool(), torch.randint(5, 60, (3, 11)), family.pad)
    if family.ends:
        ids[torch.arange(3), lengths - 1] = END
    expected = model(input_ids=ids, attention_mask=mask).logits
    drawn = keep_everything(monkeypatch)
    # The models have no dropout of their own: all attention is asked for it here, and what is left to sdpa for none.
    monkeypatch.setattr(
        dropout,
        "byte_dropout_attention",
        lambda *args, **options: byte_dropout_attention(*args, **{**options, "dropout": 0.4}),
    )

    def without(*args: Any, **options: Any) -> Any:
        return sdpa_attention_forward(*args[:5], 0.0, args[6], **options)

    with byte_dropout(model), monkeypatch.context() as patched:
        patched.setattr(dropout, "stock_sdpa", lambda: without)
        logits = model(input_ids=ids, attention_mask=mask).logits
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is sdpa_attention_forward
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
    plain = family.name.partition(" ")[0].strip(",") not in NO_PLAIN_ATTENTION
    assert bool(drawn) == (plain and (dispatches(model) or Version(hf.__version__) >= Version("5.1")))


def test_rounded_attention_is_that_of_sdpa(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_everything(monkeypatch)
    torch.manual_seed(0)
    # Scores of up to 100, which bfloat16 would round by 0.25.
    query, key, value = (4 * torch.randn(3, 2, 9, 16, dtype=torch.bfloat16) for _ in range(3))
    mask = (torch.arange(9) < torch.tensor([9, 4, 0])[:, None])[:, None, None].expand(3, 1, 9, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, _ = byte_dropout_attention(nn.Module(), query, key, value, mask, dropout=0.4)
    # In float32, in which torch since 2.5 computes it for bfloat16, too.
    with sdpa_kernel(SDPBackend.MATH):
        expected = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), mask).bfloat16()
    assert output.dtype == torch.bfloat16
    assert output.is_contiguous()
    assert not output[2].any()
    # Torch before 2.5 gives NaN for the row that attends to nothing.
    torch.testing.assert_close(output[:2], expected.transpose(1, 2)[:2], atol=1e-2, rtol=1e-2)


def test_weights_of_attention_are_dropped_out_in_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = keep_everything(monkeypatch)
    model = BertForSequenceClassification(BertConfig(**{**BERT_LIKE, "attention_probs_dropout_prob": 0.4}))
    if not dispatches(model):
        pytest.skip("BERT has an attention of its own in this version of transformers")
    ids, seen = torch.randint(5, 60, (3, 11)), torch.ones(3, 11, dtype=torch.long)
    seen[0, 5:] = 0
    for mask in (seen, None):
        drawn.clear()
        with byte_dropout(model):
            trained = model.train()(input_ids=ids, attention_mask=mask).logits
            assert drawn == [(3 * 2 * 11 * 11, 0.6)] * 3
            evaluated = model.eval()(input_ids=ids, attention_mask=mask).logits
        assert len(drawn) == 3
        # All weights are kept here.
        torch.testing.assert_close(trained, evaluated, atol=1e-5, rtol=1e-5)


def test_attention_of_somebody_else_is_left_alone() -> None:
    def own(*args: Any, **options: Any) -> None:
        """Attend in a way of its own."""

    model = nn.Linear(2, 2)
    AttentionInterface.register("sdpa", own)
    try:
        with byte_dropout(model):
            assert ALL_ATTENTION_FUNCTIONS["sdpa"] is own
        assert ALL_ATTENTION_FUNCTIONS["sdpa"] is own
    finally:
        AttentionInterface.register("sdpa", sdpa_attention_forward)
    with byte_dropout(model):
        with byte_dropout(model):
            assert ALL_ATTENTION_FUNCTIONS["sdpa"] is byte_dropout_attention
        assert ALL_ATTENTION_FUNCTIONS["sdpa"] is byte_dropout_attention
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is sdpa_attention_forward
