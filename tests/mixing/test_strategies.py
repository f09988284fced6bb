"""What every strategy makes of a batch, against loops that know only what was drawn."""

from dataclasses import replace
from functools import partial
from itertools import cycle, product

import pytest
import torch

from tests.mixing import loops
from tests.mixing.batches import generator, probabilities, random_batch
from tests.support.strategies import NEEDS, mix
from textmix.errors import ConfigError
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.mixer import Mixer
from textmix.mixing.plan import MixPlan
from textmix.mixing.registry import STRATEGIES, build_strategy, register
from textmix.mixing.strategy import Strategy

MIXING = [name for name in STRATEGIES if name != "none"]
COUNTS = [90, 30, 9]
OPTIONS = {
    "plain": {},
    "per sample": {"per_sample": True},
    "folded": {"fold_lam": True, "per_sample": True},
    "copied pads": {"padding": "copy", "per_sample": True},
    "same class": {"partner": "same_class", "per_sample": True},
    "near": {"partner": "nearest"},
    "remix": {"targets": "remix", "class_counts": COUNTS, "per_sample": True},
    "regmix": {"regmix": 0.5, "per_sample": True},
    "easy and hard": {"partner": "easy_hard", "per_sample": True},
    "trust": {"targets": "trust", "trust": 1.0, "per_sample": True},
    "trust and regmix": {"targets": "trust", "partner": "easy_hard", "regmix": 2.0},
    "similar": {"lam": "similarity", "per_sample": True},
    "similar and near": {"lam": "similarity", "similarity_max": 3.0, "similarity_std": 1.0, "partner": "nearest"},
    "remix and regmix": {"regmix": 2.0, "targets": "remix", "class_counts": COUNTS},
}
LABELS = {
    "integer": "single_label_classification",
    "soft": "single_label_classification",
    "multi": "multi_label_classification",
    "regression": "regression",
}
NUM_CLASSES, WIDTH = 3, 4


def loop_apply(plan: MixPlan, hidden: torch.Tensor, mask: torch.Tensor | None, padding: str) -> list:
    """Apply a plan in plain Python: by its span, by its dimensions, or by its weights."""
    values, real = hidden.tolist(), None if mask is None else mask.tolist()
    if plan.span is not None:
        replaced, source = plan.span.replaced.tolist(), plan.span.source.tolist()
        return loops.cut(values, plan.rows[:, 1].tolist(), replaced, source, plan.span.keep)
    if plan.dims is not None:
        return loops.blend_dimensions(values, plan.rows[:, 1].tolist(), plan.dims.tolist(), real, padding)
    return loops.blend(values, plan.rows.tolist(), plan.weights.tolist(), real, padding)


def tensors(plan: MixPlan) -> list[torch.Tensor]:
    """List what was drawn."""
    given = [plan.rows, plan.weights, plan.dims] + ([plan.span.replaced, plan.span.source] if plan.span else [])
    return [tensor for tensor in given if tensor is not None]


def labels_of(kind: str, size: int, seed: int) -> torch.Tensor:
    source = generator(seed)
    if kind == "integer":
        return torch.randint(NUM_CLASSES, (size,), generator=source)
    values = torch.rand(size, NUM_CLASSES, dtype=torch.float64, generator=source)
    return values.softmax(dim=1) if kind == "soft" else values.round() if kind == "multi" else values


def loop_score(mixer: Mixer, logits: torch.Tensor, labels: torch.Tensor, kind: str) -> float:
    """Score in plain Python: η times the mixed rows, beside the clean rows if there are any."""
    plan, config, given = mixer.plan, mixer.config, labels.tolist()
    drawn = plan.mixed or plan
    rows, weights = drawn.rows.tolist(), drawn.weights.tolist()
    if config.targets == "remix":
        weights = loops.remix(rows, weights, given, COUNTS, config.remix_kappa, config.remix_tau)
    if drawn.soft_labels is not None:
        given = loops.trusted(probabilities(len(given), 9).tolist(), given, config.trust)
    size, values = len(given), logits.tolist()
    mixed = loops.blended_loss(values[-size:], given, rows, weights, kind)
    if config.regmix is None:
        return mixed
    clean = loops.blended_loss(values[:size], given, [[i] for i in range(size)], [[1.0]] * size, kind)
    return clean + config.regmix * mixed


@pytest.mark.parametrize("strategy", MIXING)
def test_every_strategy_equals_a_plain_loop(strategy: str) -> None:
    """Apply, targets and loss, in float64 to 1e-6, under every option for every kind of labels that it allows."""
    sizes = cycle((2, 3, 8))
    for options, (seed, (labels_kind, kind)) in product(OPTIONS.values(), enumerate(LABELS.items())):
        if labels_kind != "integer" and {"targets", "partner"} & set(options):
            continue
        size = next(sizes)
        mixer = Mixer(mix(strategy, **options), LossConfig(), num_blocks=2, hidden_size=WIDTH, seed=seed)
        batch = random_batch(size=size, seed=seed, hidden_size=WIDTH)
        labels = labels_of(labels_kind, size, seed)
        finders = {"find_means": batch.find_means, "find_saliency": batch.find_saliency}
        finders["find_probabilities"] = partial(probabilities, size, 9)
        mixer.plan = plan = mixer.draw(labels, batch.input_ids, batch.mask, **finders)
        at_pooled = plan.site == "pooled"
        shape = (size, WIDTH) if at_pooled else (size, 7, WIDTH)
        hidden = torch.randn(shape, dtype=torch.float64, generator=generator(seed))
        mask = None if at_pooled else batch.mask
        if plan.clean:
            hidden, mask = torch.cat([hidden, hidden]), None if mask is None else torch.cat([mask, mask])
        mixed = plan.strategy.apply(plan, hidden, mask)
        expected = torch.tensor(loop_apply(plan, hidden, mask, mixer.config.padding), dtype=torch.float64)
        torch.testing.assert_close(mixed, expected, atol=1e-6, rtol=0)
        logits = torch.randn(len(mixed), NUM_CLASSES, dtype=torch.float64, generator=generator(seed + 1))
        loss = mixer.score(logits, labels, kind, None)
        assert loss.item() == pytest.approx(loop_score(mixer, logits, labels, kind), abs=1e-6)


@pytest.mark.parametrize(
    ("partner", "options"),
    [
        ("random", {}),
        ("random", {"per_sample": True}),
        ("same_class", {"fold_lam": True}),
        ("nearest", {"lam": "uniform"}),
        ("length", {"padding": "copy", "per_sample": True}),
    ],
)
def test_multi_with_two_rows_is_word_bit_for_bit(partner: str, options: dict) -> None:
    batch = random_batch(size=6, length=5)
    hidden = torch.randn(6, 5, 3, generator=generator())
    results = []
    for name, more in (("word", {}), ("multi", {"multi": {"rows": 2}})):
        strategy = build_strategy(MixConfig(strategy=name, partner=partner, **options, **more))
        source = generator(9)
        plan = strategy.draw(batch, "embeddings", source)
        results.append((plan.rows, plan.weights, strategy.apply(plan, hidden, batch.mask), source.get_state()))
    for first, second in zip(*results, strict=True):
        assert torch.equal(first, second)


class TestSites:
    def test_of_each_strategy(self) -> None:
        sites = {name: build_strategy(mix(name)).sites(2) for name in STRATEGIES}
        assert sites == {
            "none": (),
            "word": ("embeddings",),
            "sentence": ("pooled",),
            "manifold": ("embeddings", "layer:1", "layer:2"),
            "cutmix": ("tokens",),
            "ssmix": ("tokens",),
            "nonlinear": ("embeddings",),
            "multi": ("embeddings",),
            "batch": ("pooled",),
            "any": ("embeddings", "tokens"),
        }

    def test_manifold_keeps_to_the_layers_asked_for(self) -> None:
        strategy = build_strategy(MixConfig(strategy="manifold", manifold={"layers": [2, 5]}))
        assert strategy.sites(6) == ("embeddings", "layer:2", "layer:5")

    def test_cutmix_cuts_embeddings_when_asked_to(self) -> None:
        config = MixConfig(strategy="cutmix", cutmix={"level": "embeddings"})
        assert build_strategy(config).sites(2) == ("embeddings",)


class TestDraws:
    @pytest.mark.parametrize("strategy", [name for name in MIXING if name != "any"])
    def test_a_plan_is_drawn_from_the_generator_alone(self, strategy: str) -> None:
        built, batch = build_strategy(mix(strategy, per_sample=True)), random_batch(size=9)
        plans = []
        for number in range(2):
            torch.manual_seed(number)
            before = torch.get_rng_state()
            plans.append(built.draw(batch, "here", generator(3)))
            assert torch.equal(torch.get_rng_state(), before)
        for first, second in zip(*map(tensors, plans), strict=True):
            assert torch.equal(first, second)
        assert plans[0].strategy is built
        assert plans[0].site == "here"
        assert repr(built.draw(batch, "here", generator(4))) != repr(plans[0])

    @pytest.mark.parametrize(("size", "asked", "count"), [(2, 3, 2), (3, 3, 3), (8, 3, 3), (4, 10, 4)])
    def test_multi_takes_no_more_rows_than_there_are(self, size: int, asked: int, count: int) -> None:
        config = MixConfig(strategy="multi", multi={"rows": asked})
        plan = build_strategy(config).draw(random_batch(size=size), "embeddings", generator())
        assert plan.rows.shape == plan.weights.shape == (size, count)
        assert all(len(set(row)) == count for row in plan.rows.tolist())

    @pytest.mark.parametrize(("per_sample", "count"), [(False, 1), (True, 5)])
    def test_nonlinear_weighs_targets_by_the_mean(self, per_sample: bool, count: int) -> None:
        config = MixConfig(strategy="nonlinear", per_sample=per_sample)
        plan = build_strategy(config).draw(random_batch(size=5, hidden_size=400), "embeddings", generator())
        assert plan.dims.shape == (count, 400)
        assert len(set(plan.dims.flatten().tolist())) > 300
        means = [sum(row) / 400 for row in plan.dims.tolist()]
        assert plan.lam.tolist() == pytest.approx(means * (5 // count), abs=1e-6)
        torch.testing.assert_close(plan.weights.sum(dim=1), torch.ones(5))

    def test_nonlinear_needs_the_hidden_size(self) -> None:
        strategy = build_strategy(MixConfig(strategy="nonlinear"))
        with pytest.raises(ConfigError, match=r"^strategy 'nonlinear' must know the size of the hidden states: set"):
            strategy.draw(replace(random_batch(), hidden_size=None), "embeddings", generator())

    def test_batch_blends_all_rows_by_softmax(self) -> None:
        strategy = build_strategy(MixConfig(strategy="batch", batch={"temperature": 0.5}))
        plan = strategy.draw(random_batch(size=4), "pooled", generator(2))
        assert plan.rows.tolist() == [[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]]
        logits = torch.randn(4, 4, generator=generator(2)).double() / 0.5
        torch.testing.assert_close(plan.weights.double(), logits.softmax(dim=1), atol=1e-6, rtol=0)

    def test_the_sites_of_tokens_have_the_labels_of_all_rows(self) -> None:
        strategy = build_strategy(MixConfig(strategy="word"))
        plan = strategy.draw(random_batch(size=3), "embeddings", generator())
        labels = torch.arange(12).view(3, 4)
        targets, weights = strategy.token_targets(plan, labels)
        assert targets.tolist() == [[labels[j].tolist() for j in row] for row in plan.rows.tolist()]
        assert torch.equal(weights, plan.weights.unsqueeze(-1))


class TestAny:
    def test_members_are_scaled_and_keep_their_own_options_alone(self) -> None:
        config = MixConfig(
            strategy="any",
            any={"choices": {"word": 1.0, "multi": 2.0, "cutmix": 1.0}},
            multi={"rows": 4},
            cutmix={"level": "embeddings"},
            special_ids=[0],
            alpha=1.0,
        )
        members = build_strategy(config).members
        assert [(member.name, chance) for member, chance in members] == [
            ("word", 0.25),
            ("multi", 0.5),
            ("cutmix", 0.25),
        ]
        word, multi, cutmix = (member.config for member, _ in members)
        assert word == MixConfig(strategy="word", special_ids=[0], alpha=1.0)
        assert multi == MixConfig(strategy="multi", multi={"rows": 4}, special_ids=[0], alpha=1.0)
        assert cutmix == MixConfig(strategy="cutmix", cutmix={"level": "embeddings"}, special_ids=[0], alpha=1.0)
        assert build_strategy(config).sites(2) == ("embeddings",)

    def test_its_sites_are_those_of_its_members(self) -> None:
        config = MixConfig(strategy="any", any={"choices": {"manifold": 1.0, "word": 1.0, "batch": 1.0}})
        assert build_strategy(config).sites(1) == ("embeddings", "layer:1", "pooled")


class TestTable:
    @pytest.mark.parametrize("name", list(STRATEGIES))
    def test_every_strategy_keeps_its_configuration(self, name: str) -> None:
        config = mix(name)
        assert build_strategy(config).config is config

    def test_a_registered_class_is_found_by_its_name(self) -> None:
        class Mine(Strategy):
            pass

        try:
            assert register("mine", "what it does")(Mine) is Mine
            built = build_strategy(MixConfig(strategy="mine"))
            assert (type(built), built.name) == (Mine, "mine")
        finally:
            del STRATEGIES["mine"]

    def test_every_strategy_says_what_it_is(self) -> None:
        for name, entry in STRATEGIES.items():
            assert entry.name == name
            assert entry.summary
            assert entry.load().__doc__
            assert entry.paper or name in ("none", "any")

    def test_what_a_strategy_must_be_told_is_known_to_the_tests(self) -> None:
        assert set(NEEDS) <= set(STRATEGIES)

    def test_a_name_is_given_once(self) -> None:
        with pytest.raises(ConfigError, match=r"^a strategy 'word' is already registered; choose another name$"):

            @register("word", "another")
            class Word(Strategy):
                pass

    def test_a_strategy_must_say_where_it_mixes(self) -> None:
        with pytest.raises(NotImplementedError):
            Strategy(MixConfig()).sites(2)
