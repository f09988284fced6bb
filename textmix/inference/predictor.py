"""Predictor: predict classes of texts or table rows, with a model that is loaded when it is needed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypeVar, overload

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from textmix.config.parsing import read_run_config
from textmix.data.cells import as_lists, is_nested
from textmix.data.standardize import PAIR, TEXT, as_texts, join_texts
from textmix.data.tokens import Spans
from textmix.errors import DataError, RunError
from textmix.inference.onnx_classifier import ONNX_FILE, OnnxClassifier, load_onnx
from textmix.inference.packed_linear import pack_linears
from textmix.inference.tokens import find_entities, token_outputs, write_outputs
from textmix.io.run_directory import CONFIG_FILE, MODEL, ONNX
from textmix.models.loading import load_model
from textmix.models.logits import text_logits
from textmix.tasks.base import LabelSpace
from textmix.tasks.registry import label_space
from textmix.tasks.token_classification import Tags
from textmix.training.optimization import choose_precision

Backend = Literal["torch", "onnx"]
Precision = Literal["auto", "fp32", "bf16"]
Table = TypeVar("Table", pd.DataFrame, pa.Table)
Rows = TypeVar("Rows")
Outputs = npt.NDArray[Any]
# bfloat16 changes most probabilities by less than 1e-3; the two most likely classes can swap if they are close. It
# changed the label of 14 of 16 614 sentences, whose two most likely classes lay within 3e-3 (MiniLM on TREC and MR).
_BORDER = 0.005
# Batch size for the rows that are computed again in float32: there are few, and large batches would be half padding.
_FEW = 8


class _Loaded(NamedTuple):
    """A model, its tokenizer, and, if the model is rounded, the same model in float32."""

    model: PreTrainedModel | OnnxClassifier
    tokenizer: PreTrainedTokenizerBase
    exact: PreTrainedModel | None = None


@dataclass(frozen=True)
class _ModelSource:
    """Where a model is and how to load it."""

    directory: Path
    backend: Backend
    precision: Precision
    trust_remote_code: bool

    def load(self) -> _Loaded:
        # A worker of Ray or Spark unpickles the predictor for each task; the cache keeps the model in the process.
        # The modification time distinguishes a model from one that it has replaced.
        written = (self.directory / "config.json").stat().st_mtime_ns
        return _load(self, written)


@lru_cache(maxsize=1)
def _load(source: _ModelSource, written: int) -> _Loaded:
    if source.backend == "onnx":
        return _Loaded(*load_onnx(source.directory))
    precision = choose_precision(source.precision)
    loaded = load_model(source.directory, source.trust_remote_code)
    exact, tokenizer = loaded.model, loaded.tokenizer
    rounded = deepcopy(exact) if precision == "bf16" else None
    pack_linears(exact, torch.float32)
    if rounded is None or not pack_linears(rounded, torch.bfloat16):
        return _Loaded(exact, tokenizer)
    return _Loaded(rounded, tokenizer, exact)


class Predictor:
    """Predicts probabilities of classes or labels, or numbers, as the model was trained for.

    Called with texts, it returns an array. Called with rows, it returns them with the columns of the task added, such
    as `prediction`, `confidence` and `probability_<class>`, in the same type: a mapping of columns (`datasets.map`
    with `batched=True`, Ray Data's `map_batches`), a DataFrame, an Arrow table, or an iterator of any of these (Spark's
    `mapInPandas`).

    A predictor from `from_pretrained` pickles as the path of its model, which is loaded at the first call.

    Args:
        model: A sequence classifier.
        tokenizer: Its tokenizer; inputs are cut at its `model_max_length`.
        batch_size: Maximum number of rows in a batch.
        text_columns: Names of the text columns; the second and all further columns form the second sentence.
    """

    def __init__(
        self,
        model: PreTrainedModel | OnnxClassifier,
        tokenizer: PreTrainedTokenizerBase,
        batch_size: int = 64,
        text_columns: Sequence[str] = (TEXT,),
    ) -> None:
        self.batch_size = batch_size
        self.text_columns = list(text_columns)
        self._source: _ModelSource | None = None
        self._loaded: _Loaded | None = _Loaded(model, tokenizer)

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        backend: Backend | None = None,
        precision: Precision = "fp32",
        batch_size: int = 64,
        text_columns: Sequence[str] | None = None,
        trust_remote_code: bool = False,
    ) -> Self:
        """Make a predictor that loads its model at the first call, in the process of that call.

        Args:
            path: Directory of a run, of a saved model, or of an export.
            backend: `torch`, or `onnx` for an export. None chooses by the directory; for a run it means `torch`.
            precision: `bf16` rounds weights and inputs of linear layers to 8 bits. It is faster and changes
                probabilities by up to about 1e-2; rows whose two most likely classes lie within 5e-3 are computed again
                in float32. `auto` means `bf16` where the machine has instructions for it. No effect on ONNX.
            batch_size: Maximum number of rows in a batch.
            text_columns: Names of the text columns; None means those of the run, else `text`.
            trust_remote_code: Run the Python code in the directory, if the model has a custom architecture.

        Raises:
            RunError: If there is no such model.
            ConfigError: If the configuration of the run is damaged.
        """
        directory, columns, backend = _find_model(path, backend)
        predictor = cls.__new__(cls)
        predictor.batch_size = batch_size
        predictor.text_columns = list(text_columns) if text_columns is not None else columns
        predictor._source, predictor._loaded = _ModelSource(directory, backend, precision, trust_remote_code), None
        return predictor

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None if self._source is not None else self._loaded}

    def load(self) -> _Loaded:
        """Return model and tokenizer; the first call loads them.

        Raises:
            RunError: If they cannot be loaded.
        """
        if self._loaded is None:
            assert self._source is not None
            self._loaded = self._source.load()
        return self._loaded

    @property
    def model(self) -> PreTrainedModel | OnnxClassifier:
        """The classifier; the first access loads it."""
        return self.load().model

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer."""
        return self.load().tokenizer

    @property
    def space(self) -> LabelSpace:
        """The labels that the model predicts."""
        return label_space(self.model.config)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, labels or numbers, in the order of the model's outputs."""
        return self.space.names

    @overload
    def __call__(
        self, rows: Sequence[str], pairs: Sequence[str] | None = None, *, progress: Callable[[int], object] = ...
    ) -> Outputs: ...
    @overload
    def __call__(
        self, rows: Mapping[str, Any], pairs: None = None, *, progress: Callable[[int], object] = ...
    ) -> dict[str, Any]: ...
    @overload
    def __call__(self, rows: Table, pairs: None = None, *, progress: Callable[[int], object] = ...) -> Table: ...
    @overload
    def __call__(
        self, rows: Iterator[Rows], pairs: None = None, *, progress: Callable[[int], object] = ...
    ) -> Iterator[Rows]: ...
    def __call__(
        self, rows: Any, pairs: Sequence[str] | None = None, *, progress: Callable[[int], object] = lambda rows: None
    ) -> Any:
        """Predict.

        Args:
            rows: N texts, or N rows as a mapping of columns, a DataFrame, an Arrow table, or an iterator of these.
            pairs: Second sentences of texts, if the model was trained on pairs; rows have them in `text_columns`.
            progress: Called with the number of rows after each batch.

        Returns:
            For texts, probabilities of shape (N, C), numbers of shape (N, T) for regression, or a list of entities for
            each text for token_classification; for rows, the rows with columns added. The order is kept.

        Raises:
            DataError: If rows lack a text column or already have one of the added columns, or `rows` is a string.
            RunError: If the model cannot be loaded.
        """
        if isinstance(rows, str):
            raise DataError("give a list of texts, not a single string; an iterator must yield rows, not texts")
        if isinstance(rows, Iterator):
            return (self(part, progress=progress) for part in rows)
        if isinstance(rows, Mapping):
            return {**rows, **self._columns({name: rows[name] for name in rows}, progress)}
        if isinstance(rows, pd.DataFrame):
            return rows.assign(**self._columns({str(name): rows[name] for name in rows}, progress))
        if isinstance(rows, pa.Table):
            columns: dict[str, Any] = dict.fromkeys(rows.column_names)
            columns |= {name: _cells(rows, name) for name in self.text_columns if name in columns}
            for name, values in self._columns(columns, progress).items():
                rows = rows.append_column(name, pa.array(values))
            return rows
        texts = list(rows)
        outputs = self.outputs(texts, None if pairs is None else list(pairs), progress=progress)
        return find_entities(self.tokenizer, texts, outputs, self.class_names) if self.space.of_tokens else outputs

    def outputs(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        spans: Sequence[Spans] | None = None,
        progress: Callable[[int], object] = lambda rows: None,
    ) -> Outputs:
        """Run the model over texts.

        Args:
            texts: N texts.
            pairs: Their second sentences, if the model was trained on pairs.
            spans: For a token classifier the tokens of each text, shape (T, 2); None means the words of its tokenizer.
            progress: Called with the number of rows after each batch.

        Returns:
            The outputs of the task, with N rows.
        """
        space = self.space
        if isinstance(space, Tags):
            model, tokenizer, _ = self.load()
            return token_outputs(model, tokenizer, space, texts, spans, self.batch_size, progress)
        if not len(texts):
            return np.zeros((0, len(space.names)))
        model, tokenizer, exact = self.load()
        logits = text_logits(model, tokenizer, texts, pairs, self.batch_size, progress)
        outputs = space.outputs(logits)
        if exact is not None:
            close = np.flatnonzero(space.borderline(outputs, _BORDER)).tolist()
            if close:
                some = [texts[row] for row in close]
                others = None if pairs is None else [pairs[row] for row in close]
                outputs[close] = space.outputs(text_logits(exact, tokenizer, some, others, min(self.batch_size, _FEW)))
        return outputs

    def _columns(self, columns: dict[str, Any], progress: Callable[[int], object]) -> dict[str, Any]:
        """Predict from the text columns; returns the columns to add."""
        for name in self.text_columns:
            if name not in columns:
                raise DataError(f"the rows have no column '{name}'; they have {', '.join(columns)}")
        texts = join_texts([as_texts(columns[name]) for name in self.text_columns])
        outputs = self.outputs(texts[TEXT], texts.get(PAIR), progress=progress)
        predicted = write_outputs(self.space, self.tokenizer, texts[TEXT], outputs)
        taken = predicted.keys() & columns.keys()
        if taken:
            raise DataError(f"the source already has a column '{min(taken)}'; rename it or leave it out")
        return predicted


def _find_model(path: str | Path, backend: Backend | None) -> tuple[Path, list[str], Backend]:
    """Return the directory of the model at a path, the text columns of its run, and its backend."""
    directory, columns = Path(path).absolute(), [TEXT]
    if not directory.is_dir():
        raise RunError(f"no run or model at {path}")
    if (directory / CONFIG_FILE).is_file():
        columns = read_run_config(directory).data.text_columns
        directory = directory / (ONNX if backend == "onnx" else MODEL)
    exported = (directory / ONNX_FILE).is_file()
    if backend == "onnx" and not exported:
        raise RunError(f"no {ONNX_FILE} at {directory}; make it with: textmix export {path}")
    if not (directory / "config.json").is_file():
        raise RunError(f"no saved model at {directory}; has the run finished?")
    return directory, columns, backend or ("onnx" if exported else "torch")


def _cells(rows: pa.Table, name: str) -> list[Any]:
    """Return the cells of a column; JSON text of lists of tokens as lists."""
    column = rows.column(name)
    return as_lists(column, None, name) if is_nested(rows.schema, name) else column.to_pylist()
