"""λ by similarity, against plain loops and at its limits."""

import math
from dataclasses import replace

import pytest
import torch
from scipy.special import betainc

from tests.mixing import loops
from tests.mixing.batches import generator, random_batch
from tests.support.strategies import mix
from textmix.mixing import sampling
from textmix.mixing.config import MixConfig
from textmix.mixing.registry import build_strategy
from textmix.mixing.similarity import pair_exponents, warp

CONFIG = MixConfig(lam="similarity", alpha=1.0)


def drawn_rows(size: int, count: int, seed: int, partner: str = "random") -> torch.Tensor:
    return sampling.draw_rows(random_batch(size, seed=seed), count, MixConfig(partner=partner), generator(seed))


class TestExponents:
    @pytest.mark.parametrize(("highest", "std"), [(1.0, 0.5), (3.0, 1.0), (0.2, 2.0)])
    @pytest.mark.parametrize(("size", "count", "partner"), [(2, 2, "random"), (9, 2, "same_class"), (8, 4, "random")])
    def test_they_equal_a_loop(self, size: int, count: int, partner: str, highest: float, std: float) -> None:
        means = torch.randn(size, 5, generator=generator(size))
        rows = drawn_rows(size, count, seed=1, partner=partner)
        found = pair_exponents(means, rows, highest, std)
        expected = loops.exponents(means.tolist(), rows.tolist(), highest, std)
        torch.testing.assert_close(found.log(), torch.tensor(expected).log(), atol=1e-4, rtol=1e-4)

    def test_the_length_of_an_embedding_does_not_count(self) -> None:
        means, rows = torch.randn(6, 4, generator=generator()), drawn_rows(6, 2, seed=0)
        scaled = means * torch.arange(1.0, 7).unsqueeze(1)
        torch.testing.assert_close(pair_exponents(scaled, rows, 1.0, 0.5), pair_exponents(means, rows, 1.0, 0.5))

    def test_equal_and_missing_rows_leave_them_finite(self) -> None:
        for means in (torch.ones(4, 3), torch.zeros(4, 3), torch.eye(4)):
            for rows in (torch.tensor([[0, 1], [1, 0], [2, 3], [3, 2]]), torch.arange(4).view(4, 1).repeat(1, 2)):
                found = pair_exponents(means, rows, 1e-20, 1e-3)
                assert torch.isfinite(found).all()
                assert (found > 0).all()


class TestWarp:
    @pytest.mark.parametrize("count", [2, 3, 5])
    def test_it_equals_a_loop(self, count: int) -> None:
        weights = torch.rand(20, count, generator=generator(1)).softmax(dim=1)
        powers = 4 * torch.rand(20, count - 1, generator=generator(2))
        found = warp(weights, powers)
        expected = loops.warp(weights.tolist(), powers.tolist())
        torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(found.sum(dim=1), torch.ones(20))

    def test_a_worked_example(self) -> None:
        found = warp(torch.tensor([[0.3, 0.7]]), torch.tensor([[2.0]]))  # 3 x² - 2 x³ at 0.3
        assert found.tolist() == [pytest.approx([0.216, 0.784], abs=1e-6)]

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_it_is_the_distribution_function_of_beta(self, dtype: torch.dtype) -> None:
        lams = torch.cat([torch.logspace(-9, -3, 30, dtype=dtype), torch.linspace(0.001, 0.999, 200, dtype=dtype)])
        for log_tau in range(-10, 11):
            tau = math.exp(log_tau)
            powers = torch.full((len(lams), 1), tau, dtype=dtype)
            found = warp(torch.stack([lams, 1 - lams], dim=1), powers)[:, 0]
            expected = torch.from_numpy(betainc(tau, tau, lams.double().numpy()))
            tolerance = 1e-5 if dtype == torch.float64 else 1e-4
            torch.testing.assert_close(found.double(), expected, atol=tolerance, rtol=0)

    def test_an_exponent_of_1_changes_nothing(self) -> None:
        weights = torch.rand(20, 4, dtype=torch.float64, generator=generator()).softmax(dim=1)
        ones = torch.ones(20, 3, dtype=torch.float64)
        torch.testing.assert_close(warp(weights, ones), weights, atol=1e-7, rtol=0)

    def test_0_and_1_stay(self) -> None:
        for weights in ([0.0, 1.0], [1.0, 0.0], [0.0, 1.0, 0.0]):
            for tau in (1e-4, 0.1, 1.0, 1e4):
                given = torch.tensor([weights])
                assert torch.equal(warp(given, torch.full((1, len(weights) - 1), tau)), given)

    def test_what_outweighs_the_partners_still_does(self) -> None:
        weights = torch.rand(50, 4, generator=generator()).softmax(dim=1).sort(dim=1, descending=True).values
        found = warp(weights, 10 * torch.rand(50, 3, generator=generator(1)))
        assert torch.equal(found[:, 0], found.amax(dim=1))


class TestDraws:
    def test_other_draws_are_as_before(self) -> None:
        batch, config = random_batch(size=9), MixConfig(per_sample=True)
        rows, weights = sampling.draw_blend(batch, 3, config, generator(2))
        source = generator(2)
        assert torch.equal(weights, sampling.draw_weights(batch, 3, config, source))
        assert torch.equal(rows, sampling.draw_rows(batch, 3, config, source))

    @pytest.mark.parametrize("per_sample", [False, True])
    def test_drawn_weights_are_those_of_beta_warped(self, per_sample: bool) -> None:
        batch, config = random_batch(size=8), replace(CONFIG, per_sample=per_sample)
        rows, weights = sampling.draw_blend(batch, 2, config, generator(2))
        plain = sampling.draw_weights(batch, 2, config, generator(2)).tolist()
        powers = loops.exponents(batch.means.tolist(), rows.tolist(), 1.0, 0.5)
        torch.testing.assert_close(weights, torch.tensor(loops.warp(plain, powers)), atol=1e-5, rtol=1e-5)
        assert len(set(weights[:, 0].tolist())) == 8

    def test_close_pairs_blend_more_strongly(self) -> None:
        means = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.0], [-1.0, 0.3]])
        batch = replace(random_batch(size=4), alpha=1.0, find_means=lambda: means)
        rows = torch.tensor([[0, 1], [1, 0], [2, 3], [3, 2]])
        drawn = torch.rand(4, 1, generator=generator()).expand(4, 2).clone()
        drawn[:, 1] = 1 - drawn[:, 0]
        warped = sampling.warp_weights(batch, rows, drawn, CONFIG)
        strength = (warped[:, 0] - 0.5).abs()
        assert (strength[:2] < (drawn[:2, 0] - 0.5).abs()).all()
        assert (strength[2:] > (drawn[2:, 0] - 0.5).abs()).all()

    def test_each_dimension_is_warped_alike(self) -> None:
        batch = random_batch(size=5, hidden_size=30)
        plan = build_strategy(mix("nonlinear", lam="similarity")).draw(batch, "embeddings", generator(3))
        plain = build_strategy(mix("nonlinear")).draw(batch, "embeddings", generator(3)).dims[0].tolist()
        powers = loops.exponents(batch.means.tolist(), plan.rows.tolist(), 1.0, 0.5)
        expected = [[loops.warp([[x, 1 - x]], [power])[0][0] if 0 < x < 1 else x for x in plain] for power in powers]
        assert plan.dims.shape == (5, 30)
        torch.testing.assert_close(plan.dims, torch.tensor(expected), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(plan.lam, plan.dims.mean(dim=1))

    def test_a_cut_is_as_long_as_the_warped_weight_says(self) -> None:
        batch = random_batch(size=6, length=40)
        batch = replace(batch, mask=None, input_ids=torch.full((6, 40), 9))
        plan = build_strategy(mix("cutmix", lam="similarity", per_sample=True)).draw(batch, "tokens", generator(4))
        _, weights = sampling.draw_blend(batch, 2, plan.strategy.config, generator(4))
        assert (plan.lam - weights[:, 0]).abs().max() <= 1 / 40
