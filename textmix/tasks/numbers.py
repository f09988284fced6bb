"""Label columns that hold numbers."""

import numpy as np
import pyarrow as pa

from textmix.data.label_format import Array
from textmix.errors import DataError


def parse_numbers(columns: pa.Table, where: str) -> Array:
    """Read columns of numbers, or of strings that spell numbers.

    Args:
        columns: T columns of N cells.
        where: Name of the source, for errors.

    Returns:
        The numbers, shape (N, T), float64; NaN where one is missing.

    Raises:
        DataError: If a cell is not a finite number.
    """
    return np.stack(
        [_numbers(name, column, where) for name, column in zip(columns.column_names, columns.columns, strict=True)],
        axis=1,
    )


def _numbers(name: str, column: pa.ChunkedArray, where: str) -> Array:
    numbers = np.full(len(column), np.nan)
    for row, cell in enumerate(column.to_pylist()):
        text = "" if cell is None else str(cell).strip()
        if not text or text == "nan":
            continue
        try:
            numbers[row] = float({"True": "1", "true": "1", "False": "0", "false": "0"}.get(text, text))
        except ValueError:
            raise DataError(f"{where}: row {row + 1} of column '{name}' holds '{text[:60]}', not a number") from None
        if not np.isfinite(numbers[row]):
            raise DataError(f"{where}: row {row + 1} of column '{name}' holds '{text}', which is not finite")
    return numbers
