"""Bring the rows of any source into one form: string columns `text`, `text_pair`, `label`, `group`, none missing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from datasets.fingerprint import generate_random_fingerprint

from textmix.data.cells import as_lists, as_string, as_strings, is_nested
from textmix.data.columns import TextColumn, select_rows, stored, stored_tables
from textmix.data.label_format import LabelFormat
from textmix.data.readers.header import HEAD, first_cell_of_data, hint, no_header
from textmix.data.tokens import join_tokens
from textmix.errors import DataError, listed, nearest

TEXT, PAIR, LABEL, GROUP, ROW = "text", "text_pair", "label", "group", "row"
# Up to this many rows are copied into memory, more into a file in the cache of datasets.
IN_MEMORY = 100_000
_BATCH = 10_000


@dataclass(frozen=True)
class Columns:
    """The columns of a source that are used.

    Args:
        text: One or more text columns; the second and further ones become the second sentence of a pair.
        labels: The label columns and how they are read; None for data to predict.
        drop_missing: Leave out rows with an empty or missing text, label or group instead of raising an error.
        group: Column of the group of a row; None without groups.
        numbered: Add the number of each row in its source, from 0, as the column `row`.
        of_tokens: Texts may be lists of tokens, which are joined.
        unlabeled: Leave out rows without a label, which are no errors then and do not count as missing.
    """

    text: list[str]
    labels: LabelFormat | None
    drop_missing: bool = False
    group: str | None = None
    numbered: bool = False
    of_tokens: bool = False
    unlabeled: bool = False

    @property
    def wanted(self) -> dict[str, str]:
        """The columns that are read, each with the option that names it."""
        options = dict.fromkeys(self.text, "data.text_column")
        options |= {self.group: "data.group_column"} if self.group is not None else {}
        return options | dict.fromkeys(self.labels.columns if self.labels is not None else [], "data.label_column")


class Standard(NamedTuple):
    """Standard rows.

    Args:
        rows: The rows with the columns `text`, `text_pair` (if there are several text columns), and `label`, `group`
            and `row` (if requested).
        missing: Number of rows left out.
        digest: SHA-256 of all rows that were read, including those left out.
    """

    rows: Dataset
    missing: int
    digest: str


def standardize(dataset: Dataset, columns: Columns, where: str) -> Standard:
    """Select and rename columns, convert values to strings, and drop or refuse rows with missing values.

    Args:
        dataset: Rows as they were read.
        columns: The columns to use.
        where: Name of the source, for errors.

    Raises:
        DataError: If a column is missing, or a value is missing and `drop_missing` is off.
    """
    check_columns(dataset, columns, where)
    if dataset.num_rows == 0:
        raise DataError(f"{where}: no rows")
    standard, blank, digest = _to_strings(dataset, columns, where)
    # One sentence of a pair may be empty, but not both.
    empty = {columns.text[0]: np.logical_and.reduce([blank[name] for name in (TEXT, PAIR) if name in blank])}
    if columns.labels is not None:
        empty["', '".join(columns.labels.columns)] = blank[LABEL]
    if columns.group is not None:
        empty[columns.group] = empty.get(columns.group, False) | blank[GROUP]
    if columns.numbered:
        standard = standard.add_column(ROW, np.arange(standard.num_rows))
    problems: list[str] = []
    missing = np.zeros(standard.num_rows, dtype=bool)
    unlabeled = blank[LABEL] if columns.unlabeled else np.zeros_like(missing)
    for name, rows in ((name, rows & ~unlabeled) for name, rows in empty.items()):
        if (rows & ~missing).any():
            problems.append(f"{rows.sum()} of {len(rows)} rows have an empty or missing '{name}'")
            problems[-1] += f" (the first is row {rows.argmax() + 1})"
        missing |= rows
    if missing.any() and not columns.drop_missing:
        raise DataError(
            f"{where}: {'; '.join(problems)}; fill them in, or leave the rows out with --data.drop_missing true"
        )
    left_out = missing | unlabeled
    if left_out.all():
        raise DataError(f"{where}: no rows are left: every text or label is empty or missing")
    return Standard(select_rows(standard, ~left_out) if left_out.any() else standard, int(missing.sum()), digest)


def check_columns(dataset: Dataset, columns: Columns, where: str) -> None:
    """Check that all columns exist and hold single values.

    Args:
        dataset: Rows as they were read.
        columns: The columns to use.
        where: Name of the source, for errors.

    Raises:
        DataError: If a column is missing or holds lists or objects, or if the file seems to have no header.
    """
    if dataset.builder_name in ("csv", "tsv", "xlsx") and not columns.wanted.keys() & set(dataset.column_names):
        cell = first_cell_of_data(dataset[:HEAD])
        if cell is not None:
            names = " and ".join(f"'{name}' ({option})" for name, option in columns.wanted.items())
            given = ",".join(columns.wanted)
            raise DataError(
                f"{where}: {no_header(cell)}; name its columns, among them {names}, in a first line or with"
                f" --data.columns, as in --data.columns {given}"
            )
    for name, option in columns.wanted.items():
        if name not in dataset.column_names:
            raise DataError(
                f"{where}: no column '{name}' ({option}); it has {listed(dataset.column_names)}"
                f"{nearest(name, dataset.column_names)}{hint(dataset)}"
            )
        lists = columns.labels is not None and columns.labels.nested and name in columns.labels.columns
        tokens = columns.of_tokens and name in columns.text
        if is_nested(dataset.data.schema, name) and not (lists or tokens):
            raise DataError(
                f"{where}: column '{name}' ({option}) holds lists or objects, not strings or numbers; a field of an"
                f" object has a dotted name, as in {name}.field"
            )


def join_texts(parts: list[list[str]]) -> dict[str, list[str]]:
    """Arrange one or more text columns, each of N texts, as `text` and, if there are several, `text_pair`."""
    rows = {TEXT: parts[0]}
    if len(parts) > 1:
        rows[PAIR] = [" ".join(values) for values in zip(*parts[1:], strict=True)]
    return rows


def _to_strings(
    dataset: Dataset, columns: Columns, where: str
) -> tuple[Dataset, dict[str, npt.NDArray[np.bool_]], str]:
    """Copy columns as strings, batch by batch; missing values become empty strings. A large copy is a file.

    Returns:
        The copy; for each of its columns which rows are empty or white space, shape (N,); the SHA-256 of the copy.
    """
    blank: dict[str, list[npt.NDArray[np.bool_]]] = {}
    digest = sha256()

    def batches() -> Iterator[pa.Table]:
        for table in stored_tables(dataset, _BATCH):
            batch = _standard_batch(table.select(list(columns.wanted)), columns, dataset.features, where)
            batch = batch.combine_chunks()
            for name, values in zip(batch.column_names, batch.columns, strict=True):
                blank.setdefault(name, []).append(pc.equal(pc.utf8_trim_whitespace(values), "").to_numpy())
                texts: list[str] = values.to_pylist()
                digest.update(f"{name} {' '.join(str(len(text)) for text in texts)} {''.join(texts)}".encode())
            yield batch

    if dataset.num_rows <= IN_MEMORY or not dataset.cache_files:
        standard = Dataset(pa.concat_tables(batches()), fingerprint=generate_random_fingerprint())
    else:
        standard = stored(batches(), dataset.cache_files, columns)
    return standard, {name: np.concatenate(parts) for name, parts in blank.items()}, digest.hexdigest()


def _standard_batch(batch: pa.Table, columns: Columns, features: dict[str, Any], where: str) -> pa.Table:
    parts = [_texts(batch, name, features[name], columns.of_tokens, where) for name in columns.text]
    result = {TEXT: parts[0]}
    if len(parts) > 1:
        result[PAIR] = pc.binary_join_element_wise(*parts[1:], " ")
    if columns.labels is not None:
        result[LABEL] = columns.labels.read(batch, features, where)
    if columns.group is not None:
        result[GROUP] = as_strings(batch.column(columns.group), features[columns.group])
    return pa.table(result)


def as_texts(cells: Iterable[Any]) -> list[str]:
    """Convert cells to texts; lists of tokens are joined."""
    return [
        join_tokens([as_string(token) for token in cell])[0] if isinstance(cell, list) else as_string(cell)
        for cell in cells
    ]


def _texts(batch: pa.Table, name: str, feature: Any, of_tokens: bool, where: str) -> pa.ChunkedArray | pa.Array:
    if not (of_tokens and is_nested(batch.schema, name)):
        return as_strings(batch.column(name), feature)
    return pa.array(as_texts(as_lists(batch.column(name), feature, where)), pa.string())


def text_columns(rows: Dataset) -> list[TextColumn]:
    """Return the columns `text` and, if there is one, `text_pair` of standard rows."""
    return [TextColumn(rows, name) for name in (TEXT, PAIR) if name in rows.column_names]
