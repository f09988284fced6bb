"""Last stages of a run: scores of the best model, and the files of a finished run."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel
from transformers.utils import CONFIG_NAME

from textmix.config.run import RunConfig
from textmix.data.sources import source_name
from textmix.data.splits import TEST, VALIDATION
from textmix.errors import ModelError
from textmix.inference.predictor import Predictor
from textmix.io.files import replacing, write_json
from textmix.io.run_directory import METRICS, MODEL, checkpoint_directory
from textmix.models.calibration import fold_temperatures
from textmix.runs.data import RunData
from textmix.runs.evaluate import evaluate_rows, write_evaluation
from textmix.tasks.evaluation import Evaluation, with_intervals
from textmix.training.progress import TrainProgress

# The scores that a temperature changes.
_OF_PROBABILITIES = ("nll", "ece")
# From this number of validation rows on a model is calibrated unless the options say otherwise.
CALIBRATED_FROM = 200

logger = logging.getLogger(__name__)


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


def calibrate(predictor: Predictor, config: RunConfig, data: RunData, directory: Path) -> None:
    """Calibrate the best model on the validation split, if it is asked for or has enough rows, and save it.

    A model that was calibrated before a run was interrupted stays as it is.
    """
    rows = data.report.sizes.get(VALIDATION, 0)
    asked = config.train.calibrate
    if not (rows >= CALIBRATED_FROM if asked is None else asked) or getattr(
        predictor.model.config, "temperatures", None
    ):
        return
    validation = evaluate_rows(predictor, data.splits[VALIDATION], data.targets[VALIDATION])
    temperatures = validation.space.temperatures(validation.targets, validation.outputs)
    if not temperatures:
        return
    try:
        fold_temperatures(predictor.model, temperatures)
    except ModelError as error:
        logger.info(f"warning: the model is not calibrated: {error}")
        return
    assert isinstance(predictor.model, PreTrainedModel)
    with replacing(directory / MODEL) as temporary:
        predictor.model.save_pretrained(temporary)
        predictor.tokenizer.save_pretrained(temporary)


def tune_thresholds(predictor: Predictor, data: RunData, directory: Path) -> None:
    """Tune the thresholds of labels on the validation split, and save them in the configuration of the best model."""
    validation = evaluate_rows(predictor, data.splits[VALIDATION], data.targets[VALIDATION])
    config = predictor.model.config
    validation.space.tuned(validation.targets, validation.outputs).store(config)
    with replacing(directory / MODEL / CONFIG_NAME) as temporary:
        temporary.write_text(config.to_json_string(), encoding="utf-8")


def write_results(
    directory: Path,
    config: RunConfig,
    data: RunData,
    evaluations: dict[str, Evaluation],
    temperatures: list[float],
    progress: TrainProgress,
    truncated: float,
) -> RunResult:
    """Write report.md, predictions.csv and metrics.json, and remove the checkpoints.

    Args:
        directory: Directory of the run.
        config: Its options.
        data: Its data.
        evaluations: The evaluations of its best model.
        temperatures: Those that the model is calibrated with; empty if it is not.
        progress: The progress of training.
        truncated: Share of the training texts that are longer than the model's longest input.
    """
    metrics = _metrics(evaluations, temperatures, progress, data.report.sizes)
    metrics["train"]["truncated"] = truncated
    if TEST in evaluations:
        title = f"Test split of {source_name(config.data.source)}"
        write_evaluation(directory, title, data.splits[TEST], evaluations[TEST])
    write_json(directory / METRICS, metrics)  # last: it marks the run as finished
    remove_checkpoints(directory)
    return RunResult(directory, metrics, evaluations.get(TEST))


def remove_checkpoints(directory: Path) -> None:
    """Remove the checkpoints of a finished run."""
    shutil.rmtree(checkpoint_directory(directory), ignore_errors=True)


def _calibration(validation: Evaluation, test: Evaluation, temperatures: list[float]) -> dict[str, Any]:
    """Score the test split as it would be without calibration, or, of a model that is not calibrated, with it."""
    space, name = test.space, "uncalibrated"
    inverse = [1 / temperature for temperature in temperatures]
    if not temperatures:
        temperatures = inverse = space.temperatures(validation.targets, validation.outputs)
        name = "scaled"
    if not temperatures:
        return {}
    outputs = space.scaled(test.outputs, inverse)
    scores, intervals = space.scores(test.targets, outputs), space.intervals(test.targets, outputs)
    return {
        "temperature": float(np.exp(np.log(temperatures).mean())),
        **{f"{name}_{metric}": scores[metric] for metric in _OF_PROBABILITIES},
        **with_intervals({metric: intervals[metric] for metric in _OF_PROBABILITIES}, f"{name}_"),
    }


def _metrics(
    evaluations: dict[str, Evaluation], temperatures: list[float], progress: TrainProgress, sizes: dict[str, int]
) -> dict[str, dict[str, Any]]:
    metrics: dict[str, dict[str, Any]] = {name: item.metrics() for name, item in evaluations.items()}
    if TEST in evaluations and VALIDATION in evaluations:
        metrics[TEST] |= _calibration(evaluations[VALIDATION], evaluations[TEST], temperatures)
    if VALIDATION in evaluations:
        validation = evaluations[VALIDATION]
        curve = validation.space.coverage(validation.targets, validation.outputs)
        metrics[VALIDATION] |= {"coverage": [point._asdict() for point in curve]} if curve else {}
    metrics["train"] = {
        "seconds": progress.seconds,
        "samples_per_second": progress.samples / progress.seconds if progress.seconds else 0.0,
        "samples": progress.samples,
        "steps": progress.step,
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "rows": sizes,
    }
    return metrics
