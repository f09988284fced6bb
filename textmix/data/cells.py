"""Cells of a column as strings or lists, whatever type the column has."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel

from textmix.errors import DataError

# Marks a string column whose strings are lists and objects as JSON, in the metadata of its field.
NESTED = "nested"


def as_string(value: Any) -> str:
    """Convert a cell to a string; a missing value becomes the empty string.

    Raises:
        DataError: If the value is neither a string nor a number nor a date.
    """
    if value is None or value is pd.NA or value != value:  # only NaN differs from itself
        return ""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Decimal):
        return f"{value:f}" if value % 1 else str(int(value))
    if isinstance(value, float) and value.is_integer():  # integers in a column with missing values are read as floats
        return str(int(value))
    if isinstance(value, str | int | float | date):  # parquet files have dates
        return str(value)
    raise DataError(f"a text or label is a {type(value).__name__}, not a string or a number: {str(value)[:60]}")


def as_strings(column: pa.ChunkedArray, feature: Any) -> pa.ChunkedArray:
    """Convert a column like `as_string`; integers that stand for classes become the names of these.

    Args:
        column: N cells.
        feature: The feature of the column in datasets.
    """
    if isinstance(feature, ClassLabel):  # a hub data set's integers have names; -1 marks a missing one
        values = ["" if value is None or value < 0 else feature.int2str(value) for value in column.to_pylist()]
        return pa.chunked_array([values], pa.string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_integer(column.type):
        return pc.fill_null(column.cast(pa.string()), "")
    return pa.chunked_array([[as_string(value) for value in column.to_pylist()]], pa.string())


def as_lists(column: pa.ChunkedArray, feature: Any, where: str) -> list[list[Any] | None]:
    """Read a column of lists, or of JSON text of lists; None marks a missing one.

    Args:
        column: N cells.
        feature: The feature of the column in datasets; names the classes of integers in the lists.
        where: Name of the source, for errors.

    Raises:
        DataError: If a cell is not a list.
    """
    values: list[Any] = column.to_pylist()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        values = [None if not value else _parsed(value) for value in values]
    wrong = next((value for value in values if not isinstance(value, list | None)), None)
    if wrong is not None:
        raise DataError(f"{where}: a cell holds '{str(wrong)[:60]}', not a list")
    item = getattr(feature, "feature", None)
    if isinstance(item, ClassLabel):
        return [None if value is None else [item.int2str(number) for number in value] for value in values]
    return values


def _parsed(cell: str) -> Any:
    try:
        return json.loads(cell)
    except ValueError:
        return cell


def is_nested(schema: pa.Schema, name: str) -> bool:
    """Test whether a column holds lists or objects, or JSON text of them."""
    field = schema.field(name)
    return pa.types.is_nested(field.type) or NESTED.encode() in (field.metadata or {})
