"""Test cases over the common model tests of transformers; `tests/peers/run.py` copies this file beside them.

A case is one model class with one configuration. The mixins come from the source distribution of transformers, which
explains the relative imports.
"""

import unittest
from collections.abc import Callable
from typing import Any

import torch
from transformers import BertConfig, LlamaConfig, ModernBertConfig, PreTrainedModel, RobertaConfig

from textmix import (
    FastText,
    FastTextConfig,
    MixupEncoderConfig,
    MixupForSequenceClassification,
    MixupForTokenClassification,
    TextCNN,
    TextCNNConfig,
    TextRNN,
    TextRNNConfig,
)

from .test_configuration_common import ConfigTester
from .test_modeling_common import ModelTesterMixin, ids_tensor, random_attention_mask

ROWS, LENGTH, HIDDEN, LAYERS, HEADS, VOCABULARY, CLASSES = 7, 9, 32, 2, 4, 99, 3
SIZES = {
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 37,
    "vocab_size": VOCABULARY,
}
ENCODERS: dict[str, Callable[[], Any]] = {
    "Bert": lambda: BertConfig(**SIZES, max_position_embeddings=64),
    "Roberta": lambda: RobertaConfig(**SIZES, max_position_embeddings=64, pad_token_id=1),
    "ModernBert": lambda: ModernBertConfig(
        **SIZES, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2
    ),
    "Llama": lambda: LlamaConfig(**SIZES, pad_token_id=0, num_key_value_heads=2),
}
WORD_MODELS: list[tuple[type[PreTrainedModel], type[Any]]] = [
    (TextCNN, TextCNNConfig),
    (TextRNN, TextRNNConfig),
    (FastText, FastTextConfig),
]


class Tester:
    """What the mixins ask about a model: its sizes, a configuration, a batch."""

    batch_size, seq_length, key_length, encoder_seq_length = ROWS, LENGTH, LENGTH, LENGTH
    hidden_size, num_hidden_layers, num_attention_heads, num_labels = HIDDEN, LAYERS, HEADS, CLASSES
    is_training = True

    def __init__(self, make: Callable[[], Any], config_class: type[Any]) -> None:
        self.get_config = make
        self.config_class = config_class
        self.num_hidden_layers = make().num_hidden_layers

    def prepare_config_and_inputs_for_common(self) -> tuple[Any, dict[str, Any]]:
        ids = ids_tensor([ROWS, LENGTH], VOCABULARY - 4) + 3  # above the special tokens
        return self.get_config(), {"input_ids": ids, "attention_mask": random_attention_mask([ROWS, LENGTH])}

    prepare_config_and_inputs = prepare_config_and_inputs_for_common


class Case(ModelTesterMixin):
    """What our cases share: the model class, how to make its configuration, and arguments of ConfigTester."""

    test_resize_position_embeddings = False
    is_encoder_decoder = False
    model: type[PreTrainedModel]
    make: Callable[[], Any]
    settings: dict[str, Any]

    def setUp(self) -> None:
        config_class = self.model.config_class
        self.model_tester = Tester(type(self).make, config_class)
        self.config_tester = ConfigTester(self, config_class=config_class, **self.settings)

    def test_config(self) -> None:
        self.config_tester.run_common_tests()

    def _prepare_for_class(
        self, inputs: dict[str, Any], model_class: type, return_labels: bool = False
    ) -> dict[str, Any]:
        prepared = super()._prepare_for_class(inputs, model_class, return_labels)
        if return_labels:
            shape = (ROWS, LENGTH) if model_class is MixupForTokenClassification else (ROWS,)
            prepared["labels"] = torch.zeros(shape, dtype=torch.long)
        return prepared


def _add(name: str, model: type[PreTrainedModel], make: Callable[[], Any], has_attentions: bool) -> None:
    common = ["hidden_size", "num_attention_heads", "num_hidden_layers"] if has_attentions else ["hidden_size"]
    attributes = {
        "all_model_classes": (model,),
        "has_attentions": has_attentions,
        "model": model,
        "make": staticmethod(make),
        "settings": {"has_text_modality": True, "common_properties": common},
        "__module__": __name__,
    }
    globals()[f"Test{name}"] = type(f"Test{name}", (Case, unittest.TestCase), attributes)


for _encoder, _make in ENCODERS.items():
    for _model in (MixupForSequenceClassification, MixupForTokenClassification):
        _add(
            f"{_encoder}{_model.__name__}",
            _model,
            lambda make=_make: MixupEncoderConfig(encoder=make(), num_labels=CLASSES),
            has_attentions=True,
        )
for _model, _config in WORD_MODELS:
    _add(
        _model.__name__,
        _model,
        lambda config=_config: config(vocab_size=VOCABULARY, embedding_dim=HIDDEN, num_labels=CLASSES),
        has_attentions=False,
    )
