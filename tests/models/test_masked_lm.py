import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer, BartConfig, BartModel, BertForMaskedLM, GPT2Config, GPT2Model

from tests.support.masked_lm import piece_tokenizer, save_encoder_in, small_config
from textmix.errors import ModelError
from textmix.models.masked_lm import load_masked_lm, save_encoder
from textmix.models.pooling_choice import choose_pooling


def declare_pooling(directory: Path, *folders: str) -> None:
    """Make a checkpoint of sentence-transformers, with mean pooling and modules in these folders."""
    (directory / "1_Pooling").mkdir()
    (directory / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    (directory / "sentence_bert_config.json").write_text('{"max_seq_length": 9}')
    modules = [{"path": path} for path in ("", "1_Pooling", *folders)]
    (directory / "modules.json").write_text(json.dumps(modules))


def test_what_is_saved_is_the_source_with_other_weights(tmp_path: Path) -> None:
    source, target = save_encoder_in(tmp_path / "bert"), tmp_path / "adapted"
    declare_pooling(source, "2_Dense", "3_Normalize")
    (source / "2_Dense").mkdir()
    for name in ("config.json", "model.safetensors"):
        (source / "2_Dense" / name).write_text(f"the {name}")
    target.mkdir()
    loaded = load_masked_lm(str(source))
    with torch.no_grad():
        loaded.model.base_model.embeddings.word_embeddings.weight.add_(1)
    save_encoder(loaded.model, str(source), target)
    for name in ("modules.json", "sentence_bert_config.json", "1_Pooling/config.json", "2_Dense/model.safetensors"):
        assert (target / name).read_bytes() == (source / name).read_bytes()
    encoder = AutoModel.from_pretrained(target)
    assert type(encoder).__name__ == "BertModel"
    before = AutoModel.from_pretrained(source).embeddings.word_embeddings.weight
    torch.testing.assert_close(encoder.embeddings.word_embeddings.weight, before + 1)
    assert choose_pooling(str(target), encoder.config) == "mean"
    text = "the soup is unbelievable"
    assert AutoTokenizer.from_pretrained(target)(text) == AutoTokenizer.from_pretrained(source)(text)


def test_weights_are_saved_in_float32(tmp_path: Path) -> None:
    source, target = save_encoder_in(tmp_path / "bert"), tmp_path / "adapted"
    AutoModel.from_pretrained(source).to(torch.bfloat16).save_pretrained(source)
    target.mkdir()
    save_encoder(load_masked_lm(str(source)).model, str(source), target)
    assert {weight.dtype for weight in load_file(target / "model.safetensors").values()} == {torch.float32}


def test_modules_outside_of_the_checkpoint_are_not_copied(tmp_path: Path) -> None:
    source, target = save_encoder_in(tmp_path / "a" / "bert"), tmp_path / "b" / "adapted"
    declare_pooling(source, "..", "../other")
    for place in (source.parent, source.parent / "other"):
        place.mkdir(exist_ok=True)
        (place / "config.json").write_text("{}")
    target.mkdir(parents=True)
    save_encoder(load_masked_lm(str(source)).model, str(source), target)
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["adapted"]


def test_whether_the_head_is_new(tmp_path: Path) -> None:
    source = save_encoder_in(tmp_path)
    assert load_masked_lm(str(source)).has_new_head
    BertForMaskedLM(small_config()).save_pretrained(source)
    assert not load_masked_lm(str(source)).has_new_head


def test_the_longest_input(tmp_path: Path) -> None:
    source = save_encoder_in(tmp_path)
    assert load_masked_lm(str(source)).tokenizer.model_max_length == 16
    assert load_masked_lm(str(source), 8).tokenizer.model_max_length == 8
    with pytest.raises(ModelError, match=r"^--max_length 17 exceeds the 16 tokens"):
        load_masked_lm(str(source), 17)


class TestRefusals:
    def test_models_of_words(self) -> None:
        with pytest.raises(ModelError, match="textcnn is a model of words"):
            load_masked_lm("textcnn")

    @pytest.mark.parametrize("family", ["gpt2", "bart"])
    def test_models_that_are_no_encoder(self, tmp_path: Path, family: str) -> None:
        sizes = {"vocab_size": 60, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1}
        heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
        gpt2 = GPT2Config(vocab_size=60, n_embd=16, n_layer=1, n_head=2)
        model = GPT2Model(gpt2) if family == "gpt2" else BartModel(BartConfig(**sizes, **heads))
        model.save_pretrained(tmp_path)
        piece_tokenizer().save_pretrained(tmp_path)
        with pytest.raises(ModelError, match=rf"\({family}\) is no encoder .* masked language model"):
            load_masked_lm(str(tmp_path))

    def test_a_tokenizer_without_a_mask_token(self, tmp_path: Path) -> None:
        tokenizer = piece_tokenizer()
        tokenizer.mask_token = None
        save_encoder_in(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        with pytest.raises(ModelError, match="no mask token"):
            load_masked_lm(str(tmp_path))

    def test_a_directory_without_a_model(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"no model .* it has no config\.json"):
            load_masked_lm(str(tmp_path))
