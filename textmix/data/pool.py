"""The pool: rows without labels, of which a sample is read from a source of any size."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from textmix.data.cells import as_strings
from textmix.data.columns import stored_tables
from textmix.data.config import UNLABELED_ROWS, DataConfig
from textmix.data.sources import load_source, source_name
from textmix.data.splits import TEST, TRAIN, pick
from textmix.data.standardize import PAIR, TEXT, join_texts, text_columns
from textmix.data.windows import open_source
from textmix.errors import DataError

logger = logging.getLogger(__name__)

# The first of these splits that a source has is the pool; a data set on the hub may have one for the purpose.
POOL_SPLITS = ("unsupervised", TRAIN, TEST)

_Row = tuple[str, ...]


class Pool(NamedTuple):
    """Rows without labels.

    Args:
        rows: M rows with the columns `text` and, of pairs, `text_pair`, in the order of the source.
        digest: Their SHA-256.
    """

    rows: Dataset
    digest: str


def load_pool(config: DataConfig, test: Dataset | None, most: int, seed: int) -> Pool:
    """Read the rows without labels.

    Empty texts, and texts that the test split has, are left out; a line says how many. Labels are not read.

    Args:
        config: The data; `unlabeled` must be set.
        test: The rows of the test split, if there is one.
        most: Number of rows to keep: of more, a random sample.
        seed: Seed of the sample.

    Raises:
        DataError: If the source cannot be read, or no row is left.
    """
    where = _where(config)
    excluded = set(zip(*text_columns(test), strict=True)) if test is not None else set()
    sample = _Sample(most, seed)
    empty = tested = 0
    for rows in _windows(config):
        kept = []
        for row in rows:
            if not any(text.strip() for text in row):
                empty += 1
            elif row in excluded:
                tested += 1
            else:
                kept.append(row)
        sample.add(kept)
    if not sample.rows:
        raise DataError(f"{where}: no rows without a label are left; all are empty, labelled, or in the test split")
    logger.info(_report(where, sample, empty, tested))
    names = (TEXT, PAIR)[: len(sample.rows[0])]
    columns = {name: list(column) for name, column in zip(names, zip(*sample.rows, strict=True), strict=True)}
    digest = sha256(repr(sample.rows).encode()).hexdigest()
    return Pool(Dataset.from_dict(columns), digest)


class _Sample:
    """A random sample of a stream of rows: those with the smallest of random keys.

    Args:
        most: Number of rows to keep.
        seed: Seed of the keys.
    """

    def __init__(self, most: int, seed: int) -> None:
        self._most = most
        self._generator = np.random.default_rng(seed)
        self._keys = np.empty(0)
        self.rows: list[_Row] = []
        self.seen = 0

    def add(self, rows: list[_Row]) -> None:
        """Take the next rows; those that are kept stay in their order."""
        self.seen += len(rows)
        keys = np.concatenate([self._keys, self._generator.random(len(rows))])
        both = [*self.rows, *rows]
        chosen = np.sort(np.argsort(keys, kind="stable")[: self._most])
        self._keys = keys[chosen]
        self.rows = [both[number] for number in chosen]


def _where(config: DataConfig) -> str:
    assert config.unlabeled is not None
    return source_name(config.source if config.unlabeled == UNLABELED_ROWS else config.unlabeled)


def _windows(config: DataConfig) -> Iterator[list[_Row]]:
    """Yield the texts of the rows, many at a time."""
    columns = config.text_columns
    if config.unlabeled == UNLABELED_ROWS:
        dataset = pick(load_source(config.source, config.reading), TRAIN)
        for table in stored_tables(dataset, 10_000):
            labels = [as_strings(table.column(name), dataset.features[name]) for name in config.label_columns]
            blank = np.logical_and.reduce([pc.equal(pc.utf8_trim_whitespace(one), "").to_numpy() for one in labels])
            yield _texts(table.filter(pa.array(blank)), columns)
        return
    sources = [config.unlabeled] if isinstance(config.unlabeled, str) else config.unlabeled
    for source in sources or ():
        options = config.of_source(source)
        reading = replace(options.reading, subset=config.subset)
        opened = open_source(source, columns, reading, splits=POOL_SPLITS)
        for number, table in enumerate(opened.windows):
            if not number and (ignored := [name for name in config.label_columns if name in table.column_names]):
                logger.info(f"{source_name(source)}: the column '{ignored[0]}' of the unlabelled rows is not read")
            yield _texts(table, columns)


def _texts(table: pa.Table, columns: list[str]) -> list[_Row]:
    features = Dataset(table.slice(0, 0)).features
    cells = [as_strings(table.column(name), features[name]).to_pylist() for name in columns]
    return list(zip(*join_texts(cells).values(), strict=True))


def _report(where: str, sample: _Sample, empty: int, tested: int) -> str:
    kept = f"{len(sample.rows)} of {sample.seen}" if len(sample.rows) < sample.seen else str(sample.seen)
    left_out = [
        f"{count} {reason}"
        for count, reason in ((empty, "with an empty text"), (tested, "whose text is in the test split"))
        if count
    ]
    return f"{where}: {kept} rows without a label" + (f"; left out {' and '.join(left_out)}" if left_out else "")
