"""Check what is passed to the estimators: texts, classes, indicator matrices, numbers, and weights of rows."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import issparse
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from textmix.data.label_format import Array
from textmix.errors import DataError

_MATRIX = "a matrix of labels holds 0 or 1, as scikit-learn's MultiLabelBinarizer returns it"


@dataclass(frozen=True)
class Rows:
    """N training rows.

    Args:
        columns: N texts, or the first and the second sentences of N pairs.
        labels: Their labels, with N rows.
        weights: Their weights, shape (N,), above 0 and 1 on average; None means equal weights.
    """

    columns: list[list[str]]
    labels: Array
    weights: Array | None


@dataclass(frozen=True)
class Matrix:
    """N rows of numbers.

    Args:
        values: The numbers, shape (N, L), float64.
        names: Names of the columns of a DataFrame, else their numbers, shape (L,).
        dtype: The type of the values that were given.
        flat: Whether they were given with shape (N,).
    """

    values: npt.NDArray[np.float64]
    names: npt.NDArray[Any]
    dtype: np.dtype[Any]
    flat: bool


def read_rows(X: Any, labels: Array, sample_weight: Any) -> Rows:
    """Check texts and weights, and leave out the rows of weight 0.

    Raises:
        DataError: If they are invalid.
        ValueError: If the numbers of rows differ.
    """
    columns, weights = read_texts(X), _read_weights(sample_weight)
    check_consistent_length(columns[0], labels, *(() if weights is None else (weights,)))
    if weights is not None:
        kept = np.flatnonzero(weights)
        columns = [[column[row] for row in kept] for column in columns]
        labels, weights = labels[kept], weights[kept] / weights[kept].mean()
    return Rows(columns, labels, weights)


def read_texts(X: Any) -> list[list[str]]:
    """Return texts as one list of N strings, pairs of texts as two.

    Raises:
        DataError: If X has another shape, or a cell is no text.
    """
    array = np.asarray(X, dtype=object)
    if array.ndim == 2 and array.shape[1] in (1, 2):
        columns = [array[:, number].tolist() for number in range(array.shape[1])]
    elif array.ndim == 1:
        columns = [array.tolist()]
    else:
        given = f"has shape {array.shape}" if array.ndim else f"is a {type(X).__name__}"
        raise DataError(f"X must be a list, an array or a Series of texts, or have two columns of them; it {given}")
    for column in columns:
        for row, text in enumerate(column):
            if not isinstance(text, str):
                what = "missing" if text is None or text is pd.NA or text != text else f"a {type(text).__name__}"
                raise DataError(f"X must hold texts, but row {row} is {what}")
    return [[str(text) for text in column] for column in columns]


def is_matrix(y: Any) -> bool:
    """Return whether y has several columns; one column is a vector, as everywhere in scikit-learn."""
    shape = y.shape if hasattr(y, "shape") else np.asarray(y, dtype=object).shape
    return issparse(y) or (len(shape) == 2 and shape[1] != 1)


def read_classes(y: Any) -> Array:
    """Return the class of each row, shape (N,).

    Raises:
        DataError: If there are no rows, a class is missing, or a row has a list of classes.
        ValueError: If y has another shape or holds fractions.
    """
    _check_given(y)
    cells = np.asarray(y, dtype=object).reshape(-1)
    if any(isinstance(cell, list | tuple | set | frozenset | np.ndarray) for cell in cells[:1]):
        raise DataError(f"y holds several labels for a row; {_MATRIX}")
    # scikit-learn turns pandas' nullable integers into floats.
    labels = column_or_1d(_without_extension(y), warn=True)
    missing = np.flatnonzero(pd.isna(cells))  # labels of a list would hold "nan"
    if len(missing):
        raise DataError(f"y must hold classes, but the class of row {missing[0]} is missing")
    check_classification_targets(labels)
    return np.asarray(labels)


def read_indicators(y: Any) -> Matrix:
    """Return which of L labels each row has, as 0 or 1.

    Raises:
        DataError: If there are no rows or fewer than two labels, or a value is not 0 or 1.
    """
    matrix = _read_matrix(y, f"0 or 1 ({_MATRIX})")
    wrong = np.argwhere((matrix.values != 0) & (matrix.values != 1))
    if len(wrong):
        row, place = wrong[0]
        raise DataError(f"y holds {matrix.values[row, place]:g} in row {row} and column {place}; {_MATRIX}")
    if len(matrix.names) < 2:
        raise DataError(f"y has {len(matrix.names)} columns; a matrix of labels has at least two")
    return matrix


def read_numbers(y: Any) -> Matrix:
    """Return one or several numbers for each row.

    Raises:
        DataError: If there are no rows, or a value is missing, infinite or no number.
    """
    matrix = _read_matrix(y, "numbers")
    infinite = np.flatnonzero(~np.isfinite(matrix.values).all(axis=1))
    if len(infinite):
        raise DataError(f"y must hold finite numbers, but row {infinite[0]} has an infinite one")
    if not len(matrix.names):
        raise DataError("y has no columns")
    return matrix


def _check_given(y: Any) -> None:
    if y is None:
        raise DataError("fit requires y to be passed, but the target y is None")
    if not (y.shape[0] if getattr(y, "shape", ()) else np.asarray(y, dtype=object).size):
        raise DataError("X and y have no rows")


def _read_matrix(y: Any, what: str) -> Matrix:
    """Read (N, L) or (N,) numbers of any container; `what` says in errors what they should be."""
    _check_given(y)
    if issparse(y):
        y = y.toarray()
    if not isinstance(y, pd.DataFrame | pd.Series):
        y = np.asarray(y, dtype=object if isinstance(y, list | tuple) else None)
    if y.ndim not in (1, 2):
        raise DataError(f"y must have the shape (N,) or (N, L), not {y.shape}")
    frame = pd.DataFrame(y).infer_objects()
    missing = np.flatnonzero(frame.isna().any(axis=1))
    if len(missing):
        raise DataError(f"y must hold {what}, but a value of row {missing[0]} is missing")
    types = [np.dtype(dtype.type) for dtype in frame.dtypes]  # the NumPy type of a nullable or sparse type, too
    for name, kind, dtype in zip(frame.columns, types, frame.dtypes, strict=True):
        if kind.kind not in "biuf":
            raise DataError(f"y must hold {what}, but column {name!r} is of type {dtype}")
    [(name, count)] = Counter(map(str, frame.columns)).most_common(1) or [("", 0)]
    if count > 1:
        raise DataError(f"{count} columns of y are named '{name}'; rename them")
    dtype = np.result_type(*types) if types else np.dtype(np.float64)
    return Matrix(frame.to_numpy(dtype=np.float64), np.asarray(frame.columns), dtype, y.ndim == 1)


def _read_weights(sample_weight: Any) -> npt.NDArray[np.float64] | None:
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.ndim != 1:
        raise DataError(f"sample_weight must hold one number for each row, not have shape {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise DataError("sample_weight must be finite, not negative, and not all zero")
    return weights


def _without_extension(y: Any) -> Any:
    """Convert a Series of a nullable type of pandas to an array of the NumPy type that it stands for."""
    kind = getattr(getattr(y, "dtype", None), "numpy_dtype", None)
    return y if kind is None or y.isna().any() else y.to_numpy(dtype=kind)
