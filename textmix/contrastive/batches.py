"""Batches that hold the classes in equal shares."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from textmix.data.label_format import Array


def balanced_batches(targets: Array, size: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Draw batches without end; each takes turns through the classes, and goes on where the last one stopped.

    With at least as many rows as classes, each batch holds every class. The rows of a class come in a random order
    that is drawn anew when all of them have come.

    Args:
        targets: Class of each row, shape (N,); a class may have no row.
        size: Rows of a batch, B.
        seed: Seed of the order.

    Yields:
        Numbers of rows, shape (B,).
    """
    generator = np.random.default_rng(seed)
    rows = [found for number in np.unique(targets) if len(found := np.flatnonzero(targets == number))]
    queues: list[list[int]] = [[] for _ in rows]
    turn = 0
    while True:
        batch = []
        for _ in range(size):
            if not queues[turn]:
                queues[turn] = generator.permutation(rows[turn]).tolist()
            batch.append(queues[turn].pop())
            turn = (turn + 1) % len(rows)
        yield np.array(batch)
