"""The batches of an epoch: an order that depends only on seed and epoch, and the rows of each process."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from transformers import (
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
    default_data_collator,
)

from textmix.data.long_text import WINDOW_LENGTHS, split_windows
from textmix.data.tokenization import LazyTokens, token_lists
from textmix.mixing.sampling import seeded
from textmix.mixing.site_names import POOLED

# Number of batches whose rows are sorted by length together, as in the length-grouped sampler of transformers.
_WINDOW = 50


class EpochBatches(Sampler[list[int]]):
    """Visits every row once, in an order fixed by (seed, epoch), so that a run can resume within an epoch.

    A batch has `batch_size` rows for each process, which are divided equally among the processes; a single process with
    a batch size that is larger by the number of processes has the same batches. accelerate's own sharding would fill
    the last batch with rows of the first batch, and train on them twice.

    Args:
        size: Number of rows.
        batch_size: Rows of a batch in one process.
        seed: Seed of the run.
        processes: Number of processes.
        rank: Rank of this process.
        lengths: Length of each row, shape (size,), to group rows of similar length: a random permutation is cut into
            windows of 50 batches, each window is sorted by length and cut into batches, and the batches are shuffled.
            The rows of a window and the order of the batches stay random. None means no grouping.
        accumulation: Batches per optimizer step; the grouping treats them as one batch.

    Attributes:
        epoch: The epoch to iterate over, set by the trainer. There is no `set_epoch`, because accelerate would call it
            with its own count.
        first: Number of the first batch.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        seed: int,
        processes: int = 1,
        rank: int = 0,
        lengths: npt.NDArray[np.integer[Any]] | None = None,
        accumulation: int = 1,
    ) -> None:
        self._size = size
        self._batch_size = batch_size * processes
        self._seed = seed
        self._processes = processes
        self._rank = rank
        self._lengths = lengths
        self._group_size = self._batch_size * accumulation
        self.epoch = 0
        self.first = 0

    def __len__(self) -> int:
        return -(-self._size // self._batch_size)

    def rows(self, number: int) -> int:
        """Return the number of rows of a batch in all processes."""
        return min(self._batch_size, self._size - number * self._batch_size)

    def own_rows(self, number: int) -> int:
        """Return the number of rows of a batch in this process; it can be 0 if there are fewer rows than processes."""
        start, end = self._share(self.rows(number))
        return end - start

    def _share(self, rows: int) -> tuple[int, int]:
        return self._rank * rows // self._processes, (self._rank + 1) * rows // self._processes

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the rows of this process in each batch; if it has none, one row that must not count."""
        for batch in islice(self._whole_batches(self.epoch), self.first, None):
            start, end = self._share(len(batch))
            yield batch[start : max(end, start + 1)].tolist()

    def first_rows(self, batches: int) -> npt.NDArray[np.integer[Any]] | None:
        """Return the rows of the first batches of the first epoch in all processes; None if these are all rows."""
        if batches >= len(self):
            return None
        return torch.cat(list(islice(self._whole_batches(0), batches))).numpy()

    def _whole_batches(self, epoch: int) -> Iterator[Tensor]:
        """Yield the rows of each batch of an epoch in all processes."""
        generator = seeded(self._seed, epoch, 20)
        # The smallest type that holds all rows: half the memory of the default type, and the same order.
        number = torch.int32 if self._size < 2**31 else torch.int64
        order = torch.randperm(self._size, generator=generator, dtype=number)
        whole = self._size // self._group_size
        groups: Iterable[int] = range(whole)
        if self._lengths is not None:
            self._sort_windows(order, self._lengths)
            groups = torch.randperm(whole, generator=generator).tolist()
        starts = chain.from_iterable(
            range(group * self._group_size, (group + 1) * self._group_size, self._batch_size) for group in groups
        )
        # An incomplete group comes last; with grouping by length its rows are the longest of a window.
        rest = range(whole * self._group_size, self._size, self._batch_size)
        for begin in chain(starts, rest):
            yield order[begin : begin + self._batch_size]

    def _sort_windows(self, order: Tensor, lengths: npt.NDArray[np.integer[Any]]) -> None:
        for start in range(0, self._size, _WINDOW * self._group_size):
            window = order[start : start + _WINDOW * self._group_size]
            by_length = torch.from_numpy(lengths[window.numpy()]).argsort(stable=True)
            window.copy_(window[by_length])


def row_lengths(data: Dataset | LazyTokens) -> npt.NDArray[np.integer[Any]]:
    """Return the length of each tokenised row, shape (N,), without creating Python objects for the rows."""
    if isinstance(data, LazyTokens):
        return data.lengths()
    ids = token_lists(data, "input_ids")
    if ids is None:  # sentence vectors
        return np.ones(len(data), dtype=np.int64)
    lengths: npt.NDArray[np.integer[Any]] = pc.list_value_length(ids).to_numpy()
    return lengths


def _padding(data: Dataset | LazyTokens, tokenizer: PreTrainedTokenizerBase) -> Callable[[Any], Any]:
    """Return what pads a batch; labels of word pieces are padded, too."""
    first = data[0] if len(data) else {}
    if WINDOW_LENGTHS in first:
        return partial(_pad_windows, DataCollatorWithPadding(tokenizer))
    of_pieces = isinstance(first.get("labels"), list) and all(isinstance(label, int) for label in first["labels"])
    return (DataCollatorForTokenClassification if of_pieces else DataCollatorWithPadding)(tokenizer)


def _pad_windows(pad: DataCollatorWithPadding, rows: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Pad the windows of rows as rows of their own; `windows` has their number for each row, shape (B,)."""
    padded: dict[str, Tensor] = dict(pad([window for row in rows for window in split_windows(row)]))
    of_rows = [name for name in ("labels", "sample_weight") if name in rows[0]]
    values = {name: torch.tensor([row[name] for row in rows]) for name in of_rows}
    return {**padded, **values, WINDOW_LENGTHS: torch.tensor([len(row[WINDOW_LENGTHS]) for row in rows])}


def padded_loader(
    data: Dataset | LazyTokens,
    tokenizer: PreTrainedTokenizerBase,
    batches: Sampler[list[int]] | None = None,
    batch_size: int = 1,
) -> DataLoader[Any]:
    """Load tokenised rows in batches, each padded to its longest row; sentence vectors are not padded.

    Args:
        data: Tokenised rows, or the sentence vectors from `pool_rows`.
        tokenizer: Pads the batches.
        batches: The rows of each batch; None means batches of `batch_size` in the order of the data.
        batch_size: Rows of a batch, if `batches` is None.
    """
    order: dict[str, Any] = {"batch_size": batch_size} if batches is None else {"batch_sampler": batches}
    # A separate generator: without it, each pass would advance the global generator that dropout uses.
    pooled = isinstance(data, Dataset) and POOLED in data.column_names
    collate = default_data_collator if pooled else _padding(data, tokenizer)
    # A DataLoader needs only __len__ and __getitems__.
    dataset = cast("torch.utils.data.Dataset[Any]", data)
    # Only from pinned memory is a batch copied to a GPU while the CPU goes on.
    pinned = torch.cuda.is_available()
    return DataLoader(dataset, collate_fn=collate, generator=torch.Generator(), pin_memory=pinned, **order)
