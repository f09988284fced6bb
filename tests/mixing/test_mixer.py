"""The mixer without a model: when it draws, from what, and how it scores."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.support.strategies import SPECIAL_IDS, mix
from textmix.errors import ConfigError
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.losses import Scoring
from textmix.mixing.mixer import Mixer
from textmix.mixing.plan import MixPlan
from textmix.mixing.registry import STRATEGIES

CPU = torch.device("cpu")
LABELS = torch.tensor([0, 1, 2, 1, 0, 2])


def mixer(
    strategy: str = "word", loss: LossConfig | None = None, seed: int = 0, rank: int = 0, **options: object
) -> Mixer:
    return Mixer(mix(strategy, **options), loss or LossConfig(), num_blocks=2, hidden_size=4, seed=seed, rank=rank)


def draw(made: Mixer, labels: torch.Tensor = LABELS) -> MixPlan | None:
    """Draw for ordinary ids, of which the first and the last are special."""
    size = len(labels)
    ids = torch.arange(5, 5 + 6 * size).view(size, 6)
    ids[:, 0], ids[:, -1] = 1, 2
    source = torch.Generator().manual_seed(0)
    means, saliency = torch.randn(size, 4, generator=source), torch.rand(size, 6, generator=source)
    likely = torch.rand(size, 3, generator=source).softmax(dim=1)
    finders = {"find_means": lambda: means, "find_saliency": lambda: saliency, "find_probabilities": lambda: likely}
    return made.draw(labels, ids, None, **finders)


class TestWhenItDraws:
    def test_a_row_alone_is_not_mixed(self) -> None:
        assert draw(mixer(), LABELS[:1]) is None
        assert draw(mixer(), LABELS[:2]) is not None

    def test_no_mixing_draws_nothing(self) -> None:
        made = mixer("none")
        before = made.generator.get_state()
        assert draw(made) is None
        assert made.sites == ()
        assert torch.equal(made.generator.get_state(), before)

    def test_probability_0_leaves_the_generator_alone(self) -> None:
        made = mixer(probability=0.0)
        before = made.generator.get_state()
        assert draw(made) is None
        assert torch.equal(made.generator.get_state(), before)

    def test_probability_is_the_share_of_mixed_batches(self) -> None:
        made = mixer(probability=0.25)
        assert sum(draw(made) is not None for _ in range(2000)) == pytest.approx(500, abs=100)
        always = mixer(probability=1.0)
        assert all(draw(always) is not None for _ in range(50))

    def test_sites_are_drawn_about_equally(self) -> None:
        made = mixer("manifold")
        assert made.sites == ("embeddings", "layer:1", "layer:2")
        sites = [draw(made).site for _ in range(1500)]
        assert all(abs(sites.count(site) - 500) < 100 for site in made.sites)

    def test_any_draws_its_members_by_their_probabilities(self) -> None:
        choices = {"word": 1.0, "cutmix": 2.0, "none": 1.0, "batch": 0.0}
        made = mixer("any", any={"choices": choices})
        assert made.sites == ("embeddings", "tokens", "pooled")
        plans = [draw(made) for _ in range(2000)]
        names = ["none" if plan is None else plan.strategy.name for plan in plans]
        assert names.count("batch") == 0
        assert names.count("cutmix") == pytest.approx(1000, abs=120)
        assert names.count("word") == pytest.approx(500, abs=100)
        assert {plan.site for plan in plans if plan is not None} == {"embeddings", "tokens"}


class TestProgress:
    def test_it_must_be_set_when_it_matters(self) -> None:
        with pytest.raises(
            ConfigError, match=r"^start, stop and alpha_schedule need the progress.*set mixer\.progress"
        ):
            draw(mixer(start=0.5))
        assert draw(mixer()) is not None

    def test_nothing_is_mixed_before_start_and_from_stop_on(self) -> None:
        made = mixer(start=0.25, stop=0.75)
        for progress, mixed in [(0.0, False), (0.249, False), (0.25, True), (0.749, True), (0.75, False), (1.0, False)]:
            made.progress = progress
            assert (draw(made) is not None) == mixed, progress

    @pytest.mark.parametrize(("schedule", "nothing", "full"), [("linear_in", 0.0, 1.0), ("cosine_out", 1.0, 0.0)])
    def test_alpha_follows_its_schedule(self, schedule: str, nothing: float, full: float) -> None:
        made = mixer(alpha_schedule=schedule, alpha=200.0, per_sample=True, stop=1.0, start=0.0)
        made.progress = min(nothing, 0.9999)
        tiny = draw(made)
        made.progress = min(full, 0.9999)
        even = draw(made)
        # Beta(200, 200) lies within 0.5 ± 0.15; Beta of almost 0 at the ends.
        assert even.lam.sub(0.5).abs().max() < 0.15
        assert tiny is None or tiny.lam.sub(0.5).abs().min() > 0.4

    def test_alpha_0_mixes_nothing(self) -> None:
        made = mixer(alpha_schedule="linear_in")
        made.progress = 0.0
        assert draw(made) is None


class TestRandomness:
    def drawn(self, made: Mixer) -> list[str]:
        return [repr(draw(made)) for _ in range(3)]

    @pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "none"])
    def test_seed_and_rank_alone_decide(self, strategy: str) -> None:
        torch.manual_seed(1)
        first = self.drawn(mixer(strategy, seed=3, rank=1))
        torch.manual_seed(2)
        before = torch.get_rng_state()
        assert self.drawn(mixer(strategy, seed=3, rank=1)) == first
        assert self.drawn(mixer(strategy, seed=3, rank=0)) != first
        assert self.drawn(mixer(strategy, seed=4, rank=1)) != first
        assert torch.equal(torch.get_rng_state(), before)

    def test_ranks_of_one_seed_and_seeds_of_one_rank_never_meet(self) -> None:
        states = {
            tuple(mixer(seed=seed, rank=rank).generator.get_state().tolist()) for seed in range(8) for rank in range(8)
        }
        assert len(states) == 64

    def test_seeds_beyond_the_bits_of_a_generator_draw_otherwise(self) -> None:
        assert len({self.drawn(mixer(seed=seed))[0] for seed in (7, 7 + 2**16, 7 + 2**31)}) == 3

    def test_a_restored_state_repeats_the_draws(self) -> None:
        made, other = mixer(), mixer(seed=99)
        draw(made)
        state = made.state_dict()
        ahead = self.drawn(made)
        other.load_state_dict(state)
        assert self.drawn(other) == ahead
        assert list(state) == ["generator"]


class TestWhatItMustBeTold:
    @pytest.mark.parametrize("strategy", ["cutmix", "ssmix"])
    def test_special_tokens(self, strategy: str) -> None:
        with pytest.raises(
            ConfigError, match=rf"^strategy '{strategy}' must know the special tokens, .*: set special_"
        ):
            Mixer(MixConfig(strategy=strategy), LossConfig(), 2)

    def test_special_tokens_of_a_member(self) -> None:
        with pytest.raises(ConfigError, match=r"^strategy 'any' must know the special tokens"):
            Mixer(MixConfig(strategy="any", any={"choices": {"word": 1, "ssmix": 1}}), LossConfig(), 2)

    def test_class_counts(self) -> None:
        config, loss = MixConfig(targets="remix"), LossConfig(class_weights="balanced")
        message = r"^targets 'remix' must know .*: set class_counts; class_weights 'balanced' must know .*: set class_"
        with pytest.raises(ConfigError, match=message):
            Mixer(config, loss, 2)

    def test_ids_to_cut(self) -> None:
        with pytest.raises(ConfigError, match=r"^strategy 'cutmix' needs input_ids; embeddings do not mark special"):
            mixer("cutmix").draw(LABELS)

    @pytest.mark.parametrize("labels", [torch.zeros(6, 3), torch.zeros(6), torch.zeros(6, 4, dtype=torch.long)])
    def test_classes_for_remix(self, labels: torch.Tensor) -> None:
        made = mixer(targets="remix", class_counts=[1, 2, 3])
        with pytest.raises(ConfigError, match=r"^targets 'remix' needs integer classes, not labels of shape \(6,"):
            draw(made, labels)

    @pytest.mark.parametrize("labels", [torch.zeros(6, 3), torch.zeros(6), torch.zeros(6, 4, dtype=torch.long)])
    def test_classes_for_trust(self, labels: torch.Tensor) -> None:
        with pytest.raises(ConfigError, match=r"^targets 'trust' needs integer classes, not labels of shape \(6,"):
            draw(mixer(targets="trust"), labels)

    @pytest.mark.parametrize("options", [{"partner": "easy_hard"}, {"targets": "trust"}])
    def test_probabilities_for_confidence(self, options: dict) -> None:
        with pytest.raises(ConfigError, match=r"^the model's probabilities for this batch are not known"):
            mixer(**options).draw(LABELS)

    @pytest.mark.parametrize("options", [{"partner": "nearest"}, {"partner": "farthest"}, {"lam": "similarity"}])
    def test_embeddings_for_distances(self, options: dict) -> None:
        with pytest.raises(ConfigError, match=r"^the embeddings of this batch are not known"):
            mixer(**options).draw(LABELS)

    def test_special_ids_may_be_none_at_all(self) -> None:
        plan = draw(mixer("cutmix", special_ids=[], lam="fixed", lam_value=0.0))
        assert plan.span.replaced.all()


class TestScoring:
    def test_given_weights(self) -> None:
        loss = LossConfig(label_smoothing=0.1, class_weights=[1.0, 2.0], focal_gamma=2.0)
        scoring = mixer(loss=loss).scoring(CPU)
        assert (scoring.label_smoothing, scoring.focal_gamma) == (0.1, 2.0)
        assert scoring.class_weights.tolist() == [1.0, 2.0]

    def test_no_weights(self) -> None:
        assert mixer().scoring(CPU) == Scoring()

    def test_balanced_weights_are_rows_over_classes_and_rows_of_the_class(self) -> None:
        scoring = mixer(loss=LossConfig(class_weights="balanced"), class_counts=[10, 30, 0]).scoring(CPU)
        assert scoring.class_weights.tolist() == pytest.approx([40 / (2 * 10), 40 / (2 * 30), 40 / 2])

    def test_smoothing_asks_for_no_class_that_training_has_not(self) -> None:
        # Constant logits, fitted to 500, 300 and 200 rows of three of four classes.
        made = mixer("none", loss=LossConfig(0.1, "balanced"), class_counts=[500, 300, 200, 0])
        labels = torch.repeat_interleave(torch.arange(3), torch.tensor([500, 300, 200]))
        logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = made.score(logits.expand(1000, 4), labels, None, None)
            loss.backward()
            return loss

        optimizer.step(closure)
        torch.testing.assert_close(
            logits.softmax(0), torch.tensor([0.325, 0.325, 0.325, 0.025], dtype=torch.float64), atol=1e-3, rtol=0
        )


class TestScore:
    LOGITS = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def test_unmixed_is_the_ordinary_loss_and_accuracy(self) -> None:
        made = mixer("none")
        loss = made.score(self.LOGITS, LABELS, None, None)
        torch.testing.assert_close(loss, F.cross_entropy(self.LOGITS, LABELS))
        assert made.metrics["lam"].item() == 1
        assert made.metrics["accuracy"].item() == pytest.approx(
            (self.LOGITS.argmax(1) == LABELS).double().mean().item()
        )

    def test_blended_targets_by_hand(self) -> None:
        made = mixer(per_sample=True)
        made.plan = plan = draw(made)
        loss = made.score(self.LOGITS, LABELS, None, None)
        own = F.cross_entropy(self.LOGITS, LABELS, reduction="none")
        other = F.cross_entropy(self.LOGITS, LABELS[plan.partner], reduction="none")
        torch.testing.assert_close(loss, (plan.lam * own + (1 - plan.lam) * other).mean(), atol=1e-6, rtol=0)
        hits = [(self.LOGITS.argmax(1) == labels).double() for labels in (LABELS, LABELS[plan.partner])]
        accuracy = (plan.lam * hits[0] + (1 - plan.lam) * hits[1]).mean()
        assert made.metrics["accuracy"].item() == pytest.approx(accuracy.item(), abs=1e-6)
        assert made.metrics["lam"].item() == pytest.approx(plan.lam.mean().item())

    @pytest.mark.parametrize("declared", ["single_label_classification", "multi_label_classification", "regression"])
    def test_labels_that_are_no_classes_have_no_accuracy(self, declared: str) -> None:
        made = mixer()
        made.plan = draw(made, torch.rand(6, 3))
        made.score(self.LOGITS, torch.rand(6, 3), declared, None)
        assert set(made.metrics) == {"lam"}

    @pytest.mark.parametrize("eta", [0.0, 0.5, 2.0])
    @pytest.mark.parametrize("num_items", [None, 24])
    def test_regmix_adds_the_mixed_to_the_clean_loss(self, num_items: int | None, eta: float) -> None:
        made = mixer("sentence", regmix=eta, per_sample=True)
        logits = torch.cat([self.LOGITS, self.LOGITS.flip(0)])
        made.plan = draw(made)
        plan = made.plan.mixed
        loss = made.score(logits, LABELS, None, num_items)
        own, other = (
            F.cross_entropy(logits[6:], labels, reduction="none") for labels in (LABELS, LABELS[plan.partner])
        )
        mixed = (plan.lam * own + (1 - plan.lam) * other).sum()
        clean = F.cross_entropy(logits[:6], LABELS, reduction="sum")
        torch.testing.assert_close(loss, (clean + eta * mixed) / (num_items or 6), atol=1e-6, rtol=0)
        assert made.metrics["lam"].item() == pytest.approx(plan.lam.mean().item())

    def test_remix_moves_targets_but_not_lam(self) -> None:
        made = mixer("sentence", targets="remix", class_counts=[900, 90, 9], lam="fixed", lam_value=0.25)
        plan = draw(made)
        assert plan.lam.tolist() == [0.25] * 6
        for i, j in enumerate(plan.partner.tolist()):
            rarer = LABELS[j] > LABELS[i]
            assert plan.targets[i, 0].item() == (0.0 if rarer else 0.25)

    def test_tokens(self) -> None:
        made = mixer("word")
        labels = torch.tensor([[-100, 1, 2, 0], [-100, 2, -100, -100]])
        logits = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        made.plan = plan = made.draw(labels)
        total = count = 0.0
        for i in range(2):
            for j, share in ((i, plan.lam[i].item()), (1 - i, 1 - plan.lam[i].item())):
                for t in range(4):
                    if labels[j, t] != -100:
                        total -= share * logits[i, t].log_softmax(-1)[labels[j, t]].item()
                        count += share
        assert made.score(logits, labels, None, None).item() == pytest.approx(total / count, abs=1e-6)
        assert "accuracy" in made.metrics
        part = made.score(logits, labels, None, 8)
        assert part.item() == pytest.approx(total / 8, abs=1e-6)

    @pytest.mark.parametrize(
        ("strategy", "options", "eta"),
        [
            ("sentence", {}, 1.0),
            ("batch", {}, 1.0),
            ("any", {"any": {"choices": {"sentence": 1, "none": 1}}}, 1.0),
            ("word", {}, None),
            ("manifold", {}, None),
            ("any", {"any": {"choices": {"sentence": 1, "word": 1}}}, None),
            ("sentence", {"regmix": None}, None),
            ("word", {"regmix": 0.5}, 0.5),
        ],
    )
    def test_clean_rows_are_trained_on_where_they_cost_nothing(
        self, strategy: str, options: dict[str, Any], eta: float | None
    ) -> None:
        made = Mixer(MixConfig(strategy=strategy, **options), LossConfig(), num_blocks=2)
        found = LABELS[:4]
        made.plan = next(plan for _ in range(50) if (plan := draw(made, found)) is not None)
        assert made.plan.clean == (0 if eta is None else 4)
        logits = torch.randn(4 if eta is None else 8, 3, generator=torch.Generator().manual_seed(1))
        loss = made.score(logits, found, "single_label_classification", None)
        explicit = Mixer(MixConfig(**{**options, "strategy": strategy, "regmix": eta}), LossConfig(), num_blocks=2)
        explicit.plan = made.plan
        assert loss == explicit.score(logits, found, "single_label_classification", None)

    def test_tokens_under_regmix(self) -> None:
        made = mixer("word", regmix=0.5)
        labels = torch.tensor([[-100, 1, 2, 0], [-100, 2, -100, -100]])
        logits = torch.randn(4, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        doubled = made.draw(labels)
        made.plan = doubled.mixed
        mixed = made.score(logits[2:], labels, None, None)
        made.plan = doubled
        loss = made.score(logits, labels, None, None)
        clean = F.cross_entropy(logits[:2].mT, labels)
        torch.testing.assert_close(loss, clean + 0.5 * mixed)
        nothing = made.score(logits, torch.full_like(labels, -100), None, None)
        assert nothing.item() == 0

    def test_labels_of_cut_tokens_follow_their_tokens(self) -> None:
        made = mixer("cutmix", lam="fixed", lam_value=0.0)
        labels = torch.tensor([[-100, 1, 2, 0], [-100, 2, 1, 1]])
        ids = torch.tensor([[1, 11, 12, 13], [1, 21, 22, 23]])
        made.plan = made.draw(labels, ids)
        logits = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        swapped = F.cross_entropy(logits.mT, labels.flip(0))
        torch.testing.assert_close(made.score(logits, labels, None, None), swapped)

    def test_a_loss_with_every_option(self) -> None:
        loss = LossConfig(label_smoothing=0.1, class_weights=[1.0, 2.0, 0.5])
        made = mixer("none", loss=loss)
        weights = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
        losses = F.cross_entropy(self.LOGITS, LABELS, label_smoothing=0.1, reduction="none")
        expected = (weights[LABELS] * losses).mean()
        torch.testing.assert_close(made.score(self.LOGITS, LABELS, None, None), expected)


def test_the_lists_of_a_configuration_go_to_a_device_once() -> None:
    made = mixer("cutmix", special_ids=SPECIAL_IDS, loss=LossConfig(class_weights=[1.0, 2.0]))
    assert made.scoring(CPU).class_weights is made.scoring(CPU).class_weights
