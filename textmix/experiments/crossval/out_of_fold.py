"""Out-of-fold predictions: each row is predicted by the model that was not trained on it."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from textmix.data.standardize import ROW
from textmix.errors import RunError
from textmix.io.files import replacing
from textmix.tasks.base import PROBABILITY
from textmix.tasks.evaluation import Evaluation
from textmix.tasks.registry import space_of_columns

OOF = "oof_predictions.csv"
FOLD = "fold"


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
        predicted = self.evaluation.table({}).set_index(self.keys.index)
        table = pd.concat([self.keys, predicted], axis=1)
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
        space = space_of_columns(list(table.columns))
        columns = [*table.columns[: list(table.columns).index(FOLD) + 1]]
        keys = table[columns].astype({ROW: np.int64, FOLD: np.int64})
        targets, outputs = space.read_targets(table), space.read_outputs(table)
    except (KeyError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error}") from error
    if not len(table):
        raise RunError(f"{path} is damaged: it has no rows")
    return OutOfFold(keys, Evaluation(targets, outputs, space))


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
    return {"dtype": kinds, "keep_default_na": False, "float_precision": "round_trip"}
