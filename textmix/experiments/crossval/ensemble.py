"""Ensembles of cross-validations: weights fitted on out-of-fold predictions, and an unbiased estimate of the gain."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.optimize import minimize

from textmix.data.label_format import Array
from textmix.data.standardize import ROW
from textmix.data.windows import WINDOW
from textmix.errors import RunError, listed
from textmix.experiments.crossval.out_of_fold import OutOfFold, prediction_blocks, read_out_of_fold
from textmix.experiments.crossval.submission import (
    COLUMNS,
    SUBMISSION,
    TEST_PROBABILITIES,
    Layout,
    read_layout,
    write_submission,
)
from textmix.io.files import write_json
from textmix.io.inputs import refuse_overwriting
from textmix.io.run_directory import refuse_foreign
from textmix.tasks.base import Columns, LabelSpace
from textmix.tasks.evaluation import Evaluation
from textmix.tasks.names import choose_metric

ENSEMBLE = "ensemble.json"
# Steps of weight in the search for accuracy and macro F1, from coarse to fine.
_STEPS = (0.2, 0.1, 0.05, 0.02, 0.01)


@dataclass(frozen=True)
class Ensemble:
    """Weights of runs, and the predictions of their weighted average.

    Args:
        weights: Non-negative weights of the runs, shape (R,); their sum is 1.
        fitted: Weighted average on the rows that the weights were fitted on: an optimistic estimate.
        nested: Weighted average of each fold with weights fitted on the other folds: an unbiased estimate.
    """

    weights: Array
    fitted: Evaluation
    nested: Evaluation


def fit_ensemble(runs: list[OutOfFold], metric: str) -> Ensemble:
    """Fit weights of runs, and estimate the scores of the ensemble on new rows.

    Args:
        runs: Out-of-fold predictions of the same rows; the folds of the first run are used.
        metric: The metric that the weights are fitted for.
    """
    outputs, first = np.stack([run.evaluation.outputs for run in runs]), runs[0].evaluation
    targets, space = first.targets, first.space
    nested = np.empty_like(first.outputs)
    for fold in np.unique(runs[0].folds):
        out = runs[0].folds == fold
        nested[out] = _average(fit_weights(outputs[:, ~out], targets[~out], space, metric), outputs[:, out])
    weights = fit_weights(outputs, targets, space, metric)
    fitted = replace(first, outputs=_average(weights, outputs))
    return Ensemble(weights, fitted, replace(first, outputs=nested))


def fit_weights(outputs: Array, targets: Array, space: LabelSpace, metric: str) -> Array:
    """Find the weights with which the average of runs scores best.

    The negative log-likelihood of classes is convex in the weights; SLSQP (Kraft 1988) finds its minimum. For other
    metrics a greedy search starts there, or at equal weights, and moves weight between the best pair of runs until
    nothing improves, with decreasing steps: many of them are step functions.

    Args:
        outputs: Outputs of R runs for N rows, shape (R, N, C).
        targets: Their targets.
        space: The labels.
        metric: A metric of the task.

    Returns:
        Non-negative weights, shape (R,); their sum is 1.
    """
    weights = np.full(len(outputs), 1 / len(outputs))
    if space.task == "single_label" and targets.ndim == 1:
        weights = _likeliest(outputs[:, np.arange(len(targets)), targets].T)
        if metric == "nll":
            return weights
    sign = 1 if space.metrics[metric] else -1
    return _climb(lambda tried: sign * space.score(metric, targets, _average(tried, outputs)), weights)


def _average(weights: Array, probabilities: Array) -> Array:
    return np.tensordot(weights, probabilities, axes=1)


def _likeliest(likelihoods: Array) -> Array:
    """Minimise the mean of -log(likelihoods @ weights); likelihoods of the true class, shape (N, R)."""
    count = likelihoods.shape[1]
    tiny = np.finfo(np.float64).eps  # as in scikit-learn's log_loss

    def loss(weights: Array) -> tuple[float, Array]:
        mixed = np.maximum(likelihoods @ weights, tiny)
        return float(-np.log(mixed).mean()), -(likelihoods / mixed[:, None]).mean(axis=0)

    found = minimize(
        loss,
        np.full(count, 1 / count),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": lambda weights: np.ones(count)},
        options={"ftol": 1e-10, "maxiter": 1000},
    )
    weights = np.where(found.x < 1e-6, 0, found.x)
    return np.asarray(weights / weights.sum())


def _climb(score: Callable[[Array], float], weights: Array) -> Array:
    best = score(weights)
    for step in _STEPS:
        improved = True
        while improved:
            improved = False
            start = weights
            for source, target in permutations(range(len(weights)), 2):
                tried = start.copy()
                moved = min(step, tried[source])
                tried[source], tried[target] = tried[source] - moved, tried[target] + moved
                reached = score(tried)
                if reached > best:
                    best, weights, improved = reached, tried, True
    return weights


def read_runs(directories: list[Path]) -> list[OutOfFold]:
    """Read the out-of-fold predictions of runs, and check that they have the same rows and classes.

    Raises:
        RunError: If a run is missing, damaged or given twice, or has other rows, labels or classes than the first.
    """
    if len({directory.resolve() for directory in directories}) < max(2, len(directories)):
        raise RunError("an ensemble needs two or more different runs of textmix crossval")
    runs = [read_out_of_fold(directory) for directory in directories]
    for directory, run in zip(directories, runs, strict=True):
        _check_alike(runs[0], directories[0], run, directory)
    return runs


def _check_alike(first: OutOfFold, where: Path, other: OutOfFold, directory: Path) -> None:
    if other.evaluation.space != first.evaluation.space:
        names, expected = listed(other.evaluation.space.names, 5), listed(first.evaluation.space.names, 5)
        raise RunError(f"{directory} has other classes than {where}: {names} instead of {expected}")
    if not np.array_equal(other.keys[ROW], first.keys[ROW]):
        counts = f"{len(other.keys)} instead of {len(first.keys)}"
        raise RunError(f"{directory} has predicted other rows than {where} ({counts}); use runs of the same source")
    differs = other.evaluation.targets != first.evaluation.targets
    different = np.flatnonzero(differs.reshape(len(differs), -1).any(axis=1))
    if len(different):
        row = first.keys[ROW].iloc[different[0]]
        raise RunError(f"{directory} has other labels than {where}, first in row {row}; use runs of the same source")


def combine_runs(directories: list[Path], target: Path, metric: str | None = None) -> dict[str, Any]:
    """Fit an ensemble and write ensemble.json, oof_predictions.csv, and a submission if all runs have one.

    oof_predictions.csv holds the nested predictions, so that an ensemble of ensembles is not evaluated on rows that
    weights were fitted on.

    Args:
        directories: Two or more results of `cross_validate`, or of this function.
        target: Directory to write.
        metric: As in `fit_ensemble`; None means `nll`, or `mse` for regression.

    Returns:
        The content of ensemble.json: the weights, and the scores of each run, of the plain average (`equal`), of the
        ensemble on the rows that its weights were fitted on (`fitted`), and its unbiased estimate (`nested`).

    Raises:
        ConfigError: If the task does not have the metric.
        RunError: If runs do not belong together, or the target is in use.
    """
    runs = read_runs(directories)
    space = runs[0].evaluation.space
    if metric is None and "nll" in space.metrics:
        metric = "nll"
    metric = choose_metric(space.task, metric, "--metric")
    refuse_overwriting(target, directories, "output_dir")
    refuse_foreign(target, "an ensemble", (target / ENSEMBLE).is_file())
    layouts = [read_layout(directory) for directory in directories]
    found = fit_ensemble(runs, metric)
    result = {"metric": metric, **_scores([str(directory) for directory in directories], runs, found)}
    target.mkdir(parents=True, exist_ok=True)
    if layouts[0] is not None and None not in layouts:
        write_submission(target, layouts[0], _averaged_blocks(directories, layouts[0], space, found.weights))
    else:
        for name in (SUBMISSION, TEST_PROBABILITIES, COLUMNS):  # of an earlier ensemble in the same directory
            (target / name).unlink(missing_ok=True)
    replace(runs[0], evaluation=found.nested).write(target)
    write_json(target / ENSEMBLE, result)
    return result


def _scores(names: list[str], runs: list[OutOfFold], found: Ensemble) -> dict[str, Any]:
    equal = np.mean([run.evaluation.outputs for run in runs], axis=0)
    return {
        "weights": dict(zip(names, found.weights.tolist(), strict=True)),
        "runs": {name: run.evaluation.scores() for name, run in zip(names, runs, strict=True)},
        "equal": replace(runs[0].evaluation, outputs=equal).scores(),
        "fitted": found.fitted.scores(),
        "nested": found.nested.scores(),
    }


def _averaged_blocks(
    directories: list[Path], layout: Layout, space: LabelSpace, weights: Array
) -> Iterator[tuple[pa.Table, Columns]]:
    """Read test_probabilities.csv of all runs and average them, a block at a time."""
    files = [prediction_blocks(directory / TEST_PROBABILITIES, WINDOW) for directory in directories]
    for parts in zip_longest(*files, fillvalue=pd.DataFrame()):
        kept = [part.filter(layout.kept).reset_index(drop=True) for part in parts]
        for directory, rows, part in zip(directories, kept, parts, strict=True):
            if not set(space.output_columns) <= set(part.columns) or not rows.equals(kept[0]):
                raise RunError(f"{directory} and {directories[0]} have submissions of different rows or columns")
        outputs = np.stack([space.read_outputs(part) for part in parts])
        predicted = space.write_outputs(_average(weights, outputs))
        yield pa.Table.from_pandas(kept[0], preserve_index=False), predicted
