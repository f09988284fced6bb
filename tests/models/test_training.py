"""What training relies on, for every model class, with mixing and without."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.support.batches import Batch, unlabelled
from tests.support.family_configs import VOCAB
from tests.support.model_classes import batch_for, build, class_of, encoder_models, mixing, mixings, models


@models
@mixings
def test_a_resized_vocabulary_is_trained(name: str, mixed: dict[str, Any]) -> None:
    model, batch = build(name), batch_for(name)
    batch["input_ids"][0, 0] = VOCAB + 5
    with mixing(model, mixed):
        model.resize_token_embeddings(VOCAB + 7)
        model(**batch).loss.backward()
    assert model.get_input_embeddings().weight.grad[VOCAB + 5].abs().sum() > 0


@models
@mixings
def test_the_input_embeddings_can_be_replaced(name: str, mixed: dict[str, Any]) -> None:
    model, batch = build(name), batch_for(name)
    replaced = copy.deepcopy(model.get_input_embeddings())
    model.set_input_embeddings(replaced)
    with mixing(model, mixed):
        model(**batch).loss.backward()
    assert model.get_input_embeddings() is replaced
    assert replaced.weight.grad.abs().sum() > 0


@encoder_models
@mixings
@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing(name: str, mixed: dict[str, Any], reentrant: bool) -> None:
    gradients = []
    for checkpointing in (False, True):
        model, batch = build(name).train(), batch_for(name)
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
            model.enable_input_require_grads()
            assert model.is_gradient_checkpointing
        with mixing(model, mixed):
            model(**batch).loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1])
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing


@models
@mixings
def test_adapters(name: str, mixed: dict[str, Any]) -> None:
    peft = pytest.importorskip("peft")
    model, batch = build(name), batch_for(name)
    targets = {"TextCNN": ["blocks.0.convolutions.0"], "TextRNN": ["embeddings"], "FastText": ["embeddings"]}
    config = peft.LoraConfig(
        task_type="TOKEN_CLS" if "token" in name else "SEQ_CLS",
        target_modules=targets.get(name, "all-linear"),
        exclude_modules=["classifier"],
        r=4,
        init_lora_weights=False,
    )
    adapted = peft.get_peft_model(model, config)
    with mixing(adapted, mixed):
        adapted(**batch).loss.backward()
    trained = {key for key, parameter in adapted.named_parameters() if parameter.grad is not None}
    assert any("lora_" in key for key in trained)
    assert any("classifier" in key for key in trained)
    assert all("lora_" in key or "modules_to_save" in key for key in trained)
    with torch.no_grad():
        expected = adapted.eval()(**unlabelled(batch)).logits
        merged = adapted.merge_and_unload().eval()
        assert isinstance(merged, class_of(name))
        torch.testing.assert_close(merged(**unlabelled(batch)).logits, expected, atol=1e-5, rtol=1e-4)


@models
@mixings
@pytest.mark.parametrize("copier", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_train_alike_and_apart(name: str, mixed: dict[str, Any], copier: Callable[[Any], Any]) -> None:
    model, batch = build(name), batch_for(name)
    with mixing(model, mixed):
        twin = copier(model)
        losses = [[loss_after_a_step(one, batch) for _ in range(3)] for one in (model, twin)]
        if mixed:
            assert twin.mixer is not model.mixer
            assert twin.mixer.plan is not model.mixer.plan
            twin.mixer.detach()
            assert not hasattr(twin, "mixer")
            assert hasattr(model, "mixer")
    assert losses[0] == losses[1]
    assert losses[0][0] != losses[0][1]


def loss_after_a_step(model: Any, batch: Batch) -> float:
    loss = model(**batch).loss
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
                parameter.grad = None
    return float(loss)
