"""Out-of-fold predictions: each row is predicted by the model that was not trained on it."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from textmix.data.standardize import LABEL, ROW
from textmix.errors import RunError
from textmix.evaluation.metrics import Array, Evaluation
from textmix.evaluation.report import prediction_columns
from textmix.io.files import replacing

OOF = "oof_predictions.csv"
FOLD = "fold"
PROBABILITY = "probability_"


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold predictions of N rows, in the order of the source.

    Args:
        keys: Columns that identify the rows, shape (N, 2 or more): `row` (number in the source, from 0), any id columns
            of the source, and `fold` (the fold whose model predicted the row).
        evaluation: Labels and predictions.
    """

    keys: pd.DataFrame
    evaluation: Evaluation

    @property
    def folds(self) -> npt.NDArray[np.int64]:
        """The fold of each row, shape (N,)."""
        return self.keys[FOLD].to_numpy()

    def write(self, directory: Path) -> None:
        """Write oof_predictions.csv."""
        names = self.evaluation.class_names
        labels = {LABEL: [names[number] for number in self.evaluation.labels]}
        predicted = {**labels, **prediction_columns(self.evaluation.probabilities, names)}
        table = pd.concat([self.keys, pd.DataFrame(predicted, index=self.keys.index)], axis=1)
        with replacing(directory / OOF) as temporary:
            # Quoted, as a lone carriage return in an id or a class would end its line.
            table.to_csv(temporary, index=False, quoting=csv.QUOTE_NONNUMERIC)


def read_out_of_fold(directory: Path) -> OutOfFold:
    """Read the oof_predictions.csv of a cross-validation or of an ensemble.

    Raises:
        RunError: If the file is missing or damaged.
    """
    path = directory / OOF
    if not path.is_file():
        raise RunError(f"{directory} has no {OOF}; textmix crossval and textmix ensemble write one when they are done")
    try:
        table = read_predictions(path)
        names, probabilities = probabilities_of(table)
        labels = pd.Index(names).get_indexer(pd.Index(table[LABEL]))
        columns = [*table.columns[: table.columns.get_loc(LABEL)]]
        keys = table[columns].astype({ROW: np.int64, FOLD: np.int64})
    except (KeyError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}") from error
    if not len(labels) or (labels < 0).any():
        raise RunError(f"{path} is damaged: it has no rows, or labels without a column of probabilities")
    return OutOfFold(keys, Evaluation(labels, probabilities, names))


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a file of predictions: probabilities as numbers, everything else as unchanged strings."""
    table: pd.DataFrame = pd.read_csv(path, **_kinds(path))
    return table


def prediction_blocks(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    """Read a file of predictions like `read_predictions`, in blocks of `rows` rows."""
    with pd.read_csv(path, chunksize=rows, **_kinds(path)) as blocks:
        yield from blocks


def _kinds(path: Path) -> dict[str, Any]:
    columns = pd.read_csv(path, nrows=0).columns
    kinds = {name: np.float64 if name.startswith(PROBABILITY) else str for name in columns}
    return {"dtype": kinds, "keep_default_na": False}


def probabilities_of(table: pd.DataFrame) -> tuple[list[str], Array]:
    """Return the class names and the probabilities, shape (N, C), of a table of predictions."""
    columns = [name for name in table.columns if name.startswith(PROBABILITY)]
    return [name.removeprefix(PROBABILITY) for name in columns], table[columns].to_numpy(dtype=np.float64)
