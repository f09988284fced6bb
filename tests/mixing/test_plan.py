import pytest
import torch

from tests.mixing.batches import a_plan
from textmix.mixing.functional import blend
from textmix.mixing.plan import Span, with_clean_rows
from textmix.mixing.sampling import stack_pair
from textmix.mixing.spans import cut


def test_lam_and_partner_of_pairs() -> None:
    plan = a_plan(rows=[[0, 1], [1, 0]], weights=torch.tensor([[0.25, 0.75], [0.5, 0.5]]))
    third = a_plan(weights=torch.tensor([[1 / 3, 2 / 3], [1.0, 0.0]]))
    assert plan.lam.tolist() == [0.25, 0.5]
    assert plan.partner.tolist() == [1, 0]
    assert plan.clean == 0
    assert plan.targets is plan.weights
    assert repr(plan) == "MixPlan(word at embeddings, lam=[0.25, 0.5], partner=[1, 0])"
    assert repr(third) == "MixPlan(word at embeddings, lam=[0.3333, 1.0], partner=[1, 0])"


def test_lam_and_partners_of_several() -> None:
    plan = a_plan(rows=[[0, 1, 2], [1, 2, 0], [2, 0, 1]], weights=torch.tensor([[0.5, 0.25, 0.25]] * 3))
    assert plan.lam.tolist() == [0.5] * 3
    assert plan.partner.tolist() == [[1, 2], [2, 0], [0, 1]]


def test_lam_counts_a_row_that_stands_in_for_its_partner() -> None:
    plan = a_plan(rows=[[0, 0, 0], [1, 2, 1]], weights=torch.tensor([[0.5, 0.25, 0.25]] * 2))
    assert plan.lam.tolist() == [1.0, 0.75]


def test_targets_may_weigh_otherwise() -> None:
    plan = a_plan(target_weights=torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert plan.targets.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert plan.lam.tolist() == [0.5, 0.5]


class TestCleanRows:
    HIDDEN = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    DOUBLED = torch.cat([HIDDEN, HIDDEN])
    ROWS = ((0, 1), (1, 2), (2, 0))

    def plan(self, **fields: object) -> object:
        return a_plan(rows=[list(row) for row in self.ROWS], weights=torch.tensor([[0.3, 0.7]] * 3), **fields)

    def test_the_first_half_stays_and_the_second_is_what_the_plan_makes(self) -> None:
        plan = self.plan()
        doubled = with_clean_rows(plan)
        assert doubled.clean == 3
        assert doubled.mixed is plan
        mixed = blend(self.DOUBLED, doubled.rows, doubled.weights)
        assert torch.equal(mixed[:3], self.HIDDEN)
        assert torch.equal(mixed[3:], blend(self.HIDDEN, plan.rows, plan.weights))
        assert doubled.weights.tolist()[:3] == [[1, 0]] * 3
        assert doubled.rows.tolist() == [[0, 0], [1, 1], [2, 2], [3, 4], [4, 5], [5, 3]]

    def test_target_weights_are_extended(self) -> None:
        ends = torch.tensor([[0.0, 1.0]] * 3)
        assert with_clean_rows(self.plan(target_weights=ends)).targets.tolist() == [[1, 0]] * 3 + [[0, 1]] * 3
        torch.testing.assert_close(with_clean_rows(self.plan()).targets[3:], self.plan().weights)

    @pytest.mark.parametrize("count", [1, 3])
    def test_dimensions_are_extended(self, count: int) -> None:
        plan = self.plan(dims=torch.rand(count, 5, generator=torch.Generator().manual_seed(1)))
        doubled = with_clean_rows(plan)
        mixed = blend(self.DOUBLED, doubled.rows, stack_pair(doubled.dims))
        assert torch.equal(mixed[:3], self.HIDDEN)
        assert torch.equal(mixed[3:], blend(self.HIDDEN, plan.rows, stack_pair(plan.dims)))

    def test_spans_are_extended(self) -> None:
        replaced = torch.tensor([[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]).bool()
        source = torch.tensor([[0, 2, 3, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
        plan = self.plan(span=Span(replaced, source, keep=0.5))
        doubled = with_clean_rows(plan)
        mixed = cut(self.DOUBLED, doubled.rows[:, 1], doubled.span)
        assert torch.equal(mixed[:3], self.HIDDEN)
        assert torch.equal(mixed[3:], cut(self.HIDDEN, plan.rows[:, 1], plan.span))
        assert doubled.span.keep == 0.5
        assert doubled.span.source[:3].tolist() == [[0] * 4] * 3
