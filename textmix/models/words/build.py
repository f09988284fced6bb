"""Build a word model on its training texts, by name."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from textmix.hooks.sites import check_sites, find_sites
from textmix.mixing.config import MixConfig
from textmix.mixing.registry import build_strategy
from textmix.models.config import ModelConfig
from textmix.models.words.base import WordModel
from textmix.models.words.fasttext import FastText
from textmix.models.words.textcnn import TextCNN
from textmix.models.words.textrnn import TextRNN
from textmix.models.words.tokenizer_training import train_tokenizer
from textmix.models.words.vectors import read_vectors

_CLASSES: dict[str, Any] = {"textcnn": TextCNN, "textrnn": TextRNN, "fasttext": FastText}


def check_word_model_sites(config: ModelConfig, mix: MixConfig) -> None:
    """Check that a word model has the sites that a strategy needs, before any data is read.

    Args:
        config: The model; its name is one of `WORD_MODELS`.
        mix: How to mix.

    Raises:
        ModelError: If a site is missing.
    """
    with torch.device("meta"):  # without weights
        model = _new_model(config, vocab_size=10, labels={})
    sites = find_sites(model)
    wanted = build_strategy(mix).sites(max(len(sites.blocks), 1))
    check_sites(type(model).__name__, sites, wanted, mix.strategy)


def build_word_model(
    config: ModelConfig, labels: dict[str, Any], texts: Iterable[str]
) -> tuple[WordModel, PreTrainedTokenizerBase]:
    """Train a vocabulary, look up its word vectors, and build a model with them.

    Args:
        config: The model; its name is one of `WORD_MODELS`.
        labels: Entries of its configuration about the classes.
        texts: The training texts.

    Raises:
        ModelError: If the word vectors cannot be read, or their size is not `words.embedding_dim`.
    """
    words = config.words
    tokenizer = train_tokenizer(texts, words.tokenizer, words.vocab_size, words.min_frequency, words.lowercase)
    vectors = read_vectors(words.vectors, tokenizer.get_vocab()) if words.vectors is not None else {}
    embedding_dim = words.embedding_dim or next((len(vector) for vector in vectors.values()), None)
    model = _new_model(config, len(tokenizer), labels, embedding_dim)
    model.set_word_vectors(vectors)
    return model, tokenizer


def _new_model(
    config: ModelConfig, vocab_size: int, labels: dict[str, Any], embedding_dim: int | None = None
) -> WordModel:
    given = {"embedding_dim": embedding_dim, "dropout": config.dropout}
    kind = _CLASSES[config.name]
    model: WordModel = kind(
        kind.config_class(
            vocab_size=vocab_size,
            initializer_range=config.words.initializer_range,
            static_embeddings=config.words.static,
            **asdict(getattr(config, config.name)),
            **{name: value for name, value in given.items() if value is not None},
            **labels,
        )
    )
    return model
