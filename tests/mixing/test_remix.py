"""Targets that favour the rarer class."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mixing import loops
from tests.mixing.batches import blending, generator
from textmix.mixing.losses import IGNORED
from textmix.mixing.remix import remix

COUNTS = [90, 30, 9]  # training rows of three classes, for remix


@given(
    size=st.integers(1, 12),
    count=st.integers(2, 5),
    kappa=st.floats(1, 10),
    tau=st.floats(0, 1),
    seed=st.integers(0, 2**16),
)
@settings(deadline=None, max_examples=80)
def test_several_equal_a_plain_loop(size: int, count: int, kappa: float, tau: float, seed: int) -> None:
    rows, weights = blending(size, count, seed)
    labels = torch.randint(3, (size,), generator=generator(seed))
    remixed = remix(weights, rows, labels, torch.tensor(COUNTS), kappa, tau)
    expected = loops.remix(rows.tolist(), weights.tolist(), labels.tolist(), COUNTS, kappa, tau)
    torch.testing.assert_close(remixed, torch.tensor(expected, dtype=torch.float64), atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(remixed.sum(dim=1), torch.ones(size, dtype=torch.float64))


class TestRemix:
    @pytest.mark.parametrize(
        ("own", "other", "lam", "expected"),
        [
            (0, 2, 0.4, 0.0),  # the rarer partner takes all
            (0, 2, 0.5, 0.5),  # not once λ reaches τ
            (2, 0, 0.6, 1.0),  # the rarer row keeps all
            (2, 0, 0.5, 0.5),
            (0, 1, 0.4, 0.0),  # κ itself counts
            (1, 0, 0.6, 1.0),
            (0, 0, 0.3, 0.3),
            (2, 2, 0.9, 0.9),
            (0, IGNORED, 0.4, 0.4),  # a row that does not count has no class
            (IGNORED, 2, 0.4, 0.4),
        ],
    )
    def test_pairs_by_hand(self, own: int, other: int, lam: float, expected: float) -> None:
        labels, counts = torch.tensor([own, other]), torch.tensor(COUNTS)
        weights, rows = torch.tensor([[lam, 1 - lam]], dtype=torch.float64), torch.tensor([[0, 1]])
        remixed = remix(weights, rows, labels, counts, 3.0, 0.5)
        assert remixed[0].tolist() == pytest.approx([expected, 1 - expected])

    @pytest.mark.parametrize(("own", "other"), [(0, IGNORED), (IGNORED, 2), (IGNORED, IGNORED)])
    def test_a_row_without_a_class_has_no_ratio_whatever_kappa_is(self, own: int, other: int) -> None:
        weights, rows = torch.tensor([[0.4, 0.6]], dtype=torch.float64), torch.tensor([[0, 1]])
        for kappa in (1.0, 1.5):
            remixed = remix(weights, rows, torch.tensor([own, other]), torch.tensor(COUNTS), kappa, 0.7)
            assert torch.equal(remixed, weights)

    @pytest.mark.parametrize("rest", [0.0, 1e-40, 1e-30])
    @pytest.mark.parametrize("count", [2, 3])
    def test_partners_that_weigh_next_to_nothing(self, rest: float, count: int) -> None:
        weights = torch.tensor([[1.0] + [rest / (count - 1)] * (count - 1)])
        for tau in (0.0, 0.5):
            remixed = remix(weights, torch.arange(count)[None], torch.tensor([0, 2, 2]), torch.tensor(COUNTS), 3, tau)
            torch.testing.assert_close(remixed, torch.tensor([[1.0] + [0.0] * (count - 1)]))

    def test_a_class_without_training_rows_is_rare(self) -> None:
        rows, weights = torch.tensor([[0, 1], [1, 0]]), torch.tensor([[0.4, 0.6], [0.6, 0.4]])
        remixed = remix(weights, rows, torch.tensor([0, 1]), torch.tensor([5, 0]), 3.0, 0.5)
        assert remixed.tolist() == [[0.0, 1.0], [1.0, 0.0]]
