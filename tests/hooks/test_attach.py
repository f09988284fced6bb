"""The contract of the mixer, over every strategy and model."""

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from tests.conftest import MODELS
from tests.reference import reference_logits
from tests.support.batches import Batch, Build, unlabelled
from tests.support.counting import counting_blocks, hooks
from tests.support.strategies import MIXING, mix
from textmix.hooks.attach import attach
from textmix.mixing.config import MixConfig
from textmix.mixing.registry import STRATEGIES

# Where the other row is padding, a layer norm blows the rounding of a tiny λ up: not too many of those.
ALPHA = 2.0


def plan_for(model: PreTrainedModel, batch: Batch, site: str, **options: object) -> tuple[object, object]:
    """Run the model until a plan at `site` is drawn; return its output and the mixer."""
    strategy = {"embeddings": "word", "pooled": "sentence"}.get(site, "manifold")
    layers = {"manifold": {"layers": [int(site.split(":")[1])]}} if strategy == "manifold" else {}
    mixer = attach(model, MixConfig(strategy=strategy, alpha=ALPHA, per_sample=True, **layers, **options), seed=1)
    while True:
        output = model(**batch)
        if mixer.plan is not None and mixer.plan.site == site:
            return output, mixer


SITES = {name: ["embeddings", "layer:1", "layer:2", "layer:3", "pooled"] for name in MODELS}
SITES["textcnn"] = ["embeddings", "layer:1", "pooled"]
SITES["textrnn"] = ["embeddings", "layer:1", "layer:2", "pooled"]
SITES["fasttext"] = ["embeddings", "pooled"]


@pytest.mark.parametrize("padding", ["zero", "copy"])
@pytest.mark.parametrize(("name", "site"), [(name, site) for name, sites in SITES.items() for site in sites])
def test_logits_and_loss_equal_an_independent_loop(
    build: Build, ragged: Batch, name: str, site: str, padding: str
) -> None:
    model = build(name)
    if name == "roberta":  # its padding id is also what it counts positions by
        ragged["input_ids"] = torch.where(ragged["attention_mask"].bool(), ragged["input_ids"], 1)
    output, mixer = plan_for(model, ragged, site, padding=padding)
    lam, partner = mixer.plan.lam.double().tolist(), mixer.plan.partner.tolist()
    mixer.detach()
    rows = [ids[mask.bool()] for ids, mask in zip(ragged["input_ids"], ragged["attention_mask"], strict=True)]
    with torch.no_grad():
        expected = reference_logits(model, rows, lam, partner, site, padding)
    torch.testing.assert_close(output.logits.detach(), expected, atol=1e-7, rtol=1e-6)
    labels, log_p = ragged["labels"].tolist(), expected.log_softmax(-1).tolist()
    losses = [-lam[i] * log_p[i][labels[i]] - (1 - lam[i]) * log_p[i][labels[partner[i]]] for i in range(len(labels))]
    assert output.loss.item() == pytest.approx(sum(losses) / len(losses), abs=1e-6)


def covering(strategies: list[str], each: int = 3) -> list[tuple[str, str]]:
    """Pair every model with some strategies, so that every strategy meets several models.

    Strategies for hidden layers are left out where a model has none: tests/hooks/test_families.py sees them refused.
    """
    shifts = [shift * len(strategies) // each for shift in range(each)]
    pairs = [
        (name, strategies[(number + shift) % len(strategies)]) for number, name in enumerate(MODELS) for shift in shifts
    ]
    return [pair for pair in pairs if pair != ("fasttext", "manifold")]


@pytest.mark.parametrize(("name", "strategy"), covering(list(STRATEGIES)))
class TestPureOutsideTraining:
    def test_eval_logits_are_bit_identical(self, build: Build, ragged: Batch, name: str, strategy: str) -> None:
        model = build(name).eval()
        bare = model(**unlabelled(ragged)).logits
        with attach(model, mix(strategy)):
            assert torch.equal(model(**ragged).logits, bare)
            assert torch.equal(model(**unlabelled(ragged)).logits, bare)

    def test_no_labels_no_chance_and_one_row_are_unmixed(
        self, build: Build, ragged: Batch, name: str, strategy: str
    ) -> None:
        model = build(name)
        bare = model(**unlabelled(ragged)).logits
        first = {key: value[:1] for key, value in ragged.items()}
        bare_first = model(**unlabelled(first)).logits
        with attach(model, mix(strategy)) as mixer:
            assert torch.equal(model(**unlabelled(ragged)).logits, bare)
            alone = model(**first)
            assert torch.equal(alone.logits, bare_first)
            assert mixer.plan is None
        with attach(model, mix(strategy, probability=0.0)):
            output = model(**ragged)
            assert torch.equal(output.logits, bare)
            loss = nn.functional.cross_entropy(bare, ragged["labels"])
            assert output.loss.item() == pytest.approx(loss.item(), abs=1e-12)

    def test_detach_leaves_nothing_behind(self, build: Build, ragged: Batch, name: str, strategy: str) -> None:
        model = build(name)
        before = (hooks(model), set(vars(model)), list(model.state_dict()), model.config.to_dict())
        bare = model(**unlabelled(ragged)).logits
        mixer = attach(model, mix(strategy))
        assert list(model.state_dict()) == before[2]
        model(**ragged).loss.backward()
        mixer.detach()
        assert (hooks(model), set(vars(model)), list(model.state_dict()), model.config.to_dict()) == before
        assert torch.equal(model(**unlabelled(ragged)).logits, bare)

    def test_one_forward_pass(self, build: Build, ragged: Batch, name: str, strategy: str) -> None:
        model = build(name)
        with attach(model, mix(strategy)), counting_blocks(model) as counts:
            model(**ragged)
            assert set(counts) == {2 if strategy == "ssmix" else 1}  # ssmix looks for salient tokens first


@pytest.mark.parametrize(("name", "strategy"), covering(MIXING))
class TestMixing:
    def test_padding_never_matters(self, build: Build, ragged: Batch, name: str, strategy: str) -> None:
        """More padding, and other ids in it, change neither logits nor loss nor any gradient but rounding."""
        model = build(name)
        wide = {key: nn.functional.pad(ragged[key], (0, 3)) for key in ("input_ids", "attention_mask")}
        other_ids = 1 if name == "roberta" else 7
        wide["input_ids"] = torch.where(wide["attention_mask"].bool(), wide["input_ids"], other_ids)
        results = []
        for batch in (ragged, {**wide, "labels": ragged["labels"]}):
            model.zero_grad()
            with attach(model, mix(strategy, per_sample=True), seed=5):
                output = model(**batch)
                output.loss.backward()
            gradient = torch.cat([p.grad.flatten() for n, p in model.named_parameters() if "classifier" in n])
            results.append((output.logits.detach(), output.loss.detach(), gradient))
        for first, second in zip(*results, strict=True):
            torch.testing.assert_close(first, second, atol=1e-9, rtol=1e-9)

    def test_tuples_positions_and_missing_masks(self, build: Build, ragged: Batch, name: str, strategy: str) -> None:
        model = build(name)
        ids, labels = ragged["input_ids"], ragged["labels"]
        with attach(model, mix(strategy), seed=2):
            by_name = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels)
        with attach(model, mix(strategy), seed=2):
            without_mask = model(ids, labels=labels)
        assert torch.allclose(by_name.logits, without_mask.logits, atol=1e-9)
        assert torch.allclose(by_name.loss, without_mask.loss, atol=1e-9)

    def test_the_same_seed_repeats_the_same_losses(self, build: Build, ragged: Batch, name: str, strategy: str) -> None:
        model = build(name)
        runs = []
        for seed in (4, 4, 5):
            with attach(model, mix(strategy), seed=seed):
                runs.append([model(**ragged).loss.item() for _ in range(4)])
        assert runs[0] == runs[1] != runs[2]

    def test_config_is_not_written(self, build: Build, ragged: Batch, name: str, strategy: str) -> None:
        model = build(name)
        with attach(model, mix(strategy)):
            model(**ragged)
        assert model.config.problem_type is None

    def test_bfloat16_autocast(self, build: Build, ragged: Batch, name: str, strategy: str) -> None:
        model = build(name).float()
        with attach(model, mix(strategy), seed=3):
            exact = model(**ragged).loss
        with attach(model, mix(strategy), seed=3), torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(**ragged).loss
            loss.backward()
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(exact.item(), abs=0.05)
