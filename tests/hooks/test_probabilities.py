"""Partners and targets by confidence on real models: one more pass, and a loss that is computed by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

from tests.mixing import loops
from tests.support.batches import Batch, ragged_batch, unlabelled
from tests.support.counting import counting_blocks, hooks
from tests.support.families import fresh
from tests.support.model_classes import build
from tests.support.strategies import mix
from textmix.errors import ConfigError
from textmix.hooks.attach import attach
from textmix.hooks.probabilities import class_probabilities
from textmix.mixing.mixer import Mixer

BY_CONFIDENCE = {"partner": "easy_hard", "targets": "trust", "trust": 0.8}


@pytest.fixture
def batch() -> Batch:
    return ragged_batch(pad=0)


@pytest.fixture
def model() -> Any:
    return fresh("BERT, linear head").train()


@contextmanager
def dropout(model: nn.Module, rate: float) -> Iterator[None]:
    """Set the rate of every dropout module."""
    before = {module: module.p for module in model.modules() if isinstance(module, nn.Dropout)}
    for module in before:
        module.p = rate
    yield
    for module, old in before.items():
        module.p = old


def likely(model: Any, batch: Batch) -> list[list[float]]:
    """Return the probabilities of the unmixed rows."""
    return model.eval()(**unlabelled(batch)).logits.softmax(dim=1).tolist()


def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


@pytest.mark.parametrize("regmix", [None, 0.5])
def test_a_step_equals_one_computed_by_hand(model: Any, batch: Batch, regmix: float | None) -> None:
    """Sentence vectors of the k-th easiest and the k-th hardest row, blended, against labels that trust the model."""
    vectors: list[torch.Tensor] = []
    handle = model.classifier.register_forward_pre_hook(lambda module, args: vectors.append(args[0]))
    given = batch["labels"].tolist()
    probabilities = likely(model, batch)
    handle.remove()
    weights = [0.3, 1.0, 2.0, 0.5, 1.0]
    model.train()
    options = {**BY_CONFIDENCE, "lam": "similarity", "regmix": regmix, "seed": 4}
    with attach(model, strategy="sentence", loss={"label_smoothing": 0.1}, **options) as mixer:
        loss = model(**batch, sample_weight=torch.tensor(weights)).loss
    plan = mixer.plan.mixed or mixer.plan

    pairs = loops.opposites(probabilities, given)
    rows = [[i, pairs.get(i, i)] for i in range(5)]
    assert plan.rows.tolist() == rows
    soft = loops.trusted(probabilities, given, 0.8)
    table = model.get_input_embeddings().weight.tolist()
    tokens = [[table[j] for j in ids] for ids in batch["input_ids"].tolist()]
    real = [int(mask.sum()) for mask in batch["attention_mask"]]
    means = [[sum(column) / n for column in zip(*row[:n], strict=True)] for row, n in zip(tokens, real, strict=True)]
    drawn = Mixer(mix("sentence"), mixer.loss, 3, seed=4).draw(batch["labels"]).weights.tolist()
    shares = loops.warp(drawn, loops.exponents(means, rows, 1.0, 0.5))
    torch.testing.assert_close(plan.weights, torch.tensor(shares), atol=1e-4, rtol=1e-4)
    shares = plan.weights.tolist()  # float32
    kind: dict[str, Any] = {"kind": "single_label_classification", "sample_weights": weights, "smoothing": 0.1}
    mixed = model.classifier(torch.tensor(loops.blend(vectors[0].tolist(), rows, shares), dtype=torch.float64))
    expected = loops.blended_loss(mixed.tolist(), soft, rows, shares, **kind)
    if regmix is not None:
        clean = model.classifier(vectors[0]).tolist()
        expected = loops.blended_loss(clean, soft, [[i] for i in range(5)], [[1.0]] * 5, **kind) + regmix * expected
    assert loss.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        ({}, 1),
        ({"partner": "nearest", "lam": "similarity"}, 1),
        ({"partner": "easy_hard"}, 2),
        ({"targets": "trust"}, 2),
        (BY_CONFIDENCE, 2),
        ({**BY_CONFIDENCE, "regmix": 1.0}, 2),
        ({**BY_CONFIDENCE, "probability": 0.0}, 1),
        ({"strategy": "ssmix", "special_ids": [0], **BY_CONFIDENCE}, 3),
        ({"strategy": "batch", "partner": "easy_hard"}, 1),
    ],
)
def test_the_network_runs_again_only_if_asked_to(
    model: Any, batch: Batch, options: dict[str, Any], passes: int
) -> None:
    before = hooks(model)
    with attach(model, **{"strategy": "word", **options}), counting_blocks(model) as counts:
        model(**batch).loss.backward()
    assert set(counts.values()) == {passes}
    with attach(model, **{"strategy": "word", **options}), counting_blocks(model) as counts:
        model(**{name: value[:1] for name, value in batch.items()})
        model.eval()(**batch)
        model.train()(**unlabelled(batch))
    assert set(counts.values()) == {3}
    assert hooks(model) == before


class TestThePass:
    def test_it_has_no_dropout_and_draws_nothing(self, model: Any, batch: Batch) -> None:
        expected = torch.tensor(likely(model, batch), dtype=torch.float64)
        model.train()
        model.base_model.eval().training = True  # as a caller may freeze parts
        before, state = modes(model), torch.get_rng_state()
        with dropout(model, 0.5):
            found = class_probabilities(model, unlabelled(batch), lambda output: output.logits)
        torch.testing.assert_close(found, expected)
        assert not found.requires_grad
        assert modes(model) == before
        assert torch.equal(torch.get_rng_state(), state)

    def test_it_leaves_nothing_after_a_failure(self, model: Any, batch: Batch) -> None:
        before = modes(model)
        with attach(model, mix("word", **BY_CONFIDENCE)) as mixer:
            with pytest.raises(IndexError):
                model(**{**batch, "input_ids": batch["input_ids"] + 10_000})
            assert modes(model) == before
            model(**batch).loss.backward()
            assert mixer.plan is not None

    def test_gradients_under_autocast_are_those_of_the_same_plan(self, model: Any, batch: Batch) -> None:
        """Weights that autocast cast in the pass without gradient must not serve the pass with one."""
        model = model.float()
        with attach(model, mix("word", **BY_CONFIDENCE)), torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        lacking = [name for name, parameter in model.named_parameters() if parameter.grad is None]
        model.zero_grad()
        with attach(model, mix("word")), torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        assert lacking == [name for name, parameter in model.named_parameters() if parameter.grad is None]

    @pytest.mark.parametrize("strategy", ["word", "manifold"])
    @pytest.mark.parametrize("reentrant", [False, True])
    def test_recomputed_activations_see_the_same_plan(
        self, model: Any, batch: Batch, strategy: str, reentrant: bool
    ) -> None:
        options = {**BY_CONFIDENCE, "lam": "similarity", "per_sample": True}
        gradients = []
        for checkpointing in (False, True):
            if checkpointing:
                how = {"use_reentrant": reentrant}
                model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=how)
                model.enable_input_require_grads()
            model.zero_grad()
            with attach(model, mix(strategy, **options), seed=5):
                for number in range(2):
                    model(**{**batch, "input_ids": batch["input_ids"].roll(number, 0)}).loss.backward()
            gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
        for plain, recomputed in zip(*gradients, strict=True):
            torch.testing.assert_close(recomputed, plain)

    @pytest.mark.slow
    def test_a_compiled_step_is_the_same(self, model: Any, batch: Batch) -> None:
        losses = []
        for step in (model, torch.compile(model, backend="eager")):
            with attach(model, mix("word", **BY_CONFIDENCE), seed=1):
                losses.append(step(**batch).loss)
            torch.compiler.reset()
        torch.testing.assert_close(losses[1], losses[0])


class TestDraws:
    def test_the_generator_alone_decides_and_can_be_restored(self, model: Any, batch: Batch) -> None:
        config = mix("word", **BY_CONFIDENCE, lam="similarity", per_sample=True)
        with attach(model, config, seed=2) as mixer:
            model(**batch)
            state = mixer.state_dict()
            ahead = [model(**batch).loss.item() for _ in range(2)]
        with attach(model, config, seed=9) as mixer:
            mixer.load_state_dict(state)
            assert [model(**batch).loss.item() for _ in range(2)] == ahead

    def test_trust_leaves_the_draws_alone(self, model: Any, batch: Batch) -> None:
        drawn = []
        for targets in ("linear", "trust"):
            with attach(model, mix("word", targets=targets), seed=2) as mixer:
                model(**batch)
                drawn.append(repr(mixer.plan))
        assert drawn[0] == drawn[1]


class TestOtherInputs:
    COUNTS = (2, 1, 1, 1)

    def test_windows_are_averaged(self, batch: Batch) -> None:
        model = build("BERT sequence").double()
        alone = model.eval()(**unlabelled(batch)).logits
        logits = torch.stack([part.mean(dim=0) for part in alone.split(self.COUNTS)])
        labels = [0, 1, 2, 1]
        with attach(model.train(), strategy="sentence", **BY_CONFIDENCE) as mixer:
            model(**unlabelled(batch), labels=torch.tensor(labels), windows=torch.tensor(self.COUNTS))
        probabilities = logits.softmax(dim=1).tolist()
        pairs = loops.opposites(probabilities, labels)
        assert mixer.plan.mixed.partner.tolist() == [pairs[i] for i in range(4)]
        torch.testing.assert_close(
            mixer.plan.soft_labels, torch.tensor(loops.trusted(probabilities, labels, 0.8), dtype=torch.float64)
        )

    def test_sentence_vectors_of_a_frozen_encoder(self) -> None:
        model = build("BERT sequence").double()
        vectors = torch.randn(4, model.config.hidden_size, dtype=torch.float64)
        labels = torch.tensor([0, 1, 2, 1])
        with attach(model.train(), strategy="sentence", **BY_CONFIDENCE) as mixer, counting_blocks(model) as counts:
            model(pooled=vectors, labels=labels)
        assert set(counts.values()) == {0}
        probabilities = model.classifier(vectors).softmax(dim=1).tolist()
        expected = loops.trusted(probabilities, labels.tolist(), 0.8)
        torch.testing.assert_close(mixer.plan.soft_labels, torch.tensor(expected, dtype=torch.float64))

    @pytest.mark.parametrize("options", [{"partner": "easy_hard"}, {"targets": "trust"}])
    def test_labels_of_another_kind_are_refused(self, model: Any, batch: Batch, options: dict[str, Any]) -> None:
        for kind in ("multi_label_classification", "regression"):
            model.config.problem_type = kind
            with attach(model, mix("word", **options)), pytest.raises(ConfigError, match="needs integer classes"):
                model(**{**batch, "labels": torch.rand(5, 3)})
        model = fresh("BERT")
        model.config.problem_type = "regression"
        model.num_labels = 1
        model.classifier = nn.Linear(model.config.hidden_size, 1, dtype=torch.float64)
        with (
            attach(model.train(), mix("word", **options)),
            pytest.raises(ConfigError, match=r"one class .* not reg"),
        ):
            model(**batch)
