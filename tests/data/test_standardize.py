import pytest
from datasets import ClassLabel, Dataset, Features, Value

from tests.support.commands import tells
from textmix.data.standardize import Columns, standardize
from textmix.errors import DataError
from textmix.tasks.single_label import SingleLabel


def table(**columns: list) -> Dataset:
    return Dataset.from_dict(columns)


def test_columns_are_renamed_and_turned_into_strings() -> None:
    rows, missing, _ = standardize(
        table(review=["a", "b"], stars=[5, 1], other=[0, 0]), Columns(["review"], SingleLabel(["stars"])), "x"
    )
    assert rows.to_dict() == {"text": ["a", "b"], "label": ["5", "1"]}
    assert missing == 0


def test_integers_that_were_read_as_floats_are_integers_again() -> None:
    rows = standardize(
        table(t=["a", "b", "c"], y=[1.0, None, 2.5]), Columns(["t"], SingleLabel(["y"]), drop_missing=True), "x"
    ).rows
    assert rows["label"][:] == ["1", "2.5"]


def test_class_labels_of_hub_data_sets_get_their_names() -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    data = Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features=features)
    rows, missing, _ = standardize(data, Columns(["text"], SingleLabel(["label"]), drop_missing=True), "x")
    assert rows["label"][:] == ["pos", "neg"]
    assert missing == 1


def test_several_text_columns_make_a_pair() -> None:
    data = table(q=["a", "b"], p=["c", "d"], r=["e", "f"], label=["x", "y"])
    rows = standardize(data, Columns(["q", "p", "r"], SingleLabel(["label"])), "x").rows
    assert rows.to_dict() == {"text": ["a", "b"], "text_pair": ["c e", "d f"], "label": ["x", "y"]}


def test_half_a_pair_may_be_empty_but_not_all_of_it() -> None:
    data = table(q=["a", "", ""], p=["", "d", " "], label=["x", "y", "z"])
    with pytest.raises(DataError, match=r"1 of 3 rows have an empty or missing 'q' \(the first is row 3\)"):
        standardize(data, Columns(["q", "p"], SingleLabel(["label"])), "x")
    rows, missing, _ = standardize(data, Columns(["q", "p"], SingleLabel(["label"]), drop_missing=True), "x")
    assert rows["text"][:] == ["a", ""]
    assert missing == 1


def test_missing_values_are_counted_with_the_option_that_drops_them() -> None:
    data = table(text=["a", None, "  ", "d"], label=["x", "y", "x", ""])
    with pytest.raises(DataError) as caught:
        standardize(data, Columns(["text"], SingleLabel(["label"])), "reviews")
    texts, labels, advice = str(caught.value).split("; ")
    assert tells(texts, "reviews", "2 of 4 rows", "missing 'text'", "row 2")
    assert tells(labels, "1 of 4 rows", "missing 'label'", "row 4")
    assert tells(advice, "--data.drop_missing true")
    rows, missing, _ = standardize(data, Columns(["text"], SingleLabel(["label"]), drop_missing=True), "reviews")
    assert rows.to_dict() == {"text": ["a"], "label": ["x"]}
    assert missing == 3


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(DataError, match="no rows are left"):
        standardize(
            table(text=["", None], label=["x", "y"]), Columns(["text"], SingleLabel(["label"]), drop_missing=True), "x"
        )


def test_a_missing_column_names_those_there_are() -> None:
    with pytest.raises(
        DataError, match=r"no column 'txt' \(data.text_column\); it has text, label; did you mean 'text'"
    ):
        standardize(table(text=["a"], label=["x"]), Columns(["txt"], SingleLabel(["label"])), "x")
    with pytest.raises(DataError, match=r"no column 'stars' \(data.label_column\)"):
        standardize(table(text=["a"], label=["x"]), Columns(["text"], SingleLabel(["stars"])), "x")


def test_lists_are_no_texts() -> None:
    with pytest.raises(DataError, match=r"column 'text' \(data\.text_column\) holds lists or objects"):
        standardize(table(text=[["a"]], label=["x"]), Columns(["text"], SingleLabel(["label"])), "x")


def test_of_many_columns_only_the_first_are_named() -> None:
    names = [f"c{number}" for number in range(1000)]
    with pytest.raises(DataError, match=r"it has c0, .*, c19 and 980 more$"):
        standardize(table(**{name: ["a"] for name in names}), Columns(["text"], None), "d")


def test_no_rows_and_a_column_named_twice() -> None:
    with pytest.raises(DataError, match="x: no rows"):
        standardize(table(text=[], label=[]), Columns(["text"], SingleLabel(["label"])), "x")
    rows = standardize(table(text=["a"], label=["y"]), Columns(["text", "text"], SingleLabel(["label"])), "x").rows
    assert rows.to_dict() == {"text": ["a"], "text_pair": ["a"], "label": ["y"]}
