"""Batches that hold the classes in equal shares."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest

from textmix.contrastive.batches import balanced_batches


def batches(targets: list[int], size: int, count: int, seed: int = 0) -> list[list[int]]:
    return [batch.tolist() for batch in islice(balanced_batches(np.array(targets), size, seed), count)]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 50])
def test_classes_take_turns_and_every_row_of_a_class_comes_before_any_comes_again(size: int) -> None:
    targets = [0] * 5 + [1] * 2 + [2]
    found = batches(targets, size, 40)
    assert {len(batch) for batch in found} == {size}
    rows = [row for batch in found for row in batch]
    # A plain loop: what is due next, whatever the batches are.
    assert [targets[row] for row in rows] == [number % 3 for number in range(len(rows))]
    for number in range(3):
        own = [row for row in rows if targets[row] == number]
        members = [row for row, target in enumerate(targets) if target == number]
        for start in range(0, len(own) - len(members) + 1, len(members)):
            assert sorted(own[start : start + len(members)]) == members


def test_each_batch_holds_each_class_equally_often_but_for_one() -> None:
    for batch in batches([0] * 90 + [1] * 9 + [2], 8, 30):
        counts = Counter(0 if row < 90 else 1 if row < 99 else 2 for row in batch)
        assert set(counts) == {0, 1, 2}
        assert max(counts.values()) - min(counts.values()) <= 1


def test_a_class_may_have_no_row() -> None:
    for batch in batches([0, 3, 3], 2, 5):
        assert sorted(row > 0 for row in batch) == [False, True]
    assert batches([2], 3, 1) == [[0, 0, 0]]


def test_the_order_is_random_and_that_of_the_seed() -> None:
    targets = [0, 1] * 30
    assert batches(targets, 6, 20) == batches(targets, 6, 20)
    assert batches(targets, 6, 20) != batches(targets, 6, 20, seed=1)
    first = [row for batch in batches(targets, 60, 2) for row in batch]
    assert first[:60] != first[60:]  # a new order for each round
    assert first[:60:2] != sorted(first[:60:2])
