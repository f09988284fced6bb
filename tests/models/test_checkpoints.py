"""What every model class saves and loads, as callers of transformers expect it."""

import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers as hf

from tests.support.batches import unlabelled
from tests.support.family_configs import VOCAB
from tests.support.model_classes import MIXINGS, batch_for, build, class_of, encoder_models, mixing, models
from textmix import (
    attach,
)


@models
def test_a_resized_vocabulary_is_saved(name: str, tmp_path: Path) -> None:
    model, batch = build(name), unlabelled(batch_for(name))
    model.resize_token_embeddings(VOCAB + 7)
    batch["input_ids"][0, 0] = VOCAB + 5
    expected = model(**batch).logits
    model.save_pretrained(tmp_path)
    loaded = class_of(name).from_pretrained(tmp_path).eval()
    assert loaded.config.vocab_size == loaded.get_input_embeddings().num_embeddings == VOCAB + 7
    assert torch.equal(loaded(**batch).logits, expected)


@models
@pytest.mark.parametrize(
    "options",
    [{"dtype": torch.bfloat16}, {"dtype": "bfloat16"}, {"device_map": "cpu"}, {"device_map": {"": "cpu"}}],
    ids=str,
)
def test_loading_with_a_type_or_a_place(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    model, batch = build(name), batch_for(name)
    model.save_pretrained(tmp_path)
    loaded = class_of(name).from_pretrained(tmp_path, **options).eval()
    assert {parameter.dtype for parameter in loaded.parameters()} == {
        torch.bfloat16 if "dtype" in options else torch.float32
    }
    with mixing(loaded, MIXINGS["mixed"]):
        loss = loaded(**batch).loss
        loss.backward()
    assert torch.isfinite(loss)


@encoder_models
def test_the_options_of_an_encoder_with_a_new_head(name: str, tmp_path: Path) -> None:
    build(name).encoder.save_pretrained(tmp_path)
    load = partial(class_of(name).from_pretrained, tmp_path, num_labels=3)
    half = load(dtype=torch.bfloat16, low_cpu_mem_usage=True)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    for implementation in ("eager", "sdpa"):
        model = load(attn_implementation=implementation, device_map="cpu")
        assert {config._attn_implementation for config in (model.config, model.encoder.config)} == {implementation}
    batch = unlabelled(batch_for(name))
    real = batch["attention_mask"].bool()
    eager, sdpa = (
        load(attn_implementation=implementation).eval().encoder(**batch).last_hidden_state[real]
        for implementation in ("eager", "sdpa")
    )
    torch.testing.assert_close(eager, sdpa)


@encoder_models
def test_a_report_of_loading(name: str, tmp_path: Path) -> None:
    model = build(name)
    model.encoder.save_pretrained(tmp_path / "encoder")
    loaded, report = class_of(name).from_pretrained(tmp_path / "encoder", num_labels=3, output_loading_info=True)
    assert isinstance(loaded, class_of(name))
    assert report["missing_keys"] == {"classifier.weight", "classifier.bias"}
    assert not report["unexpected_keys"]
    model.save_pretrained(tmp_path / "whole")
    _, report = class_of(name).from_pretrained(tmp_path / "whole", output_loading_info=True)
    assert not report["missing_keys"]


@models
def test_weights_without_a_checkpoint(name: str) -> None:
    model, batch = build(name), unlabelled(batch_for(name))
    loaded = class_of(name).from_pretrained(None, config=model.config, state_dict=model.state_dict()).eval()
    assert torch.equal(loaded(**batch).logits, model(**batch).logits)


@models
@pytest.mark.parametrize("attached", [False, True])
def test_pushing_to_a_hub(name: str, attached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = build(name), unlabelled(batch_for(name))
    keep_pushes_in(tmp_path, monkeypatch)
    if attached:
        attach(model, strategy="word")
    model.push_to_hub("someone/model")
    loaded = class_of(name).from_pretrained(tmp_path / "someone/model").eval()
    assert torch.equal(loaded(**batch).logits, model(**batch).logits)


@models
def test_a_pipeline_names_the_labels_of_long_texts(name: str, tmp_path: Path) -> None:
    model = build(name, id2label={0: "sport", 1: "business", 2: "art"}, label2id={"sport": 0, "business": 1, "art": 2})
    model.save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    long = " ".join(["w7 w8 w9"] * 300)
    if "token" in name:
        tokens = hf.pipeline("token-classification", model=str(tmp_path))("w6 w7 w8")
        assert {token["entity"] for token in tokens} <= {"sport", "business", "art"}
        return
    classify = hf.pipeline("text-classification", model=str(tmp_path), top_k=None, batch_size=2)
    for scores in classify(["w6 w7", long, "w8"], truncation=True):
        assert {score["label"] for score in scores} == {"sport", "business", "art"}
        assert sum(score["score"] for score in scores) == pytest.approx(1)


def word_tokenizer() -> hf.PreTrainedTokenizerFast:
    """A tokenizer of at most 16 words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    vocabulary = {
        "[PAD]": 0,
        "[CLS]": 1,
        "[SEP]": 2,
        "[UNK]": 3,
        **{f"w{number}": number for number in range(4, VOCAB)},
    }
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=16,
        model_input_names=["input_ids", "attention_mask"],  # the default of transformers 5
    )


def keep_pushes_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace what talks to a hub: a commit is written to the folder of its repository."""

    def create_repo(repo_id: str, *_: Any, **__: Any) -> SimpleNamespace:
        (folder / repo_id).mkdir(parents=True)
        return SimpleNamespace(repo_id=repo_id)

    def create_commit(repo_id: str, operations: list[Any], **_: Any) -> None:
        for operation in operations:
            shutil.copy(operation.path_or_fileobj, folder / repo_id / operation.path_in_repo)

    monkeypatch.setattr(huggingface_hub.ModelCard, "load", lambda *_, **__: huggingface_hub.ModelCard("---\n---\n"))
    for function in (create_repo, create_commit):
        name = function.__name__
        monkeypatch.setattr(huggingface_hub.HfApi, name, lambda self, *args, f=function, **kwargs: f(*args, **kwargs))
        monkeypatch.setattr(hf.utils.hub, name, function, raising=False)  # transformers < 5
