"""What an attached mixer draws and how it scores: any batch, its randomness, metrics and labels."""

import pytest
import torch
from torch import nn

from tests.support.batches import Batch
from tests.support.families import fresh
from textmix.errors import ConfigError
from textmix.hooks.attach import attach
from textmix.mixing.config import MixConfig


def labels(size: int) -> torch.Tensor:
    return torch.zeros(size, dtype=torch.long)


class TestRandomness:
    def test_plans_come_from_seed_and_rank_alone(self) -> None:
        def plans(seed: int, rank: int) -> list[tuple[float, list[int]]]:
            mixer = attach(fresh("BERT, linear head"), MixConfig(), seed=seed, rank=rank)
            drawn = [mixer.draw(labels(8)) for _ in range(3)]
            return [(plan.lam[0].item(), plan.partner.tolist()) for plan in drawn if plan is not None]

        torch.manual_seed(1)
        first = plans(0, 0)
        torch.manual_seed(2)
        assert plans(0, 0) == first
        assert plans(0, 1) != first
        assert plans(1, 0) != first

    def test_drawing_leaves_global_generators_alone(self) -> None:
        mixer = attach(fresh("BERT, linear head"), MixConfig(per_sample=True))
        before = torch.get_rng_state()
        mixer.draw(labels(16))
        assert torch.equal(torch.get_rng_state(), before)

    def test_a_restored_state_repeats_the_draws(self) -> None:
        mixer = attach(fresh("BERT, linear head"), MixConfig())
        mixer.draw(labels(8))
        state = mixer.state_dict()
        ahead = [mixer.draw(labels(8)).partner.tolist() for _ in range(3)]
        other = attach(fresh("BERT, linear head"), MixConfig(), seed=99)
        other.load_state_dict(state)
        assert [other.draw(labels(8)).partner.tolist() for _ in range(3)] == ahead

    def test_manifold_draws_every_site_about_equally(self) -> None:
        mixer = attach(fresh("BERT, linear head"), MixConfig(strategy="manifold", manifold={"layers": [1, 3]}))
        sites = [mixer.draw(labels(2)).site for _ in range(3000)]
        counts = {site: sites.count(site) for site in set(sites)}
        assert set(counts) == {"embeddings", "layer:1", "layer:3"}
        assert all(abs(count - 1000) < 150 for count in counts.values())

    def test_probability_is_the_share_of_mixed_batches(self) -> None:
        mixer = attach(fresh("BERT, linear head"), MixConfig(probability=0.25))
        mixed = sum(mixer.draw(labels(4)) is not None for _ in range(4000))
        assert mixed == pytest.approx(1000, abs=150)


class TestMetrics:
    def test_lam_weighted_accuracy_and_mean_lam(self, ragged: Batch) -> None:
        model = fresh("BERT")
        with attach(model, strategy="sentence", per_sample=True, regmix=None) as mixer:
            predicted = model(**ragged).logits.argmax(-1)
            plan, labels = mixer.plan, ragged["labels"]
            earned = [
                plan.lam[i].item() * (predicted[i] == labels[i]).item()
                + (1 - plan.lam[i].item()) * (predicted[i] == labels[plan.partner[i]]).item()
                for i in range(len(labels))
            ]
            assert mixer.metrics["accuracy"].item() == pytest.approx(sum(earned) / len(earned), abs=1e-6)
            assert mixer.metrics["lam"].item() == pytest.approx(plan.lam.mean().item())

    def test_unmixed_batches_have_plain_accuracy(self, ragged: Batch) -> None:
        model = fresh("BERT")
        with attach(model, strategy="none") as mixer:
            predicted = model(**ragged).logits.argmax(-1)
            assert mixer.metrics["accuracy"].item() == pytest.approx((predicted == ragged["labels"]).float().mean())
            assert mixer.metrics["lam"].item() == 1


class TestLabels:
    @pytest.mark.parametrize(
        ("problem_type", "labels"),
        [
            (
                "single_label_classification",
                torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5], [0, 0, 1], [1, 0, 0], [0, 1, 0]]),
            ),
            ("multi_label_classification", torch.tensor([[1.0, 1, 0], [0, 0, 0], [0, 1, 1], [1, 0, 0], [1, 1, 1]])),
            ("regression", torch.randn(5, 3)),
        ],
    )
    def test_declared_kinds_are_scored_as_such(self, ragged: Batch, problem_type: str, labels: torch.Tensor) -> None:
        model = fresh("BERT")
        model.config.problem_type = problem_type
        with attach(model, strategy="sentence", per_sample=True, regmix=None) as mixer:
            output = model(**{**ragged, "labels": labels})
            plan = mixer.plan
        functions = {
            "single_label_classification": lambda x, y: -(y * x.log_softmax(-1)).sum(-1),
            "multi_label_classification": lambda x, y: nn.functional.binary_cross_entropy_with_logits(
                x, y, reduction="none"
            ).mean(-1),
            "regression": lambda x, y: ((x - y) ** 2).mean(-1),
        }
        score = functions[problem_type]
        own, other = score(output.logits, labels.double()), score(output.logits, labels[plan.partner].double())
        expected = (plan.lam * own + (1 - plan.lam) * other).mean()
        assert output.loss.item() == pytest.approx(expected.item(), abs=1e-6)

    def test_undeclared_float_labels_are_refused(self, ragged: Batch) -> None:
        model = fresh("BERT")
        with attach(model, strategy="word"), pytest.raises(ConfigError, match="may be soft or multi-label"):
            model(**{**ragged, "labels": torch.zeros(5, 3)})

    def test_the_window_of_the_trainer_divides_the_loss(self, ragged: Batch) -> None:
        model = fresh("BERT")
        with attach(model, strategy="sentence", seed=6):
            mean = model(**ragged).loss
        with attach(model, strategy="sentence", seed=6):
            part = model(**ragged, num_items_in_batch=torch.tensor(20)).loss
        assert part.item() == pytest.approx(mean.item() * 5 / 20)
