"""Cross-validation: every row is predicted once, by the run that has not seen it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pandas as pd
import pytest

from tests.support.topics import topic_rows
from textmix.config.run import RunConfig
from textmix.config.train import TrainConfig
from textmix.data.config import DataConfig
from textmix.errors import ConfigError, DataError, RunError, TextmixError, TrainingInterrupted
from textmix.experiments.crossval import cross_validation as experiment
from textmix.experiments.crossval.cross_validation import CrossValidation, cross_validate, prepare
from textmix.experiments.crossval.out_of_fold import read_out_of_fold
from textmix.inference.predictor import Predictor
from textmix.mixing.config import MixConfig
from textmix.models.config import ModelConfig, TextCNNOptions, WordOptions

FOLDS = 3


def source(folder: Path) -> Path:
    """Topics with an id, a row that is left out, and two rows of a class of their own."""
    rows = [(f"a{n}", text, label) for n, (text, label) in enumerate(topic_rows(60))]
    rows[4:4] = [("left", "out", ""), ("lone1", "quark boson", "physics")]
    rows.append(("lone2", '"boson\rmeson"', "physics"))  # a lone carriage return ends no line
    path = folder / "topics.csv"
    path.write_bytes(("id,text,label\n" + "".join(",".join(row) + "\n" for row in rows)).encode())
    return path


def config(folder: Path, **data: object) -> RunConfig:
    return RunConfig(
        DataConfig(str(folder / "topics.csv"), drop_missing=True, **data),
        ModelConfig("textcnn", words=WordOptions(min_frequency=1, embedding_dim=16), textcnn=TextCNNOptions(8)),
        MixConfig(strategy="word"),
        train=TrainConfig(epochs=2, batch_size=8, learning_rate=0.02, seed=3),
        output_dir=str(folder / "cv"),
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> CrossValidation:
    folder = tmp_path_factory.mktemp("crossval")
    source(folder)
    crossval = prepare(config(folder), FOLDS, "id")
    cross_validate(crossval)
    return crossval


def test_each_row_is_predicted_once_by_the_model_that_has_not_seen_it(done: CrossValidation) -> None:
    given = pd.read_csv(done.config.data.source, keep_default_na=False)
    found = read_out_of_fold(done.directory)
    assert found.keys["row"].tolist() == [row for row in range(63) if row != 4]
    assert found.keys["id"].tolist() == given["id"].drop(4).tolist()
    names = found.evaluation.space.names
    assert [names[label] for label in found.evaluation.targets] == given["label"].drop(4).tolist()
    seen = {}
    for fold, directory in enumerate(done.folds):
        tested = pd.read_csv(directory / "predictions.csv")
        inside = found.keys["row"][found.folds == fold]
        assert tested["text"].tolist() == given["text"][inside].tolist()
        seen[fold] = given["text"].drop([4, *inside]).tolist()
        probabilities = Predictor.from_pretrained(directory)(given["text"][inside].tolist())
        np.testing.assert_allclose(found.evaluation.outputs[found.folds == fold], probabilities, atol=1e-6)
    for fold, text in zip(found.folds, given["text"].drop(4), strict=True):
        assert text not in seen[fold]


def test_vocabularies_are_made_of_the_training_rows_of_the_fold(done: CrossValidation) -> None:
    # Every text of the topics ends in a number of its own.
    found = read_out_of_fold(done.directory)
    given = pd.read_csv(done.config.data.source, keep_default_na=False)
    numbers = given["text"].str.extract(r" (\d\d)$")[0]
    for fold, directory in enumerate(done.folds):
        vocabulary = set(Predictor.from_pretrained(directory).tokenizer.get_vocab())
        inside = numbers[found.keys["row"][found.folds == fold]].dropna()
        assert len(inside) > 10
        assert not vocabulary & {*inside}
        assert len(vocabulary & {*numbers.drop(inside.index)}) > 20


def test_all_models_know_all_classes(done: CrossValidation) -> None:
    for directory in done.folds:
        assert Predictor.from_pretrained(directory).class_names == ["food", "music", "physics", "sport"]


def test_the_scores_are_those_of_the_folds_and_of_all_rows(done: CrossValidation) -> None:
    scores = json.loads((done.directory / "crossval.json").read_text())
    accuracies = [json.loads((path / "metrics.json").read_text())["test"]["accuracy"] for path in done.folds]
    assert [fold["accuracy"] for fold in scores["folds"]] == accuracies
    assert scores["mean"]["accuracy"] == pytest.approx(mean(accuracies))
    assert scores["sd"]["accuracy"] == pytest.approx(stdev(accuracies))
    table = pd.read_csv(done.directory / "oof_predictions.csv")
    assert scores["pooled"]["accuracy"] == pytest.approx((table["label"] == table["prediction"]).mean())
    assert scores["rows"] == 62
    assert "| accuracy |" in (done.directory / "report.md").read_text()


def test_what_has_finished_is_not_trained_again(done: CrossValidation, caplog: pytest.LogCaptureFixture) -> None:
    before = (done.directory / "oof_predictions.csv").read_bytes()
    caplog.set_level("INFO", "textmix")
    cross_validate(prepare(config(done.directory.parent), FOLDS, "id"))
    assert [line.split(":")[0] for line in caplog.messages] == ["fold-0 (1 of 3)", "fold-1 (2 of 3)", "fold-2 (3 of 3)"]
    assert (done.directory / "oof_predictions.csv").read_bytes() == before


def test_an_interruption_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source(tmp_path)

    def stop(*arguments: object) -> None:
        raise TrainingInterrupted("stopped", 15)

    monkeypatch.setattr(experiment, "train_or_resume", stop)
    with pytest.raises(TrainingInterrupted, match=r"stopped in .*cv/fold-0; run the same command again") as caught:
        cross_validate(prepare(config(tmp_path), FOLDS))
    assert caught.value.number == 15


def test_the_cut_is_one_for_all_folds(tmp_path: Path) -> None:
    source(tmp_path)
    assert {prepare(config(tmp_path), FOLDS).fold_config(fold).data.split_seed for fold in range(FOLDS)} == {3}
    assert prepare(config(tmp_path, split_seed=7), FOLDS).fold_config(1).data.split_seed == 7


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("quark", "gluon"),
        lambda text: text + "z,one more,food\n",
        lambda text: text.replace("physics", "chemistry"),
    ],
)
def test_a_source_that_has_changed_is_told(tmp_path: Path, change: Callable[[str], str]) -> None:
    path = source(tmp_path)
    _begin(tmp_path)
    path.write_text(change(path.read_text()))
    with pytest.raises(RunError, match="cv holds a cross-validation of other rows"):
        cross_validate(prepare(config(tmp_path), FOLDS))


def test_other_folds_are_told(tmp_path: Path) -> None:
    source(tmp_path)
    _begin(tmp_path)
    for other, folds in ((config(tmp_path), 4), (config(tmp_path, split_seed=9), FOLDS)):
        with pytest.raises(RunError, match="of other rows or other folds"):
            cross_validate(prepare(other, folds))


def _begin(folder: Path) -> None:
    """Leave what a cross-validation leaves that was killed in its first fold."""
    crossval = prepare(config(folder), FOLDS)
    experiment._claim(crossval)
    crossval.folds[0].mkdir()
    (crossval.folds[0] / "config.yaml").write_text(crossval.fold_config(0).to_yaml())


def test_a_directory_with_something_else_is_left_alone(tmp_path: Path) -> None:
    source(tmp_path)
    (tmp_path / "cv").mkdir()
    (tmp_path / "cv" / "mine.txt").write_text("x")
    with pytest.raises(RunError, match="cv exists and is not a cross-validation"):
        cross_validate(prepare(config(tmp_path), FOLDS))


def test_where_no_run_begins_nothing_is_left(tmp_path: Path) -> None:
    source(tmp_path)
    wrong = replace(config(tmp_path), mix=MixConfig(strategy="manifold", manifold={"layers": [7]}))
    with pytest.raises(TextmixError, match="layer"):
        cross_validate(prepare(wrong, FOLDS))
    assert not (tmp_path / "cv").exists()
    (tmp_path / "cv").mkdir()
    with pytest.raises(TextmixError, match="layer"):
        cross_validate(prepare(wrong, FOLDS))
    assert not list((tmp_path / "cv").iterdir())


def test_integer_ids_stay_integers_beside_missing_ones(tmp_path: Path) -> None:
    lines = [
        json.dumps({"id": None if n == 3 else 2**60 + n, "text": text, "label": label, "tags": [n]})
        for n, (text, label) in enumerate(topic_rows(60))
    ]
    (tmp_path / "topics.jsonl").write_text("\n".join(lines))
    given = config(tmp_path)
    crossval = prepare(replace(given, data=DataConfig(str(tmp_path / "topics.jsonl"))), FOLDS, "id")
    cross_validate(crossval)
    with pytest.raises(DataError, match=r"column 'tags' \(--id_column\) holds lists or objects, not ids"):
        prepare(crossval.config, FOLDS, "tags")
    expected = [str(2**60 + n) for n in range(60)]
    expected[3] = ""
    assert read_out_of_fold(crossval.directory).keys["id"].tolist() == expected


def test_wrong_options_are_named(tmp_path: Path) -> None:
    path = source(tmp_path)
    with pytest.raises(ConfigError, match=r"data\.folds must be at least 2, not 1"):
        prepare(config(tmp_path), 1)
    with pytest.raises(ConfigError, match=r"leave out data\.test_source"):
        prepare(config(tmp_path, test_source=str(path)), 3)
    with pytest.raises(DataError, match=r"no column 'ids' \(--id_column\); it has id, text, label; did you mean 'id'"):
        prepare(config(tmp_path), FOLDS, "ids")
    with pytest.raises(DataError, match="has a column of that name already"):
        prepare(config(tmp_path), FOLDS, "label")


def test_without_an_output_dir_it_is_named_after_the_recipe(in_tmp_path: Path) -> None:
    source(in_tmp_path)
    crossval = prepare(replace(config(in_tmp_path), output_dir=None), FOLDS)
    assert str(crossval.directory) == "runs/topics-textcnn-word-crossval"
