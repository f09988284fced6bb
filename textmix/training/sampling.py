"""The order of training rows, a permutation for each epoch that depends on seed and epoch alone, and their batches."""

from collections.abc import Iterator
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import DataLoader, Sampler
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase


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


def padded_loader(
    data: Dataset, tokenizer: PreTrainedTokenizerBase, batch_size: int, sampler: EpochSampler | None = None
) -> DataLoader[Any]:
    """Load tokenised rows in batches, each padded to its longest row.

    Args:
        data: Tokenised rows.
        tokenizer: Pads them.
        batch_size: Rows of a batch.
        sampler: Their order; None for the order they are in.
    """
    # A generator of its own: without one, each pass would draw from dropout's.
    return DataLoader(
        data,
        batch_size=batch_size,
        sampler=sampler,
        collate_fn=DataCollatorWithPadding(tokenizer),
        generator=torch.Generator(),
    )
