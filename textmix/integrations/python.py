"""Train from Python in a few lines: `textmix.train`."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
from datasets import Dataset

from textmix.config.parsing import is_recipe, read_recipe, with_options
from textmix.config.run import RunConfig
from textmix.data.config import DataConfig
from textmix.errors import ConfigError, DataError, RunError
from textmix.inference.predictor import Predictor
from textmix.io.files import replacing
from textmix.io.quiet import libraries_quiet
from textmix.io.run_directory import MODEL, check_directory
from textmix.runs import train as run
from textmix.tasks.evaluation import Evaluation
from textmix.training.random_state import preserved_random_state

_TEXT, _LABEL = "text", "label"
Table: TypeAlias = pd.DataFrame | pa.Table | Dataset


@dataclass(frozen=True)
class Training:
    """A finished training.

    Args:
        directory: Directory of the run; a temporary one unless another was asked for.
        metrics: The content of metrics.json.
        test: The evaluation on the test split; None without one (`data.test_fraction` 0).
    """

    directory: Path
    metrics: dict[str, Any]
    test: Evaluation | None
    _kept: TemporaryDirectory[str] | None = None  # removed with this object

    @property
    def predictor(self) -> Predictor:
        """The best model as a predictor."""
        return Predictor.from_pretrained(self.directory)

    def report(self) -> None:
        """Print what `textmix train` prints at its end: the report on the test split."""
        if self.test is None:
            print("no test split (data.test_fraction 0)")  # noqa: T201
            return
        print(f"test: {len(self.test.targets)} rows\n\n{self.test.report_text()}")  # noqa: T201

    def predict(self, texts: Sequence[str]) -> pd.DataFrame:
        """Predict texts; returns a table with the columns that `textmix predict` writes."""
        predictor = self.predictor
        [column] = predictor.text_columns
        with libraries_quiet():
            table: pd.DataFrame = predictor(pd.DataFrame({column: list(texts)}))
        return table.drop(columns=column)

    def save(self, directory: str | Path) -> None:
        """Save the model and its tokenizer, as `save_pretrained` of transformers does.

        Raises:
            RunError: If the directory exists and does not hold a model.
        """
        target = Path(directory)
        if target.exists() and not (target / "config.json").is_file():
            raise RunError(f"{target} exists and holds no model; choose another directory")
        with replacing(target) as temporary:
            shutil.copytree(self.directory / MODEL, temporary)


def train(
    data: str | Sequence[str] | Table,
    labels: Any = None,
    *,
    unlabeled: str | Sequence[str] | Table | None = None,
    recipe: str | None = None,
    model: str | None = None,
    strategy: str | None = None,
    options: Mapping[str, Any] | None = None,
    output_dir: str | Path | None = None,
    verbose: bool = True,
) -> Training:
    """Train and evaluate a model, as the command `textmix train` does.

    Args:
        data: N texts; a table of pandas, Arrow or datasets; a source as `data.source` takes it; or a recipe: a YAML
            file or a name that `textmix recipes` lists.
        labels: The labels of N texts: classes, lists of labels, numbers, or an array with a column for each label. None
            if `data` holds them.
        unlabeled: M texts without labels, a table of them, or a source as `data.unlabeled` takes it.
        recipe: A recipe for the data.
        model: `model.name`: a built-in name, a hub id or a directory.
        strategy: `mix.strategy`: how training rows are mixed.
        options: Other options by dotted name, such as `{"train.epochs": 5, "task": "regression"}`.
        output_dir: Directory of the run; rows that are no file are written beside it. None keeps nothing on disk that
            outlives the result.
        verbose: Show a progress bar, and a line for each epoch.

    Returns:
        The finished training.

    Raises:
        DataError: If the data cannot be used.
        ConfigError: If an option is unknown, or invalid with the others.
        TextmixError: Whatever else `textmix train` refuses.
    """
    if labels is not None and isinstance(data, str | pd.DataFrame | pa.Table | Dataset):
        raise ConfigError("labels belong to a list of texts; a table or a file has a column of them: data.label_column")
    kept = TemporaryDirectory(prefix="textmix-") if output_dir is None else None
    directory = Path(kept.name) / "run" if kept is not None else Path(str(output_dir))
    check_directory(directory, overwrite=False)
    prefix = "" if kept is not None else f"{directory.name}-"
    rows, pool = (directory.with_name(f"{prefix}{name}.parquet") for name in ("rows", "unlabeled"))
    chosen = {"model.name": model, "mix.strategy": strategy, "output_dir": str(directory)}
    if unlabeled is not None:
        chosen["data.unlabeled"] = unlabeled if isinstance(unlabeled, str) else str(pool)
    given = {name: value for name, value in chosen.items() if value is not None} | dict(options or {})
    config = with_options(_start(data, recipe, str(rows)), given)
    with libraries_quiet(), preserved_random_state():
        if not isinstance(data, str):
            config = with_options(config, {**_write_rows(data, labels, rows), **given})
        if unlabeled is not None and not isinstance(unlabeled, str):
            _write_pool(unlabeled, pool, config.data.text_columns)
        result = run.train(config, show_progress=verbose)
    assert result is not None  # in one process
    return Training(result.directory, result.metrics, result.test, kept)


def _start(data: Any, recipe: str | None, rows: str) -> RunConfig:
    """Return the options of the recipe, which may be in the place of the data, for the data."""
    if recipe is None and isinstance(data, str) and is_recipe(data):
        return read_recipe(data)
    source = data if isinstance(data, str) else rows
    return RunConfig(DataConfig(source)) if recipe is None else read_recipe(recipe, source)


def _write_rows(data: Any, labels: Any, path: Path) -> dict[str, Any]:
    """Write rows to a file; returns the options that read it."""
    if path.exists():
        raise RunError(f"{path} exists, where the rows would be written; choose another output_dir")
    found: dict[str, Any] = {"data.source": str(path)}
    if isinstance(data, pd.DataFrame):
        rows = Dataset.from_pandas(data, preserve_index=False)
    elif isinstance(data, Dataset):
        rows = data
    else:
        table = data if isinstance(data, pa.Table) else _table(data, labels)
        rows = Dataset(table)
        names = [name for name in table.column_names if name != _TEXT]
        if table is not data and names != [_LABEL]:
            found["data.label_column"] = names
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        rows.to_parquet(str(temporary))
    return found


def _write_pool(pool: Any, path: Path, columns: list[str]) -> None:
    """Write rows without labels to a file."""
    if not isinstance(pool, pd.DataFrame | pa.Table | Dataset):
        pool = pa.table({columns[0]: _strings(pool)})
    _write_rows(pool, None, path)


def _table(texts: Sequence[str], labels: Any) -> pa.Table:
    """Return texts and labels as a table, with a column for each column of labels."""
    given = _strings(texts)
    if labels is None:
        raise DataError("texts need labels: train(texts, labels)")
    columns = _label_columns(labels)
    count = len(next(iter(columns.values()))) if columns else 0
    if count != len(given):
        raise DataError(f"there are {len(given)} texts and {count} labels")
    return pa.table({_TEXT: given, **columns})


def _strings(texts: Sequence[str]) -> list[str]:
    given = list(texts)
    for number, text in enumerate(given):
        if not isinstance(text, str):
            raise DataError(f"texts must be strings, but text {number} is {text!r}")
    return given


def _label_columns(labels: Any) -> dict[str, list[Any]]:
    if isinstance(labels, pd.DataFrame):
        return {str(name): labels[name].tolist() for name in labels}
    if isinstance(labels, np.ndarray) and labels.ndim == 2:
        return {str(number): column.tolist() for number, column in enumerate(labels.T)}
    return {_LABEL: labels.tolist() if hasattr(labels, "tolist") else list(labels)}
