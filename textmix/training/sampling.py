"""The order of training rows: a permutation for each epoch that depends on seed and epoch alone."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class EpochSampler(Sampler[int]):
    """Visits every row once, in an order fixed by (seed, epoch), so that a resumed run finds its place again.

    Args:
        size: Number of rows.
        seed: Seed of the run.

    Attributes:
        epoch: The epoch whose order is wanted, set by the trainer. There is no `set_epoch`, which accelerate would call
            with a count of its own that starts anew whenever batches are skipped.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed((self._seed << 20) + self.epoch)
        yield from torch.randperm(self._size, generator=generator).tolist()
