"""How rows are changed: which tokens, how many, and the same ones for the same generator."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from textmix.semi_supervised.views import change_words, hide_tokens, mask_tokens

SPECIAL = torch.tensor([2, 3])
GENERATOR = torch.Generator


def batch(rows: int = 200, length: int = 30) -> tuple[Tensor, Tensor]:
    """Rows of the words 10 to 59 between 2 and 3, padded with 0."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(10, 60, (rows, length), generator=generator)
    lengths = torch.randint(3, length + 1, (rows,), generator=generator)
    ids[:, 0] = 2
    ids[torch.arange(rows), lengths - 1] = 3
    mask = (torch.arange(length) < lengths[:, None]).long()
    return ids * mask, mask


def test_some_words_are_hidden_and_no_special_token() -> None:
    ids, mask = batch()
    found = hide_tokens(ids, mask, SPECIAL, 0.3, GENERATOR().manual_seed(1))
    assert found.dtype == mask.dtype
    hidden = (mask == 1) & (found == 0)
    assert not torch.isin(ids[hidden], SPECIAL).any()
    assert hidden.sum() / (ids >= 10).sum() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(found.bool() | hidden, mask.bool())
    assert torch.equal(found, hide_tokens(ids, mask, SPECIAL, 0.3, GENERATOR().manual_seed(1)))
    assert not torch.equal(found, hide_tokens(ids, mask, SPECIAL, 0.3, GENERATOR().manual_seed(2)))


def test_some_words_are_masked_and_all_others_stay() -> None:
    ids, mask = batch()
    before = ids.clone()
    found = mask_tokens(ids, mask, SPECIAL, 0.3, 99, GENERATOR().manual_seed(1))
    changed = found != ids
    assert (found[changed] == 99).all()
    assert (ids[changed] >= 10).all()
    assert changed.sum() / (ids >= 10).sum() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(ids, before)


def test_words_are_swapped_and_deleted() -> None:
    words = [f"w{number}" for number in range(20)]
    text, kept, moved = " ".join(words), 0, 0
    generator = np.random.default_rng(0)
    for _ in range(300):
        found = change_words(text, 0.2, generator).split()
        assert not Counter(found) - Counter(words)
        kept += len(found)
        moved += found != [word for word in words if word in found]
    assert kept / (300 * 20) == pytest.approx(0.8, abs=0.03)
    assert moved > 290  # four swaps


def test_a_text_keeps_a_word() -> None:
    generator = np.random.default_rng(0)
    assert {change_words("one two", 0.99, generator) for _ in range(50)} == {"one", "two"}
    assert [change_words(text, 0.99, generator) for text in ("", "one", " one\n")] == ["", "one", " one\n"]


def test_the_same_generator_changes_words_alike() -> None:
    text = " ".join(f"w{number}" for number in range(30))
    first, second, third = (change_words(text, 0.2, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first == second != third
