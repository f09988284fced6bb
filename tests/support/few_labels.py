"""A tiny BERT classifier, few labelled rows of the topics and a pool of others."""

from typing import Any

import numpy as np
import torch
from datasets import Dataset

from tests.support.masked_lm import piece_tokenizer, small_config
from tests.support.strategies import NEEDS
from tests.support.topics import TOPICS, topic_rows
from textmix import MixConfig, MixupEncoderConfig, MixupForSequenceClassification
from textmix.data.tokenization import tokenize
from textmix.mixing.completion import complete
from textmix.mixing.loss_config import LossConfig

NAMES = sorted(TOPICS)
TOKENIZER = piece_tokenizer()


def classifier(dropout: float = 0.1, classes: int = 3, **options: Any) -> MixupForSequenceClassification:
    """Make a classifier with random weights; `dropout` is that of encoder and head."""
    torch.manual_seed(0)
    encoder = small_config()
    encoder.hidden_dropout_prob = encoder.attention_probs_dropout_prob = dropout
    given = {"pooling": "mean", "classifier_dropout": dropout, "problem_type": "single_label_classification"}
    names = [f"class {number}" for number in range(classes)]
    ids = {"id2label": dict(enumerate(names)), "label2id": {name: number for number, name in enumerate(names)}}
    return MixupForSequenceClassification(MixupEncoderConfig(encoder=encoder, **given, **ids, **options))


def labeled(count: int = 12) -> tuple[Dataset, np.ndarray]:
    """Tokenise rows of the three topics in turn; returns them and their classes."""
    rows = topic_rows(count)
    texts = Dataset.from_dict({"text": [text for text, _ in rows]})
    return tokenize(texts, TOKENIZER), np.array([NAMES.index(topic) for _, topic in rows])


def pool(count: int = 20) -> Dataset:
    """Make rows with texts alone."""
    return Dataset.from_dict({"text": [text for text, _ in topic_rows(count, seed=1)]})


def completed(strategy: str, **options: Any) -> MixConfig:
    """Make a configuration of mixing with what the strategy must be told."""
    given = {name: value for name, value in NEEDS.get(strategy, {}).items() if name != "special_ids"}
    mix = MixConfig(strategy=strategy, **{**given, **options})
    return complete(mix, LossConfig(), lambda: TOKENIZER.all_special_ids, lambda: [4, 4, 4])


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Copy the weights of a model."""
    return {name: value.clone() for name, value in model.state_dict().items()}
