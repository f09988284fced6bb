"""What the estimators accept as labels, indicator matrices and numbers."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_matrix, csr_matrix

from textmix.errors import DataError
from textmix.integrations.sklearn_data import is_matrix, read_classes, read_indicators, read_numbers, read_rows

Y = np.array([[1, 0], [0, 0], [1, 1]], dtype=np.int8)


class TestIndicators:
    @pytest.mark.parametrize(
        ("given", "dtype"),
        [
            (Y, "int8"),
            (Y.astype(bool), "bool"),
            (Y.astype(float), "float64"),
            (Y.astype(object), "int64"),
            (Y.tolist(), "int64"),
            (list(Y), "int64"),
            (csr_matrix(Y), "int8"),
            (coo_matrix(Y.astype(float)), "float64"),
            (pd.DataFrame(Y), "int8"),
            (pd.DataFrame(Y).astype("Int64"), "int64"),
            (pd.DataFrame(Y).astype("boolean"), "bool"),
            (pd.DataFrame(Y).astype(pd.SparseDtype("int8", 0)), "int8"),
            (pd.DataFrame(Y).astype({0: bool}), "int8"),
        ],
    )
    def test_in_any_container(self, given: Any, dtype: str) -> None:
        assert is_matrix(given)
        matrix = read_indicators(given)
        np.testing.assert_array_equal(matrix.values, Y)
        assert (matrix.dtype, matrix.names.tolist()) == (np.dtype(dtype), [0, 1])

    def test_columns_of_a_frame_name_them(self) -> None:
        assert read_indicators(pd.DataFrame(Y, columns=["b", "a"])).names.tolist() == ["b", "a"]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (Y * 2, "y holds 2 in row 0 and column 0; a matrix of labels holds 0 or 1"),
            (Y - 1, "y holds -1 in row 0 and column 1"),
            (Y * 0.5, "y holds 0.5 in row 0"),
            ([["a", "b"], ["c", "d"]], r"y must hold 0 or 1 \(.*MultiLabelBinarizer.*\), but column 0 is of type"),
            ([[0, 1], [0, None]], "a value of row 1 is missing"),
            (pd.DataFrame({"a": [0, 1], "b": [0, pd.NA]}, dtype="Int64"), "a value of row 1 is missing"),
            (np.zeros((3, 0)), "y has 0 columns; a matrix of labels has at least two"),
            (csr_matrix(Y[:, :1]), "y has 1 columns"),
            (np.zeros((0, 2)), "X and y have no rows"),
            (pd.DataFrame(Y, columns=["a", "a"]), "2 columns of y are named 'a'"),
            (pd.DataFrame(Y, columns=[1, "1"]), "2 columns of y are named '1'"),
        ],
    )
    def test_refused(self, given: Any, message: str) -> None:
        with pytest.raises(DataError, match=message):
            read_indicators(given)


@pytest.mark.parametrize("given", [["a", "b"], np.zeros(3), np.zeros((3, 1)), pd.Series([1, 2]), [["a"], ["a", "b"]]])
def test_one_column_is_no_matrix(given: Any) -> None:
    assert not is_matrix(given)


@pytest.mark.parametrize("given", [[["a"], ["a", "b"]], [{"a"}, {"b"}], pd.Series([("a",), ("b",)])])
def test_lists_of_classes_are_refused(given: Any) -> None:
    with pytest.raises(DataError, match="y holds several labels for a row; a matrix of labels holds 0 or 1"):
        read_classes(given)


class TestNumbers:
    @pytest.mark.parametrize(
        ("given", "shape", "flat"),
        [
            ([1, 2.5], (2, 1), True),
            (np.array([[1], [2]]), (2, 1), False),
            (np.ones((2, 3), dtype=np.float32), (2, 3), False),
            (pd.Series([1, 2], dtype="Int64", name="stars"), (2, 1), True),
            (pd.DataFrame({"a": [1, 2], "b": [True, False]}), (2, 2), False),
            (np.array([1, 2.5], dtype=object), (2, 1), True),
        ],
    )
    def test_in_any_container(self, given: Any, shape: tuple[int, int], flat: bool) -> None:
        matrix = read_numbers(given)
        assert (matrix.values.shape, matrix.values.dtype, matrix.flat) == (shape, np.float64, flat)
        np.testing.assert_array_equal(matrix.values, np.asarray(given, dtype=float).reshape(shape))

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (None, "requires y to be passed, but the target y is None"),
            ([], "X and y have no rows"),
            (["1", "2"], "y must hold numbers, but column 0 is of type"),
            ([[1], [1, 2]], "y must hold numbers, but column 0 is of type"),
            ([1, float("nan")], "a value of row 1 is missing"),
            ([1, -float("inf")], "y must hold finite numbers, but row 1 has an infinite one"),
            (np.zeros((2, 2, 2)), r"y must have the shape \(N,\) or \(N, L\), not \(2, 2, 2\)"),
            (np.zeros((2, 0)), "y has no columns"),
            (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), "column 'b' is of type"),
        ],
    )
    def test_refused(self, given: Any, message: str) -> None:
        with pytest.raises(DataError, match=message):
            read_numbers(given)


def test_rows_of_weight_0_are_left_out() -> None:
    rows = read_rows([["a", "b"], ["c", "d"], ["e", "f"]], Y, [1, 0, 3])
    assert rows.columns == [["a", "e"], ["b", "f"]]
    assert rows.weights is not None
    assert rows.weights.tolist() == [0.5, 1.5]
    np.testing.assert_array_equal(rows.labels, Y[[0, 2]])
