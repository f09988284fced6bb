import hashlib
import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, kstest

from tests.mixing import loops
from tests.mixing.batches import generator, random_batch
from textmix.errors import ConfigError
from textmix.mixing import sampling
from textmix.mixing.batch import MixBatch
from textmix.mixing.config import MixConfig


class TestSeeded:
    @pytest.mark.parametrize(
        ("seed", "number", "whole"), [(0, 0, 0), (3, 5, 3 * 2**8 + 5), (2**24 - 1, 255, 2**32 - 1)]
    )
    def test_what_fits_into_32_bits_is_the_seed(self, seed: int, number: int, whole: int) -> None:
        expected = torch.rand(4, generator=torch.Generator().manual_seed(whole))
        torch.testing.assert_close(torch.rand(4, generator=sampling.seeded(seed, number, 8)), expected, rtol=0, atol=0)

    @pytest.mark.parametrize(("seed", "number"), [(2**24, 0), (2**31, 7), (-1, 3)])
    def test_of_more_it_is_a_hash(self, seed: int, number: int) -> None:
        """Which stays the same in all versions: runs are repeated by it."""
        digest = hashlib.blake2b(f"{seed} {number}".encode(), digest_size=4).hexdigest()
        assert sampling.seeded(seed, number, 8).initial_seed() == int(digest, 16)

    def test_streams_differ(self) -> None:
        seeds = [0, 1, 2**24, 2**25, 2**32, 2**32 + 1, 2**63]
        drawn = {torch.rand(1, generator=sampling.seeded(seed, n, 8)).item() for seed in seeds for n in range(4)}
        assert len(drawn) == 4 * len(seeds)


class TestDirichlet:
    @pytest.mark.parametrize("alpha", [0.015, 0.02, 0.1, 0.4, 1.0, 2.0, 8.0])
    def test_two_have_the_moments_of_beta(self, alpha: float) -> None:
        lam = sampling.draw_dirichlet(100_000, 2, alpha, generator())[:, 0]
        variance = 1 / (4 * (2 * alpha + 1))
        assert lam.mean().item() == pytest.approx(0.5, abs=5 * math.sqrt(variance / 100_000))
        assert lam.var().item() == pytest.approx(variance, rel=0.03)

    @pytest.mark.parametrize("alpha", [0.4, 3.0])
    @pytest.mark.parametrize("count", [2, 3, 5])
    def test_each_weight_fills_the_quantiles_of_its_beta(self, count: int, alpha: float) -> None:
        weights = sampling.draw_dirichlet(20_000, count, alpha, generator(1)).double().numpy()
        for k in range(count):
            assert kstest(weights[:, k], beta(alpha, (count - 1) * alpha).cdf).pvalue > 0.001

    def test_three_are_as_correlated_as_dirichlet(self) -> None:
        weights = sampling.draw_dirichlet(100_000, 3, 2.0, generator(2))
        # Covariance of two of K weights: -1 / (K² (K α + 1)).
        assert torch.cov(weights.T)[0, 1].item() == pytest.approx(-1 / (9 * 7), rel=0.03)

    @pytest.mark.parametrize("alpha", [1e-3, 1e-30, 5e-324])
    def test_a_tiny_alpha_is_finite_and_extreme(self, alpha: float) -> None:
        weights = sampling.draw_dirichlet(10_000, 2, alpha, generator())
        assert torch.isfinite(weights).all()
        assert ((weights < 0.01) | (weights > 0.99)).float().mean() > 0.95
        assert weights[:, 0].mean().item() == pytest.approx(0.5, abs=0.05)

    def test_a_small_alpha_has_the_chances_of_beta_between_its_ends(self) -> None:
        lam = sampling.draw_dirichlet(4_000_000, 2, 0.0199, generator(3))[:, 0]
        chance = beta(0.0199, 0.0199).cdf(0.9) - beta(0.0199, 0.0199).cdf(0.1)
        seen = ((lam > 0.1) & (lam < 0.9)).double().mean().item()
        assert seen == pytest.approx(chance, abs=4 * math.sqrt(chance / 4_000_000))

    @pytest.mark.parametrize("alpha", [0.01, 0.02, 0.4])
    def test_the_generator_alone_decides(self, alpha: float) -> None:
        torch.manual_seed(1)
        first = sampling.draw_dirichlet(5, 3, alpha, generator(4))
        torch.manual_seed(2)
        before = torch.get_rng_state()
        assert torch.equal(sampling.draw_dirichlet(5, 3, alpha, generator(4)), first)
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize(("size", "count"), [(1, 2), (7, 2), (4, 3), (3, 33)])
    def test_shape_type_and_sums(self, size: int, count: int) -> None:
        weights = sampling.draw_dirichlet(size, count, 0.4, generator())
        assert weights.shape == (size, count)
        assert weights.dtype == torch.float32
        torch.testing.assert_close(weights.sum(dim=1), torch.ones(size))
        assert ((weights >= 0) & (weights <= 1)).all()


class TestWeights:
    def test_all_rows_alike_unless_per_sample(self) -> None:
        batch = random_batch(size=6)
        alike = sampling.draw_weights(batch, 3, MixConfig(), generator())
        assert alike.shape == (6, 3)
        assert (alike == alike[0]).all()
        each = sampling.draw_weights(batch, 3, MixConfig(per_sample=True), generator())
        assert each.shape == (6, 3)
        assert len(set(each[:, 0].tolist())) == 6

    def test_alpha_is_that_of_the_batch(self) -> None:
        batch = random_batch(size=5000, length=1, alpha=50.0)
        weights = sampling.draw_weights(batch, 2, MixConfig(per_sample=True, alpha=0.1), generator())
        assert weights[:, 0].std().item() == pytest.approx(math.sqrt(1 / (4 * 101)), rel=0.05)

    def test_uniform_ignores_alpha(self) -> None:
        batch = random_batch(size=20_000, length=1, alpha=50.0)
        lam = sampling.draw_weights(batch, 2, MixConfig(lam="uniform", per_sample=True), generator())[:, 0]
        assert kstest(lam.double().numpy(), "uniform").pvalue > 0.001

    def test_fixed_shares_the_rest_evenly(self) -> None:
        config = MixConfig(lam="fixed", lam_value=0.25)
        assert sampling.draw_weights(random_batch(size=2), 2, config, generator()).tolist() == [[0.25, 0.75]] * 2
        assert sampling.draw_weights(random_batch(size=2), 4, config, generator()).tolist() == [[0.25] * 4] * 2

    def test_folding_gives_the_row_itself_the_largest_weight(self) -> None:
        batch = random_batch(size=50)
        plain = sampling.draw_weights(batch, 3, MixConfig(per_sample=True), generator(4)).tolist()
        folded = sampling.draw_weights(batch, 3, MixConfig(per_sample=True, fold_lam=True), generator(4)).tolist()
        assert folded == [sorted(row, reverse=True) for row in plain]
        assert folded != plain
        config = MixConfig(lam="fixed", lam_value=0.25, fold_lam=True)
        assert sampling.draw_weights(batch, 2, config, generator()).tolist()[0] == [0.75, 0.25]

    def test_draw_lam_is_the_first_of_two_weights(self) -> None:
        lam = sampling.draw_lam(9, MixConfig(), 0.4, generator(7))
        assert lam.tolist() == sampling.draw_dirichlet(9, 2, 0.4, generator(7))[:, 0].tolist()

    def test_stack_pair(self) -> None:
        assert sampling.stack_pair(torch.tensor([0.25, 1.0])).tolist() == [[0.25, 0.75], [1.0, 0.0]]

    def test_softmax_weights_sum_to_1_and_are_flatter_the_hotter(self) -> None:
        cold, hot = (sampling.draw_softmax(64, temperature, generator()) for temperature in (0.5, 4.0))
        logits = torch.randn(64, 64, generator=generator()).tolist()
        for weights, temperature in ((cold, 0.5), (hot, 4.0)):
            powers = [math.exp(x / temperature) for x in logits[3]]
            assert weights[3].tolist() == pytest.approx([power / sum(powers) for power in powers], abs=1e-6)
        assert cold.std() > hot.std()

    def test_all_rows_begin_with_the_row_itself(self) -> None:
        assert sampling.all_rows(random_batch(size=3)).tolist() == [[0, 1, 2], [1, 2, 0], [2, 0, 1]]


@given(size=st.integers(2, 33), data=st.data(), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=50)
def test_columns_are_distinct_permutations_without_fixed_points(size: int, data: st.DataObject, seed: int) -> None:
    count = data.draw(st.integers(2, size))
    rows = sampling.draw_cycle(size, count, generator(seed))
    assert rows.shape == (size, count)
    for column in rows.T.tolist():
        assert sorted(column) == list(range(size))
    for i, row in enumerate(rows.tolist()):
        assert row[0] == i
        assert len(set(row)) == count


class TestCycle:
    def test_it_is_one_cycle(self) -> None:
        partner = sampling.draw_cycle(9, 2, generator())[:, 1].tolist()
        row, seen = 0, []
        for _ in range(9):
            row = partner[row]
            seen.append(row)
        assert sorted(seen) == list(range(9))
        assert seen[-1] == 0

    def test_every_other_row_is_an_equally_likely_partner(self) -> None:
        source, counts = generator(), torch.zeros(2, 4, 4)
        for _ in range(3000):
            for k, column in enumerate(sampling.draw_cycle(4, 3, source).T[1:]):
                counts[k, torch.arange(4), column] += 1
        for table in counts:
            assert table.diagonal().sum() == 0
            assert ((table[~torch.eye(4, dtype=torch.bool)] - 1000).abs() < 5 * math.sqrt(1000)).all()


def brute_candidates(batch: MixBatch, config: MixConfig, i: int) -> set[int]:
    """Say in plain Python who may be row i's partner."""
    others = [j for j in range(batch.size) if j != i]
    labels = batch.labels.tolist()
    if config.partner in ("same_class", "other_class"):
        return {j for j in others if (labels[i] == labels[j]) == (config.partner == "same_class")}
    if config.partner == "length":
        lengths = [sum(row) for row in batch.mask.tolist()] if batch.mask is not None else [0] * batch.size
        least = min(abs(lengths[i] - lengths[j]) for j in others)
        return {j for j in others if abs(lengths[i] - lengths[j]) == least}
    if config.partner == "easy_hard":
        found = loops.opposites(batch.probabilities.tolist(), labels)
        return {found[i]} if i in found else set()
    means = batch.means.tolist()
    others.sort(key=lambda j: math.dist(means[i], means[j]), reverse=config.partner == "farthest")
    return set(others[: config.neighbours])


KINDS = ["same_class", "other_class", "nearest", "farthest", "length", "easy_hard"]


class TestRows:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("size", [2, 3, 8, 33])
    def test_candidates_equal_a_plain_loop(self, kind: str, size: int) -> None:
        batch = random_batch(size=size, seed=size)
        config = MixConfig(partner=kind, **({"neighbours": 3} if kind in ("nearest", "farthest") else {}))
        table = sampling.candidates(batch, config).tolist()
        for i in range(size):
            assert {j for j in range(size) if table[i][j]} == brute_candidates(batch, config, i)

    @pytest.mark.parametrize("kind", ["random", *KINDS])
    @pytest.mark.parametrize("count", [2, 3, 5])
    def test_rows_begin_with_oneself_and_are_distinct_candidates(self, kind: str, count: int) -> None:
        for seed in range(20):
            batch, config = random_batch(size=5, seed=seed), MixConfig(partner=kind)
            rows = sampling.draw_rows(batch, count, config, generator(seed))
            assert rows.shape == (5, count)
            for i, (own, *partners) in enumerate(rows.tolist()):
                assert own == i
                found = [j for j in partners if j != i]
                allowed = set(range(5)) - {i} if kind == "random" else brute_candidates(batch, config, i)
                assert len(set(found)) == len(found) == min(count - 1, len(allowed))
                assert set(found) <= allowed
                # What is lacking comes last.
                assert partners == found + [i] * (count - 1 - len(found))

    @pytest.mark.parametrize("kind", ["random", *KINDS])
    def test_every_candidate_is_equally_likely(self, kind: str) -> None:
        batch, source = random_batch(size=6, seed=11), generator()
        config = MixConfig(partner=kind, **({"neighbours": 2} if kind in ("nearest", "farthest") else {}))
        counts = [[0] * 6 for _ in range(6)]
        for _ in range(1500):
            for i, j in enumerate(sampling.draw_rows(batch, 2, config, source)[:, 1].tolist()):
                counts[i][j] += 1
        for i in range(6):
            allowed = set(range(6)) - {i} if kind == "random" else brute_candidates(batch, config, i) or {i}
            assert {j for j in range(6) if counts[i][j]} == allowed
            expected = 1500 / len(allowed)
            assert all(abs(counts[i][j] - expected) <= 5 * math.sqrt(expected) for j in allowed)

    def test_random_partners_are_permutations(self) -> None:
        rows = sampling.draw_rows(random_batch(size=33), 3, MixConfig(), generator())
        assert all(sorted(column) == list(range(33)) for column in rows.T.tolist())

    def test_each_row_draws_for_itself(self) -> None:
        batch = replace(random_batch(size=33), mask=None)
        partners = sampling.draw_rows(batch, 2, MixConfig(partner="length"), generator())[:, 1]
        # 21 different ones on average; 2 if all rows drew alike.
        assert len(set(partners.tolist())) > 12

    def test_without_masks_every_length_is_the_closest(self) -> None:
        batch = replace(random_batch(size=4), mask=None)
        assert sampling.candidates(batch, MixConfig(partner="length")).tolist() == [
            [i != j for j in range(4)] for i in range(4)
        ]

    def test_nearly_equal_rows_are_told_apart(self) -> None:
        """A distance by matrix product rounds away what is small beside the norms."""
        means = torch.full((40, 4), 1000.0)
        means[:, 0] += torch.arange(40) * 1e-3
        batch = replace(random_batch(size=40), find_means=lambda: means)
        near = sampling.candidates(batch, MixConfig(partner="nearest", neighbours=1))
        assert all(abs(i - int(row.nonzero())) == 1 for i, row in enumerate(near))

    @pytest.mark.parametrize("kind", ["same_class", "other_class", "easy_hard"])
    @pytest.mark.parametrize("labels", [torch.zeros(5, 3), torch.zeros(5, 7, dtype=torch.long), torch.zeros(5)])
    def test_classes_are_needed_to_compare_them(self, kind: str, labels: torch.Tensor) -> None:
        batch = replace(random_batch(size=5), labels=labels)
        with pytest.raises(ConfigError, match=rf"mix\.partner {kind} needs integer classes, not labels of shape \(5,"):
            sampling.draw_rows(batch, 2, MixConfig(partner=kind), generator())

    @pytest.mark.parametrize("kind", ["random", *KINDS])
    def test_the_generator_alone_decides(self, kind: str) -> None:
        batch, config = random_batch(size=9), MixConfig(partner=kind)
        torch.manual_seed(1)
        first = sampling.draw_rows(batch, 3, config, generator(5))
        torch.manual_seed(2)
        before = torch.get_rng_state()
        assert torch.equal(sampling.draw_rows(batch, 3, config, generator(5)), first)
        assert torch.equal(torch.get_rng_state(), before)


class TestSchedule:
    @pytest.mark.parametrize(
        ("schedule", "values"),
        [
            ("constant", [0.8, 0.8, 0.8, 0.8]),
            ("linear_in", [0.0, 0.2, 0.4, 0.8]),
            ("linear_out", [0.8, 0.6, 0.4, 0.0]),
            ("cosine_in", [0.0, 0.4 * (1 - math.sqrt(0.5)), 0.4, 0.8]),
            ("cosine_out", [0.8, 0.4 * (1 + math.sqrt(0.5)), 0.4, 0.0]),
        ],
    )
    def test_alpha_at_0_a_quarter_half_and_all_of_the_run(self, schedule: str, values: list[float]) -> None:
        config = MixConfig(alpha=0.8, alpha_schedule=schedule)
        drawn = [sampling.scheduled_alpha(config, progress) for progress in (0, 0.25, 0.5, 1)]
        assert drawn == pytest.approx(values, abs=1e-12)

    @pytest.mark.parametrize("schedule", ["linear_in", "cosine_in"])
    def test_it_rises_without_leaps(self, schedule: str) -> None:
        config = MixConfig(alpha=1.0, alpha_schedule=schedule)
        alphas = [sampling.scheduled_alpha(config, step / 100) for step in range(101)]
        assert all(0 < after - before < 0.02 for before, after in pairwise(alphas))
