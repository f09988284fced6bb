"""Files of out-of-fold predictions."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.tasks import classes
from textmix.errors import RunError
from textmix.experiments.crossval.out_of_fold import OOF, OutOfFold, read_out_of_fold


def made() -> OutOfFold:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), size=4)
    keys = pd.DataFrame({"row": [0, 1, 3, 4], "id": ["01", "NA", "", "x,\ry"], "fold": [1, 0, 0, 1]})
    return OutOfFold(keys, classes([0, 2, 1, 1], probabilities, ["01", "NA", "a b"]))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    made().write(tmp_path)
    read = read_out_of_fold(tmp_path)
    pd.testing.assert_frame_equal(read.keys, made().keys)
    assert read.evaluation.space.names == ["01", "NA", "a b"]
    assert read.evaluation.targets.tolist() == [0, 2, 1, 1]
    np.testing.assert_allclose(read.evaluation.outputs, made().evaluation.outputs, rtol=1e-15)
    assert read.folds.tolist() == [1, 0, 0, 1]


def test_its_columns_are_those_of_predict(tmp_path: Path) -> None:
    made().write(tmp_path)
    header = next(csv.reader((tmp_path / OOF).read_text().splitlines()))
    assert ",".join(header) == "row,id,fold,label,prediction,confidence,probability_01,probability_NA,probability_a b"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace('"fold"', '"fald"', 1), "is damaged"),
        (lambda text: text.replace("\n0,", "\nzero,", 1), "is damaged"),
        (lambda text: text.replace("probability_01", "probability_02"), "labels without a column of probabilities"),
        (lambda text: text.splitlines()[0] + "\n", "it has no rows"),
    ],
)
def test_a_damaged_file_is_told(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    made().write(tmp_path)
    (tmp_path / OOF).write_text(change((tmp_path / OOF).read_text()))
    with pytest.raises(RunError, match=message):
        read_out_of_fold(tmp_path)


def test_a_run_without_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no oof_predictions\.csv; textmix crossval"):
        read_out_of_fold(tmp_path)
