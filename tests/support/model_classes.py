"""The model classes, on four encoders or on words, with mixing attached and without: for tests over all of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import transformers as hf
from torch import nn

from tests.support.batches import Batch, ragged_batch
from tests.support.family_configs import BERT_LIKE, LLAMA_LIKE, VOCAB, bert_config, modernbert
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
    attach,
)

ENCODERS: dict[str, Callable[[], hf.PretrainedConfig]] = {
    "BERT": bert_config,
    "RoBERTa": lambda: hf.RobertaConfig(**BERT_LIKE, pad_token_id=1),
    "ModernBERT": modernbert,
    "Llama": lambda: hf.LlamaConfig(**LLAMA_LIKE),
}
WORDS: dict[str, tuple[type[Any], type[Any]]] = {
    "TextCNN": (TextCNN, TextCNNConfig),
    "TextRNN": (TextRNN, TextRNNConfig),
    "FastText": (FastText, FastTextConfig),
}
TASKS: dict[str, type[Any]] = {"sequence": MixupForSequenceClassification, "token": MixupForTokenClassification}
ENCODER_MODELS = [f"{encoder} {task}" for encoder in ENCODERS for task in TASKS]
MODELS = [*ENCODER_MODELS, *WORDS]
# With regmix the batch is doubled inside, which callers must not see.
MIXINGS: dict[str, dict[str, Any]] = {
    "unmixed": {},
    "mixed": {"strategy": "word"},
    "mixed and clean": {"strategy": "sentence", "regmix": 1.0},
}

models = pytest.mark.parametrize("name", MODELS)
encoder_models = pytest.mark.parametrize("name", ENCODER_MODELS)
mixings = pytest.mark.parametrize("mixed", list(MIXINGS.values()), ids=list(MIXINGS))


def config_of(name: str, **options: Any) -> hf.PretrainedConfig:
    if name in WORDS:
        return WORDS[name][1](vocab_size=VOCAB, embedding_dim=16, num_labels=3, dropout=0.0, **options)
    encoder = ENCODERS[name.split()[0]]()
    return MixupEncoderConfig(encoder, num_labels=3, classifier_dropout=0.0, pooling="mean", **options)


def class_of(name: str) -> type[Any]:
    return WORDS[name][0] if name in WORDS else TASKS[name.split()[1]]


def build(name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return class_of(name)(config_of(name, **options)).eval()


def batch_for(name: str) -> Batch:
    batch = ragged_batch()
    if "token" in name:
        labels = torch.randint(3, batch["input_ids"].shape, generator=torch.Generator().manual_seed(0))
        batch["labels"] = torch.where(batch["attention_mask"].bool(), labels, -100)
    return batch


@contextmanager
def mixing(model: nn.Module, options: dict[str, Any]) -> Iterator[None]:
    """Attach a mixer and train, or neither."""
    if not options:
        yield
        return
    with attach(model.train(), **options):
        yield
