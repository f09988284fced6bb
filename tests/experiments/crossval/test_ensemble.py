"""Weights of an ensemble, against plain loops; what is read and written."""

import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.commands import snapshot
from tests.support.tasks import classes
from textmix.errors import RunError
from textmix.experiments.crossval.ensemble import combine_runs, fit_ensemble, fit_weights, read_runs
from textmix.experiments.crossval.out_of_fold import OOF, OutOfFold, read_out_of_fold
from textmix.experiments.crossval.submission import Layout, write_submission
from textmix.tasks.single_label import Classes

CLASSES = ["a", "b", "c"]
SPACE = Classes(CLASSES)


def out_of_fold(seed: int, rows: int = 60, skill: float = 1.0) -> OutOfFold:
    """A run that is right more often the more skill it has."""
    labels = np.random.default_rng(99).integers(0, 3, rows)
    logits = np.random.default_rng(seed).normal(size=(rows, 3))
    logits[np.arange(rows), labels] += skill
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    keys = pd.DataFrame({"row": range(rows), "fold": [row % 3 for row in range(rows)]})
    return OutOfFold(keys, classes(labels, probabilities, CLASSES))


def nll(weights: tuple[float, ...], runs: list[OutOfFold]) -> float:
    total = 0.0
    labels = runs[0].evaluation.targets
    for row, label in enumerate(labels):
        mixed = sum(w * run.evaluation.outputs[row][label] for w, run in zip(weights, runs, strict=True))
        total -= math.log(mixed)
    return total / len(labels)


def stacked(runs: list[OutOfFold]) -> np.ndarray:
    return np.stack([run.evaluation.outputs for run in runs])


class TestWeights:
    def test_no_point_of_a_fine_grid_has_a_smaller_nll(self) -> None:
        runs = [out_of_fold(0, skill=1.5), out_of_fold(1, skill=1.0), out_of_fold(2, skill=0.0)]
        weights = fit_weights(stacked(runs), runs[0].evaluation.targets, SPACE, "nll")
        assert weights.sum() == pytest.approx(1)
        assert (weights >= 0).all()
        grid = [(i / 20, j / 20, 1 - (i + j) / 20) for i, j in product(range(21), repeat=2) if i + j <= 20]
        best = min(nll(point, runs) for point in grid)
        assert nll(tuple(weights), runs) <= best + 1e-9

    def test_a_run_that_only_harms_weighs_nothing(self) -> None:
        runs = [out_of_fold(0, skill=3.0), out_of_fold(1, skill=-3.0)]
        assert fit_weights(stacked(runs), runs[0].evaluation.targets, SPACE, "nll").tolist() == [1.0, 0.0]

    def test_certain_and_wrong_rows_are_borne(self) -> None:
        run = out_of_fold(0, skill=1.0)
        certain = np.eye(3)[(run.evaluation.targets + 1) % 3]
        probabilities = np.stack([run.evaluation.outputs, certain])
        assert fit_weights(probabilities, run.evaluation.targets, SPACE, "nll").tolist() == pytest.approx(
            [1, 0], abs=1e-3
        )
        assert np.isfinite(fit_weights(np.stack([certain, certain]), run.evaluation.targets, SPACE, "nll")).all()

    @pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
    def test_the_search_never_ends_below_the_nll_weights(self, metric: str) -> None:
        gained = False
        for seed in range(5):
            runs = [out_of_fold(seed * 3 + number, skill=0.7) for number in range(3)]
            first = runs[0].evaluation
            scores = {}
            for name in ("nll", metric):
                weights = fit_weights(stacked(runs), first.targets, SPACE, name)
                assert weights.sum() == pytest.approx(1)
                assert (weights >= 0).all()
                mixed = np.tensordot(weights, stacked(runs), axes=1)
                scores[name] = replace(first, outputs=mixed).scores()[metric]
            assert scores[metric] >= scores["nll"]
            gained |= scores[metric] > scores["nll"]
        assert gained


def test_nested_predictions_come_from_weights_of_the_other_folds() -> None:
    runs = [out_of_fold(0), out_of_fold(1)]
    found = fit_ensemble(runs, "nll")
    for fold in range(3):
        others = [row for row in range(60) if row % 3 != fold]
        weights = fit_weights(stacked(runs)[:, others], runs[0].evaluation.targets[others], SPACE, "nll")
        for row in range(fold, 60, 3):
            expected = weights[0] * stacked(runs)[0, row] + weights[1] * stacked(runs)[1, row]
            assert found.nested.outputs[row] == pytest.approx(expected)
    assert found.fitted.scores()["nll"] < found.nested.scores()["nll"]


class TestFiles:
    def write(self, folder: Path, submission: bool = True) -> list[Path]:
        directories = [folder / "x", folder / "y"]
        for seed, directory in enumerate(directories):
            directory.mkdir()
            out_of_fold(seed).write(directory)
            if submission:
                self.submit(directory, seed, ["01", "02"])
        return directories

    def submit(self, directory: Path, seed: int, ids: list[str]) -> None:
        import pyarrow as pa

        probabilities = np.random.default_rng(seed).dirichlet(np.ones(3), size=len(ids))
        layout = Layout({"id": "id", "target": "prediction"}, ["id"])
        write_submission(directory, layout, [(pa.table({"id": ids}), SPACE.write_outputs(probabilities))])

    def test_an_ensemble_is_written_like_a_cross_validation(self, tmp_path: Path) -> None:
        directories = self.write(tmp_path)
        result = combine_runs(directories, tmp_path / "ensemble", "nll")
        assert json.loads((tmp_path / "ensemble" / "ensemble.json").read_text()) == result
        weights = list(result["weights"].values())
        probabilities = [np.random.default_rng(seed).dirichlet(np.ones(3), size=2) for seed in range(2)]
        mixed = weights[0] * probabilities[0] + weights[1] * probabilities[1]
        lines = [f"{number},{CLASSES[row.argmax()]}" for number, row in zip(["01", "02"], mixed, strict=True)]
        assert (tmp_path / "ensemble" / "submission.csv").read_text().splitlines() == ["id,target", *lines]
        assert read_out_of_fold(tmp_path / "ensemble").evaluation.scores() == pytest.approx(result["nested"])
        again = combine_runs([tmp_path / "ensemble", directories[0]], tmp_path / "again", "accuracy")
        assert again["runs"][str(tmp_path / "ensemble")] == pytest.approx(result["nested"])

    def test_without_a_submission_of_each_there_is_none(self, tmp_path: Path) -> None:
        directories = self.write(tmp_path)
        combine_runs(directories, tmp_path / "ensemble", "nll")
        assert (tmp_path / "ensemble" / "submission.csv").is_file()
        (directories[1] / "submission.json").unlink()
        combine_runs(directories, tmp_path / "ensemble", "nll")  # nor does that of an earlier ensemble stay
        assert sorted(path.name for path in (tmp_path / "ensemble").iterdir()) == ["ensemble.json", OOF]

    @pytest.mark.parametrize("ids", [["01"], ["01", "03"], ["01", "02", "03"]])
    def test_submissions_of_other_rows_are_refused(self, tmp_path: Path, ids: list[str]) -> None:
        directories = self.write(tmp_path)
        self.submit(directories[1], 1, ids)
        with pytest.raises(RunError, match="submissions of different rows or columns"):
            combine_runs(directories, tmp_path / "ensemble", "nll")
        assert not list((tmp_path / "ensemble").iterdir())

    def test_a_directory_with_something_else_is_left_alone(self, tmp_path: Path) -> None:
        directories, other = self.write(tmp_path), tmp_path / "other"
        other.mkdir()
        (other / "mine").write_text("")
        with pytest.raises(RunError, match="other exists and is not an ensemble"):
            combine_runs(directories, other, "nll")

    def test_an_ensemble_does_not_replace_what_it_is_made_of(self, tmp_path: Path) -> None:
        directories = self.write(tmp_path)
        combine_runs(directories, tmp_path / "ensemble", "nll")
        before = snapshot(tmp_path / "ensemble")
        with pytest.raises(
            RunError,
            match=r"output_dir .*ensemble would overwrite .*ensemble, an input",
        ):
            combine_runs([tmp_path / "ensemble", directories[0]], tmp_path / "x" / ".." / "ensemble", "nll")
        assert snapshot(tmp_path / "ensemble") == before


def test_runs_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    good = out_of_fold(0)
    evaluation = good.evaluation
    others = {
        "more": (out_of_fold(1, rows=61), "more has predicted other rows than .*first .61 instead of 60"),
        "rows": (replace(good, keys=good.keys.assign(row=range(1, 61))), "rows has predicted other rows"),
        "names": (replace(good, evaluation=replace(evaluation, space=Classes(["a", "b", "d"]))), "has other classes"),
        "labels": (
            replace(good, evaluation=replace(evaluation, targets=np.roll(evaluation.targets, 1))),
            "labels has other labels than .*first, first in row",
        ),
    }
    (tmp_path / "first").mkdir()
    good.write(tmp_path / "first")
    for name, (run, message) in others.items():
        (tmp_path / name).mkdir()
        run.write(tmp_path / name)
        with pytest.raises(RunError, match=message):
            read_runs([tmp_path / "first", tmp_path / name])
    for directories in ([tmp_path / "first"], [tmp_path / "first", tmp_path / "names" / ".." / "first"]):
        with pytest.raises(RunError, match="two or more different runs"):
            read_runs(directories)
