"""`textmix.train`."""

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification

import textmix
from tests.support.commands import QUICK, tells
from tests.support.masked_lm import save_encoder_in
from tests.support.topics import topic_rows
from textmix import TextmixError

ROWS = topic_rows(60)
TEXTS, LABELS = [text for text, _ in ROWS], [label for _, label in ROWS]
OPTIONS: dict[str, Any] = {
    name.removeprefix("--"): value
    for name, value in zip(QUICK[::2], QUICK[1::2], strict=True)
    if name != "--model.name"
}


def train(data: Any, labels: Any = None, **options: Any) -> textmix.Training:
    more = options.pop("options", {})
    return textmix.train(data, labels, model="textcnn", verbose=False, options={**OPTIONS, **more}, **options)


def test_five_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = train(TEXTS, LABELS, strategy="sentence")
    result.report()
    assert capsys.readouterr().out == f"test: 12 rows\n\n{result.test.report_text()}\n"
    found = result.predict(["the soup and the bread", "a goal"])
    assert list(found.columns) == ["prediction", "confidence", *(f"probability_{name}" for name in sorted(set(LABELS)))]
    assert len(found) == 2
    result.save(tmp_path / "model")
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    (tmp_path / "mine").mkdir()
    with pytest.raises(TextmixError, match="exists and holds no model"):
        result.save(tmp_path / "mine")
    assert result.metrics["test"]["accuracy"] == result.test.scores()["accuracy"]


def test_without_a_test_split(capsys: pytest.CaptureFixture[str]) -> None:
    result = train(TEXTS, LABELS, options={"data.test_fraction": 0.0})
    assert result.test is None
    assert "test" not in result.metrics
    assert result.metrics["train"]["rows"]["train"] == 54
    result.report()
    assert capsys.readouterr().out == "no test split (data.test_fraction 0)\n"
    assert len(result.predict(["the soup and the bread"])) == 1


def test_few_labels(tmp_path: Path) -> None:
    encoder = str(save_encoder_in(tmp_path / "encoder"))
    state = torch.get_rng_state()
    options = {"contrastive.steps": 2, "train.precision": "fp32", "data.unlabeled": "empty", "unlabeled.steps": 2}
    labels = [label if number < 30 else None for number, label in enumerate(LABELS)]
    result = textmix.train(TEXTS, labels, model=encoder, options=options, verbose=False)
    assert result.metrics["train"]["steps"] == 4
    assert sum(result.metrics["train"]["rows"].values()) == 30
    assert torch.equal(torch.get_rng_state(), state)


def test_nothing_is_left_unless_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = train(TEXTS, LABELS)
    directory = result.directory
    assert directory.is_dir()
    del result
    gc.collect()
    assert not directory.exists()
    assert not list(tmp_path.iterdir())
    kept = train(TEXTS, LABELS, output_dir="mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "mine-rows.parquet"]
    assert pd.read_parquet(tmp_path / "mine-rows.parquet")["text"].tolist() == TEXTS
    with pytest.raises(TextmixError, match="mine"):
        train(TEXTS, LABELS, output_dir="mine")
    assert kept.directory.is_dir()


@pytest.mark.parametrize("kind", ["frame", "arrow", "dataset", "series", "array", "tuple"])
def test_the_same_rows_in_every_form_train_alike(kind: str) -> None:
    columns = {"text": TEXTS, "label": LABELS}
    data, labels = {
        "frame": (pd.DataFrame(columns), None),
        "arrow": (pa.table(columns), None),
        "dataset": (Dataset.from_dict(columns), None),
        "series": (pd.Series(TEXTS), pd.Series(LABELS)),
        "array": (np.array(TEXTS), np.array(LABELS)),
        "tuple": (tuple(TEXTS), tuple(LABELS)),
    }[kind]
    expected, found = train(TEXTS, LABELS), train(data, labels)
    np.testing.assert_array_equal(found.test.outputs, expected.test.outputs)


def test_labels_of_every_kind() -> None:
    indicators = np.array([[label == name for name in ("food", "sport")] for label in LABELS], dtype=int)
    found = train(TEXTS, indicators)
    assert found.test.space.task == "multi_label"
    assert found.test.space.names == ["0", "1"]
    named = train(TEXTS, pd.DataFrame(indicators, columns=["food", "sport"]))
    assert named.test.space.names == ["food", "sport"]
    lists = train(TEXTS, [[label] if label != "music" else [] for label in LABELS])
    assert lists.test.space.names == ["food", "sport"]
    numbers = train(TEXTS, [len(text) + number / 7 for number, text in enumerate(TEXTS)])
    assert numbers.test.space.task == "regression"
    assert list(numbers.predict(["soup"]).columns) == ["prediction"]


def test_files_and_recipes(tmp_path: Path) -> None:
    pd.DataFrame({"text": TEXTS, "label": LABELS}).to_csv(tmp_path / "d.csv", index=False)
    expected = train(str(tmp_path / "d.csv"))
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"data:\n  source: {tmp_path / 'd.csv'}\n")
    np.testing.assert_array_equal(train(str(recipe)).test.outputs, expected.test.outputs)
    found = textmix.train(TEXTS, LABELS, recipe="sentences/textcnn", options={"train.max_steps": 2}, verbose=False)
    assert found.metrics["train"]["steps"] == 2


@pytest.mark.parametrize(
    ("data", "labels", "options", "words"),
    [
        (TEXTS, LABELS[:-1], {}, ("60 texts", "59 labels")),
        (TEXTS, None, {}, ("texts need labels",)),
        (TEXTS, ["a"] * 60, {}, ("all 60 labels are 'a'",)),
        ([*TEXTS[:-1], 7], LABELS, {}, ("text 59 is 7",)),
        (pd.DataFrame({"text": TEXTS}), LABELS, {}, ("data.label_column",)),
        (pd.DataFrame({"text": TEXTS}), None, {}, ("no column 'label'",)),
        ("nowhere.csv", None, {}, ("no file at 'nowhere.csv'",)),
        (TEXTS, LABELS, {"train.epoch": 3}, ("unknown option 'train.epoch'", "train.epochs")),
    ],
)
def test_what_cannot_be_trained_is_told(
    data: Any, labels: Any, options: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(TextmixError) as caught:
        train(data, labels, options=options)
    assert tells(str(caught.value), *words)
    assert "\n" not in str(caught.value)


def test_random_numbers_of_others_go_on_as_before() -> None:
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state(legacy=False)["state"]["key"].tolist()  # noqa: NPY002
    train(TEXTS, LABELS, options={"train.max_steps": 1})
    assert np.random.get_state(legacy=False)["state"]["key"].tolist() == before  # noqa: NPY002
