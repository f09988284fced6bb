import numpy as np
import pytest
from datasets import Dataset

from textmix.training.batches import EpochBatches, row_lengths


def flat(batches: EpochBatches) -> list[int]:
    return [row for batch in batches for row in batch]


def test_every_row_once_in_another_order_each_epoch() -> None:
    batches, orders = EpochBatches(20, 6, seed=3), []
    for epoch in range(3):
        batches.epoch = epoch
        assert [len(batch) for batch in batches] == [6, 6, 6, 2]
        orders.append(flat(batches))
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    batches.epoch = 1
    assert flat(batches) == orders[1]
    batches.first = 2
    assert flat(batches) == orders[1][12:]


def test_seeds_beyond_the_bits_of_a_generator_have_orders_of_their_own() -> None:
    assert len({tuple(flat(EpochBatches(20, 20, seed))) for seed in (7, 7 + 2**12, 7 + 2**16, 7 + 2**31)}) == 4


def test_a_seed_s_second_epoch_is_not_the_next_seed_s_first() -> None:
    first, second = EpochBatches(20, 20, 0), EpochBatches(20, 20, 1)
    first.epoch = 1
    assert flat(first) != flat(second)


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("size", [11, 12, 13, 14, 18, 24])
def test_processes_share_the_batches_of_one(size: int, processes: int) -> None:
    one = EpochBatches(size, 4 * processes, seed=5)
    shares = [EpochBatches(size, 4, 5, processes, rank) for rank in range(processes)]
    batches = [list(share) for share in shares]
    for number, whole in enumerate(one):
        parts = [share[number][: each.own_rows(number)] for share, each in zip(batches, shares, strict=True)]
        assert [row for part in parts for row in part] == whole
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        assert {each.rows(number) for each in (one, *shares)} == {len(whole)}
    assert {len(one), *map(len, shares), *map(len, batches)} == {number + 1}


def test_one_row_stands_in_where_there_are_fewer_than_processes() -> None:
    first, second = (EpochBatches(9, 4, 0, 2, rank) for rank in range(2))
    assert [first.own_rows(1), second.own_rows(1)] == [0, 1]
    assert list(first)[1] == list(second)[1]


class TestGrouping:
    LENGTHS = np.random.default_rng(0).integers(1, 60, 1000)

    def batches(self, **options: int) -> list[list[int]]:
        options = {"size": len(self.LENGTHS), "batch_size": 8, "seed": 3, **options}
        return list(EpochBatches(**options, lengths=self.LENGTHS[: options["size"]]))

    def test_every_row_once_in_another_order_each_epoch(self) -> None:
        sampler = EpochBatches(1000, 8, seed=3, lengths=self.LENGTHS)
        orders = []
        for epoch in (0, 1):
            sampler.epoch = epoch
            orders.append(flat(sampler))
        assert sorted(orders[0]) == sorted(orders[1]) == list(range(1000))
        assert orders[0] != orders[1]

    def test_little_of_a_batch_is_padding(self) -> None:
        def cells(batches: list[list[int]]) -> int:
            return sum(len(batch) * self.LENGTHS[batch].max() for batch in batches)

        real = self.LENGTHS.sum()
        assert cells(list(EpochBatches(1000, 8, seed=3))) > 1.5 * real
        assert cells(self.batches()) < 1.05 * real

    def test_batches_come_in_random_order_of_length(self) -> None:
        means = [self.LENGTHS[batch].mean() for batch in self.batches()]
        assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.25

    def test_rows_of_a_batch_come_from_one_window(self) -> None:
        plain = {row: place for place, row in enumerate(flat(EpochBatches(1000, 8, seed=3)))}
        for batch in self.batches():
            assert len({plain[row] // (50 * 8) for row in batch}) == 1

    def test_the_batch_that_is_not_full_comes_last(self) -> None:
        assert [len(batch) for batch in self.batches(size=20)] == [8, 8, 4]

    def test_parts_of_a_step_are_the_rows_of_one_large_batch(self) -> None:
        large = self.batches(batch_size=16)
        small = self.batches(batch_size=8, accumulation=2)
        assert flat_rows(large) == flat_rows(small)
        halves = [list(EpochBatches(1000, 8, 3, 2, rank, self.LENGTHS)) for rank in (0, 1)]
        assert [sorted(a + b) for a, b in zip(*halves, strict=True)] == [sorted(batch) for batch in large]


def flat_rows(batches: list[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


def test_lengths_are_those_of_the_rows_in_their_order() -> None:
    data = Dataset.from_dict({"input_ids": [[1, 2, 3], [1], [], [4, 5]], "labels": [0, 1, 0, 1]})
    assert row_lengths(data).tolist() == [3, 1, 0, 2]
    assert row_lengths(data.select([3, 0])).tolist() == [2, 3]
