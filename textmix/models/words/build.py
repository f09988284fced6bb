"""The models of words by name, and how one is built on its training texts."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from transformers import PreTrainedTokenizerBase

from textmix.models.config import ModelConfig
from textmix.models.words.base import WordModel
from textmix.models.words.fasttext import FastText
from textmix.models.words.textcnn import TextCNN
from textmix.models.words.textrnn import TextRNN
from textmix.models.words.tokenizer_training import train_tokenizer
from textmix.models.words.vectors import read_vectors

_CLASSES: dict[str, Any] = {"textcnn": TextCNN, "textrnn": TextRNN, "fasttext": FastText}


def build_word_model(
    config: ModelConfig, labels: dict[str, Any], texts: Iterable[str]
) -> tuple[WordModel, PreTrainedTokenizerBase]:
    """Train a vocabulary, look up its vectors, and build a model over them.

    Args:
        config: Which model; its name is one of `WORD_MODELS`.
        labels: What its configuration says about the classes.
        texts: The training texts.

    Raises:
        ModelError: If the word vectors cannot be read, or have another width than was asked for.
    """
    words = config.words
    tokenizer = train_tokenizer(texts, words.tokenizer, words.vocab_size, words.min_frequency, words.lowercase)
    vectors = read_vectors(words.vectors, tokenizer.get_vocab()) if words.vectors is not None else {}
    width = words.embedding_dim or next((len(vector) for vector in vectors.values()), None)
    given = {"embedding_dim": width, "dropout": config.dropout}
    kind = _CLASSES[config.name]
    model: WordModel = kind(
        kind.config_class(
            vocab_size=len(tokenizer),
            initializer_range=words.initializer_range,
            static_embeddings=words.static,
            **asdict(getattr(config, config.name)),
            **{name: value for name, value in given.items() if value is not None},
            **labels,
        )
    )
    model.set_word_vectors(vectors)
    return model, tokenizer
