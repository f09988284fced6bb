"""Second stage of a run: the task, splits, targets and digests of the data."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, DatasetDict

from textmix.config.run import RunConfig
from textmix.data.checks import name_warnings, row_warnings
from textmix.data.columns import categories, select_rows
from textmix.data.config import DataConfig
from textmix.data.label_format import Array
from textmix.data.sources import load_source, source_name
from textmix.data.splits import TEST, TRAIN, VALIDATION, SplitReport, build_splits, pick
from textmix.data.standardize import LABEL
from textmix.errors import ConfigError, DataError
from textmix.io.run_directory import check_data
from textmix.mixing.config import MixConfig
from textmix.runs.options import check_long_text
from textmix.tasks.base import LabelSpace, check_known
from textmix.tasks.detect import Found, detect_task
from textmix.tasks.names import choose_metric
from textmix.tasks.registry import build_task

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunData:
    """The data of a run.

    Args:
        splits: The splits of the run, with standard columns.
        targets: Targets of each split, with N rows.
        space: The labels.
        report: Sizes and digests of the splits.
    """

    splits: DatasetDict
    targets: dict[str, Array]
    space: LabelSpace
    report: SplitReport

    def fingerprint(self) -> tuple[Any, ...]:
        """Return a value that must be equal in all processes of a run: digests, labels and training targets."""
        targets, digest = self.targets[TRAIN], sha256()
        for part in targets if targets.dtype == object else [targets]:  # an array of objects holds their addresses
            digest.update(part.tobytes())
        return self.report.digests, self.space, digest.hexdigest()


def with_task(config: RunConfig) -> tuple[RunConfig, str]:
    """Fill in the task, which `auto` finds from the data.

    Returns:
        The options, and a line about a task that was found, else an empty one.

    Raises:
        DataError: If the data cannot be read, or may be of several tasks.
        ConfigError: If the task does not have the metric.
    """
    name, line = config.task, ""
    if name == "auto":
        found = find_task(config.data)
        name, line = found.task, f"task {found.task}: {found.reason}"
    if config.train.tune_thresholds and name != "multi_label":
        raise ConfigError(f"train.tune_thresholds has no effect on task {name}; leave it out")
    if name == "regression" and not config.loss.is_plain:
        raise ConfigError("label smoothing, class weights and the focal loss have no meaning for task regression")
    _check_mix(config.mix, name)
    given = {"data.shots": config.data.shots, "data.unlabeled": config.data.unlabeled}
    given["contrastive.steps"] = config.contrastive.steps or None
    if name != "single_label" and (wrong := [option for option, value in given.items() if value is not None]):
        raise ConfigError(f"{wrong[0]} needs one class for each row; the task is {name}")
    if name == "token_classification" and config.model.normalize:
        raise ConfigError("model.normalize has no effect on task token_classification; leave it out")
    check_long_text(config, len(config.data.text_columns) > 1, name == "token_classification")
    choose_metric(name, config.train.metric)
    return replace(config, task=name), line


def _check_mix(mix: MixConfig, task: str) -> None:
    """Refuse options of mixing that need classes for a task without."""
    given = [f"mix.targets {mix.targets}"] if mix.targets != "linear" else []
    given += ["mix.partner easy_hard"] if mix.partner == "easy_hard" else []
    if given and task != "single_label":
        raise ConfigError(f"{given[0]} needs one class for each row; the task is {task}")


def find_task(data: DataConfig) -> Found:
    """Find the task from the data.

    Raises:
        DataError: If the data cannot be read, or may be of several tasks.
    """
    rows = pick(load_source(data.source, data.reading), TRAIN, TEST, VALIDATION)
    return detect_task(rows, data, source_name(data.source))


def read_data(config: RunConfig, siblings: Iterable[Path] = ()) -> RunData:
    """Read and split the data and encode its labels; writes nothing.

    Args:
        config: The resolved options of the run, with its task.
        siblings: Directories of runs whose data digests must match.

    Raises:
        DataError: If the data cannot be used.
        RunError: If a sibling has other data.
    """
    task = build_task(config.known_task, config.data)
    splits, everything, report = build_splits(config.data, task, config.train.seed)
    for sibling in siblings:
        check_data(sibling, report.digests)
    space = task.fit(everything, categories(splits[TRAIN], LABEL), source_name(config.data.source))
    targets = {}
    for name, where in _origins(config.data, splits):
        splits[name], targets[name] = encode_rows(splits[name], space, config.data, where)
    warnings = [*row_warnings(splits[TRAIN]), *(name_warnings(space.names) if space.has_classes else [])]
    for line in [*report.lines(), *(f"warning: {warning}" for warning in warnings)]:
        logger.info(line)
    return RunData(splits, targets, space, report)


def encode_rows(rows: Dataset, space: LabelSpace, data: DataConfig, where: str) -> tuple[Dataset, Array]:
    """Encode the labels of rows, and treat labels that training never saw as `data.unknown_labels` says.

    Args:
        rows: Standard rows.
        space: The labels of the model.
        data: The options of the rows.
        where: Name of the source, for errors.

    Returns:
        The rows that are used, and their targets.

    Raises:
        DataError: If labels are unknown and must not be, or no row is left.
    """
    labels = categories(rows, LABEL)
    if data.unknown_labels == "wrong" and not space.marks_unknown:
        raise ConfigError(f"data.unknown_labels wrong has no meaning for task {space.task}; use skip or error")
    if data.unknown_labels == "error":
        check_known(space, labels, where)
    if data.unknown_labels == "skip" and not (known := space.known(labels)).all():
        if not known.any():
            raise DataError(f"{where}: no rows are left: training saw none of the labels")
        logger.info(f"{where}: left out {(~known).sum()} rows with labels that training never saw")
        rows, labels = select_rows(rows, known), labels.filter(pa.array(known))
    return rows, space.encode(labels)


def _origins(data: DataConfig, splits: DatasetDict) -> Iterator[tuple[str, str]]:
    """Name the source of each split, for messages."""
    others = {VALIDATION: data.validation_source, TEST: data.test_source}
    for name in splits:
        yield name, f"{source_name(others.get(name) or data.source)} ({name})"
