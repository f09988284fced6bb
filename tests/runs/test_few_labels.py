"""Runs with few labels: stages, files, the pool, descriptions, and what is refused before anything is written."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.support.commands import fails_quietly, tells
from tests.support.masked_lm import save_encoder_in
from tests.support.topics import TOPICS, topic_rows
from textmix import Predictor
from textmix.cli.main import main
from textmix.errors import TrainingError
from textmix.models.loading import load_model

NAMES = sorted(TOPICS)
WARM_UP = ["--contrastive.steps", "40", "--contrastive.batch_size", "24", "--contrastive.learning_rate", "3e-3"]
ON_POOL = ["--unlabeled.steps", "6", "--unlabeled.batch_size", "8", "--unlabeled.labeled_batch_size", "6"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder, 36 labelled rows, and 30 others."""
    directory = tmp_path_factory.mktemp("few")
    save_encoder_in(directory / "encoder")
    pd.DataFrame(topic_rows(36), columns=["text", "label"]).to_csv(directory / "d.csv", index=False)
    pd.DataFrame(topic_rows(30, seed=1), columns=["text", "label"]).to_csv(directory / "pool.csv", index=False)
    return directory


def command(files: Path, directory: Path, *options: str, source: str = "d.csv", name: str = "train") -> list[str]:
    common = ["--data.source", str(files / source), "--model.name", str(files / "encoder")]
    common += ["--data.validation_fraction", "0", "--train.precision", "fp32"]
    return [name, *common, *options, "--output_dir", str(directory)]


def read(run: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    lines = (run / "history.jsonl").read_text().splitlines()
    return json.loads((run / "metrics.json").read_text()), [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def run(files: Path) -> Path:
    options = [*WARM_UP, "--data.unlabeled", str(files / "pool.csv"), *ON_POOL, "--mix.strategy", "manifold"]
    assert main(command(files, files / "run", *options)) == 0
    return files / "run"


def test_a_run_has_both_stages_and_learns(run: Path) -> None:
    metrics, history = read(run)
    assert [(line["stage"], line["steps"]) for line in history] == [("contrastive", 40), ("unlabeled", 6)]
    assert metrics["train"]["steps"] == 46
    assert metrics["train"]["samples"] == 40 * 24 + 6 * (8 + 6)
    assert metrics["train"]["seconds"] == pytest.approx(sum(line["seconds"] for line in history))
    assert metrics["test"]["accuracy"] > 0.7
    assert set(json.loads((run / "data.json").read_text())) == {"train", "validation", "test", "unlabeled"}
    assert {path.name for path in run.iterdir()} == {
        *("config.yaml", "data.json", "metrics.json", "history.jsonl", "report.md"),
        *("predictions.csv", "model", "environment.json"),
    }
    texts, labels = zip(*topic_rows(36), strict=True)
    predicted = Predictor.from_pretrained(run)(list(texts)).argmax(axis=1)
    assert np.mean([NAMES[number] == label for number, label in zip(predicted, labels, strict=True)]) > 0.9


def test_the_config_alone_repeats_the_run(run: Path, tmp_path: Path) -> None:
    assert main(["train", str(run / "config.yaml"), "--output_dir", str(tmp_path / "again")]) == 0
    for name in ("predictions.csv", "model/model.safetensors", "data.json"):
        assert (run / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_a_run_that_was_interrupted_starts_again(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()
    (tmp_path / "run" / "model" / "model.safetensors").unlink()
    assert main(["train", "--resume", str(tmp_path / "run")]) == 0
    for name in ("predictions.csv", "model/model.safetensors"):
        assert (run / name).read_bytes() == (tmp_path / "run" / name).read_bytes(), name


def test_a_warm_up_alone_has_a_logistic_head(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(files, tmp_path / "run", *WARM_UP, "--model.normalize", "true")) == 0
    assert "40 steps in fp32" in capsys.readouterr().out
    assert [line["stage"] for line in read(tmp_path / "run")[1]] == ["contrastive"]
    model = load_model(tmp_path / "run" / "model").model
    assert model.config.normalize
    assert model.config.id2label == dict(enumerate(NAMES))
    # The rows of a logistic regression with a penalty sum to zero.
    torch.testing.assert_close(model.classifier.weight.sum(dim=0), torch.zeros(32), atol=1e-3, rtol=0)


def test_a_pool_alone_and_a_head_that_is_fitted_to_guesses(files: Path, tmp_path: Path) -> None:
    options = ["--data.unlabeled", str(files / "pool.csv"), "--unlabeled.fit_head", "true"]
    assert main(command(files, tmp_path / "run", *options, "--unlabeled.steps", "0")) == 0
    metrics, history = read(tmp_path / "run")
    assert history == [{"stage": "unlabeled", "steps": 0, "loss": 0.0, "seconds": 0.0}]
    assert metrics["train"]["steps"] == metrics["train"]["samples_per_second"] == 0
    assert main(command(files, tmp_path / "other", *options[:2], "--unlabeled.steps", "0")) == 0
    first, second = (load_model(tmp_path / name / "model").model for name in ("run", "other"))
    assert torch.equal(
        first.encoder.embeddings.word_embeddings.weight, second.encoder.embeddings.word_embeddings.weight
    )
    assert not torch.equal(first.classifier.weight, second.classifier.weight)


def test_rows_of_the_source_without_a_label(files: Path, tmp_path: Path) -> None:
    rows = [(text, label if number < 24 else "") for number, (text, label) in enumerate(topic_rows(60))]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(tmp_path / "half.csv", index=False)
    options = ["--data.unlabeled", "empty", "--data.test_fraction", "0.25", *ON_POOL]
    arguments = command(files, tmp_path / "run", *options)
    arguments[2] = str(tmp_path / "half.csv")
    assert main(arguments) == 0
    assert sum(read(tmp_path / "run")[0]["train"]["rows"].values()) == 24
    assert main(["evaluate", str(tmp_path / "run")]) == 0


def test_descriptions_of_classes_are_rows_of_the_warm_up(files: Path, tmp_path: Path) -> None:
    described = '{"food": "soup and bread", "music": "song and melody"}'
    for name, value in {"none": "null", "names": "names", "texts": described}.items():
        options = ["--contrastive.steps", "1", "--data.label_descriptions", value]
        assert main(command(files, tmp_path / name, *options)) == 0
    heads = [load_model(tmp_path / name / "model").model.classifier.bias for name in ("none", "names", "texts")]
    assert not any(torch.equal(one, other) for one, other in zip(heads, heads[1:] + heads[:1], strict=True))


def test_a_class_may_have_one_row(files: Path, tmp_path: Path) -> None:
    rows = [*topic_rows(30)[:24], ("lonely new words", "other")]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(tmp_path / "rare.csv", index=False)
    options = [*WARM_UP, "--data.unlabeled", str(files / "pool.csv"), *ON_POOL, "--mix.strategy", "word"]
    arguments = command(files, tmp_path / "run", *options)
    arguments[2] = str(tmp_path / "rare.csv")
    assert main(arguments) == 0
    assert np.isfinite(read(tmp_path / "run")[0]["test"]["nll"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--contrastive.learning_rate", "1e30"], ("not finite at step", "contrastive.learning_rate", "fp32")),
        (["--contrastive.learning_rate", "1e30", "--contrastive.steps", "1"], ("not finite", "learning_rate")),
    ],
)
def test_what_is_not_finite_names_the_option(
    files: Path, tmp_path: Path, options: list[str], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(files, tmp_path / "run", *WARM_UP, *options)) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("textmix: error: ")
    assert tells(message, *words)


def test_sentence_vectors_that_are_not_finite_are_told(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textmix.config.parsing import read_recipe, with_options
    from textmix.runs import few_labels
    from textmix.runs.train import train

    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"data:\n  source: {files / 'd.csv'}\nmodel:\n  name: {files / 'encoder'}\n")
    config = with_options(
        read_recipe(str(recipe)),
        {"contrastive.steps": 1, "output_dir": str(tmp_path / "run"), "train.precision": "fp32"},
    )
    monkeypatch.setattr(few_labels, "sentence_vectors", lambda *args: np.full((4, 32), np.nan))
    with pytest.raises(TrainingError, match=r"sentence vectors are not finite; lower contrastive.learning_rate"):
        train(config, show_progress=False)


class TestRefusals:
    """Each is one line, and nothing is written."""

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--loss.class_weights", "[1, 2]"], ("loss.class_weights", "2 numbers", "3 classes")),
            (["--mix.strategy", "manifold", "--mix.manifold.layers", "[9]"], ("9",)),
            (["--data.label_descriptions", '{"fod": "soup"}'], ("data.label_descriptions", "'fod'")),
            (["--data.unlabeled", "nowhere.csv"], ("nowhere.csv",)),
            (["--data.unlabeled", "empty"], ("no rows without a label",)),
        ],
    )
    def test_options(
        self,
        options: list[str],
        words: tuple[str, ...],
        files: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        message = fails_quietly(command(files, tmp_path / "run", *WARM_UP, *options), capsys)
        assert tells(message, *words), message
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize("option", ["contrastive.steps", "data.unlabeled"])
    @pytest.mark.parametrize(
        ("labels", "task", "words"),
        [
            ([[0.5, 0.25, 0.25]] * 12, "single_label", "probabilities"),
            ([["a"], ["a", "b"], []] * 4, "auto", "multi_label"),
            ([number / 7 for number in range(12)], "regression", "regression"),
        ],
    )
    def test_labels(
        self,
        option: str,
        labels: list[Any],
        task: str,
        words: str,
        files: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        rows = [{"text": text, "label": label} for (text, _), label in zip(topic_rows(12), labels, strict=True)]
        source = tmp_path / "d.jsonl"
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        value = "5" if option == "contrastive.steps" else str(files / "pool.csv")
        arguments = command(files, tmp_path / "run", f"--{option}", value, "--task", task)
        arguments[2] = str(source)
        message = fails_quietly(arguments, capsys)
        assert tells(message, "one class for each row", words), message
        assert not (tmp_path / "run").exists()

    def test_a_tokenizer_without_a_mask(
        self, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("transformers.PreTrainedTokenizerFast.mask_token_id", None, raising=False)
        options = ["--data.unlabeled", str(files / "pool.csv")]
        message = fails_quietly(command(files, tmp_path / "run", *options), capsys)
        assert tells(message, "mask token", "unlabeled.view mask", "cutoff")
        assert not (tmp_path / "run").exists()
        assert main(command(files, tmp_path / "run", *options, *ON_POOL, "--unlabeled.view", "cutoff")) == 0


@pytest.mark.slow
class TestExperiments:
    def test_a_comparison_goes_on_with_pools_that_differ_by_seed(
        self, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        options = ["--data.unlabeled", str(files / "pool.csv"), "--unlabeled.max_rows", "9", "--unlabeled.steps", "0"]
        common = command(files, tmp_path / "c", *options, "--strategies", "word", name="compare")
        assert main([*common, "--seeds", "2"]) == 0
        digests = [
            json.loads((tmp_path / "c" / "word" / f"seed-{seed}" / "data.json").read_text())["unlabeled"]
            for seed in (0, 1)
        ]
        assert digests[0] != digests[1]
        assert main([*common, "--seeds", "2"]) == 0
        found = json.loads((tmp_path / "c" / "comparison.json").read_text())
        assert found["strategies"]["word"]["seconds_per_step"]["mean"] == 0

    def test_cross_validation(self, files: Path, tmp_path: Path) -> None:
        options = [*WARM_UP, "--data.unlabeled", str(files / "pool.csv"), "--unlabeled.steps", "2"]
        arguments = command(files, tmp_path / "v", *options, "--folds", "2", name="crossval")
        assert main(arguments) == 0
        assert json.loads((tmp_path / "v" / "crossval.json").read_text())["rows"] == 36

    def test_a_sweep(self, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        arguments = command(
            files, tmp_path / "s", *WARM_UP, "--trials", "1", "--data.validation_fraction", "0.2", name="sweep"
        )
        message = fails_quietly(arguments, capsys)
        assert tells(message, "train.learning_rate", "--space")
        assert not (tmp_path / "s").exists()
        space = tmp_path / "space.yaml"
        space.write_text("contrastive.temperature: {low: 0.05, high: 0.5}\n")
        assert main([*arguments, "--space", str(space)]) == 0
        trials = json.loads((tmp_path / "s" / "sweep.json").read_text())["trials"]
        assert [trial["state"] for trial in trials] == ["complete"]


def test_a_cross_fit_estimates_and_calibrates_and_trains_the_same_encoder(files: Path, tmp_path: Path) -> None:
    short = [*WARM_UP, "--contrastive.steps", "2", "--contrastive.learning_rate", "1e-4"]
    assert main(command(files, tmp_path / "plain", *short)) == 0
    assert main(command(files, tmp_path / "fitted", *short, "--contrastive.cross_fit", "3")) == 0
    metrics, history = read(tmp_path / "fitted")
    low, high = metrics["cross_fit"]["accuracy_interval"]
    assert 0 < low < metrics["cross_fit"]["accuracy"] < high < 1
    assert len(history) == 1
    plain, fitted = (load_model(tmp_path / name / "model").model for name in ("plain", "fitted"))
    [temperature] = {*fitted.config.temperatures}
    assert temperature != 1
    for name, value in plain.state_dict().items():
        scale = temperature if name.startswith("classifier") else 1
        torch.testing.assert_close(fitted.state_dict()[name] * scale, value, rtol=1e-4, atol=1e-5)


def test_a_cross_fit_sees_no_label_of_the_rows_that_it_predicts(files: Path, tmp_path: Path) -> None:
    rows = [(f"{text} {number}", NAMES[number * 7 % 3]) for number, (text, _) in enumerate(topic_rows(36))]
    drawn = np.random.default_rng(0).permutation([label for _, label in rows])
    table = pd.DataFrame({"text": [text for text, _ in rows], "label": drawn})
    table.to_csv(tmp_path / "random.csv", index=False)
    options = [*WARM_UP, "--contrastive.cross_fit", "3", "--data.test_fraction", "0"]
    assert main(command(files, tmp_path / "run", *options, source=str(tmp_path / "random.csv"))) == 0
    metrics, _ = read(tmp_path / "run")
    seen = Predictor.from_pretrained(tmp_path / "run")(table["text"].tolist()).argmax(axis=1)
    assert np.mean([NAMES[number] == label for number, label in zip(seen, drawn, strict=True)]) > 0.6
    assert metrics["cross_fit"]["accuracy"] < 0.6


def test_more_folds_than_rows_of_any_class_are_refused(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = command(files, tmp_path / "run", *WARM_UP, "--contrastive.cross_fit", "20")
    assert tells(fails_quietly(wrong, capsys), "contrastive.cross_fit 20", "largest")
    assert not (tmp_path / "run").exists()


def test_a_pool_that_has_changed_is_refused_on_resume(
    files: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()
    config = (tmp_path / "run" / "config.yaml").read_text()
    pd.DataFrame(topic_rows(9, seed=2), columns=["text", "label"]).to_csv(tmp_path / "pool.csv", index=False)
    changed = config.replace(str(files / "pool.csv"), str(tmp_path / "pool.csv"))
    (tmp_path / "run" / "config.yaml").write_text(changed)
    before = (tmp_path / "run" / "history.jsonl").read_bytes()
    assert tells(fails_quietly(["train", "--resume", str(tmp_path / "run")], capsys), "have changed", "unlabeled")
    assert (tmp_path / "run" / "history.jsonl").read_bytes() == before
