"""Texts that come as tokens with a tag each: their place in the joined text, and the tags of word pieces."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Spans = npt.NDArray[np.int64]
IGNORED = -100


def join_tokens(tokens: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Join tokens to a text: by spaces, but for two characters of a script that is written without.

    Args:
        tokens: T tokens.

    Returns:
        The text, and the first character and the character after the last of each token in it.
    """
    text, spans = "", []
    for token in tokens:
        if text and token and not (is_ideograph(text[-1]) and is_ideograph(token[0])):
            text += " "
        spans.append((len(text), len(text) + len(token)))
        text += token
    return text, spans


def is_ideograph(character: str) -> bool:
    """Test whether a character is of Chinese or Japanese, which are written without spaces."""
    return any(first <= character <= last for first, last in _IDEOGRAPHS)


# Blocks of Unicode: CJK symbols and punctuation to kana; ideographs and their extensions; full-width forms.
_IDEOGRAPHS = (
    ("\u3000", "\u30ff"),
    ("\u3400", "\u4dbf"),
    ("\u4e00", "\u9fff"),
    ("\uf900", "\ufaff"),
    ("\uff00", "\uffef"),
    ("\U00020000", "\U0003ffff"),
)


def pieces_of(offsets: Sequence[tuple[int, int]], spans: Spans) -> npt.NDArray[np.int64]:
    """Find the span that each word piece lies in.

    Args:
        offsets: First character and character after the last of P word pieces; equal for special tokens.
        spans: The same of T spans in their order, shape (T, 2).

    Returns:
        The number of the span, from 0, shape (P,); -1 for special tokens and pieces in no span.
    """
    places = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
    if not len(spans):
        return np.full(len(places), -1)
    # By its last character: the first piece of a word may begin at the space in front of it.
    last = places[:, 1] - 1
    numbers = np.searchsorted(spans[:, 0], last, side="right") - 1
    inside = (places[:, 0] < places[:, 1]) & (numbers >= 0) & (last < spans[numbers, 1])
    return np.where(inside, numbers, -1)


def piece_labels(offsets: Sequence[tuple[int, int]], tagged: npt.NDArray[np.int64]) -> list[int]:
    """Return the label of each word piece: the tag of its token, or what continues this tag behind the first piece.

    Args:
        offsets: As in `pieces_of`, for P pieces.
        tagged: First character, character after the last, tag, and the tag that continues it (I-PER for B-PER) of T
            tokens, shape (T, 4).

    Returns:
        P labels; -100 for special tokens and unknown tags.
    """
    numbers = pieces_of(offsets, tagged[:, :2])
    labels, before = [], -1
    for number in numbers.tolist():
        tag = int(tagged[number, 3 if number == before else 2]) if number >= 0 else -1
        labels.append(tag if tag >= 0 else IGNORED)
        before = number
    return labels


def first_pieces(numbers: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Return the first piece of each of `count` spans, shape (count,); -1 where it has none, as behind the cut."""
    firsts = np.full(count, -1)
    pieces = np.flatnonzero(numbers >= 0)
    firsts[numbers[pieces[::-1]]] = pieces[::-1]
    return firsts


def words_of(encoding: Any, text: str) -> tuple[Spans, npt.NDArray[np.int64]]:
    """Cut a text into the words of its tokenizer; in scripts without spaces each piece is one.

    Args:
        encoding: What a fast tokenizer says of the text: `word_ids` and `offsets` of P pieces.
        text: The text.

    Returns:
        First character and character after the last of W words, shape (W, 2), and the word of each piece, shape (P,).
    """
    spans: list[list[int]] = []
    numbers = np.full(len(encoding.offsets), -1)
    before: int | None = None
    for piece, (word, (start, end)) in enumerate(zip(encoding.word_ids, encoding.offsets, strict=True)):
        while start < end and text[start].isspace():
            start += 1
        if word is None or start >= end:
            before = word
            continue
        if spans and word == before and not is_ideograph(text[start]):
            spans[-1][1] = max(end, spans[-1][1])
        elif not (spans and start < spans[-1][1]):  # bytes of one character are one word
            spans.append([start, end])
        numbers[piece], before = len(spans) - 1, word
    return np.array(spans, dtype=np.int64).reshape(-1, 2), numbers
