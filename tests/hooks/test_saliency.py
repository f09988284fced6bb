import pytest
import torch

from tests.support.batches import Batch, ragged_batch, unlabelled
from tests.support.families import build, fresh
from tests.support.strategies import mix
from textmix.errors import ModelError
from textmix.hooks.attach import attach
from textmix.hooks.saliency import mean_embeddings, token_saliency


@pytest.fixture
def batch() -> Batch:
    return ragged_batch(pad=0)


@pytest.mark.parametrize("name", ["BERT", "T5", "XLNet", "TextCNN"])
def test_mean_embeddings_equal_a_loop(name: str, batch: Batch) -> None:
    model = build(name, "integer")
    table = model.get_input_embeddings().weight
    expected = []
    for ids, mask in zip(batch["input_ids"].tolist(), batch["attention_mask"].tolist(), strict=True):
        real = [table[i] for i, kept in zip(ids, mask, strict=True) if kept]
        expected.append(sum(real) / len(real))
    found = mean_embeddings(model, unlabelled(batch))
    torch.testing.assert_close(found, torch.stack(expected))
    assert not found.requires_grad
    by_embeddings = {"inputs_embeds": table[batch["input_ids"]], "attention_mask": batch["attention_mask"]}
    torch.testing.assert_close(mean_embeddings(model, by_embeddings), found)
    whole = mean_embeddings(model, {"input_ids": batch["input_ids"]})
    torch.testing.assert_close(whole, table[batch["input_ids"]].mean(dim=1))


@pytest.mark.parametrize("partner", ["nearest", "farthest"])
def test_partners_by_mean_embedding_are_the_nearest(partner: str, batch: Batch) -> None:
    model = fresh("BERT")
    means = mean_embeddings(model, unlabelled(batch))
    distances = torch.cdist(means, means)
    distances.fill_diagonal_(torch.inf if partner == "nearest" else -torch.inf)
    expected = distances.argmin(dim=1) if partner == "nearest" else distances.argmax(dim=1)
    with attach(model, mix("word", partner=partner, neighbours=1)) as mixer:
        model(**batch)
        assert torch.equal(mixer.plan.partner, expected)


@pytest.mark.parametrize("name", ["BERT", "ALBERT", "GPT-2", "XLNet", "TextCNN"])
def test_saliency_is_the_gradient_at_the_embeddings(name: str, batch: Batch) -> None:
    model = fresh(name)
    inputs = unlabelled(batch)
    if name == "GPT-2":  # takes the last position when it is given embeddings
        inputs = {key: value[:, :1] for key, value in inputs.items()}

    def find_loss(output: object) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(output.logits, batch["labels"])

    found = token_saliency(model, inputs, find_loss, batch=1 if name == "XLNet" else 0)
    embeddings = model.get_input_embeddings()(inputs["input_ids"]).detach().requires_grad_()
    rest = {key: value for key, value in inputs.items() if key != "input_ids"}
    find_loss(model(inputs_embeds=embeddings, **rest)).backward()
    torch.testing.assert_close(found, embeddings.grad.norm(dim=-1).float())


def test_of_an_encoder_decoder_the_encoder_s_tokens_are_judged(batch: Batch) -> None:
    model = fresh("T5 encoder, linear head")

    def find_loss(output: object) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(output.logits, batch["labels"])

    assert token_saliency(model, unlabelled(batch), find_loss).shape == batch["input_ids"].shape


def test_a_saliency_pass_leaves_accumulated_gradients_and_hooks_alone(batch: Batch) -> None:
    model = fresh("BERT")
    model(**unlabelled(batch)).logits.sum().backward()
    before = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    mixer = attach(model, mix("ssmix"))
    model(**batch)  # without a backward pass of its own
    assert mixer.plan is not None
    for parameter, gradient in zip(model.parameters(), before, strict=True):
        assert (parameter.grad is None) == (gradient is None)
        assert gradient is None or torch.equal(parameter.grad, gradient)
    assert not model.get_input_embeddings()._forward_hooks


def test_reentrant_recomputation_leaves_no_saliency(batch: Batch) -> None:
    model = fresh("BERT").train()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": True})
    with attach(model, mix("ssmix")), pytest.raises(ModelError, match=r"saliency cannot .*use_reentrant"):
        model(**batch)


def test_saliency_is_found_under_no_grad_and_after_a_failure(batch: Batch) -> None:
    model = fresh("BERT")
    with attach(model, mix("ssmix")) as mixer:
        with torch.no_grad():
            model(**batch)
        assert mixer.plan is not None
        with pytest.raises(RuntimeError, match="out of bounds"):
            model(**{**batch, "labels": batch["labels"] + 7})
        assert not model.get_input_embeddings()._forward_hooks
        model(**batch).loss.backward()
        assert mixer.plan is not None
