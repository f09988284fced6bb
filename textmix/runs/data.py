"""Second stage of a run: splits, class ids and digests of the data."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from datasets import DatasetDict

from textmix.config.run import RunConfig
from textmix.data.columns import categories
from textmix.data.config import DataConfig
from textmix.data.labels import ClassIds, class_names, encode_labels
from textmix.data.sources import source_name
from textmix.data.splits import TEST, TRAIN, VALIDATION, SplitReport, build_splits
from textmix.data.standardize import LABEL
from textmix.io.run_directory import check_data

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunData:
    """The data of a run.

    Args:
        splits: The splits of the run, with standard columns.
        labels: Class ids of each split, shape (N,).
        class_names: Names of the classes, in the order of their ids.
        report: Sizes and digests of the splits.
    """

    splits: DatasetDict
    labels: dict[str, ClassIds]
    class_names: list[str]
    report: SplitReport

    def fingerprint(self) -> tuple[Any, ...]:
        """Return a value that must be equal in all processes of a run: digests, classes and training labels."""
        return self.report.digests, self.class_names, sha256(self.labels[TRAIN].data).hexdigest()


def read_data(config: RunConfig, siblings: Iterable[Path] = ()) -> RunData:
    """Read and split the data and encode its labels; writes nothing.

    Args:
        config: The resolved options of the run.
        siblings: Directories of runs whose data digests must match.

    Raises:
        DataError: If the data cannot be used.
        RunError: If a sibling has other data.
    """
    splits, report = build_splits(config.data, config.train.seed)
    for sibling in siblings:
        check_data(sibling, report.digests)
    labels = {name: categories(split, LABEL) for name, split in splits.items()}
    names = report.classes or class_names(labels[TRAIN], source_name(config.data.source))
    encoded = {name: encode_labels(labels[name], names, where) for name, where in _origins(config.data, splits)}
    for line in report.lines():
        logger.info(line)
    return RunData(splits, encoded, names, report)


def _origins(data: DataConfig, splits: DatasetDict) -> Iterator[tuple[str, str]]:
    """Name the source of each split, for messages."""
    others = {VALIDATION: data.validation_source, TEST: data.test_source}
    for name in splits:
        yield name, f"{source_name(others.get(name) or data.source)} ({name})"
