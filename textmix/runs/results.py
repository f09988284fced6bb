"""Last stages of a run: scores of the best model, and the files of a finished run."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.utils import CONFIG_NAME

from textmix.config.run import RunConfig
from textmix.data.sources import source_name
from textmix.data.splits import TEST, VALIDATION
from textmix.inference.predictor import Predictor
from textmix.io.files import replacing, write_json
from textmix.io.run_directory import METRICS, MODEL, checkpoint_directory
from textmix.runs.data import RunData
from textmix.runs.evaluate import evaluate_rows, write_evaluation
from textmix.tasks.evaluation import Evaluation
from textmix.training.progress import TrainProgress


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Args:
        directory: Directory of the run.
        metrics: The content of metrics.json.
        test: The evaluation on the test split; None if it was not evaluated.
    """

    directory: Path
    metrics: dict[str, Any]
    test: Evaluation | None


def evaluate_splits(predictor: Predictor, data: RunData, test: bool = True) -> dict[str, Evaluation]:
    """Evaluate the test split, if requested, and the validation split, if there is one."""
    names = [name for name in ((TEST, VALIDATION) if test else (VALIDATION,)) if name in data.splits]
    return {name: evaluate_rows(predictor, data.splits[name], data.targets[name]) for name in names}


def tune_thresholds(predictor: Predictor, data: RunData, directory: Path) -> None:
    """Tune the thresholds of labels on the validation split, and save them in the configuration of the best model."""
    validation = evaluate_rows(predictor, data.splits[VALIDATION], data.targets[VALIDATION])
    config = predictor.model.config
    validation.space.tuned(validation.targets, validation.outputs).store(config)
    with replacing(directory / MODEL / CONFIG_NAME) as temporary:
        temporary.write_text(config.to_json_string(), encoding="utf-8")


def write_results(
    directory: Path, config: RunConfig, data: RunData, evaluations: dict[str, Evaluation], progress: TrainProgress
) -> RunResult:
    """Write report.md, predictions.csv and metrics.json, and remove the checkpoints."""
    metrics = _metrics(evaluations, progress, data.report.sizes)
    if TEST in evaluations:
        title = f"Test split of {source_name(config.data.source)}"
        write_evaluation(directory, title, data.splits[TEST], evaluations[TEST])
    write_json(directory / METRICS, metrics)  # last: it marks the run as finished
    remove_checkpoints(directory)
    return RunResult(directory, metrics, evaluations.get(TEST))


def remove_checkpoints(directory: Path) -> None:
    """Remove the checkpoints of a finished run."""
    shutil.rmtree(checkpoint_directory(directory), ignore_errors=True)


def _metrics(
    evaluations: dict[str, Evaluation], progress: TrainProgress, sizes: dict[str, int]
) -> dict[str, dict[str, Any]]:
    metrics = {name: {**item.scores(), "report": item.report()} for name, item in evaluations.items()}
    if TEST in evaluations and VALIDATION in evaluations:
        validation, test = ((item.targets, item.outputs) for item in (evaluations[VALIDATION], evaluations[TEST]))
        metrics[TEST] |= evaluations[TEST].space.calibrated_scores(validation, test)
    metrics["train"] = {
        "seconds": progress.seconds,
        "samples_per_second": progress.samples / progress.seconds,
        "samples": progress.samples,
        "steps": progress.step,
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "rows": sizes,
    }
    return metrics
