"""What every model class takes and returns, as callers of transformers expect it, with mixing and without."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn

from tests.support.batches import unlabelled
from tests.support.family_configs import LAYERS
from tests.support.model_classes import ENCODER_MODELS, batch_for, build, encoder_models, mixing, mixings, models
from textmix.errors import ModelError

# ModernBERT and Llama know no segments.
WITH_ARGUMENTS = [
    (name, argument)
    for name in ENCODER_MODELS
    for argument in ("position_ids", "token_type_ids")
    if argument == "position_ids" or name.startswith(("BERT", "RoBERTa"))
]


@models
@mixings
def test_hidden_states(name: str, mixed: dict[str, Any]) -> None:
    model, batch = build(name), batch_for(name)
    with mixing(model, mixed):
        asked = model(**batch, output_hidden_states=True)
        model.config.output_hidden_states = True
        configured = model(**batch)
        refused = model(**batch, output_hidden_states=False)
    for output in (asked, configured):
        assert len(output.hidden_states) == model.config.num_hidden_layers + 1
        assert all(states.shape[:2] == batch["input_ids"].shape for states in output.hidden_states)
        assert output.logits.shape[0] == 5
    assert refused.hidden_states is None


@encoder_models
def test_hidden_states_and_attentions_are_those_of_a_stock_model(name: str) -> None:
    model, batch = build(name, attn_implementation="eager"), unlabelled(batch_for(name))
    stock = hf.AutoModelForTokenClassification.from_config(copy.deepcopy(model.config.encoder)).eval()
    stock.base_model.load_state_dict(model.encoder.state_dict(), strict=False)
    ours = model(**batch, output_hidden_states=True, output_attentions=True)
    theirs = stock(**batch, output_hidden_states=True, output_attentions=True)
    assert len(ours.hidden_states) == LAYERS + 1
    assert len(ours.attentions) == LAYERS
    for field in ("hidden_states", "attentions"):
        torch.testing.assert_close(getattr(ours, field), getattr(theirs, field))


@encoder_models
@mixings
def test_attentions(name: str, mixed: dict[str, Any]) -> None:
    model, batch = build(name, attn_implementation="eager"), batch_for(name)
    with mixing(model, mixed):
        asked = model(**batch, output_attentions=True)
        model.config.output_attentions = True
        configured = model(**batch)
    for output in (asked, configured):
        assert [tuple(weights.shape) for weights in output.attentions] == [(5, 2, 9, 9)] * LAYERS


@models
@mixings
def test_a_tuple_instead_of_an_output(name: str, mixed: dict[str, Any]) -> None:
    model, batch = build(name), batch_for(name)
    with mixing(model, mixed):
        found = model(**batch, output_hidden_states=True, return_dict=False)
        model.config.return_dict = False
        configured = model(**batch)
        asked = model(**batch, return_dict=True)
    loss, logits, states = found
    assert (loss.shape, logits.shape[0], len(states)) == ((), 5, model.config.num_hidden_layers + 1)
    assert isinstance(configured, tuple)
    assert len(configured) == 2
    assert isinstance(asked, hf.utils.ModelOutput)
    if not mixed:
        torch.testing.assert_close(configured, (asked.loss, asked.logits))


@models
@mixings
def test_embeddings_instead_of_ids(name: str, mixed: dict[str, Any]) -> None:
    outputs = []
    for with_ids in (True, False):
        model, batch = build(name), batch_for(name)
        if not with_ids:
            batch["inputs_embeds"] = model.get_input_embeddings()(batch.pop("input_ids"))
        with mixing(model, mixed):
            if name == "FastText" and mixed.get("strategy") == "word" and not with_ids:
                with pytest.raises(ModelError, match="did not reach the site embeddings"):
                    model(**batch)
                return
            outputs.append(model(**batch))
    torch.testing.assert_close(outputs[0].loss, outputs[1].loss)
    if "token" not in name:
        torch.testing.assert_close(outputs[0].logits, outputs[1].logits)


@pytest.mark.parametrize(("name", "argument"), WITH_ARGUMENTS)
@mixings
def test_positions_and_segments_reach_the_encoder(name: str, argument: str, mixed: dict[str, Any]) -> None:
    batch = batch_for(name)
    given = torch.randint(2, batch["input_ids"].shape, generator=torch.Generator().manual_seed(1))
    seen: list[Tensor] = []
    model = build(name)
    model.encoder.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs[argument]), with_kwargs=True
    )
    with mixing(model, mixed):
        output = model(**batch, **{argument: given})
    assert torch.equal(seen[0][:5], given)
    if not mixed:
        assert not torch.allclose(output.logits, build(name)(**batch).logits)


@models
@mixings
@pytest.mark.parametrize("cast", [nn.Module.half, nn.Module.bfloat16], ids=["half", "bfloat16"])
def test_half_precision(name: str, mixed: dict[str, Any], cast: Callable[[nn.Module], nn.Module]) -> None:
    model, batch = build(name), batch_for(name)
    expected = model(**unlabelled(batch)).logits
    with mixing(cast(model), mixed):
        output = model(**batch)
        output.loss.backward()
    assert output.logits.dtype == model.dtype != torch.float32
    assert torch.isfinite(output.loss)
    if not mixed:
        torch.testing.assert_close(output.logits.float(), expected, atol=0.02, rtol=0.05)
