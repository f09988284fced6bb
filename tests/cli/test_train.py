"""`textmix train` as its users meet it: run directories, overwriting, resuming."""

import json
import os
import re
import shutil
import signal
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.support.commands import QUICK, SMALL, fails, fails_quietly, snapshot, tells
from tests.support.full_disk import little_room
from tests.support.nursery import Nursery
from tests.support.topics import topic_rows
from textmix.cli.main import main
from textmix.config.parsing import option_names
from textmix.io.locks import locked
from textmix.mixing.registry import STRATEGIES
from textmix.training.checkpoint import find_checkpoints, find_damage
from textmix.training.loop import TrainingLoop


class TestTrain:
    def test_a_run_directory_holds_everything(self, run: Path) -> None:
        names = {path.name for path in run.iterdir()} - {"evaluations"}
        assert names == {
            "config.yaml",
            "data.json",
            "metrics.json",
            "history.jsonl",
            "report.md",
            "predictions.csv",
            "model",
            "environment.json",
        }

    def test_metrics_agree_with_the_predictions(self, run: Path) -> None:
        metrics = json.loads((run / "metrics.json").read_text())
        table = pd.read_csv(run / "predictions.csv")
        assert metrics["test"]["accuracy"] == pytest.approx((table["label"] == table["prediction"]).mean())
        assert metrics["test"]["accuracy"] > 0.8
        own = {"accuracy", "macro_f1", "micro_f1", "weighted_f1", "nll", "ece", "report"}
        own |= {"accuracy_interval", "nll_interval", "ece_interval"}
        assert set(metrics["validation"]) == own | {"coverage"}
        scaled = {"scaled_nll", "scaled_nll_interval", "scaled_ece", "scaled_ece_interval"}
        assert set(metrics["test"]) == {*own, "temperature", *scaled}
        low, high = metrics["test"]["nll_interval"]
        assert low < metrics["test"]["nll"] < high
        assert metrics["test"]["report"]["food"]["support"] == 6
        assert metrics["train"]["rows"] == {"train": 64, "validation": 8, "test": 18}
        assert metrics["train"]["seconds"] > 0
        assert metrics["train"]["samples_per_second"] == pytest.approx(4 * 64 / metrics["train"]["seconds"])
        probabilities = table.filter(like="probability_")
        assert probabilities.sum(axis=1).tolist() == pytest.approx([1] * 18)

    def test_the_config_alone_repeats_the_run(self, run: Path, tmp_path: Path) -> None:
        assert main(["train", str(run / "config.yaml"), "--output_dir", str(tmp_path / "again")]) == 0
        first, second = (json.loads((path / "metrics.json").read_text()) for path in (run, tmp_path / "again"))
        for metrics in (first, second):
            del metrics["train"]["seconds"], metrics["train"]["samples_per_second"]
        assert json.dumps(first) == json.dumps(second)
        for name in ("history.jsonl", "predictions.csv", "model/model.safetensors", "model/tokenizer.json"):
            assert (run / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name

    def test_the_config_writes_every_option_out(self, run: Path) -> None:
        config = yaml.safe_load((run / "config.yaml").read_text())
        for name in option_names():
            value = config
            for key in name.split("."):
                value = value[key]

    def test_the_default_directory_is_named_after_data_model_and_strategy(
        self, topics_csv: Path, in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        quick = [*SMALL, "--train.epochs", "1", "--mix.strategy", "word"]
        assert main(["train", "--data.source", str(topics_csv), *quick]) == 0
        assert (in_tmp_path / "runs" / "topics-textcnn-word" / "metrics.json").is_file()
        output = capsys.readouterr().out
        assert "precision    recall  f1-score   support" in output
        assert "saved to runs/topics-textcnn-word" in output

    def test_an_existing_run_is_kept_unless_overwritten(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        before = snapshot(run)
        message = fails(["train", str(run / "config.yaml")], capsys)
        assert tells(message, "run exists", str(run), "--overwrite", "output_dir")
        assert snapshot(run) == before

    def test_overwriting_replaces_the_run(self, topics_csv: Path, tmp_path: Path) -> None:
        arguments = ["train", "--data.source", str(topics_csv), *SMALL, "--train.epochs", "1"]
        arguments += ["--output_dir", str(tmp_path / "r")]
        assert main(arguments) == 0
        (tmp_path / "r" / "notes.txt").write_text("mine")
        (tmp_path / "r" / "evaluations" / "old").mkdir(parents=True)
        (tmp_path / "r" / "onnx").mkdir()
        assert main([*arguments, "--overwrite"]) == 0
        assert not any((tmp_path / "r" / name).exists() for name in ("evaluations", "onnx"))
        assert (tmp_path / "r" / "notes.txt").read_text() == "mine"

    def test_a_directory_that_is_no_run_is_never_overwritten(
        self, topics_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
        (tmp_path / "thesis" / "config.yaml").write_text("not: ours")
        arguments = ["train", "--data.source", str(topics_csv), *SMALL, "--output_dir", str(tmp_path / "thesis")]
        assert "exists and is not a run" in fails([*arguments, "--overwrite"], capsys)
        assert (tmp_path / "thesis" / "chapter.tex").read_text() == "years of work"

    def test_subword_vocabularies_pairs_and_vectors(self, tmp_path: Path) -> None:
        source, vectors = tmp_path / "pairs.jsonl", tmp_path / "vectors.txt"
        rows = [{"q": text, "p": "it is so", "y": number % 2} for number, (text, _) in enumerate(topic_rows(60))]
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
        vectors.write_text("soup " + " ".join(["0.5"] * 16) + "\n")
        base = ["train", "--data.source", str(source), "--data.text_column", "[q,p]", "--data.label_column", "y"]
        for kind in ("wordpiece", "bpe"):
            options = [*SMALL, "--model.words.tokenizer", kind, "--train.epochs", "1"]
            assert main([*base, *options, "--output_dir", str(tmp_path / kind)]) == 0
        options = [*SMALL, "--model.words.vectors", str(vectors), "--model.words.static", "true"]
        assert main([*base, *options, "--train.epochs", "1", "--output_dir", str(tmp_path / "static")]) == 0
        from textmix.models.loading import load_model

        loaded = load_model(tmp_path / "static" / "model")
        token = loaded.tokenizer.convert_tokens_to_ids("soup")
        assert loaded.model.embeddings.weight[token].tolist() == [0.5] * 16

    def test_a_few_steps_on_data_that_is_not_tokenised_beforehand(
        self, topics_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        arguments = [
            "train",
            "--data.source",
            str(topics_csv),
            *QUICK,
            "--train.max_steps",
            "7",
            "--train.group_by_length",
            "false",
        ]
        assert main([*arguments, "--output_dir", str(tmp_path / "lazy")]) == 0
        monkeypatch.setattr("textmix.runs.fitting._count_rows_used", lambda *arguments: 10_000)
        assert main([*arguments, "--output_dir", str(tmp_path / "whole")]) == 0
        assert json.loads((tmp_path / "lazy" / "metrics.json").read_text())["train"]["steps"] == 7
        for name in ("history.jsonl", "predictions.csv", "model/model.safetensors"):
            assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "lazy" / name).read_bytes(), name

    def test_an_interrupted_run_says_how_to_go_on(self, topics_csv: Path, tmp_path: Path, nursery: Nursery) -> None:
        directory = tmp_path / "run"
        arguments = ["--data.source", str(topics_csv), *SMALL, "--train.epochs", "400", "--output_dir", str(directory)]
        pid = nursery.start(["train", *arguments], stderr=tmp_path / "errors")
        deadline = time.monotonic() + 120
        while not (directory / "model").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(pid, signal.SIGINT)
        assert nursery.end(pid) == 130
        last = (tmp_path / "errors").read_text().splitlines()[-1]
        assert re.fullmatch(
            r"textmix: interrupted at step \d+ of \d+; resume with: textmix train --resume "
            + re.escape(str(directory)),
            last,
        )
        assert list((directory / "checkpoints").iterdir())
        assert not (directory / "metrics.json").exists()

    def test_resume_goes_on_and_ends(self, topics_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from textmix.errors import TrainingInterrupted

        arguments = ["train", "--data.source", str(topics_csv), *QUICK]
        assert main([*arguments, "--output_dir", str(tmp_path / "whole")]) == 0
        original = TrainingLoop._finish_epoch

        def finish_then_stop(self: TrainingLoop, bar: Any) -> None:
            original(self, bar)
            if self.progress.epoch == 2:
                self._save()
                raise TrainingInterrupted("interrupted")

        monkeypatch.setattr(TrainingLoop, "_finish_epoch", finish_then_stop)
        assert main([*arguments, "--output_dir", str(tmp_path / "parts")]) == 130
        monkeypatch.setattr(TrainingLoop, "_finish_epoch", original)
        assert main(["train", "--resume", str(tmp_path / "parts")]) == 0
        for name in ("history.jsonl", "predictions.csv", "model/model.safetensors"):
            assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes(), name
        assert not (tmp_path / "parts" / "checkpoints").exists()

    def test_a_run_whose_data_have_changed_is_not_gone_on_with(
        self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        copy = Path(shutil.copytree(run, tmp_path / "run"))
        (copy / "metrics.json").unlink()
        begun = (copy / "data.json").read_text()
        (copy / "data.json").write_text(json.dumps({"train": "0" * 64}))
        before = snapshot(copy)
        assert "have changed since it started" in fails(["train", "--resume", str(copy)], capsys)
        assert snapshot(copy) == before
        (copy / "data.json").write_text(begun)
        assert main(["train", "--resume", str(copy)]) == 0
        assert (copy / "predictions.csv").read_bytes() == before[str(copy / "predictions.csv")]

    def test_a_finished_run_has_nothing_to_go_on_with(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        before = snapshot(run)
        assert main(["train", "--resume", str(run)]) == 0
        captured = capsys.readouterr()
        assert captured.out == f"textmix: {run} has finished; its metrics are in {run}/metrics.json\n"
        assert captured.err == ""
        assert snapshot(run) == before

    def test_a_run_is_resumed_by_one_process_at_a_time(
        self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        copy = Path(shutil.copytree(run, tmp_path / "run"))
        (copy / "metrics.json").unlink()
        with locked(copy):
            message = fails(["train", "--resume", str(copy)], capsys)
            assert message == f"another process is training in {copy}"
            assert "another process is training" in fails_quietly(
                ["train", str(copy / "config.yaml"), "--output_dir", str(copy), "--overwrite"], capsys
            )
        assert (copy / "predictions.csv").is_file()

    def test_a_full_disk_ends_a_run_with_one_line_and_it_goes_on_later(
        self, topics_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = ["train", "--data.source", str(topics_csv), *QUICK, "--train.save_steps", "epoch"]
        assert main([*arguments, "--output_dir", str(tmp_path / "whole")]) == 0
        original, directory = TrainingLoop._save, tmp_path / "parts"

        def save_without_room(self: TrainingLoop) -> None:
            with little_room(4096) if self.progress.epoch == 3 else nullcontext():
                original(self)

        with monkeypatch.context() as patch:
            patch.setattr(TrainingLoop, "_save", save_without_room)
            capsys.readouterr()
            code = main([*arguments, "--output_dir", str(directory)])
        last = capsys.readouterr().err.splitlines()[-1]
        assert code == 2
        assert re.fullmatch(
            r"textmix: error: .*: File too large; once that is fixed, resume with: textmix train --resume .*/parts",
            last,
        )
        assert set(find_checkpoints(directory)) <= {8, 16}
        assert find_damage(find_checkpoints(directory)[16]) is None
        assert main(["train", "--resume", str(directory)]) == 0
        for name in ("history.jsonl", "predictions.csv", "model/model.safetensors"):
            assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes(), name

    def test_sigterm_before_training_leaves_nothing(
        self, topics_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("textmix.runs.train.check_model", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        arguments = ["train", "--data.source", str(topics_csv), *QUICK, "--output_dir", str(tmp_path / "run")]
        assert main(arguments) == 143
        assert capsys.readouterr().err == "textmix: interrupted\n"
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_every_strategy_trains(strategy: str, topics_csv: Path, tmp_path: Path) -> None:
    arguments = ["train", "--data.source", str(topics_csv), *SMALL, "--train.epochs", "1", "--train.log_steps", "1"]
    arguments += ["--mix.strategy", strategy, "--mix.lam", "fixed", "--output_dir", str(tmp_path / "run")]
    if strategy == "any":
        arguments += ["--mix.any.choices", "{word: 0.5, cutmix: 0.5}"]
    assert main(arguments) == 0
    first = json.loads((tmp_path / "run" / "history.jsonl").read_text().splitlines()[0])
    assert (first["lam"] < 1) == (strategy != "none")
    assert 0 < first["loss"] < 3
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["mix"]["strategy"] == strategy
    assert config["mix"]["any"]["choices"] == ({"word": 0.5, "cutmix": 0.5} if strategy == "any" else None)


def test_the_loss_is_a_section_of_its_own(topics_csv: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("loss: {label_smoothing: 0.1, class_weights: [1, 2, 3]}\n")
    arguments = ["train", str(recipe), "--data.source", str(topics_csv), *SMALL, "--train.epochs", "1"]
    assert main([*arguments, "--loss.focal_gamma", "2", "--output_dir", str(tmp_path / "run")]) == 0
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["loss"] == {"label_smoothing": 0.1, "class_weights": [1.0, 2.0, 3.0], "focal_gamma": 2.0}


def test_a_run_without_a_test_split(topics_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(tmp_path / "run")
    options = ["--data.source", str(topics_csv), "--data.test_fraction", "0", *QUICK, "--output_dir", run]
    assert main(["train", *options]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"saved to {run}"
    message = fails(["evaluate", run], capsys)
    assert tells(message, "no test split", "data.test_fraction 0", "--data.source")
    assert main(["evaluate", run, "--data.source", str(topics_csv)]) == 0
