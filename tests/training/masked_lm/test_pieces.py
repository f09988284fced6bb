from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pytest

from tests.support.masked_lm import CLS, LONG_WORD, PAD, SEP, UNK, piece_tokenizer
from textmix.training.masked_lm.pieces import (
    FEWEST_TEXTS,
    LONGEST_WORD,
    MOST_HELD_OUT,
    Pieces,
    number_words,
    store_pieces,
)


def pieces_of(rows: list[list[str]], directory: Path, window: int = 3) -> Pieces:
    windows = [rows[begin : begin + window] for begin in range(0, len(rows), window)]
    return store_pieces(windows, piece_tokenizer(8), TemporaryFile(dir=directory))  # used as long as the pieces


class TestNumberWords:
    def test_tokens_of_a_word_share_a_number(self) -> None:
        assert number_words([2, 7, 8, 9, 3], [None, 0, 0, 1, None], {2, 3}).tolist() == [-1, 1, 1, 2, -1]

    def test_special_tokens_of_the_text_belong_to_no_word(self) -> None:
        numbers = number_words([2, 7, UNK, 9, 3], [None, 5, 6, 7, None], {UNK, 2, 3}).tolist()
        assert [number >= 0 for number in numbers] == [False, True, False, True, False]
        assert numbers[1] != numbers[3]

    def test_a_sentence_without_spaces_is_no_single_word(self) -> None:
        numbers = number_words([9] * 25, [0] * 25, set())
        assert np.bincount(numbers).tolist() == [LONGEST_WORD, LONGEST_WORD, 5]


class TestStorePieces:
    def test_long_texts_are_split_and_nothing_is_lost(self, tmp_path: Path) -> None:
        long = "soup bread cheese salad pepper butter lemon rice goal match team race player"
        pieces = pieces_of([["the soup"], [long], ["the goal"]], tmp_path)
        assert pieces.rows.tolist() == [0, 1, 1, 1, 2]
        assert pieces.lengths.max() == 8
        ids = piece_tokenizer(100)(long)["input_ids"]
        found = [pieces.tokens[end - length : end, 0] for end, length in zip(pieces.ends, pieces.lengths, strict=True)]
        assert all((piece[0], piece[-1]) == (CLS, SEP) for piece in found)
        assert np.concatenate([piece[1:-1] for piece in found[1:4]]).tolist() == ids[1:-1]

    def test_texts_without_a_word_are_left_out(self, tmp_path: Path) -> None:
        pieces = pieces_of([[""], ["  "], ["the soup"], ["12 !?"], ["the", "goal"]], tmp_path)
        assert pieces.rows.tolist() == [2, 4, 4]
        assert len(pieces_of([[""]], tmp_path).ends) == 0

    def test_a_batch_is_padded_and_knows_its_words(self, tmp_path: Path) -> None:
        pieces = pieces_of([["the soup"], [f"the {LONG_WORD} soup"]], tmp_path)
        ids, words, attention_mask = pieces.batch(np.array([1, 0]), PAD)
        assert words.tolist() == [[-1, 1, 2, 2, 2, 3, -1], [-1, 1, 2, -1, -1, -1, -1]]
        assert attention_mask.tolist() == [[1] * 7, [1] * 4 + [0] * 3]
        assert ids[1, 4:].tolist() == [PAD] * 3
        assert ids[:, 0].tolist() == [CLS, CLS]


class TestSplit:
    @staticmethod
    def of_rows(count: int) -> Pieces:
        """Two pieces of each row."""
        return Pieces(np.empty((0, 2), np.int32), np.arange(2 * count) + 1, np.repeat(np.arange(count), 2))

    @pytest.mark.parametrize(
        ("rows", "held_out"), [(FEWEST_TEXTS - 1, 0), (FEWEST_TEXTS, 10), (100_000, MOST_HELD_OUT)]
    )
    def test_a_twentieth_of_the_rows_is_held_out(self, rows: int, held_out: int) -> None:
        pieces = self.of_rows(rows)
        train, held = pieces.split(0)
        assert len(held) == 2 * held_out
        assert sorted([*train, *held]) == list(range(2 * rows))
        assert not set(pieces.rows[train]) & set(pieces.rows[held])

    def test_the_seed_decides(self) -> None:
        pieces = self.of_rows(400)
        first, again, other = (pieces.split(seed)[1].tolist() for seed in (0, 0, 1))
        assert first == again != other
