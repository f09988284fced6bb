"""What `textmix data` counts."""

import pytest
from datasets import Dataset

from textmix.data import checks
from textmix.data.checks import DataReport, Measure, check_data, count_words
from textmix.data.suggest import suggest_task

WORDS = Measure("words", count_words, 3)


def checked(texts: list[str | None], labels: list[str | None]) -> DataReport:
    rows = Dataset.from_dict({"text": texts, "label": labels})
    return check_data(rows, ["text"], ["label"], WORDS, suggest_task(rows, ["label"]))


def test_rows_classes_and_lengths() -> None:
    report = checked(["a", "b c", "d e f g", "h"], ["x", "y", "x", "x"])
    assert report.rows == 4
    assert report.columns["text"] == {"type": "string", "filled": 1.0}
    assert report.classes == {"x": 3, "y": 1}
    assert report.lengths == {"unit": "words", "rows": 4, "median": 1, "p95": 3, "longest": 4, "limit": 3, "cut": 0.25}
    assert (report.task, report.warnings()) == ("single_label", [])


@pytest.mark.parametrize("block", [1, 2, 100])
def test_what_may_be_wrong(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(checks, "_BLOCK", block)
    texts = ["a", "a", "a", "", "cafÃ© au lait", "it â€™ s", "Ã la carte", "b", "b", None]
    report = checked(texts, ["x", "x", "X ", "y", "N/A", "nan", None, "y", "y", "x"])
    assert (report.empty_texts, report.empty_labels) == (2, 1)
    assert (report.duplicates, report.contradictions, report.damaged) == (3, 1, 2)
    assert report.similar_labels == [["x", "X "]]
    assert sorted(report.missing_names) == ["N/A", "nan"]
    assert report.columns["text"]["filled"] == 0.8
    assert len(report.warnings()) == 7


def test_several_labels() -> None:
    texts = ["a", "b", "c", "d"]
    lists = Dataset.from_dict({"text": texts, "label": [["x", "y"], ["x"], [], ["y"]]})
    joined = Dataset.from_dict({"text": texts, "label": ["x|y", "x", None, "y"]})
    columns = Dataset.from_dict({"text": texts, "x": [1, 1, 0, 0], "y": [1, 0, 0, 1]})
    for rows, names in ((lists, ["label"]), (joined, ["label"]), (columns, ["x", "y"])):
        report = check_data(rows, ["text"], names, WORDS, suggest_task(rows, names))
        assert report.task == "multi_label"
        assert report.classes == {"x": 2, "y": 2}
        assert report.empty_labels == 0


def test_probabilities_count_for_the_largest() -> None:
    rows = Dataset.from_dict({"text": ["a", "b", "c"], "x": ["0.9", "0.2", "0.6"], "y": ["0.1", "0.8", "0.4"]})
    assert check_data(rows, ["text"], ["x", "y"], WORDS, suggest_task(rows, ["x", "y"])).classes == {"x": 2, "y": 1}


def test_without_labels() -> None:
    report = check_data(Dataset.from_dict({"text": ["a", "a"]}), ["text"], [], WORDS, None)
    assert (report.duplicates, report.contradictions, report.empty_labels, report.task) == (1, 0, 0, None)


def test_words_of_languages_without_spaces_are_characters() -> None:
    assert count_words(["two words", "菜很好 and more", ""], None) == [2, 5, 0]
    assert count_words(["a b"], ["c"]) == [3]
