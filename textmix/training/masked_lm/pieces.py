"""Tokenised pieces of texts in a file, so that any number of texts needs little memory: 16 bytes for each piece."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from textmix.mixing.sampling import seeded

# Longer words are masked in parts: tokenizers of texts without spaces take a whole sentence for a word. The longest
# span that SpanBERT masks (Joshi et al. 2020).
LONGEST_WORD = 10
# Share of the texts that are held out, their most, and the fewest texts of which any are.
HELD_OUT, MOST_HELD_OUT, FEWEST_TEXTS = 0.05, 2000, 200
# Texts that are tokenised together.
_BATCH = 512
_SPLIT_STREAM = 2**20 - 1


def number_words(ids: Sequence[int], words: Sequence[int | None], special: Iterable[int]) -> npt.NDArray[np.int32]:
    """Number the words of a piece.

    Args:
        ids: The ids of T tokens.
        words: The word of each token as the tokenizer tells it; None for tokens that it added.
        special: Ids of special tokens, which belong to no word even where the text has them.

    Returns:
        Shape (T,); ascending below T, at most `LONGEST_WORD` times the same number; -1 for no word.
    """
    told = np.array([-1 if word is None else word for word in words], dtype=np.int32)
    told[np.isin(ids, list(special))] = -1
    begins = np.flatnonzero(np.diff(told, prepend=-2))
    places = np.arange(len(told)) - np.repeat(begins, np.diff(begins, append=len(told)))
    numbers = np.cumsum(places % LONGEST_WORD == 0, dtype=np.int32) - 1
    return np.where(told < 0, np.int32(-1), numbers)


@dataclass(frozen=True)
class Pieces:
    """Pieces of texts.

    Args:
        tokens: Shape (all tokens, 2): the id and the word of each token; mapped from a file.
        ends: Shape (P,); where each piece ends in `tokens`.
        rows: Shape (P,); the row that each piece is of.
    """

    tokens: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of tokens of each piece, shape (P,)."""
        return np.diff(self.ends, prepend=0)

    def batch(self, numbers: npt.NDArray[np.int64], pad_id: int) -> tuple[Tensor, Tensor, Tensor]:
        """Read pieces; returns ids, words and the attention mask, padded on the right, each of shape (B, T)."""
        lengths = self.lengths_of(numbers)
        batch = np.full((len(numbers), int(lengths.max()), 2), (pad_id, -1), dtype=np.int32)
        for row, end, length in zip(batch, self.ends[numbers], lengths, strict=True):
            row[:length] = self.tokens[end - length : end]
        ids, words = torch.from_numpy(batch).long().unbind(-1)
        attention_mask = torch.arange(ids.shape[1])[None] < torch.from_numpy(lengths)[:, None]
        return ids, words, attention_mask.long()

    def lengths_of(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Number of tokens of some pieces."""
        return self.ends[numbers] - np.where(numbers > 0, self.ends[numbers - 1], 0)

    def split(self, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Hold out rows: 5 %, at most `MOST_HELD_OUT`, none of fewer than `FEWEST_TEXTS`.

        Returns:
            The numbers of the pieces to train on, and of those of the rows held out.
        """
        rows = np.unique(self.rows)
        count = 0 if len(rows) < FEWEST_TEXTS else min(round(HELD_OUT * len(rows)), MOST_HELD_OUT)
        order = torch.randperm(len(rows), generator=seeded(seed, _SPLIT_STREAM, 20)).numpy()
        held_out = np.isin(self.rows, rows[order[:count]])
        return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def store_pieces(
    windows: Iterable[Sequence[Sequence[str]]], tokenizer: PreTrainedTokenizerBase, file: IO[bytes]
) -> Pieces:
    """Tokenise texts, split long ones, and write the pieces to a file.

    Args:
        windows: Rows, many at a time; each has one or more texts, which become pieces of their own.
        tokenizer: A fast tokenizer; pieces have at most its `model_max_length` tokens.
        file: An empty file, which stays open as long as the pieces are used.

    Returns:
        The pieces that have a word; there may be none.
    """
    ends, rows = array("q"), array("q")
    first, end = 0, 0
    for window in windows:
        for begin in range(0, len(window), _BATCH):
            batch = window[begin : begin + _BATCH]
            owners = [first + begin + number for number, texts in enumerate(batch) for _ in texts]
            for tokens, text in _split(tokenizer, [text for texts in batch for text in texts]):
                file.write(tokens.tobytes())
                end += len(tokens)
                ends.append(end)
                rows.append(owners[text])
        first += len(window)
    file.flush()
    tokens = np.memmap(file, np.int32, "r", shape=(end, 2)) if end else np.empty((0, 2), np.int32)
    return Pieces(tokens, np.frombuffer(ends, np.int64), np.frombuffer(rows, np.int64))


def _split(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> Iterable[tuple[npt.NDArray[np.int32], int]]:
    """Yield the tokens of each piece that has a word, as in `Pieces`, and the number of its text."""
    encoded: Any = tokenizer(texts, truncation=True, return_overflowing_tokens=True)
    for piece, text in zip(encoded.encodings, encoded["overflow_to_sample_mapping"], strict=True):
        words = number_words(piece.ids, piece.word_ids, tokenizer.all_special_ids)
        if words.max() >= 0:
            yield np.stack([np.array(piece.ids, np.int32), words], axis=1), text
