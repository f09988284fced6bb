"""Read a pool of any size, and keep the rows that may be labelled next."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from transformers import PreTrainedModel

from textmix.active_learning.choice import Criterion, margins
from textmix.data.label_format import Array
from textmix.data.standardize import PAIR, TEXT, as_texts, join_texts
from textmix.data.tokenization import encode
from textmix.errors import ModelError
from textmix.hooks.sites import find_sites
from textmix.inference.predictor import Predictor
from textmix.models.logits import run_longest_first

# Rows among which diverse ones are chosen; k-means++ takes a second for 20 of them.
MOST = 5000

Row = dict[str, Any]


@dataclass(frozen=True)
class Candidates:
    """Rows that may be labelled next.

    Args:
        rows: N rows with all their columns.
        texts: Their texts, one or two a row.
        probabilities: Shape (N, C).
        vectors: Sentence vectors, shape (N, H).
        expected_errors: Mean probability, over all rows that were scored, that the model's guess is wrong.
        seen: Number of rows that were scored: they have a text and no label yet. Of rows with the same text, all but
            one are left out where they are within one window, or where one of them is kept.
    """

    rows: list[Row]
    texts: list[tuple[str, ...]]
    probabilities: Array
    vectors: Array
    expected_errors: float
    seen: int


def find_candidates(
    predictor: Predictor,
    windows: Iterable[pa.Table],
    labeled: Collection[tuple[str, ...]],
    criterion: Criterion,
    seed: int,
    progress: Callable[[int], object] = lambda rows: None,
) -> Candidates:
    """Score the rows of a pool; keeps the `MOST` least certain ones, or for `diversity` a random sample.

    No more than these rows and those of a window are in memory.

    Args:
        predictor: A classifier with one class a row.
        windows: The rows, many at a time.
        labeled: Texts of rows that are left out.
        criterion: How rows will be chosen.
        seed: Seed of the sample.
        progress: Called with numbers of finished rows.

    Raises:
        ModelError: If the model has no last linear map, whose inputs are the sentence vectors.
    """
    generator = np.random.default_rng(seed)
    kept = _Kept()
    wrong, seen = 0.0, 0
    for window in windows:
        numbers, texts = _new(window, predictor.text_columns, {*labeled, *kept.texts})
        if not numbers:
            progress(window.num_rows)
            continue
        vectors, probabilities = _score(predictor, texts, progress)
        progress(window.num_rows - len(numbers))
        wrong += float((1 - probabilities.max(axis=1)).sum())
        seen += len(numbers)
        keys = generator.random(len(numbers)) if criterion == "diversity" else margins(probabilities)
        rows = window.take(numbers).to_pylist()
        kept.add(rows, texts, probabilities, vectors, keys)
    return kept.candidates(wrong / max(seen, 1), seen)


class _Kept:
    """The rows with the smallest keys so far."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self.texts: list[tuple[str, ...]] = []
        self._arrays: list[Array] = []

    def add(
        self, rows: list[Row], texts: list[tuple[str, ...]], probabilities: Array, vectors: Array, keys: Array
    ) -> None:
        new = [probabilities, vectors, keys]
        both = [np.concatenate(pair) for pair in zip(self._arrays, new, strict=True)] if self._arrays else new
        chosen = np.sort(np.argsort(both[-1], kind="stable")[:MOST])
        all_rows, all_texts = [*self._rows, *rows], [*self.texts, *texts]
        self._rows, self.texts = [all_rows[one] for one in chosen], [all_texts[one] for one in chosen]
        self._arrays = [values[chosen] for values in both]

    def candidates(self, expected_errors: float, seen: int) -> Candidates:
        probabilities, vectors = self._arrays[:2] if self._arrays else (np.zeros((0, 0)), np.zeros((0, 0)))
        return Candidates(self._rows, self.texts, probabilities, vectors, expected_errors, seen)


def _new(window: pa.Table, columns: list[str], known: set[tuple[str, ...]]) -> tuple[list[int], list[tuple[str, ...]]]:
    """Return numbers and texts of rows that have a text which did not occur before; adds these to `known`."""
    parts = join_texts([as_texts(window.column(name).to_pylist()) for name in columns])
    numbers, texts = [], []
    for number, text in enumerate(zip(*parts.values(), strict=True)):
        if text not in known and any(part.strip() for part in text):
            known.add(text)
            numbers.append(number)
            texts.append(text)
    return numbers, texts


def _score(
    predictor: Predictor, texts: list[tuple[str, ...]], progress: Callable[[int], object]
) -> tuple[Array, Array]:
    """Return sentence vectors, shape (N, H), and probabilities, shape (N, C)."""
    model, tokenizer = cast(PreTrainedModel, predictor.model), predictor.tokenizer
    parts = dict(zip((TEXT, PAIR), map(list, zip(*texts, strict=True)), strict=False))
    rows = encode(tokenizer, parts[TEXT], parts.get(PAIR))
    inputs: list[Tensor] = []
    sites = find_sites(model)
    if sites.classifier is None:
        raise ModelError(f"{type(model).__name__} has no last linear map whose inputs could be its sentence vectors")
    handle = sites.classifier.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))

    def run(**batch: Tensor) -> Tensor:
        logits = model(**batch).logits.float()
        vectors = _pooled(inputs.pop().float(), batch["attention_mask"], sites.averages)
        return torch.cat([vectors, logits], dim=1)

    try:
        lengths = [len(row["input_ids"]) for row in rows]
        both = run_longest_first(model, run, tokenizer, rows, lengths, predictor.batch_size, progress)
    finally:
        handle.remove()
    classes = len(predictor.class_names)
    return both[:, :-classes].numpy(), predictor.space.outputs(both[:, -classes:])


def _pooled(hidden: Tensor, mask: Tensor, averages: bool) -> Tensor:
    """Pool (B, L, H), which models that pool behind their classifier give it; (B, H) is pooled."""
    if hidden.dim() == 2:
        return hidden
    if averages:
        return (hidden * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
    last = (mask * torch.arange(mask.shape[1], device=mask.device)).argmax(dim=1)
    return hidden[torch.arange(len(hidden), device=hidden.device), last]


def reasons(candidates: Candidates, numbers: Array, names: list[str]) -> Iterator[str]:
    """Say why each row was chosen: between which classes the model is torn, and how similar rows before it are.

    Args:
        candidates: The rows.
        numbers: Numbers of the chosen ones, in their order, shape (K,).
        names: The classes.
    """
    vectors = candidates.vectors[numbers]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
    for place, number in enumerate(numbers):
        order = np.argsort(-candidates.probabilities[number])[:2]
        guesses = " or ".join(f"{names[one]} {candidates.probabilities[number][one]:.2f}" for one in order)
        nearest = float((unit[:place] @ unit[place]).max()) if place else None
        unlike = "" if nearest is None else f"; similarity to the most similar row before: {nearest:.2f}"
        yield f"{guesses}{unlike}"
