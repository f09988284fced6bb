"""Run a model over texts in batches of similar length, the longest first, and return the rows in their order."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias, cast

import torch
from accelerate import Accelerator
from datasets import Dataset
from torch import Tensor, nn
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from textmix.data.long_text import WINDOW_LENGTHS, split_windows
from textmix.data.tokenization import encode
from textmix.data.tokens import IGNORED
from textmix.mixing.functional import average_windows

Rows: TypeAlias = Sequence[dict[str, list[int]]] | Dataset
# Number of texts tokenised at once: the output of the tokenizer takes many times the memory of the ids.
_TOKENIZED_AT_ONCE = 1024


def predict_logits(
    model: nn.Module,
    batches: Iterable[dict[str, Tensor]],
    gather: Callable[[Tensor], Tensor] = lambda logits: logits,
) -> Tensor:
    """Run a model over batches in eval mode, and restore its mode.

    Args:
        model: A classifier.
        batches: Its inputs; `labels` are ignored. `windows`, the number of inputs of each row, means that the logits of
            a row are their average.
        gather: Collects the logits of all processes.

    Returns:
        Logits of all rows, shape (N, C), float32, on the CPU.
    """
    with _evaluating(model):
        # Copied to the CPU once, after all batches, so that a GPU does not wait after each batch.
        return torch.cat([gather(_batch_logits(model, batch)).float() for batch in batches]).cpu()


def _batch_logits(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    inputs = {name: value for name, value in batch.items() if name not in ("labels", WINDOW_LENGTHS)}
    counts = batch.get(WINDOW_LENGTHS)
    if counts is None:
        logits: Tensor = model(**inputs).logits
        return logits
    # Not more windows at a time than the batch has rows, so that long texts need no more memory.
    parts = zip(*(torch.split(value, len(counts)) for value in inputs.values()), strict=True)
    logits = torch.cat([model(**dict(zip(inputs, part, strict=True))).logits for part in parts])
    return average_windows(logits.float(), counts)


def predict_pieces(
    model: nn.Module, batches: Iterable[dict[str, Tensor]], accelerator: Accelerator
) -> list[tuple[Tensor, Tensor]]:
    """Run a model with an output for each word piece over batches in eval mode, and restore its mode.

    Args:
        model: A token classifier.
        batches: Its inputs, with `labels` of shape (B, L), -100 for word pieces that are left out.
        accelerator: Collects the rows of all processes.

    Returns:
        For each of N rows the P labels of its word pieces, and their logits, shape (P, C), float32, on the CPU.
    """
    found = []
    with _evaluating(model):
        for batch in batches:
            logits = model(**{name: value for name, value in batch.items() if name != "labels"}).logits.float()
            padded = accelerator.pad_across_processes(batch["labels"], dim=1, pad_index=IGNORED)
            found.append(accelerator.gather_for_metrics((padded, accelerator.pad_across_processes(logits, dim=1))))
    rows = (pair for labels, logits in found for pair in zip(labels.cpu(), logits.cpu(), strict=True))
    return [(labels[labels != IGNORED], logits[labels != IGNORED]) for labels, logits in rows]


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        # In torch 2.4 processes on CPUs cannot exchange tensors in inference mode.
        alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
        with torch.inference_mode() if alone else torch.no_grad():
            yield
    finally:
        model.train(was_training)


def run_longest_first(
    model: nn.Module,
    run: Callable[..., Tensor],
    tokenizer: PreTrainedTokenizerBase,
    rows: Rows,
    lengths: Sequence[int],
    batch_size: int,
    progress: Callable[[int], object] = lambda rows: None,
) -> Tensor:
    """Run a model over tokenised rows in eval mode, and restore its mode.

    Rows of similar length share a batch, so that batches have almost no padding. The longest rows come first: if they
    do not fit into memory, the error comes at once, and the memory that they free is enough for the others.

    Args:
        model: A classifier with a `device`.
        run: Called with the inputs of each batch as keywords; returns a tensor with one row for each row of the batch.
        tokenizer: Pads the batches.
        rows: N tokenised rows, at least one, indexed by number. Rows of several windows run window by window, and get
            the average of the outputs.
        lengths: Number of tokens of each row.
        batch_size: Maximum number of rows, or windows, in a batch.
        progress: Called with the number of rows that each batch finishes.

    Returns:
        The outputs of `run` for all rows, in their order, shape (N, ...), float32, on the CPU.
    """
    windows = [len(row[WINDOW_LENGTHS]) for row in rows] if WINDOW_LENGTHS in rows[0] else None
    if windows is not None:
        rows = [window for row in rows for window in split_windows(row)]
        lengths = [len(window["input_ids"]) for window in rows]
    finished = _finished_rows(windows)
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    collate, device = DataCollatorWithPadding(tokenizer), cast(torch.device, model.device)
    parts = []
    with _evaluating(model):
        for start in range(0, len(order), batch_size):
            numbers = order[start : start + batch_size]
            batch = collate([rows[number] for number in numbers])
            parts.append(run(**{name: _copy(value, device) for name, value in batch.items()}).float())
            progress(finished(numbers))
        by_length = torch.cat(parts).cpu()
    results = torch.empty_like(by_length)
    results[order] = by_length
    return results if windows is None else average_windows(results, torch.tensor(windows))


def _finished_rows(windows: list[int] | None) -> Callable[[list[int]], int]:
    """Return what counts the rows whose last window is among those of a batch."""
    if windows is None:
        return len
    left = list(windows)
    owners = [row for row, count in enumerate(windows) for _ in range(count)]

    def count(numbers: list[int]) -> int:
        for number in numbers:
            left[owners[number]] -= 1
        return sum(left[row] == 0 for row in {owners[number] for number in numbers})

    return count


def _copy(values: Tensor, device: torch.device) -> Tensor:
    """Copy values to a device, to a GPU through pinned memory, so that the CPU goes on meanwhile."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def text_logits(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    batch_size: int,
    progress: Callable[[int], object] = lambda rows: None,
) -> Tensor:
    """Run a model over texts.

    Args:
        model: A classifier with a `device`.
        tokenizer: Its tokenizer; inputs are cut at its `model_max_length`.
        texts: N texts, at least one.
        pairs: Their second sentences, if the model was trained on pairs.
        batch_size: Maximum number of rows in a batch.
        progress: Called with the number of rows after each batch.

    Returns:
        Logits, shape (N, C), float32, on the CPU, in the order of the texts.
    """
    rows = _tokenize(tokenizer, texts, pairs)
    lengths = [len(row["input_ids"]) for row in rows]

    def run(**batch: Tensor) -> Tensor:
        logits: Tensor = model(**batch).logits
        return logits

    return run_longest_first(model, run, tokenizer, rows, lengths, batch_size, progress)


def piece_logits(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict[str, list[int]]],
    batch_size: int,
    progress: Callable[[int], object] = lambda rows: None,
) -> list[Tensor]:
    """Run a token classifier over tokenised texts.

    Args:
        model: A token classifier with a `device`.
        tokenizer: Its tokenizer, which pads the batches.
        rows: N tokenised texts.
        batch_size: Maximum number of rows in a batch.
        progress: Called with the number of rows after each batch.

    Returns:
        For each text the logits of its P word pieces, shape (P, C), float32, on the CPU.
    """
    lengths = [len(row["input_ids"]) for row in rows]
    longest = max(lengths)

    def run(**batch: Tensor) -> Tensor:
        logits: Tensor = model(**batch).logits
        real = batch["attention_mask"].bool()
        # Real positions first, whichever side is padded, and all batches of one length.
        placed = logits.new_zeros(logits.shape[0], longest, logits.shape[2])
        placed[torch.arange(longest, device=logits.device) < real.sum(dim=1, keepdim=True)] = logits[real]
        return placed

    found = run_longest_first(model, run, tokenizer, rows, lengths, batch_size, progress)
    return [logits[:length] for logits, length in zip(found, lengths, strict=True)]


def _tokenize(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], pairs: Sequence[str] | None
) -> list[dict[str, list[int]]]:
    rows: list[dict[str, list[int]]] = []
    for start in range(0, len(texts), _TOKENIZED_AT_ONCE):
        piece = slice(start, start + _TOKENIZED_AT_ONCE)
        rows += encode(tokenizer, list(texts[piece]), list(pairs[piece]) if pairs is not None else None)
    return rows
