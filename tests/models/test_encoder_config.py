"""Configurations behave alike in all versions of transformers, with classic and with dataclass-like ones."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, BertConfig, BertModel, DistilBertConfig, PretrainedConfig

from tests.support.family_configs import bert_config
from textmix import (
    FastTextConfig,
    MixupEncoderConfig,
    MixupForSequenceClassification,
    TextCNNConfig,
    TextRNNConfig,
)

CONFIGS = [
    MixupEncoderConfig(DistilBertConfig(dim=32), pooling="mean", mix={"strategy": "word"}, num_labels=5),
    MixupEncoderConfig(encoder={"model_type": "distilbert", "dim": 32}, classifier_dropout=0.3),
    TextCNNConfig(vocab_size=40, num_filters=7, kernel_sizes=[2, 3], num_labels=4),
    TextRNNConfig(lstm_units=9, num_hidden_layers=2, pad_token_id=3, id2label={0: "a", 1: "b", 2: "c"}),
    FastTextConfig(ngrams=2, buckets=70, embedding_dim=6),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_a_configuration_survives_saving(config: PretrainedConfig, tmp_path: Path) -> None:
    config.save_pretrained(tmp_path)
    for loaded in (AutoConfig.from_pretrained(tmp_path), type(config).from_pretrained(tmp_path)):
        assert type(loaded) is type(config)
        expected, found = config.to_dict(), loaded.to_dict()
        for options in (expected, found):
            options.pop("_name_or_path", None)
        assert expected == found


def test_defaults() -> None:
    assert isinstance(MixupEncoderConfig().encoder, BertConfig)
    assert TextCNNConfig().pad_token_id == 0
    assert TextCNNConfig().hidden_size == 300
    assert (FastTextConfig().dropout, FastTextConfig().num_hidden_layers) == (0.0, 0)


def test_configurations_that_differ_are_not_equal() -> None:
    assert MixupEncoderConfig(pooling="mean") == MixupEncoderConfig(pooling="mean")
    assert MixupEncoderConfig(pooling="mean") != MixupEncoderConfig(pooling="cls")
    assert TextCNNConfig(num_filters=3) != TextCNNConfig(num_filters=4)


def test_the_attention_of_a_configuration_is_its_encoders() -> None:
    config = MixupEncoderConfig(bert_config(), attn_implementation="eager")
    assert config.encoder._attn_implementation == "eager"


def test_checkpoints_keep_their_precision_unless_one_is_asked_for(tmp_path: Path) -> None:
    BertModel(bert_config()).to(torch.bfloat16).save_pretrained(tmp_path)
    load = MixupForSequenceClassification.from_pretrained
    assert load(tmp_path).dtype == torch.bfloat16
    assert load(tmp_path, dtype=torch.float32).dtype == torch.float32
    assert load(tmp_path, torch_dtype=torch.float32).dtype == torch.float32
