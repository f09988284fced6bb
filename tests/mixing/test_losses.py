import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mixing import loops
from tests.mixing.batches import blending, generator
from textmix.errors import ConfigError, DataError
from textmix.mixing.losses import (
    Blend,
    Scoring,
    blended_accuracy,
    blended_loss,
    items,
    plain_loss,
    resolve_problem_type,
    score,
    unmixed,
)

CLASSES, TOKENS = 4, 5
KINDS = {
    "integer": "single_label_classification",
    "soft": "single_label_classification",
    "multi": "multi_label_classification",
    "regression": "regression",
    "number": "regression",
    "tokens": "token_classification",
}
OPTIONS = {
    f"smoothing={smoothing} weighted={weighted} gamma={gamma}": (smoothing, weighted, gamma)
    for smoothing, weighted, gamma in itertools.product((0.0, 0.1), (False, True), (0.0, 0.5, 2.0))
}
WEIGHTS = [0.5, 2.0, 0.0, 1.25]


def drawn(labels: str, size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw logits and labels of a kind."""
    source = generator(seed)
    logits = 3 * torch.randn(size, CLASSES, dtype=torch.float64, generator=source)
    if labels == "integer":
        return logits, torch.randint(CLASSES, (size,), generator=source)
    if labels == "soft":
        return logits, torch.rand(size, CLASSES, dtype=torch.float64, generator=source).softmax(dim=-1)
    if labels == "multi":
        return logits, torch.randint(2, (size, CLASSES), generator=source).double()
    if labels == "number":
        return logits[:, :1], torch.randn(size, dtype=torch.float64, generator=source)
    if labels == "tokens":
        logits = 3 * torch.randn(size, TOKENS, CLASSES, dtype=torch.float64, generator=source)
        given = torch.randint(CLASSES, (size, TOKENS), generator=source)
        return logits, given.masked_fill(torch.rand(size, TOKENS, generator=source) < 0.4, -100)
    return logits, torch.randn(size, CLASSES, dtype=torch.float64, generator=source)


@given(
    labels=st.sampled_from(list(KINDS)),
    option=st.sampled_from(list(OPTIONS)),
    size=st.integers(1, 12),
    count=st.integers(1, 4),
    items_given=st.booleans(),
    rows_weigh=st.booleans(),
    seed=st.integers(0, 2**16),
)
@settings(deadline=None, max_examples=150)
def test_every_kind_with_every_option_equals_a_plain_loop(
    labels: str, option: str, size: int, count: int, items_given: bool, rows_weigh: bool, seed: int
) -> None:
    kind, (smoothing, weighted, gamma) = KINDS[labels], OPTIONS[option]
    if kind == "regression":
        smoothing, weighted, gamma = 0.0, False, 0.0
    logits, given = drawn(labels, size, seed)
    rows, weights = blending(size, count, seed)
    scoring = Scoring(smoothing, torch.tensor(WEIGHTS) if weighted else None, gamma)
    num_items = 17 if items_given else None
    own = 3 * torch.rand(size, generator=generator(seed + 2))
    of_tokens = (slice(None), slice(None), None) if kind == "token_classification" else ()
    laid_out = Blend(given[rows], weights[of_tokens], own[rows][of_tokens] if rows_weigh else None)
    loss = blended_loss(logits, laid_out, kind, scoring, num_items)
    expected = loops.blended_loss(
        logits.tolist(),
        given.tolist(),
        rows.tolist(),
        weights.tolist(),
        kind,
        num_items,
        own.tolist() if rows_weigh else None,
        smoothing=smoothing,
        class_weights=WEIGHTS if weighted else None,
        gamma=gamma,
    )
    assert loss.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
class TestEqualsTorch:
    """What torch.nn.functional defines, it defines alike, but for class weights beside smoothing."""

    def scoring(self, smoothing: float, weighted: bool) -> tuple[Scoring, torch.Tensor | None]:
        weights = torch.tensor(WEIGHTS, dtype=torch.float64) if weighted else None
        return Scoring(smoothing, weights), weights

    @pytest.mark.parametrize("labels", ["integer", "soft"])
    def test_cross_entropy(self, labels: str, smoothing: float, weighted: bool) -> None:
        logits, given = drawn(labels, 9, seed=1)
        scoring, weights = self.scoring(smoothing, weighted)
        scored = score(logits, given.unsqueeze(1), "single_label_classification", scoring)
        shares = given if labels == "soft" else F.one_hot(given, CLASSES)
        if weights is not None:  # those of the row's own classes, also for what smoothing adds
            shares = shares * weights
        costs = [
            F.cross_entropy(logits, torch.full((9,), c), reduction="none", label_smoothing=smoothing)
            for c in range(CLASSES)
        ]
        torch.testing.assert_close(scored[:, 0], (shares * torch.stack(costs, dim=1)).sum(dim=1))
        if weights is None or not smoothing:
            expected = F.cross_entropy(logits, given, weights, reduction="none", label_smoothing=smoothing)
            torch.testing.assert_close(scored[:, 0], expected)

    def test_cross_entropy_of_tokens(self, smoothing: float, weighted: bool) -> None:
        logits, given = drawn("tokens", 9, seed=2)
        scoring, weights = self.scoring(smoothing, weighted)
        scored = score(logits, given.unsqueeze(1), "token_classification", scoring)
        expected = F.cross_entropy(logits.mT, given, reduction="none", label_smoothing=smoothing)
        if weights is not None:  # that of the token's own class
            expected = expected * weights[given.clamp(min=0)]
        torch.testing.assert_close(scored[:, 0], expected)

    def test_binary_cross_entropy(self, smoothing: float, weighted: bool) -> None:
        logits, given = drawn("multi", 9, seed=3)
        scoring, weights = self.scoring(smoothing, weighted)
        scored = score(logits, given.unsqueeze(1), "multi_label_classification", scoring)
        smooth = (1 - smoothing) * given + smoothing / 2
        expected = F.binary_cross_entropy_with_logits(logits, smooth, reduction="none", pos_weight=weights)
        torch.testing.assert_close(scored[:, 0], expected.mean(dim=1))


@pytest.mark.parametrize("labels", ["integer", "soft", "multi", "regression", "number", "tokens"])
def test_unmixed_rows_score_as_torch_does(labels: str) -> None:
    logits, given = drawn(labels, 9, seed=4)
    expected = {
        "integer": lambda: F.cross_entropy(logits, given),
        "soft": lambda: F.cross_entropy(logits, given),
        "multi": lambda: F.binary_cross_entropy_with_logits(logits, given),
        "regression": lambda: F.mse_loss(logits, given),
        "number": lambda: F.mse_loss(logits[:, 0], given),
        "tokens": lambda: F.cross_entropy(logits.mT, given),
    }[labels]()
    declared = None if labels in ("integer", "number", "tokens") else KINDS[labels]
    torch.testing.assert_close(plain_loss(logits, given, declared), expected)


def test_rows_without_a_class_do_not_count() -> None:
    logits, given = drawn("integer", 6, seed=5)
    given[[1, 4]] = -100
    torch.testing.assert_close(plain_loss(logits, given, None), F.cross_entropy(logits, given))


@pytest.mark.parametrize("labels", ["integer", "tokens"])
def test_a_batch_without_labels_has_the_loss_0(labels: str) -> None:
    logits, given = drawn(labels, 3, seed=6)
    logits.requires_grad_()
    loss = plain_loss(logits, torch.full_like(given, -100), None)
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_a_token_that_one_of_two_rows_has_a_label_for_counts_for_its_weight() -> None:
    logits = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]])
    labels = torch.tensor([[[0, -100], [0, 1]]])  # (B, K, L)
    loss = blended_loss(logits, Blend(labels, torch.tensor([[[0.75], [0.25]]])), "token_classification")
    first, second = math.log(1 + math.exp(-2)), math.log(1 + math.exp(-1))
    assert loss.item() == pytest.approx((first + 0.25 * second) / 1.25)


class TestExtremes:
    @pytest.mark.parametrize("labels", list(KINDS))
    def test_losses_are_float32_and_finite(self, labels: str) -> None:
        logits, given = drawn(labels, 6, seed=7)
        for dtype in (torch.float16, torch.bfloat16, torch.float32):
            scored = score((40 * logits).to(dtype), given.unsqueeze(1), KINDS[labels])
            assert scored.dtype == torch.float32
            assert torch.isfinite(scored).all()

    def test_float64_stays(self) -> None:
        logits, given = drawn("integer", 2, seed=8)
        assert score(logits, given.unsqueeze(1), "single_label_classification").dtype == torch.float64

    @pytest.mark.parametrize("labels", ["integer", "soft", "multi", "tokens"])
    def test_the_focal_loss_has_gradients_where_it_is_sure(self, labels: str) -> None:
        logits, given = drawn(labels, 6, seed=9)
        for gamma, scale in itertools.product((0.25, 1.0, 2.0), (0.0, 1.0, 30.0, 1000.0)):
            scaled = (scale * logits).float().requires_grad_()
            loss = blended_loss(scaled, unmixed(given, KINDS[labels]), KINDS[labels], Scoring(focal_gamma=gamma))
            loss.backward()
            assert torch.isfinite(loss)
            assert torch.isfinite(scaled.grad).all()

    def test_the_focal_loss_keeps_its_digits_near_certainty(self) -> None:
        logits = torch.tensor([[12.0, 0.0]])
        scored = score(logits, torch.tensor([[0]]), "single_label_classification", Scoring(focal_gamma=1.0))
        miss = 1 / (1 + math.exp(12))
        assert scored.item() == pytest.approx(miss * -math.log1p(-miss), rel=1e-4)


def test_class_weights_do_not_change_the_dtype() -> None:
    scoring = Scoring(class_weights=torch.tensor(WEIGHTS, dtype=torch.float64))
    for labels in ("integer", "multi"):
        logits, given = drawn(labels, 3, seed=0)
        assert score(logits.float(), given.unsqueeze(1), KINDS[labels], scoring).dtype == torch.float32


def test_unmixed_labels_have_a_weight_for_each_row() -> None:
    rows = unmixed(torch.tensor([2, 0, 1]), "single_label_classification")
    assert rows.labels.tolist() == [[2], [0], [1]]
    assert rows.weights.tolist() == [[1], [1], [1]]
    tokens = unmixed(torch.tensor([[2, 0], [1, 1], [0, 0]]), "token_classification")
    assert tokens.labels.tolist() == [[[2, 0]], [[1, 1]], [[0, 0]]]
    assert tokens.weights.tolist() == [[[1]], [[1]], [[1]]]


@pytest.mark.parametrize("options", [{"label_smoothing": 0.1}, {"focal_gamma": 1.0}, {"class_weights": torch.ones(4)}])
def test_numbers_are_not_classes(options: dict) -> None:
    with pytest.raises(ConfigError, match=r"^label smoothing, class weights and .* have no meaning for regr"):
        score(torch.zeros(2, 4), torch.zeros(2, 1, 4), "regression", Scoring(**options))


@pytest.mark.parametrize("labels", ["integer", "multi", "tokens"])
def test_class_weights_must_be_as_many_as_classes(labels: str) -> None:
    logits, given = drawn(labels, 2, seed=0)
    with pytest.raises(ConfigError, match=r"^there are 3 class weights for 4 classes$"):
        score(logits, given.unsqueeze(1), KINDS[labels], Scoring(class_weights=torch.ones(3)))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("kind", "shape"), [("regression", (3,)), ("regression", (3, 2)), ("multi_label_classification", (3, 2))]
)
def test_labels_that_are_no_numbers_are_refused(value: float, kind: str, shape: tuple[int, ...]) -> None:
    labels = torch.ones(shape)
    labels[1] = value
    logits = torch.zeros(3, shape[1] if len(shape) > 1 else 1)
    with pytest.raises(DataError, match=f"labels of {kind} must be finite, but these contain NaN or infinity"):
        plain_loss(logits, labels, kind)


def test_plain_loss_without_labels_is_none() -> None:
    assert plain_loss(torch.zeros(2, 3), None, None) is None


def test_plain_loss_takes_options_and_the_window() -> None:
    logits, given = drawn("integer", 6, seed=1)
    loss = plain_loss(logits, given, None, 12, Scoring(label_smoothing=0.2))
    torch.testing.assert_close(loss, F.cross_entropy(logits, given, label_smoothing=0.2) / 2)
    logits, given = drawn("tokens", 6, seed=1)
    loss = plain_loss(logits, given, None, torch.tensor(10))
    torch.testing.assert_close(loss, F.cross_entropy(logits.mT, given, reduction="sum") / 10)


def test_the_window_of_the_stock_trainer_counts_entries() -> None:
    assert items(None, torch.zeros(2, 3), "regression") is None
    assert items(12, torch.zeros(2, 3), "multi_label_classification") == 4
    assert items(12, torch.zeros(1, 3), "regression") == 4
    assert items(12, torch.zeros(2), "single_label_classification") == 12
    assert items(torch.tensor(12), torch.zeros(2, 3), "single_label_classification") == 4
    assert items(12, torch.zeros(2, 3), "token_classification") == 12


class TestProblemType:
    @pytest.mark.parametrize(
        ("declared", "labels", "kind"),
        [
            (None, torch.tensor([0, 1]), "single_label_classification"),
            ("single_label_classification", torch.tensor([0, 1]), "single_label_classification"),
            ("single_label_classification", torch.zeros(2, 3), "single_label_classification"),
            ("multi_label_classification", torch.zeros(2, 3), "multi_label_classification"),
            ("multi_label_classification", torch.zeros(2, 3, dtype=torch.long), "multi_label_classification"),
            ("regression", torch.zeros(2, 3), "regression"),
        ],
    )
    def test_of_rows(self, declared: str | None, labels: torch.Tensor, kind: str) -> None:
        assert resolve_problem_type(declared, torch.zeros(2, 3), labels) == kind

    @pytest.mark.parametrize("shape", [(2,), (2, 1)])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.long])
    @pytest.mark.parametrize("declared", [None, "regression"])
    def test_one_output_is_a_number(self, declared: str | None, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
        assert resolve_problem_type(declared, torch.zeros(2, 1), torch.zeros(shape, dtype=dtype)) == "regression"

    def test_of_tokens(self) -> None:
        labels = torch.zeros(2, 5, dtype=torch.long)
        assert resolve_problem_type("regression", torch.zeros(2, 5, 3), labels) == "token_classification"

    @pytest.mark.parametrize("labels", [torch.zeros(2, 3), torch.zeros(2), torch.zeros(2, 3, dtype=torch.long)])
    def test_it_is_never_guessed(self, labels: torch.Tensor) -> None:
        with pytest.raises(ConfigError, match=r"^labels of shape .* may be soft or multi-label: set config\.problem_"):
            resolve_problem_type(None, torch.zeros(2, 3), labels)

    @pytest.mark.parametrize("declared", ["ranking", "token_classification"])
    def test_an_unknown_one_is_named(self, declared: str) -> None:
        with pytest.raises(ConfigError, match=rf"^unknown config\.problem_type '{declared}'$"):
            resolve_problem_type(declared, torch.zeros(2, 3), torch.tensor([0, 1]))

    @pytest.mark.parametrize(
        ("declared", "logits", "labels"),
        [
            ("single_label_classification", (2, 2), torch.zeros(2)),
            ("single_label_classification", (2, 3), torch.zeros(2, 3, dtype=torch.long)),
            ("single_label_classification", (2, 3), torch.zeros(2, 1, dtype=torch.long)),
            ("single_label_classification", (2, 3), torch.zeros(2, 2)),
            ("multi_label_classification", (2, 3), torch.zeros(2)),
            ("regression", (2, 3), torch.zeros(2)),
            ("regression", (2, 1), torch.zeros(2, 3)),
            (None, (2, 5, 3), torch.zeros(2, 5)),
            (None, (2, 5, 3), torch.zeros(2, 5, 3)),
            (None, (2, 5, 3), torch.zeros(2, 4, dtype=torch.long)),
            (None, (3, 4), torch.zeros(2, dtype=torch.long)),
        ],
    )
    def test_labels_that_broadcasting_would_spread_are_refused(
        self, declared: str | None, logits: tuple[int, ...], labels: torch.Tensor
    ) -> None:
        with pytest.raises(ConfigError, match=r"^labels of shape \(.*\) and type torch\.\w+ do not fit \w+ with logi"):
            resolve_problem_type(declared, torch.zeros(logits), labels)


class TestAccuracy:
    def test_of_rows_by_hand(self) -> None:
        logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0]])  # predicts 0, 0, 1
        labels = torch.tensor([[0, 1], [1, 1], [1, 0]])
        accuracy = blended_accuracy(logits, Blend(labels, torch.tensor([[0.75, 0.25]] * 3)))
        # Row 0 is right itself; row 1 neither itself nor by its partner; row 2 is right itself.
        assert accuracy.item() == pytest.approx((0.75 + 0 + 0.75) / 3)
        assert accuracy.dtype == torch.float32

    def test_of_tokens_by_hand(self) -> None:
        logits = torch.tensor([[[2.0, 0.0, 1.0], [2.5, 3.0, 1.0]]], dtype=torch.float64)  # predicts 0, 1
        labels = torch.tensor([[[0, -100], [2, 1]]])
        accuracy = blended_accuracy(logits, Blend(labels, torch.tensor([[[0.75], [0.25]]], dtype=torch.float64)))
        assert accuracy.item() == pytest.approx((0.75 + 0.25) / (0.75 + 0.25 + 0.25))
        assert accuracy.dtype == torch.float32

    def test_nothing_to_count_is_0(self) -> None:
        assert blended_accuracy(torch.zeros(2, 3), Blend(torch.full((2, 1), -100), torch.ones(2, 1))).item() == 0
