"""Cross-validation: train a run for each fold, and collect out-of-fold predictions."""

import logging
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from textmix.config.run import RunConfig
from textmix.data.columns import categories
from textmix.data.labels import class_names, encode_labels
from textmix.data.sources import load_source, source_name
from textmix.data.splits import TRAIN, FoldedSource, load_folds
from textmix.data.standardize import LABEL, ROW, is_nested
from textmix.errors import DataError, RunError, TrainingInterrupted, listed, nearest
from textmix.evaluation.metrics import Evaluation
from textmix.evaluation.report import markdown_report
from textmix.experiments.crossval.out_of_fold import FOLD, PROBABILITY, OutOfFold, probabilities_of, read_predictions
from textmix.experiments.resumable_run import removed_if_unused, train_or_resume
from textmix.io.files import read_json, write_json, write_text
from textmix.io.inputs import refuse_overwriting
from textmix.io.run_directory import CONFIG_FILE, PREDICTIONS, refuse_foreign
from textmix.runs.options import resolve

# folds.json is written first: it marks the directory as a cross-validation and identifies the rows and folds.
FOLDS, SCORES, REPORT = "folds.json", "crossval.json", "report.md"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CrossValidation:
    """A prepared cross-validation: its data are read and checked, nothing is trained.

    Args:
        config: The options of all runs, with `data.folds`; `data.fold` is ignored.
        directory: Directory of the cross-validation.
        source: The rows and their folds.
        class_names: Names of the classes, in the order of their ids.
        identifiers: The id column of oof_predictions.csv, if any, for the rows in use; shape (N, 0 or 1).
    """

    config: RunConfig
    directory: Path
    source: FoldedSource
    class_names: list[str]
    identifiers: pd.DataFrame

    @property
    def folds(self) -> list[Path]:
        """The directories of the runs, by fold."""
        assert self.config.data.folds is not None
        return [self.directory / f"fold-{fold}" for fold in range(self.config.data.folds)]

    def fold_config(self, fold: int) -> RunConfig:
        """Return the configuration of the run of a fold."""
        data = replace(self.config.data, fold=fold)
        return replace(self.config, data=data, output_dir=str(self.folds[fold]))


def prepare(config: RunConfig, folds: int, id_column: str | None = None) -> CrossValidation:
    """Read the data and split it into folds; writes nothing.

    Args:
        config: The options of all runs; if `output_dir` is null, a directory is chosen.
        folds: Number of folds, at least 2.
        id_column: A column of the source that identifies the rows in oof_predictions.csv, in addition to their numbers.

    Raises:
        TextmixError: If the options or the data cannot be used.
    """
    # The split seed is fixed here, so that all runs use the same folds.
    seed = config.data.seed(config.train.seed)
    named = config.output_dir
    config = resolve(replace(config, data=replace(config.data, folds=folds, fold=0, split_seed=seed)))
    directory = Path(named or f"{config.output_dir}-crossval")
    refuse_overwriting(directory, config.inputs, "output_dir")
    source = load_folds(config.data, seed)
    names = class_names(categories(source.rows, LABEL), source_name(config.data.source))
    return CrossValidation(config, directory, source, names, _identifiers(config, source, id_column))


def _identifiers(config: RunConfig, source: FoldedSource, column: str | None) -> pd.DataFrame:
    if column is None:
        return pd.DataFrame(index=range(source.rows.num_rows))
    given, where = load_source(config.data.source, config.data.reading)[TRAIN], source_name(config.data.source)
    if column not in given.column_names:
        known = f"it has {listed(given.column_names)}{nearest(column, given.column_names)}"
        raise DataError(f"{where}: no column '{column}' (--id_column); {known}")
    if column in (ROW, FOLD, LABEL, "prediction", "confidence") or column.startswith(PROBABILITY):
        raise DataError(f"--id_column {column}: oof_predictions.csv has a column of that name already")
    values = given.select(source.row_numbers).with_format("arrow")[:].column(column)
    if is_nested(given, column):
        raise DataError(f"{where}: column '{column}' (--id_column) holds lists or objects, not ids")
    # Arrow types keep integers as integers in columns with missing values.
    return pd.DataFrame({column: values.to_pandas(types_mapper=pd.ArrowDtype)})


def cross_validate(crossval: CrossValidation) -> tuple[OutOfFold, dict[str, Any]]:
    """Train the runs that have not finished yet, and collect their predictions.

    Everything that is fitted (vocabulary, class weights, word vectors, the best epoch) is fitted within the run of a
    fold, which has an ordinary training, validation and test split.

    Args:
        crossval: The prepared cross-validation.

    Returns:
        The out-of-fold predictions, and the content of crossval.json: `mean` and `sd` (n - 1) of each score over the
        folds, the scores `pooled` over all predictions, and the scores of each fold.

    Raises:
        RunError: If the directory holds other files, or a cross-validation with other data or options.
        TrainingInterrupted: If training was interrupted; the same call resumes it.
    """
    count = len(crossval.folds)
    scores: list[dict[str, float]] = []
    with removed_if_unused(crossval.directory, FOLDS):
        _claim(crossval)
        for fold in range(count):
            try:
                metrics = train_or_resume(crossval.fold_config(fold))
            except TrainingInterrupted as stop:
                message = f"stopped in {crossval.folds[fold]}; run the same command again to resume"
                raise TrainingInterrupted(message, stop.number) from None
            scores.append({name: value for name, value in metrics["test"].items() if name != "report"})
            logger.info(
                f"fold-{fold} ({fold + 1} of {count}): accuracy {scores[-1]['accuracy']:.4f},"
                f" macro F1 {scores[-1]['macro_f1']:.4f}, nll {scores[-1]['nll']:.4f}"
            )
    out_of_fold = _collect(crossval)
    summary = summarize(scores, out_of_fold.evaluation)
    out_of_fold.write(crossval.directory)
    title = f"{len(crossval.folds)}-fold cross-validation of {source_name(crossval.config.data.source)}"
    write_text(crossval.directory / REPORT, markdown_report(title, out_of_fold.evaluation))
    write_json(crossval.directory / SCORES, summary)
    return out_of_fold, summary


def summarize(folds: list[dict[str, float]], pooled: Evaluation) -> dict[str, Any]:
    """Summarise the scores of the folds: mean, standard deviation, and the scores of the pooled predictions.

    For rare classes the pooled macro F1 is more reliable: a class counts as 0 in a fold that has none of its rows.
    """
    table = pd.DataFrame(folds)
    return {
        "rows": len(pooled.labels),
        "mean": table.mean().to_dict(),
        "sd": table.std(ddof=1).to_dict(),
        "pooled": pooled.scores(),
        "folds": folds,
    }


def _claim(crossval: CrossValidation) -> None:
    """Check that the directory is new, or holds a cross-validation of the same rows and folds; write its marker."""
    directory, marker = crossval.directory, crossval.directory / FOLDS
    content = {
        "folds": len(crossval.folds),
        "rows": crossval.source.rows.num_rows,
        "sha256": _fingerprint(crossval.source),
    }
    refuse_foreign(directory, "a cross-validation", marker.is_file())
    started = any(directory.glob(f"fold-*/{CONFIG_FILE}"))
    if started and read_json(marker, dict) != content:
        raise RunError(
            f"{directory} holds a cross-validation of other rows or other folds; choose another --output_dir, or remove"
            " it"
        )
    write_json(marker, content)


def _fingerprint(source: FoldedSource) -> str:
    digest = sha256(repr(source.digests).encode())
    for numbers in (source.row_numbers, source.folds):
        digest.update(numbers.data)
    return digest.hexdigest()


def _collect(crossval: CrossValidation) -> OutOfFold:
    source, names = crossval.source, crossval.class_names
    probabilities = np.empty((source.rows.num_rows, len(names)))
    for fold in range(len(crossval.folds)):
        probabilities[source.folds == fold] = _probabilities(crossval, fold)
    labels = encode_labels(categories(source.rows, LABEL), names, source_name(crossval.config.data.source))
    keys = crossval.identifiers.copy()
    keys.insert(0, ROW, source.row_numbers)
    keys[FOLD] = source.folds
    return OutOfFold(keys, Evaluation(labels, probabilities, names))


def _probabilities(crossval: CrossValidation, fold: int) -> np.ndarray:
    path = crossval.folds[fold] / PREDICTIONS
    names, probabilities = probabilities_of(read_predictions(path))
    expected = int((crossval.source.folds == fold).sum())
    if names != crossval.class_names or len(probabilities) != expected:
        raise RunError(f"{path} does not have the {expected} rows and {len(crossval.class_names)} classes of its fold")
    return probabilities
