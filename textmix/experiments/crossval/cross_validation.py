"""Cross-validation: train a run for each fold, and collect out-of-fold predictions."""

import logging
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from transformers import AutoConfig

import textmix.models.auto  # noqa: F401  # so that AutoConfig knows the models of textmix
from textmix.config.run import RunConfig
from textmix.data.cells import is_nested
from textmix.data.columns import categories
from textmix.data.sources import load_source, source_name
from textmix.data.splits import TRAIN, FoldedSource, load_folds
from textmix.data.standardize import LABEL, ROW
from textmix.errors import DataError, RunError, TrainingInterrupted, listed, nearest
from textmix.experiments.crossval.out_of_fold import FOLD, OutOfFold, read_predictions
from textmix.experiments.resumable_run import removed_if_unused, train_or_resume
from textmix.io.files import read_json, write_json, write_text
from textmix.io.inputs import refuse_overwriting
from textmix.io.run_directory import CONFIG_FILE, MODEL, PREDICTIONS, refuse_foreign
from textmix.runs.data import with_task
from textmix.runs.options import resolve
from textmix.tasks.base import LabelSpace
from textmix.tasks.evaluation import Evaluation, headline
from textmix.tasks.registry import build_task, label_space

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
        space: The labels of all rows.
        identifiers: The id column of oof_predictions.csv, if any, for the rows in use; shape (N, 0 or 1).
    """

    config: RunConfig
    directory: Path
    source: FoldedSource
    space: LabelSpace
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
    config, _ = with_task(config)
    directory = Path(named or f"{config.output_dir}-crossval")
    refuse_overwriting(directory, config.inputs, "output_dir")
    task = build_task(config.known_task, config.data)
    source, where = load_folds(config.data, task, seed), source_name(config.data.source)
    labels = categories(source.rows, LABEL)
    space = task.fit(labels, labels, where)
    return CrossValidation(config, directory, source, space, _identifiers(config, source, space, id_column))


def _identifiers(config: RunConfig, source: FoldedSource, space: LabelSpace, column: str | None) -> pd.DataFrame:
    if column is None:
        return pd.DataFrame(index=range(source.rows.num_rows))
    given, where = load_source(config.data.source, config.data.reading)[TRAIN], source_name(config.data.source)
    if column not in given.column_names:
        known = f"it has {listed(given.column_names)}{nearest(column, given.column_names)}"
        raise DataError(f"{where}: no column '{column}' (--id_column); {known}")
    if column in (ROW, FOLD, *space.target_columns, *space.output_columns):
        raise DataError(f"--id_column {column}: oof_predictions.csv has a column of that name already")
    values = given.select(source.row_numbers).with_format("arrow")[:].column(column)
    if is_nested(given.data.schema, column):
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
            scores.append({name: value for name, value in metrics["test"].items() if isinstance(value, float)})
            logger.info(f"fold-{fold} ({fold + 1} of {count}): {headline(crossval.space, scores[-1])}")
    out_of_fold = _collect(crossval)
    summary = summarize(scores, out_of_fold.evaluation)
    out_of_fold.write(crossval.directory)
    title = f"{len(crossval.folds)}-fold cross-validation of {source_name(crossval.config.data.source)}"
    write_text(crossval.directory / REPORT, out_of_fold.evaluation.markdown(title))
    write_json(crossval.directory / SCORES, summary)
    return out_of_fold, summary


def summarize(folds: list[dict[str, float]], pooled: Evaluation) -> dict[str, Any]:
    """Summarise the scores of the folds: mean, standard deviation, and the scores of the pooled predictions.

    For rare classes the pooled macro F1 is more reliable: a class counts as 0 in a fold that has none of its rows.
    """
    table = pd.DataFrame(folds)
    return {
        "rows": len(pooled.targets),
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
    source, space = crossval.source, crossval.space
    targets = space.encode(categories(source.rows, LABEL))
    by_fold = np.concatenate([_outputs(crossval, fold) for fold in range(len(crossval.folds))])
    outputs = np.empty_like(by_fold)
    outputs[np.argsort(source.folds, kind="stable")] = by_fold
    spaces = [label_space(AutoConfig.from_pretrained(fold / MODEL)) for fold in crossval.folds]
    space = space.of_rows([spaces[fold] for fold in source.folds])
    keys = crossval.identifiers.copy()
    keys.insert(0, ROW, source.row_numbers)
    keys[FOLD] = source.folds
    return OutOfFold(keys, Evaluation(targets, outputs, space))


def _outputs(crossval: CrossValidation, fold: int) -> np.ndarray:
    path, space = crossval.folds[fold] / PREDICTIONS, crossval.space
    table = read_predictions(path)
    expected = int((crossval.source.folds == fold).sum())
    if len(table) != expected or not set(space.output_columns) <= set(table.columns):
        raise RunError(f"{path} does not have the {expected} rows and {len(space.names)} outputs of its fold")
    return space.read_outputs(table)
