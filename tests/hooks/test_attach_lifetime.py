"""From attaching to detaching: recomputation, copies, failures, and what is refused."""

import copy

import pytest
import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from tests.support.batches import Batch, unlabelled
from tests.support.counting import hooks
from tests.support.families import fresh
from tests.support.family_configs import VOCAB
from tests.support.strategies import MIXING, mix
from textmix.errors import ConfigError, ModelError
from textmix.hooks.attach import attach
from textmix.mixing.config import MixConfig

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable.*:FutureWarning")


class TestLifetime:
    @pytest.mark.parametrize("strategy", MIXING)
    def test_recomputed_activations_see_the_same_plan(self, ragged: Batch, strategy: str) -> None:
        gradients = []
        for checkpointing in (False, True):
            model = fresh("BERT, linear head")
            if checkpointing:
                model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            with attach(model, mix(strategy), seed=7):
                for _ in range(3):
                    model(**ragged).loss.backward()
            gradients.append([p.grad for p in model.parameters() if p.grad is not None])
        for plain, recomputed in zip(*gradients, strict=True):
            torch.testing.assert_close(plain, recomputed, atol=1e-12, rtol=1e-9)

    @pytest.mark.parametrize("strategy", MIXING)
    def test_blocks_that_a_user_checkpoints_see_the_same_plan(self, ragged: Batch, strategy: str) -> None:
        """Here the hooks run again in the backward pass, unlike under transformers' own checkpointing."""
        from torch.utils.checkpoint import checkpoint

        class Checkpointed(nn.Module):
            def __init__(self, inner: nn.Module) -> None:
                super().__init__()
                self.inner = inner

            def forward(self, *args: object, **kwargs: object) -> object:
                return checkpoint(self.inner, *args, use_reentrant=False, **kwargs)

        gradients = []
        for wrap in (False, True):
            model = fresh("BERT, linear head")
            mixer = attach(model, mix(strategy), seed=7)
            if wrap:
                layers = model.encoder.encoder.layer
                for number, layer in enumerate(layers):
                    layers[number] = Checkpointed(layer)
            for _ in range(3):
                model(**ragged).loss.backward()
            mixer.detach()
            gradients.append([p.grad for p in model.parameters() if p.grad is not None])
        for plain, recomputed in zip(*gradients, strict=True):
            torch.testing.assert_close(plain, recomputed, atol=1e-12, rtol=1e-9)

    def test_an_encoder_called_on_its_own_is_not_mixed(self, ragged: Batch) -> None:
        model = fresh("BERT, linear head")
        inputs = unlabelled(ragged)
        bare = model.encoder(**inputs).last_hidden_state
        with attach(model, strategy="word"):
            model(**ragged)
            assert torch.equal(model.encoder(**inputs).last_hidden_state, bare)

    def test_an_exception_in_the_block_detaches(self, ragged: Batch) -> None:
        model = fresh("BERT")
        before = hooks(model)
        model.register_forward_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError), attach(model, strategy="manifold"):
            model(**ragged)
        before += 1  # the failing hook itself
        assert hooks(model) == before
        assert "mixer" not in vars(model)

    def test_a_failed_forward_leaves_the_next_one_right(self, ragged: Batch) -> None:
        model = fresh("BERT")
        bare = model(**unlabelled(ragged)).logits
        with attach(model, strategy="word"):
            with pytest.raises(IndexError):
                model(**{**ragged, "input_ids": ragged["input_ids"] + VOCAB})
            assert torch.equal(model(**unlabelled(ragged)).logits, bare)

    def test_a_tuple_output_starts_with_the_loss(self, ragged: Batch) -> None:
        model = fresh("BERT")
        with attach(model, strategy="sentence", seed=8):
            output = model(**ragged)
        with attach(model, strategy="sentence", seed=8):
            loss, logits = model(**ragged, return_dict=False)
        assert loss.item() == output.loss.item()
        assert torch.equal(logits, output.logits)
        assert output[0].item() == output.loss.item()

    def test_the_caller_s_mask_is_not_changed(self, ragged: Batch) -> None:
        model, mask = fresh("BERT, linear head"), ragged["attention_mask"].clone()
        with attach(model, strategy="manifold"):
            for _ in range(6):
                model(**ragged)
        assert torch.equal(ragged["attention_mask"], mask)

    @pytest.mark.parametrize("strategy", MIXING)
    def test_a_copied_model_has_a_mixer_of_its_own(self, ragged: Batch, strategy: str) -> None:
        model = fresh("BERT, linear head")
        attach(model, mix(strategy), seed=1)
        twin = copy.deepcopy(model)
        for _ in range(4):
            first, second = model(**ragged), twin(**ragged)
            assert torch.equal(first.logits, second.logits)
            assert first.loss.item() == second.loss.item()
        twin.mixer.detach()
        assert hooks(twin) == hooks(fresh("BERT, linear head"))
        assert model.mixer.plan is not None

    def test_inputs_embeds(self, ragged: Batch) -> None:
        for name in ("BERT, linear head", "TextCNN"):
            model = fresh(name)
            embeds = model.get_input_embeddings()(ragged["input_ids"])
            with attach(model, strategy="word", seed=1):
                by_ids = model(**ragged)
            rest = {key: ragged[key] for key in ("attention_mask", "labels")}
            with attach(model, strategy="word", seed=1):
                by_embeds = model(inputs_embeds=embeds, **rest)
            assert torch.allclose(by_ids.logits, by_embeds.logits)


class TestErrors:
    def test_a_second_mixer_is_refused(self) -> None:
        model = fresh("BERT")
        attach(model, MixConfig())
        with pytest.raises(ModelError, match="already has a mixer attached"):
            attach(model, MixConfig())

    def test_a_missing_site_names_those_there_are(self) -> None:
        model = fresh("TextCNN")
        with pytest.raises(ModelError, match=r"no site layer:2 .* offers tokens, embeddings, layer:1, pooled"):
            attach(model, MixConfig(strategy="manifold", manifold={"layers": [1, 2]}))
        assert hooks(model) == hooks(fresh("TextCNN"))

    def test_a_model_without_sites_is_refused(self) -> None:
        with pytest.raises(ModelError, match="Sequential offers no site"):
            attach(nn.Sequential(nn.Linear(3, 3)), MixConfig())

    def test_a_ready_made_four_dimensional_mask_is_refused(self, ragged: Batch) -> None:
        model = fresh("BERT")
        mask = torch.ones(5, 1, 9, 9)
        with attach(model, strategy="word"), pytest.raises(ConfigError, match=r"shape \(B, L\), not \(5, 1, 9, 9\)"):
            model(**{**ragged, "attention_mask": mask})

    def test_a_wrapped_model_is_named(self) -> None:
        with pytest.raises(ModelError, match="DataParallel wraps a model: attach to the model itself"):
            attach(nn.DataParallel(fresh("BERT")), MixConfig())

    def test_a_site_that_never_runs_is_refused(self, ragged: Batch) -> None:
        """As when training drops whole blocks at random."""
        model = fresh("BERT, linear head")

        class Skips(nn.Module):
            def forward(self, hidden_states: torch.Tensor, *args: object, **kwargs: object) -> object:
                return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=hidden_states)

        attach(model, MixConfig(strategy="manifold", manifold={"layers": [2]}))
        skips = Skips()
        skips.layer = model.encoder.encoder.layer
        model.encoder.encoder = skips
        with pytest.raises(ModelError, match="did not reach the site"):
            model(**ragged)

    def test_rows_that_cannot_be_told_apart_are_refused(self, ragged: Batch) -> None:
        """As when a model packs all tokens into one long row."""
        model = fresh("BERT, linear head")
        model.encoder.embeddings.register_forward_hook(lambda module, args, output: output.flatten(0, 1)[None])
        message = r"shape \(1, 45, 16\) at embeddings .* as if it packed, shortened"
        with pytest.raises(ModelError, match=message), attach(model, strategy="word"):
            model(**ragged)

    def test_a_training_batch_without_labels_is_refused_when_strict(self, ragged: Batch) -> None:
        model = fresh("BERT")
        attach(model, MixConfig(), strict=True)
        with pytest.raises(ConfigError, match="a training batch has no labels"):
            model(**unlabelled(ragged))
        model.eval()
        model(**unlabelled(ragged))
