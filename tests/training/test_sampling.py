import pytest

from textmix.training.sampling import EpochBatches


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
