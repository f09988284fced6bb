"""The statistics of paired runs, against plain loops, simulations and published tables."""

import itertools
import random
import statistics

import numpy as np
import pytest
from scipy.stats import t

from textmix.experiments.compare.statistics import bootstrap_interval, holm, pairs_needed, sign_flip_test, smallest_p

SOME = [0.012, -0.004, 0.008, 0.02, 0.001, 0.006]


def flips_in_a_loop(differences: list[float]) -> float:
    observed = abs(sum(differences))
    signs = list(itertools.product([1, -1], repeat=len(differences)))
    as_far = sum(
        abs(sum(sign * value for sign, value in zip(choice, differences, strict=True))) >= observed - 1e-12
        for choice in signs
    )
    return as_far / len(signs)


class TestSignFlips:
    @pytest.mark.parametrize("differences", [SOME, [0.3, 0.1], [-0.2, -0.1, -0.3], [0.1, 0.1, -0.1, 0.0]])
    def test_few_pairs_are_tried_with_all_signs(self, differences: list[float]) -> None:
        assert sign_flip_test(differences) == pytest.approx(flips_in_a_loop(differences))

    def test_the_direction_does_not_matter(self) -> None:
        assert sign_flip_test(SOME) == sign_flip_test([-value for value in SOME])

    def test_rounding_does_not_untie_differences_of_accuracies(self) -> None:
        right, more = np.array([4450, 4391, 4400, 4231, 4107, 4296, 4522, 4705]), [1, 0, 2, 2, -1, 1, 2, 1]
        differences = (right + more) / 5000 - right / 5000
        assert sign_flip_test(differences.tolist()) == sign_flip_test(more) == flips_in_a_loop(more)

    def test_no_difference_at_all(self) -> None:
        assert sign_flip_test([0.0] * 5) == 1

    def test_of_many_pairs_signs_are_drawn_the_same_ones_each_time(self) -> None:
        chooser = random.Random(0)
        differences = [chooser.gauss(0.4, 1) for _ in range(30)]
        found = sign_flip_test(differences)
        assert found == sign_flip_test(differences)
        # With so many pairs the t test comes to about the same.
        statistic = statistics.fmean(differences) / (statistics.stdev(differences) / 30**0.5)
        assert found == pytest.approx(2 * t.sf(abs(statistic), 29), abs=0.01)

    @pytest.mark.parametrize("pairs", [2, 5, 10, 14, 15, 20])
    def test_the_smallest_p_is_that_of_differences_of_one_sign(self, pairs: int) -> None:
        assert sign_flip_test([0.01 * number for number in range(1, pairs + 1)]) == pytest.approx(
            smallest_p(pairs), rel=1 if pairs > 14 else 1e-9
        )


class TestInterval:
    def test_it_covers_as_often_as_it_says(self) -> None:
        """Ordinary percentiles would cover 83 % here."""
        generator = np.random.default_rng(0)
        covered = 0
        for _ in range(200):
            low, high = bootstrap_interval(list(generator.normal(0.3, 1, 6)))
            covered += low <= 0.3 <= high
        assert 0.9 <= covered / 200 <= 0.99

    def test_of_many_pairs_it_is_that_of_the_t_distribution(self) -> None:
        differences = list(np.random.default_rng(1).normal(0.2, 1, 80))
        half = t.ppf(0.975, 79) * statistics.stdev(differences) / 80**0.5
        mean = statistics.fmean(differences)
        assert bootstrap_interval(differences) == pytest.approx((mean - half, mean + half), abs=0.03)

    def test_it_is_the_same_each_time_and_lies_within_the_differences(self) -> None:
        low, high = bootstrap_interval(SOME)
        assert (low, high) == bootstrap_interval(SOME)
        assert min(SOME) <= low < statistics.fmean(SOME) < high <= max(SOME)

    def test_equal_differences(self) -> None:
        assert bootstrap_interval([0.5, 0.5, 0.5]) == (0.5, 0.5)


class TestHolm:
    def test_by_hand(self) -> None:
        # Sorted: 0.01 · 4, 0.02 · 3, 0.03 · 2 and 0.3 · 1, none below the one before it.
        assert holm([0.03, 0.01, 0.3, 0.02]) == pytest.approx([0.06, 0.04, 0.3, 0.06])

    def test_it_stays_a_probability_and_keeps_the_order(self) -> None:
        assert holm([0.9, 0.8]) == [1, 1]
        assert holm([0.04]) == [0.04]
        assert holm([]) == []


class TestPairsNeeded:
    @pytest.mark.parametrize(("effect", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
    def test_published_sizes(self, effect: float, pairs: int) -> None:
        """What G*Power and R's power.t.test give for paired tests."""
        spread = [1.0, -1.0] * 4  # sd sqrt(8/7)
        sd = statistics.stdev(spread)
        assert pairs_needed([value / sd + effect for value in spread]) == pairs

    def test_the_power_is_reached_in_simulation(self) -> None:
        differences = [0.1, 0.9, -0.5, 1.1, 0.2, 0.3]
        effect = statistics.fmean(differences) / statistics.stdev(differences)
        pairs = pairs_needed(differences)
        assert pairs is not None
        drawn = np.random.default_rng(0).normal(effect, 1, (20_000, pairs))
        statistic = drawn.mean(axis=1) / (drawn.std(axis=1, ddof=1) / pairs**0.5)
        assert (abs(statistic) > t.ppf(0.975, pairs - 1)).mean() == pytest.approx(0.8, abs=0.03)

    def test_the_direction_does_not_matter(self) -> None:
        assert pairs_needed(SOME) == pairs_needed([-value for value in SOME])

    def test_extremes(self) -> None:
        assert pairs_needed([0.0, 0.0, 0.0]) is None
        assert pairs_needed([1.0, -1.0]) is None
        assert pairs_needed([0.5, 0.5]) == 2
        assert pairs_needed([1.0, -1.0 + 1e-6]) is None
        many = pairs_needed([1.0, -0.99])
        assert many is not None
        assert 10_000 < many < 1_000_000
