"""Encoder-decoders, which read the tokens twice: what the families' pairs of rows (test_families.py) do not show."""

from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor

from tests.support.batches import Batch
from tests.support.families import BOTH, build, fresh
from tests.support.family_configs import END, LLAMA_LIKE, VOCAB
from tests.support.strategies import mix
from tests.support.versions import needs_mask_functions
from textmix.errors import ModelError
from textmix.hooks.attach import attach
from textmix.hooks.blocks import Mask
from textmix.mixing.config import MixConfig
from textmix.mixing.mixer import MixObserver
from textmix.mixing.plan import MixPlan

pytestmark = pytest.mark.filterwarnings("ignore:.*:FutureWarning", "ignore:.*use_reentrant.*:UserWarning")

NAMES = ["BART", "T5"]
STATES = [site for site in BOTH if site != "tokens"]


@pytest.fixture
def batch() -> Batch:
    return make_batch(left=False)


def make_batch(left: bool) -> Batch:
    """Five rows of different lengths, each ending in one end-of-sequence token."""
    ids = torch.randint(5, VOCAB, (5, 9), generator=torch.Generator().manual_seed(3))
    lengths = torch.tensor([9, 4, 7, 2, 6])[:, None]
    positions = torch.arange(9)[None]
    mask = positions >= 9 - lengths if left else positions < lengths
    ids = torch.where(positions == (8 if left else lengths - 1), END, ids)
    return {
        "input_ids": torch.where(mask, ids, 0),
        "attention_mask": mask.long(),
        "labels": torch.tensor([0, 1, 2, 1, 0]),
    }


def at(site: str, **options: Any) -> MixConfig:
    """A strategy that mixes at one site, or at it and the embeddings."""
    name = {"embeddings": "word", "pooled": "sentence"}.get(site, "manifold")
    layers = {"manifold": {"layers": [int(site.split(":")[1])]}} if name == "manifold" else {}
    return mix(name, **layers, **options)


def mixed(model: hf.PreTrainedModel, batch: Batch, site: str, seed: int = 1, **options: Any) -> tuple[Any, MixPlan]:
    """Run steps until the site is drawn; returns the output and the plan of that one."""
    with attach(model, at(site, **options), seed=seed) as mixer:
        while mixer.plan is None or mixer.plan.site != site:
            output = model(**batch)
        return output, mixer.plan


def ends(batch: Batch) -> Tensor:
    return batch["attention_mask"].sum(dim=1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("site", STATES)
def test_where_one_row_weighs_all_it_is_computed_as_if_alone(name: str, site: str, batch: Batch) -> None:
    """If the other one is not longer: the union of both masks is its own."""
    model, lengths = build(name, "integer"), ends(batch)
    clean = model(**{key: value for key, value in batch.items() if key != "labels"}).logits
    for lam in (0.0, 1.0):
        output, plan = mixed(model, batch, site, lam="fixed", lam_value=lam)
        heavy, light = (torch.arange(5), plan.partner) if lam else (plan.partner, torch.arange(5))
        known = (lengths[heavy] >= lengths[light]) | (site == "pooled")
        assert known.any()
        torch.testing.assert_close(output.logits[known], clean[heavy][known], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("site", STATES)
def test_two_rows_are_blended_alike_in_either_order(name: str, site: str, batch: Batch) -> None:
    model, pair = build(name, "integer"), {key: value[:2] for key, value in batch.items()}
    one, _ = mixed(model, pair, site, lam="fixed", lam_value=0.3)
    other, _ = mixed(model, {key: value.flip(0) for key, value in pair.items()}, site, lam="fixed", lam_value=0.7)
    torch.testing.assert_close(one.logits, other.logits, atol=1e-9, rtol=1e-9)
    half, _ = mixed(model, pair, site, lam="fixed", lam_value=0.5)
    torch.testing.assert_close(half.logits[0], half.logits[1], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("site", STATES)
def test_both_rows_and_every_parameter_get_gradients(name: str, site: str, batch: Batch) -> None:
    model = fresh(name)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    table = model.get_input_embeddings()
    output, plan = mixed(model, batch, site, per_sample=True)
    grads = torch.autograd.grad(output.logits[0].sum(), table.weight, retain_graph=True)[0]
    for row in (0, int(plan.partner[0])):
        words = batch["input_ids"][row][batch["input_ids"][row] > END]
        assert (grads[words].norm(dim=1) > 0).all(), row
    output.loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("site", STATES)
@pytest.mark.parametrize("padding", ["zero", "copy"])
def test_what_stands_at_padding_is_never_read(name: str, site: str, padding: str, batch: Batch) -> None:
    model = build(name, "integer")
    other = {**batch, "input_ids": torch.where(batch["attention_mask"].bool(), batch["input_ids"], 17)}
    one, _ = mixed(model, batch, site, padding=padding)
    two, _ = mixed(model, other, site, padding=padding)
    torch.testing.assert_close(one.logits, two.logits, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("site", ["embeddings", "layer:2", "layer:3", "layer:5"])
def test_padding_on_the_left_is_read_by_the_decoder_as_without_mixing(name: str, site: str) -> None:
    """Stock models give their decoder no mask: it reads the padding in front of a row."""
    model, batch = build(name, "integer"), make_batch(left=True)
    clean = model(**{key: value for key, value in batch.items() if key != "labels"}).logits
    output, plan = mixed(model, batch, site, lam="fixed", lam_value=1.0)
    known = ends(batch) >= ends(batch)[plan.partner]
    torch.testing.assert_close(output.logits[known], clean[known], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("site", ["embeddings", "layer:2", "layer:3", "layer:5", "layer:6"])
def test_a_mask_for_the_decoder_is_united_too(site: str, batch: Batch) -> None:
    model = build("BART", "integer")
    own, _ = mixed(model, batch, site)
    given, _ = mixed(model, {**batch, "decoder_attention_mask": batch["attention_mask"]}, site)
    torch.testing.assert_close(own.logits, given.logits, atol=1e-9, rtol=1e-9)
    holes = batch["attention_mask"].clone()
    holes[:, 0] = 0
    shorter, _ = mixed(model, {**batch, "decoder_attention_mask": holes}, site)
    assert not torch.allclose(own.logits, shorter.logits)


@pytest.mark.parametrize("site", ["embeddings", "layer:2", "layer:3", "layer:5", "layer:6", "pooled"])
def test_clean_rows_beside_the_mixed_ones(site: str, batch: Batch) -> None:
    model = build("T5", "integer")
    clean = model(**{key: value for key, value in batch.items() if key != "labels"}).logits
    output, plan = mixed(model, batch, site, regmix=1.0)
    torch.testing.assert_close(output.logits, clean, atol=1e-9, rtol=1e-9)
    assert plan.clean == 5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("site", ["embeddings", "layer:1", "layer:3", "layer:4", "layer:6"])
def test_recomputed_activations_are_those_of_the_forward(name: str, site: str, reentrant: bool, batch: Batch) -> None:
    results = []
    for checkpoints in (False, True):
        recomputed: list[int] = []
        model = fresh(name)
        if checkpoints:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
        with attach(model, at(site, per_sample=True), seed=1) as mixer:
            while mixer.plan is None or mixer.plan.site != site:
                loss = model(**batch).loss
            # Inside of a block: transformers 5 recomputes a block without its hooks.
            inside = next(module for module in model.base_model.modules() if isinstance(module, torch.nn.Linear))
            handle = inside.register_forward_pre_hook(lambda *_, seen=recomputed: seen.append(1))
            loss.backward()
            handle.remove()
        assert bool(recomputed) == checkpoints
        results.append([p.grad for p in model.parameters() if p.grad is not None])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("site", ["embeddings", "layer:2", "layer:5"])
def test_eager_and_sdpa_agree(name: str, site: str, batch: Batch) -> None:
    logits = []
    for implementation in ("eager", "sdpa"):
        model = fresh(name).float()
        model.set_attn_implementation(implementation)
        logits.append(mixed(model, batch, site)[0].logits)
    torch.testing.assert_close(*logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("strategy", ["nonlinear", "multi"])
def test_strategies_with_other_weights(strategy: str, batch: Batch) -> None:
    model = build("BART", "integer")
    with attach(model, mix(strategy)):
        model(**batch).loss.backward()
    model.zero_grad()


def test_biases_with_masks_are_masked_anew_as_often_as_they_are_passed_on(batch: Batch) -> None:
    """T5 of transformers 4 adds the masks to its position biases, which each block passes on to the next."""
    model, mask = build("T5", "integer"), batch["attention_mask"].bool()
    plain = torch.randn(1, 2, 9, 9, dtype=torch.float64)
    least = torch.finfo(plain.dtype).min
    with attach(model, at("layer:1")) as mixer:
        while mixer.plan is None or mixer.plan.site != "layer:1":
            model(**batch)
        forward, kind = mixer._forward, Mask("position_bias", is_bias=True)
        own = plain.masked_fill(~mask[:, None, None], least)
        expected = plain.masked_fill(~(mask | mask[mixer.plan.partner])[:, None, None], least)
        once = forward.unite(own, kind)
        assert torch.equal(once, expected)
        assert torch.equal(forward.unite(once.clone(), kind), expected)
        assert forward.unite(plain, kind) is plain


def test_an_observer_sees_the_batch_once(batch: Batch) -> None:
    shapes = []

    class Noting(MixObserver):
        def applied(self, plan: MixPlan, mixed: Tensor) -> None:
            shapes.append((plan.site, tuple(mixed.shape)))

    model = build("T5", "integer")
    with attach(model, mix("manifold")) as mixer:
        mixer.observers.append(Noting())
        for _ in range(9):
            model(**batch)
    assert len(shapes) == 9
    assert {shape for _, shape in shapes} == {(5, 9, 16)}


class TestRefusals:
    def test_spans_of_embeddings(self, batch: Batch) -> None:
        model, config = build("BART", "integer"), mix("cutmix", cutmix={"level": "embeddings"})
        with attach(model, config), pytest.raises(ModelError, match=r"position later: spans can be cut at tokens only"):
            model(**batch)

    def test_a_model_that_pools_its_decoder_elsewhere(self, batch: Batch) -> None:
        model = fresh("T5")
        model.classification_head.register_forward_pre_hook(lambda module, args: (args[0].roll(1, 0),))
        with attach(model, mix("word")), pytest.raises(ModelError, match="its decoder, but not at the last token"):
            model(**batch)

    @needs_mask_functions
    def test_a_model_that_pools_its_decoder_after_its_classifier(self, batch: Batch) -> None:
        sizes = {**LLAMA_LIKE, "head_dim": 8}
        config = hf.T5GemmaConfig(encoder=sizes, decoder=sizes, num_labels=3, vocab_size=VOCAB, pad_token_id=0)
        model = hf.T5GemmaForSequenceClassification(config).train()
        message = "pools its decoder after its classifier: it can be mixed at tokens only"
        with attach(model, mix("word")), pytest.raises(ModelError, match=message):
            model(**batch)

    def test_a_block_that_is_skipped(self, batch: Batch) -> None:
        model = fresh("BART")
        model.model.encoder.layerdrop = 1.0
        with attach(model, mix("word")), pytest.raises(ModelError, match="did not reach the site embeddings"):
            model(**batch)

    def test_a_decoder_of_another_length(self, batch: Batch) -> None:
        model, message = build("BART", "integer"), r"hidden states of shape \(5, 4, 16\)"
        with attach(model, mix("word")), pytest.raises(ModelError, match=message):
            model(**batch, decoder_input_ids=batch["input_ids"][:, :4])
