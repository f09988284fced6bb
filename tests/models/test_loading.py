from pathlib import Path

import pytest
import torch
from transformers import (
    BertForSequenceClassification,
    BertModel,
    ElectraConfig,
    ElectraForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedModel,
    XLNetConfig,
    XLNetModel,
)

from tests.support.family_configs import bert_config
from textmix.errors import ModelError, RunError
from textmix.mixing.config import MixConfig
from textmix.models.config import ModelConfig, TextRNNOptions
from textmix.models.freezing import freeze_lowest
from textmix.models.loading import build_model, check_model, load_model
from textmix.models.words.tokenizer_training import train_tokenizer
from textmix.tasks.single_label import Classes

TEXTS = ["the soup is hot", "the match is lost"]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    directory = tmp_path / "bert"
    BertModel(bert_config()).to(torch.bfloat16).save_pretrained(directory)
    train_tokenizer(TEXTS * 2).save_pretrained(directory)
    return directory


@pytest.mark.parametrize("head", ["linear", "native"])
def test_what_stands_for_masked_tokens_is_not_trained(tmp_path: Path, head: str) -> None:
    XLNetModel(XLNetConfig(vocab_size=60, d_model=8, n_layer=1, n_head=2, d_inner=8)).save_pretrained(tmp_path)
    train_tokenizer(TEXTS * 2).save_pretrained(tmp_path)
    model = build_model(ModelConfig(name=str(tmp_path), head=head), Classes(["a", "b"]).to_config(), []).model
    ids = torch.tensor([[5, 6, 7]])
    model(input_ids=ids, token_type_ids=torch.zeros_like(ids)).logits.sum().backward()
    idle = [name for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None]
    assert not idle  # processes would wait for their gradients


@pytest.mark.parametrize("head", ["linear", "native"])
def test_models_are_trained_in_float32_whatever_they_were_saved_in(checkpoint: Path, head: str) -> None:
    loaded = build_model(ModelConfig(name=str(checkpoint), head=head), Classes(["a", "b", "c"]).to_config(), [])
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}
    assert loaded.model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert loaded.tokenizer.model_max_length == 64  # the positions that the model has


def test_minilm_is_cut_where_its_checkpoint_says() -> None:
    assert build_model(ModelConfig(), Classes(["a", "b"]).to_config(), []).tokenizer.model_max_length == 256


def test_dropout_is_set_on_request(checkpoint: Path) -> None:
    assert (
        build_model(ModelConfig(name=str(checkpoint), dropout=0.3), Classes(["a", "b"]).to_config(), []).model.dropout.p
        == 0.3
    )
    assert (
        build_model(ModelConfig(name="textcnn", dropout=0.3), Classes(["a", "b"]).to_config(), TEXTS).model.dropout.p
        == 0.3
    )
    for name, rate in {"textcnn": 0.5, "textrnn": 0.5, "fasttext": 0.0}.items():
        assert build_model(ModelConfig(name=name), Classes(["a", "b"]).to_config(), TEXTS).model.dropout.p == rate


def test_missing_models_are_named(tmp_path: Path) -> None:
    check_model(ModelConfig(name="textcnn"))
    with pytest.raises(
        ModelError,
        match=r"no model 'bert-basse' \(built in: minilm, textcnn, textrnn, fasttext; or a directory, or a hub id",
    ):
        check_model(ModelConfig(name="bert-basse"))
    with pytest.raises(RunError, match=r"no saved model at .*; has the run finished"):
        load_model(tmp_path)


class TestFreezing:
    def test_the_lowest_blocks_and_the_embeddings_stay_as_they_are(self, checkpoint: Path) -> None:
        model = build_model(ModelConfig(name=str(checkpoint), freeze=2), Classes(["a", "b", "c"]).to_config(), []).model
        frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
        prefixes = ("encoder.embeddings.", "encoder.encoder.layer.0.", "encoder.encoder.layer.1.")
        assert frozen == {name for name, _ in model.named_parameters() if name.startswith(prefixes)}

    @pytest.mark.parametrize("name", ["GPT-2", "ELECTRA"])
    def test_nothing_in_front_of_the_blocks_is_trained(self, name: str) -> None:
        if name == "GPT-2":
            sizes = {"vocab_size": 30, "n_embd": 8, "n_layer": 3, "n_head": 2, "n_positions": 16}
            model: PreTrainedModel = GPT2ForSequenceClassification(GPT2Config(**sizes))
            free = ("transformer.h.1.", "transformer.h.2.", "transformer.ln_f.", "score.")
        else:
            sizes = {"vocab_size": 30, "embedding_size": 4, "hidden_size": 8, "num_hidden_layers": 3}
            config = ElectraConfig(**sizes, num_attention_heads=2, intermediate_size=16)
            model = ElectraForSequenceClassification(config)
            free = ("electra.encoder.layer.1.", "electra.encoder.layer.2.", "classifier.")
        freeze_lowest(model, 1)
        trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        assert trained == {name for name, _ in model.named_parameters() if name.startswith(free)}

    def test_nothing_is_frozen_unless_asked(self, checkpoint: Path) -> None:
        model = build_model(ModelConfig(name=str(checkpoint)), Classes(["a", "b"]).to_config(), []).model
        assert all(parameter.requires_grad for parameter in model.parameters())

    def test_more_blocks_than_there_are(self, checkpoint: Path) -> None:
        with pytest.raises(ModelError, match=r"model\.freeze 4 exceeds the 3 blocks of MixupForSequence"):
            build_model(ModelConfig(name=str(checkpoint), freeze=4), Classes(["a", "b"]).to_config(), [])

    def test_shared_blocks_are_refused(self) -> None:
        model = BertForSequenceClassification(bert_config())
        model.bert.encoder.layer[2] = model.bert.encoder.layer[0]
        with pytest.raises(ModelError, match="shares its blocks"):
            freeze_lowest(model, 1)


@pytest.mark.parametrize(
    ("model", "mix", "offered"),
    [
        (ModelConfig(name="fasttext"), MixConfig(strategy="manifold"), "tokens, embeddings, pooled"),
        (
            ModelConfig(name="textcnn"),
            MixConfig("manifold", manifold={"layers": [2]}),
            "tokens, embeddings, layer:1, pooled",
        ),
    ],
)
def test_sites_of_models_of_words_are_checked_before_the_data_are_read(
    model: ModelConfig, mix: MixConfig, offered: str
) -> None:
    with pytest.raises(ModelError, match=f"has no site layer:. for strategy 'manifold'; it offers {offered}$"):
        check_model(model, mix)
    check_model(model, MixConfig(strategy="word"))
    check_model(
        ModelConfig(name="textrnn", textrnn=TextRNNOptions(num_hidden_layers=2)),
        MixConfig("manifold", manifold={"layers": [2]}),
    )
