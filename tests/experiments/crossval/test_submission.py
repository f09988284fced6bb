"""Submissions: the average of models over new rows, in the columns asked for."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.support.topics import topic_rows
from textmix.data.config import DataConfig
from textmix.errors import ConfigError, DataError
from textmix.experiments.crossval.submission import plan_submission, read_layout, submit
from textmix.inference.predictor import Predictor
from textmix.models.config import ModelConfig, TextCNNOptions, WordOptions
from textmix.models.loading import build_model
from textmix.tasks.single_label import Classes

CLASSES = ["food", "music", "sport"]
SPACE = Classes(CLASSES)
DATA = DataConfig("unused", text_column=["title", "body"], label_column="topic")


def new_rows(folder: Path, count: int = 30) -> str:
    path = folder / "new.csv"
    lines = [f"0{n},{text},{text[::-1]},{n % 2}\n" for n, (text, _) in enumerate(topic_rows(count))]
    path.write_text("id,title,body,site\n" + "".join(lines))
    return str(path)


class TestPlan:
    def plan(self, folder: Path, asked: str | None) -> dict[str, str]:
        return plan_submission(new_rows(folder), asked, DATA, SPACE).layout.submitted

    def test_by_default_all_but_the_texts(self, tmp_path: Path) -> None:
        assert self.plan(tmp_path, None) == {"id": "id", "site": "site", "topic": "prediction"}

    def test_columns_can_be_renamed(self, tmp_path: Path) -> None:
        asked = self.plan(tmp_path, "site, target=topic,sure=confidence,p=probability_food,title")
        assert asked == {
            "site": "site",
            "target": "prediction",
            "sure": "confidence",
            "p": "probability_food",
            "title": "title",
        }

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ("idd,topic", "--submit_columns: no column 'idd'.*did you mean 'id'"),
            ("id,topic,", "--submit_columns: no column ''"),
            ("id,id=site,topic", "--submit_columns has 'id' twice"),
            ("id,site", "--submit_columns has no prediction; add 'topic' or NAME=prediction"),
        ],
    )
    def test_wrong_columns_are_named(self, tmp_path: Path, asked: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            self.plan(tmp_path, asked)

    def test_wrong_rows_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="new: no column 'text'"):
            plan_submission(new_rows(tmp_path), None, DataConfig("unused"), SPACE)
        path = tmp_path / "taken.csv"
        for column in ("confidence", "probability_of_rain"):
            path.write_text(f"title,body,{column}\na,b,c\n")
            with pytest.raises(DataError, match=f"taken has a column '{column}', named like a prediction; rename it"):
                plan_submission(str(path), None, DATA, SPACE)


def models(folder: Path, count: int) -> list[Path]:
    directories = [folder / f"fold-{number}" for number in range(count)]
    options = ModelConfig("textcnn", words=WordOptions(min_frequency=1, embedding_dim=8), textcnn=TextCNNOptions(4))
    for number, directory in enumerate(directories):
        torch.manual_seed(number)
        texts = [text for text, _ in topic_rows(30, seed=number)]  # a vocabulary of its own
        built = build_model(options, Classes(CLASSES).to_config(), texts)
        built.model.save_pretrained(directory / "model")
        built.tokenizer.save_pretrained(directory / "model")
    return directories


def test_probabilities_are_averaged_over_the_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textmix.experiments.crossval.submission.WINDOW", 7)  # of 30 rows: the last window is not full
    directories = models(tmp_path, 3)
    path = new_rows(tmp_path)
    submission = plan_submission(path, "id,target=topic", DATA, SPACE)
    submit(submission, directories, SPACE, tmp_path)

    given = pd.read_csv(path, dtype=str)
    expected = np.zeros((30, 3))
    for directory in directories:
        predictor = Predictor.from_pretrained(directory / "model")
        for row, (title, body) in enumerate(zip(given["title"], given["body"], strict=True)):
            expected[row] += predictor([title], [body])[0] / 3
    written = pd.read_csv(tmp_path / "test_probabilities.csv", dtype={"id": str, "site": str})
    assert list(written.columns[:4]) == ["id", "site", "prediction", "confidence"]
    assert written["id"].tolist() == given["id"].tolist()
    np.testing.assert_allclose(written[[f"probability_{name}" for name in CLASSES]], expected, atol=1e-6)
    lines = (tmp_path / "submission.csv").read_text().splitlines()
    assert lines[0] == "id,target"
    assert lines[1:] == [f"0{row},{CLASSES[best]}" for row, best in enumerate(expected.argmax(axis=1))]
    assert read_layout(tmp_path) == submission.layout
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {
        "new.csv",
        "submission.csv",
        "submission.json",
        "test_probabilities.csv",
    }


PEAK = """
import resource, sys
from pathlib import Path
from textmix.data.config import DataConfig
from textmix.experiments.crossval.submission import plan_submission, submit
folder, count = Path(sys.argv[1]), int(sys.argv[2])
submission = plan_submission(str(folder / "new.csv"), None, DataConfig("x"), ["food", "music", "sport"])
submit(submission, [folder / "fold-0"] * count, ["food", "music", "sport"], folder)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_folds(tmp_path: Path) -> None:
    words = [f"word{number}" for number in range(40_000)]
    (tmp_path / "new.csv").write_text("text\n" + "".join(f"{word} {word}\n" for word in words[:500]))
    words_options = WordOptions(min_frequency=1, embedding_dim=500, vocab_size=50_000)
    options = ModelConfig("textcnn", words=words_options, textcnn=TextCNNOptions(4))
    built = build_model(options, Classes(CLASSES).to_config(), words)
    size = sum(parameter.numel() for parameter in built.model.parameters()) * 4 / 1024  # kB
    assert size > 50_000
    built.model.save_pretrained(tmp_path / "fold-0" / "model")
    built.tokenizer.save_pretrained(tmp_path / "fold-0" / "model")
    peaks = []
    for count in (2, 5):
        command = [sys.executable, "-c", PEAK, str(tmp_path), str(count)]
        peaks.append(int(subprocess.run(command, capture_output=True, check=True).stdout))
    assert peaks[1] < peaks[0] + size / 2  # three more models at once would be three times as much as one
