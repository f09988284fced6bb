"""Adapters on a classifier: what is trained, merging, and what is saved and loaded."""

import sys
from pathlib import Path

import peft
import pytest
import torch
from torch import nn
from transformers import BertForSequenceClassification, BertModel, PreTrainedModel

from tests.support.batches import Batch, ragged_batch, unlabelled
from tests.support.families import BY_NAME, fresh
from tests.support.family_configs import bert_config
from textmix import MixupForSequenceClassification
from textmix.errors import ModelError
from textmix.hooks.attach import attach
from textmix.models.config import LoraOptions, ModelConfig
from textmix.models.loading import build_model, check_model, load_model
from textmix.models.lora import add_adapters, finish_adapters, has_adapters, merge_saved, merged, save_adapters
from textmix.models.words.tokenizer_training import train_tokenizer
from textmix.tasks.single_label import Classes

# Modules that are trained whole: those outside of the encoder, and BERT's pooler inside of it.
HEADS = {
    "BERT": {"classifier", "bert.pooler.dense"},
    "RoBERTa": {"classifier"},
    "ALBERT": {"classifier", "albert.pooler"},
    "DistilBERT": {"pre_classifier", "classifier"},
    "DeBERTa-v2 with convolution": {"pooler", "classifier"},
    "XLNet": {"sequence_summary", "logits_proj"},
    "Funnel": {"classifier"},
    "T5": {"classification_head"},
    "BART": {"classification_head"},
    "GPT-2": {"score"},
    "Llama": {"score"},
    "BERT, linear head": {"classifier"},
    "BERT, attention pooling": {"pooling", "classifier"},
    "T5 encoder, linear head": {"classifier"},
}
heads = pytest.mark.parametrize("name", HEADS)
OPTIONS = LoraOptions(rank=4)


def batch_of(name: str) -> Batch:
    family, batch = BY_NAME[name], ragged_batch(BY_NAME[name].pad)
    if family.left:
        batch = {key: value.flip(1) if value.dim() == 2 else value for key, value in batch.items()}
    if family.ends:
        batch["input_ids"][torch.arange(5), batch["attention_mask"].sum(1) - 1] = 2
    return batch


def adapted(name: str) -> PreTrainedModel:
    """Build a model with adapters that are no longer without effect."""
    model = fresh(name)
    torch.manual_seed(1)
    add_adapters(model, OPTIONS, "base")
    for key, parameter in model.named_parameters():
        if parameter.requires_grad and ".lora_A" not in key:
            nn.init.normal_(parameter.data, std=0.2)
    return model.eval()


@torch.no_grad()
def logits(model: nn.Module, batch: Batch) -> torch.Tensor:
    return model.eval()(**unlabelled(batch)).logits


@heads
def test_adapters_and_head_alone_are_trained(name: str) -> None:
    model, batch = fresh(name), batch_of(name)
    before = logits(model, batch)
    add_adapters(model.train(), OPTIONS, "base")
    torch.testing.assert_close(logits(model, batch), before)
    with attach(model.train(), strategy="word"):
        model(**batch).loss.backward()
    trained = {key for key, parameter in model.named_parameters() if parameter.grad is not None}
    assert trained == {key for key, parameter in model.named_parameters() if parameter.requires_grad}
    outside = {key for key in trained if ".lora_" not in key}
    assert {head for head in HEADS[name] if any(key.startswith(f"{head}.") for key in outside)} == HEADS[name]
    assert all(key.startswith(tuple(f"{head}." for head in HEADS[name])) for key in outside)
    # No adapter is on a map that the forward pass does not call.
    grown = [parameter.grad for key, parameter in model.named_parameters() if ".lora_B" in key]
    assert grown
    assert all(gradient.abs().sum() > 0 for gradient in grown)


@heads
def test_a_merged_model_is_an_ordinary_one_with_the_same_logits(name: str) -> None:
    model, batch = adapted(name), batch_of(name)
    before = {key: weight.clone() for key, weight in model.state_dict().items()}
    expected = logits(model, batch)
    assert not torch.allclose(expected, logits(fresh(name), batch))
    with merged(model):
        assert model.state_dict().keys() == fresh(name).state_dict().keys()
        torch.testing.assert_close(logits(model, batch), expected)
        assert not has_adapters(model)
    assert has_adapters(model)
    assert all(torch.equal(weight, before[key]) for key, weight in model.state_dict().items())
    assert before.keys() == model.state_dict().keys()


@heads
def test_peft_loads_what_is_saved(name: str, tmp_path: Path) -> None:
    model, batch = adapted(name), batch_of(name)
    save_adapters(model, tmp_path / "adapter")
    loaded = peft.PeftModel.from_pretrained(fresh(name), str(tmp_path / "adapter"))
    torch.testing.assert_close(logits(loaded, batch), logits(model, batch))
    own = fresh(name)
    merge_saved(own, tmp_path / "adapter")
    torch.testing.assert_close(logits(own, batch), logits(model, batch))
    assert own.state_dict().keys() == fresh(name).state_dict().keys()


def test_alpha_and_dropout_are_those_of_peft() -> None:
    for alpha, scaling in ((None, 2.0), (2.0, 0.5)):
        model = fresh("BERT")
        add_adapters(model, LoraOptions(rank=4, alpha=alpha, dropout=0.25), "base")
        layer = model.bert.encoder.layer[0].attention.self.query
        assert layer.scaling == {"default": scaling}
        assert layer.lora_dropout["default"].p == 0.25


class TestTargets:
    @pytest.mark.parametrize(
        ("targets", "ends"),
        [(["query", "value"], {"query", "value"}), (["1.output.dense"], {"1.output.dense"})],
    )
    def test_a_name_or_its_end(self, targets: list[str], ends: set[str]) -> None:
        model = fresh("BERT")
        add_adapters(model, LoraOptions(rank=2, targets=targets), "base")
        layers = [key.partition(".lora_A")[0] for key in model.state_dict() if ".lora_A" in key]
        assert len(layers) == (6 if len(ends) == 2 else 1)
        assert all(layer.endswith(tuple(ends)) for layer in layers)

    @pytest.mark.parametrize(("target", "name"), [("uery", "uery"), ("classifier", "classifier"), ("LayerNorm", "L")])
    def test_one_that_is_not_there(self, target: str, name: str) -> None:
        message = rf"targets: no linear map of BertFor\w+ is named {name}.*; there are query, key, value, dense$"
        with pytest.raises(ModelError, match=message):
            add_adapters(fresh("BERT"), LoraOptions(rank=2, targets=["query", target]), "base")

    @pytest.mark.parametrize("name", ["TextCNN", "FastText", "TextRNN"])
    def test_a_model_of_words_that_goes_on_has_none(self, name: str) -> None:
        with pytest.raises(ModelError, match=f"{name} has no linear maps that adapters fit on; leave out model.lora"):
            add_adapters(fresh(name), OPTIONS, "base")


def test_without_peft_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match=r"^adapters need peft: pip install 'textmix\[lora\]'$"):
        check_model(ModelConfig(lora=OPTIONS))


NAMES = ["x", "y", "z"]


class TestGoingOn:
    """From the adapters of one run, and of a second run that went on from them with other classes."""

    @pytest.fixture
    def base(self, tmp_path: Path) -> Path:
        torch.manual_seed(0)
        BertModel(bert_config()).save_pretrained(tmp_path / "base")
        train_tokenizer(["a b c", "b", "c c d"], min_frequency=1).save_pretrained(tmp_path / "base")
        return tmp_path / "base"

    def train(self, start: Path, names: list[str], target: Path, head: str) -> PreTrainedModel:
        """Do what a run does, with drawn weights in place of trained ones."""
        config = ModelConfig(name=str(start), head=head, lora=OPTIONS)  # type: ignore[arg-type]
        loaded = build_model(config, Classes(names).to_config(), [])
        loaded.model.config.update(Classes(names).to_config())
        for parameter in loaded.model.parameters():
            if parameter.requires_grad:
                nn.init.normal_(parameter.data, std=0.2)
        save_adapters(loaded.model, target)
        with merged(loaded.model):
            loaded.model.save_pretrained(target.parent / "model")
        loaded.tokenizer.save_pretrained(target.parent / "model")
        whole = load_model(target.parent / "model").model.cpu()
        finish_adapters(whole, loaded.tokenizer, target)
        return whole

    @pytest.mark.parametrize("head", ["linear", "native"])
    def test_classes_keep_their_meaning(self, base: Path, tmp_path: Path, head: str) -> None:
        batch = ragged_batch()
        batch["input_ids"] %= 5
        start, names = base, NAMES
        for number, after in enumerate((["z", "new", "x"], ["x", "z"])):
            adapter = tmp_path / str(number) / "adapter"
            expected = logits(self.train(start, names, adapter, head), batch)
            torch.testing.assert_close(logits(load_model(adapter).model.cpu(), batch), expected)
            for lora in (LoraOptions(), OPTIONS):
                config = ModelConfig(name=str(adapter), head=head, lora=lora)  # type: ignore[arg-type]
                model = build_model(config, Classes(after).to_config(), []).model
                kept = [name for name in after if name in names]
                found = logits(model, batch)[:, [after.index(name) for name in kept]]
                torch.testing.assert_close(found, expected[:, [names.index(name) for name in kept]])
                encoder = [p.requires_grad for key, p in model.base_model.named_parameters() if "lora_" not in key]
                assert any(encoder) is (lora.rank is None or head == "native")  # the pooler of the native head
                assert has_adapters(model) is (lora.rank is not None)
            start, names = adapter, after

    def test_the_saved_model_needs_no_peft(self, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        batch = ragged_batch()
        batch["input_ids"] %= 5
        expected = logits(self.train(base, NAMES, tmp_path / "run" / "adapter", "linear"), batch)
        monkeypatch.setitem(sys.modules, "peft", None)
        model = MixupForSequenceClassification.from_pretrained(tmp_path / "run" / "model")
        torch.testing.assert_close(logits(model, batch), expected)
        with pytest.raises(ModelError, match=r"pip install 'textmix\[lora\]'"):
            load_model(tmp_path / "run" / "adapter")

    def test_what_cannot_be_loaded_is_told(self, base: Path, tmp_path: Path) -> None:
        adapter, native = tmp_path / "run" / "adapter", tmp_path / "native" / "adapter"
        self.train(base, NAMES, adapter, "linear")
        self.train(base, NAMES, native, "native")
        labels = Classes(NAMES).to_config()
        with pytest.raises(ModelError, match=r"adapter was trained with model.head native; add --model.head native$"):
            build_model(ModelConfig(name=str(native)), labels, [])
        config = adapter / "config.json"
        text = config.read_text()
        config.unlink()
        with pytest.raises(ModelError, match=r"an adapter that textmix has not written or not finished"):
            check_model(ModelConfig(name=str(adapter)))
        config.write_text(text)
        base.rename(tmp_path / "moved")
        with pytest.raises(ModelError, match=rf"cannot load the adapter {adapter}, which was trained on '{base}': "):
            load_model(adapter)
        (tmp_path / "moved").rename(base)
        (adapter / "adapter_model.safetensors").write_bytes(b"damaged")
        with pytest.raises(ModelError, match=rf"cannot load the adapter {adapter}, which was trained on '{base}': "):
            load_model(adapter)
        (adapter / "adapter_model.safetensors").unlink()
        with pytest.raises(ModelError, match=r"has no adapter_model.safetensors; pickled weights can run code"):
            load_model(adapter)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_adapters(adapted("BERT"), tmp_path / "adapter")
    smaller = bert_config()
    smaller.num_hidden_layers = 2
    with pytest.raises(ModelError, match=r"its weights are of another model: bert\.encoder\.layer\.2\."):
        merge_saved(BertForSequenceClassification(smaller), tmp_path / "adapter")
