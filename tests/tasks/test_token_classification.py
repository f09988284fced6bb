import json

import numpy as np
import pytest
from seqeval.metrics import f1_score

from tests.support.tasks import read
from textmix.data.config import DataConfig
from textmix.errors import DataError
from textmix.tasks.token_classification import Tags, TokenClassification, as_objects

TASK = TokenClassification(["label"])
SPACE = Tags(["O", "B-L", "I-L", "B-P", "I-P"])


def said(*rows: list[str]) -> np.ndarray:
    return as_objects([np.eye(5)[[SPACE.names.index(tag) for tag in row]] for row in rows])


def targets(*rows: list[str]) -> np.ndarray:
    cells = {"text": [["x"] * len(row) for row in rows], "label": [*rows]}
    return SPACE.encode(read(TASK, cells))


def test_scores_by_hand() -> None:
    true = [["B-P", "I-P", "O", "B-L"], ["O", "B-L", "I-L"]]
    found = [["B-P", "I-P", "O", "O"], ["O", "B-L", "O"]]
    scores = SPACE.scores(targets(*true), said(*found))
    # One of three entities is right, and one of two that were found.
    assert scores["recall"] == pytest.approx(1 / 3)
    assert scores["precision"] == pytest.approx(1 / 2)
    assert scores["f1"] == pytest.approx(2 / 5) == pytest.approx(f1_score(true, found))
    assert scores["macro_f1"] == pytest.approx((1 + 0) / 2)
    assert scores["accuracy"] == pytest.approx(5 / 7)


def test_tags_are_those_of_both_places_of_every_type() -> None:
    labels = read(TASK, {"text": [["a", "b"], ["c"]], "label": [["B-X", "O"], ["I-A"]]})
    space = TASK.fit(labels, labels, "data")
    assert space.names == ["O", "B-A", "I-A", "B-X", "I-X"]
    assert space.continued.tolist() == [0, 2, 2, 4, 4]


def test_a_token_has_a_place_in_the_joined_text() -> None:
    labels = read(TASK, {"text": [["Ana", "!", "今", "日", "ok"]], "label": [["B-P", "O", "O", "O", "O"]]})
    text = "Ana ! 今日 ok"
    places = json.loads(labels.to_pylist()[0])
    assert [text[start:end] for start, end, _ in places] == ["Ana", "!", "今", "日", "ok"]


def test_a_tag_that_training_never_saw_is_wrong() -> None:
    labels = read(TASK, {"text": [["a", "b"]], "label": [["B-Z", "O"]]})
    assert SPACE.known(labels).tolist() == [False]
    assert SPACE.encode(labels)[0][:, 2].tolist() == [-1, 0]
    assert SPACE.to_labels(SPACE.encode(labels))[0][0].tolist() == [0, 1, -1, -1]
    assert SPACE.scores(SPACE.encode(labels), said(["O", "O"]))["accuracy"] == 0.5
    assert SPACE.scores(SPACE.encode(labels), said(["B-P", "O"]))["recall"] == 0


def test_rows_are_stratified_by_types() -> None:
    cells = {"text": [["a", "b"], ["c"], ["d"]], "label": [["B-X", "B-A"], ["O"], ["I-X"]]}
    strata = TASK.strata(read(TASK, cells))
    assert strata.names == ["A", "X"]
    assert strata.values.tolist() == [[True, True], [False, False], [False, True]]
    of_one = TASK.strata(read(TASK, {"text": [["a"], ["b"]], "label": [["B-X"], ["O"]]}))
    assert of_one.values.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"text": [["a", "b"]], "label": [["O"]]}, "row 1 has 2 tokens and 1 tags"),
        ({"text": [["a"]], "label": [["NOUN"]]}, "row 1 has the tag 'NOUN'; tags are O, B-<type> or I-<type>"),
    ],
)
def test_wrong_rows(cells: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(TASK, cells)


def test_data_without_entities_and_two_columns_are_refused() -> None:
    labels = read(TASK, {"text": [["a"]], "label": [["O"]]})
    with pytest.raises(DataError, match="no token has another tag than O"):
        TASK.fit(labels, labels, "data")
    with pytest.raises(DataError, match="one column of tokens and one of tags"):
        TokenClassification.of(DataConfig("data", text_column=["a", "b"]))
