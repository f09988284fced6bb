from dataclasses import replace

import pytest
import torch

from tests.mixing import loops
from tests.mixing.batches import SPECIAL_IDS, generator, random_batch
from textmix.mixing.batch import MixBatch
from textmix.mixing.config import MixConfig
from textmix.mixing.plan import MixPlan
from textmix.mixing.registry import build_strategy
from textmix.mixing.sampling import draw_weights
from textmix.mixing.strategies.cutting import Cut

CUTS = ["cutmix", "ssmix"]


def draw(strategy: str, batch: MixBatch, seed: int = 0, **options: object) -> MixPlan:
    config = MixConfig(strategy=strategy, special_ids=SPECIAL_IDS, per_sample=True, **options)
    built = build_strategy(config)
    return built.draw(batch, built.sites(2)[0], generator(seed))


def cut_rows(batch: MixBatch, plan: MixPlan) -> list[tuple[list[int], list[int], list[int]]]:
    """List the content ids of each row, of its partner, and of what became of it."""
    mixed = plan.strategy.apply(plan, batch.input_ids, batch.mask)
    ids, partner = batch.input_ids.tolist(), plan.rows[:, 1].tolist()
    places = [loops.contents(row) for row in batch.content.tolist()]
    return [
        ([ids[i][t] for t in places[i]], [ids[j][t] for t in places[j]], [int(mixed[i, t]) for t in places[i]])
        for i, j in enumerate(partner)
    ]


def distinct(batch: MixBatch) -> MixBatch:
    """Give every content position an id of its own, so that where a token comes from can be read off it."""
    numbers = torch.arange(batch.input_ids.numel()).view_as(batch.input_ids) + 100
    return replace(batch, input_ids=torch.where(batch.content, numbers, batch.input_ids))


@pytest.mark.parametrize("strategy", CUTS)
@pytest.mark.parametrize("size", [2, 3, 8, 33])
def test_one_span_is_replaced_by_one_of_the_partner(strategy: str, size: int) -> None:
    for seed in range(10):
        batch = distinct(random_batch(size=size, seed=seed, length=9))
        plan = draw(strategy, batch, seed)
        mixed = plan.strategy.apply(plan, batch.input_ids, batch.mask)
        assert torch.equal(mixed[~batch.content], batch.input_ids[~batch.content])
        for (own, other, result), lam in zip(cut_rows(batch, plan), plan.lam.tolist(), strict=True):
            foreign = [k for k, value in enumerate(result) if value != own[k]]
            taken = [result[k] for k in foreign]
            kept = 1 - len(foreign) / len(own) if own else 1.0
            assert lam == pytest.approx(kept, abs=1e-6)
            assert foreign == list(range(foreign[0], foreign[-1] + 1)) if foreign else True
            start = other.index(taken[0]) if taken else 0
            assert taken == other[start : start + len(taken)]


@pytest.mark.parametrize("strategy", CUTS)
@pytest.mark.parametrize("lam", [0.0, 0.3, 0.6, 1.0])
def test_the_share_replaced_is_what_was_drawn_as_far_as_the_partner_reaches(strategy: str, lam: float) -> None:
    batch = random_batch(size=8, length=12, seed=3)
    plan = draw(strategy, batch, lam="fixed", lam_value=lam)
    counts = batch.content.sum(dim=1).tolist()
    for i, j in enumerate(plan.rows[:, 1].tolist()):
        assert int(plan.span.replaced[i].sum()) == min(round((1 - lam) * counts[i]), counts[i], counts[j])


@pytest.mark.parametrize("strategy", CUTS)
def test_the_share_is_drawn_as_for_pairs(strategy: str) -> None:
    batch = random_batch(size=12, length=30, seed=1, alpha=1.0)
    plan, counts = draw(strategy, batch, seed=4), batch.content.sum(dim=1).tolist()
    lam = draw_weights(batch, 2, plan.strategy.config, generator(4))[:, 0].tolist()
    for i, j in enumerate(plan.rows[:, 1].tolist()):
        assert int(plan.span.replaced[i].sum()) == min(round((1 - lam[i]) * counts[i]), counts[j])


def test_a_tenth_of_each_row_as_in_the_paper_of_ssmix() -> None:
    batch = replace(random_batch(size=2, length=20), mask=None, input_ids=torch.full((2, 20), 9))
    batch = replace(batch, find_saliency=lambda: torch.rand(2, 20, generator=generator(1)))
    plan = draw("ssmix", batch, lam="fixed", lam_value=0.9)
    assert plan.span.replaced.sum(dim=1).tolist() == [2, 2]
    assert plan.lam.tolist() == pytest.approx([0.9, 0.9])


def test_ssmix_swaps_the_least_for_the_most_salient() -> None:
    for seed in range(20):
        batch = random_batch(size=6, length=9, seed=seed)
        plan = draw("ssmix", batch, seed)
        saliency = batch.saliency.tolist()
        places = [loops.contents(row) for row in batch.content.tolist()]
        for i, j in enumerate(plan.rows[:, 1].tolist()):
            length = int(plan.span.replaced[i].sum())
            if not length:
                continue
            sums = {
                row: [
                    sum(saliency[row][t] for t in places[row][s : s + length])
                    for s in range(len(places[row]) - length + 1)
                ]
                for row in (i, j)
            }
            own, other = sums[i].index(min(sums[i])), sums[j].index(max(sums[j]))
            assert loops.contents(plan.span.replaced[i].tolist()) == places[i][own : own + length]
            taken = [int(plan.span.source[i, t]) for t in places[i][own : own + length]]
            assert taken == places[j][other : other + length]


def test_cutmix_draws_where_it_cuts_in_both_rows() -> None:
    batch = replace(random_batch(size=2, length=10), mask=None, input_ids=torch.full((2, 10), 9))
    starts = set()
    for seed in range(60):
        plan = draw("cutmix", batch, seed, lam="fixed", lam_value=0.8)
        place = loops.contents(plan.span.replaced[0].tolist())[0]
        starts.add((place, int(plan.span.source[0, place])))
    assert {place for place, _ in starts} == {source for _, source in starts} == set(range(9))
    assert len(starts) > 20


@pytest.mark.parametrize("strategy", CUTS)
class TestRowsThatStay:
    def unchanged(self, batch: MixBatch, plan: MixPlan, rows: list[int]) -> None:
        mixed = plan.strategy.apply(plan, batch.input_ids, batch.mask)
        assert torch.equal(mixed[rows], batch.input_ids[rows])
        assert plan.lam[rows].tolist() == [1.0] * len(rows)

    def test_without_a_partner(self, strategy: str) -> None:
        batch = replace(random_batch(size=4, length=9), labels=torch.tensor([0, 1, 0, 2]), mask=None)
        for seed in range(10):
            self.unchanged(batch, draw(strategy, batch, seed, partner="same_class", lam="fixed", lam_value=0.5), [1, 3])

    def test_without_content(self, strategy: str) -> None:
        batch = random_batch(size=3, length=6)
        batch.mask[1] = False
        for seed in range(10):
            plan = draw(strategy, batch, seed, lam="fixed", lam_value=0.0)
            nowhere = [i for i, j in enumerate(plan.rows[:, 1].tolist()) if 1 in (i, j)]
            self.unchanged(batch, plan, nowhere)

    def test_without_content_anywhere(self, strategy: str) -> None:
        batch = replace(random_batch(size=3, length=6), input_ids=torch.zeros(3, 6, dtype=torch.long))
        self.unchanged(batch, draw(strategy, batch), [0, 1, 2])

    def test_when_only_one_row_has_a_single_token(self, strategy: str) -> None:
        batch = replace(random_batch(size=2, length=1), input_ids=torch.tensor([[9], [0]]), mask=None)
        self.unchanged(batch, draw(strategy, batch, lam="fixed", lam_value=0.0), [0, 1])


@pytest.mark.parametrize("keep", [0.0, 0.25, 1.0])
def test_a_span_of_embeddings_may_keep_a_share_of_its_own(keep: float) -> None:
    batch = random_batch(size=5, length=9, seed=2)
    plan = draw("cutmix", batch, cutmix={"level": "embeddings", "keep": keep})
    assert plan.site == "embeddings"
    hidden = torch.randn(5, 9, 3, dtype=torch.float64, generator=generator())
    mixed = plan.strategy.apply(plan, hidden, batch.mask)
    counts, partner = batch.content.sum(dim=1).tolist(), plan.rows[:, 1].tolist()
    for i in range(5):
        places = loops.contents(plan.span.replaced[i].tolist())
        for t in range(9):
            own, other = hidden[i, t], hidden[partner[i], int(plan.span.source[i, t])]
            expected = keep * own + (1 - keep) * other if t in places else own
            torch.testing.assert_close(mixed[i, t], expected)
        lam = 1 - (1 - keep) * len(places) / max(counts[i], 1)
        assert plan.lam[i].item() == pytest.approx(lam, abs=1e-6)
    assert plan.span.replaced.any()


@pytest.mark.parametrize("strategy", CUTS)
def test_labels_of_tokens_follow_the_tokens(strategy: str) -> None:
    batch = random_batch(size=4, length=7, seed=5)
    plan = draw(strategy, batch)
    labels = torch.arange(28).view(4, 7)
    targets, weights = plan.strategy.token_targets(plan, labels)
    moved = plan.strategy.apply(plan, labels, batch.mask)
    assert torch.equal((targets * weights).sum(dim=1).long(), moved)


@pytest.mark.parametrize("strategy", CUTS)
def test_a_cut_needs_special_ids_and_leaves_masks_alone(strategy: str) -> None:
    built = build_strategy(MixConfig(strategy=strategy))
    assert built.needs_special_ids
    assert not built.joins_masks


def test_a_cut_says_where() -> None:
    with pytest.raises(NotImplementedError):
        Cut(MixConfig()).starts(random_batch(), torch.tensor([]), torch.tensor([]), generator())
