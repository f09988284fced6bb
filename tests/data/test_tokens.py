"""Places of tokens in texts, and tags of word pieces."""

from types import SimpleNamespace

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from textmix.data.tokenization import encode_tagged
from textmix.data.tokens import first_pieces, join_tokens, piece_labels, pieces_of, words_of
from textmix.models.words.tokenizer_training import train_tokenizer


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["Dora", "met", "Bo", "."], "Dora met Bo ."),
        (["我", "爱", "北京", "。"], "我爱北京。"),
        (["A", "株式", "B"], "A 株式 B"),
        (["😀", "👩‍👩‍👧", "ok"], "😀 👩‍👩‍👧 ok"),
        ([], ""),
    ],
)
def test_tokens_are_joined_as_their_script_is_written(tokens: list[str], text: str) -> None:
    joined, spans = join_tokens(tokens)
    assert joined == text
    assert [joined[start:end] for start, end in spans] == tokens


def test_a_piece_lies_in_the_token_that_has_its_last_character() -> None:
    spans = np.array([(0, 4), (5, 8), (8, 9)])
    offsets = [(0, 0), (0, 2), (2, 4), (4, 8), (8, 9), (9, 10), (0, 0)]  # the fourth begins at the space
    numbers = pieces_of(offsets, spans)
    assert numbers.tolist() == [-1, 0, 0, 1, 2, -1, -1]
    assert first_pieces(numbers, 4).tolist() == [1, 3, 4, -1]


def test_pieces_behind_the_first_continue_the_tag() -> None:
    tagged = np.array([(0, 4, 1, 2), (5, 8, 0, 0), (9, 10, -1, -1)])
    offsets = [(0, 0), (0, 2), (2, 4), (5, 8), (9, 10), (0, 0)]
    assert piece_labels(offsets, tagged) == [-100, 1, 2, 0, -100, -100]


def encoding(text: str, pieces: list[tuple[int, int, int | None]]) -> SimpleNamespace:
    return SimpleNamespace(offsets=[piece[:2] for piece in pieces], word_ids=[piece[2] for piece in pieces])


@pytest.mark.parametrize(
    ("text", "pieces", "words"),
    [
        ("Lima met", [(0, 0, None), (0, 2, 0), (2, 4, 0), (5, 8, 1), (0, 0, None)], ["Lima", "met"]),
        (" Lima", [(0, 5, 0)], ["Lima"]),  # some pieces begin at the space
        ("北京人 ok", [(0, 2, 0), (2, 3, 0), (4, 6, 1)], ["北京", "人", "ok"]),
        ("😀a", [(0, 1, 0), (0, 1, 0), (0, 1, 0), (1, 2, 1)], ["😀", "a"]),  # bytes of one character
        ("", [(0, 0, None)], []),
    ],
)
def test_words_are_those_of_the_tokenizer(text: str, pieces: list, words: list[str]) -> None:
    spans, numbers = words_of(encoding(text, pieces), text)
    assert [text[start:end] for start, end in spans] == words
    assert [number for number in dict.fromkeys(numbers.tolist()) if number >= 0] == [*range(len(words))]


@pytest.mark.parametrize("kind", ["word", "wordpiece", "bpe"])
def test_every_token_of_a_text_has_its_tag(kind: str) -> None:
    tokens = ["Dora", "Smith", "loves", "Lima", "😀"]
    text, spans = join_tokens(tokens)
    tokenizer: PreTrainedTokenizerFast = train_tokenizer([text, "Do Sm lo Li"] * 3, kind, min_frequency=1)
    tagged = np.array([(*span, 1 if number % 2 else 3, 2 if number % 2 else 4) for number, span in enumerate(spans)])
    encoded = encode_tagged(tokenizer, [text], _objects(tagged))
    labels = encoded["labels"][0]
    assert len(labels) == len(encoded["input_ids"][0])
    firsts = [label for label in labels if label in (1, 3)]
    assert firsts == [1 if number % 2 else 3 for number in range(len(tokens))]
    assert "offset_mapping" not in encoded


def _objects(row: np.ndarray) -> np.ndarray:
    found = np.empty(1, dtype=object)
    found[0] = row
    return found
