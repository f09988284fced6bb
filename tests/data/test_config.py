"""DataConfig: texts that describe classes."""

from typing import Any

import pytest

from tests.support.commands import tells
from textmix.data.config import DataConfig
from textmix.errors import ConfigError


def described(names: list[str], given: Any) -> dict[str, str]:
    return DataConfig("data.csv", label_descriptions=given).descriptions(names)


def test_there_are_none_by_default() -> None:
    assert described(["a", "b"], None) == {}


def test_names_become_words() -> None:
    names = ["comp.sys_hardware", "sci-fi", "C++", "C#", "a/b|c: d", "हिन्दी", "日本", "_x_"]
    words = ["comp sys hardware", "sci fi", "C++", "C#", "a b c d", "हिन्दी", "日本", "x"]
    assert described(names, "names") == dict(zip(names, words, strict=True))


def test_names_without_a_letter_describe_nothing() -> None:
    assert described(["1", "-1", "2.5", "***", "top 10"], "names") == {"top 10": "top 10"}


def test_given_texts_are_those_of_some_classes() -> None:
    assert described(["a", "b"], {"b": "games and athletes"}) == {"b": "games and athletes"}


def test_what_is_no_class_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        described(["sport", "food"], {"sports": "games"})
    assert tells(str(caught.value), "data.label_descriptions", "'sports'", "did you mean 'sport'?")


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.label_descriptions has no text for 'sport'"):
        described(["sport"], {"sport": " "})
