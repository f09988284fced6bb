import math
from typing import Any

import pytest

from textmix.errors import ConfigError
from textmix.models.config import (
    WORD_MODELS,
    FastTextOptions,
    LoraOptions,
    ModelConfig,
    TextCNNOptions,
    TextRNNOptions,
    WordOptions,
)

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": "minilm", "words": WordOptions(static=True)}, r"^model\.words has no effect with model\.name minilm"),
    ({"name": "textrnn", "textcnn": TextCNNOptions(7)}, r"^model\.textcnn has no effect with model\.name textrnn"),
    ({"name": "textcnn", "textrnn": TextRNNOptions(7)}, r"^model\.textrnn has no effect with model\.name textcnn"),
    ({"name": "minilm", "fasttext": FastTextOptions(2)}, r"^model\.fasttext has no effect with model\.name minilm"),
    ({"name": "textrnn", "words": WordOptions(embedding_dim=0)}, r"^model\.words\.embedding_dim must be at least 1"),
    *(
        (
            {"name": "textcnn", "words": WordOptions(initializer_range=value)},
            r"^model\.words\.initializer_range must be a",
        )
        for value in (0.0, -0.1, math.inf, math.nan)
    ),
    ({"name": "textrnn", "words": WordOptions(vocab_size=9)}, r"^model\.words\.vocab_size must be at least 10"),
    ({"name": "textcnn", "textcnn": TextCNNOptions(kernel_sizes=[])}, r"^model\.textcnn\.kernel_sizes must be"),
    ({"name": "textrnn", "textrnn": TextRNNOptions(0)}, r"^model\.textrnn\.lstm_units must be at least 1, not 0"),
    ({"name": "fasttext", "fasttext": FastTextOptions(0)}, r"^model\.fasttext\.ngrams must be at least 1, not 0"),
    (
        {"name": "textcnn", "words": WordOptions(vectors="bundled", tokenizer="bpe")},
        r"^model\.words\.vectors bundled needs model\.words\.tokenizer word$",
    ),
    *(
        ({"name": name, option: value}, rf"model\.{option} .*no effect with model\.name {name}")
        for name in WORD_MODELS
        for option, value in {"encoder_dropout": 0.1, "freeze": 1, "pooling": "mean", "head": "native"}.items()
    ),
    *(
        ({"name": name, "lora": LoraOptions(8)}, rf"^model\.lora has no effect with model\.name {name}; leave it out")
        for name in WORD_MODELS
    ),
    *(
        ({"freeze": count, "lora": LoraOptions(8)}, r"^model\.freeze has no effect with model\.lora, which freezes")
        for count in (1, "encoder")
    ),
    *(
        ({"lora": LoraOptions(**options)}, rf"^without model\.lora\.rank there is no effect of {names}; set the rank")
        for options, names in (
            ({"alpha": 4.0}, r"model\.lora\.alpha"),
            ({"dropout": 0.1, "targets": ["query"]}, r"model\.lora\.dropout, model\.lora\.targets"),
        )
    ),
    ({"lora": LoraOptions(0)}, r"^model\.lora\.rank must be at least 1, not 0"),
    ({"lora": LoraOptions(8, alpha=0.0)}, r"^model\.lora\.alpha must be a number above 0, not 0"),
    ({"lora": LoraOptions(8, dropout=1.0)}, r"^model\.lora\.dropout must lie in \[0, 1\), not 1"),
    ({"lora": LoraOptions(8, targets=[])}, r"^model\.lora\.targets must name a linear map; null means all"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ModelConfig(**options)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError, match=r"no effect.*; model\.dropout must lie in .*; model\.max_length must be"):
        ModelConfig(name="textcnn", freeze=1, dropout=2.0, max_length=0)


def test_every_model_of_words_has_a_section_of_its_own() -> None:
    for name in WORD_MODELS:
        assert ModelConfig(name=name, words=WordOptions(vectors="bundled", static=True)).name == name
        assert type(getattr(ModelConfig(), name)).__name__.lower() == f"{name}options"
