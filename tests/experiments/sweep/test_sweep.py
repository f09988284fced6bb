"""A sweep: how many trials, what is chosen, what is left, what happens to trials that were killed."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.support.commands import SMALL, fails, fails_quietly, snapshot, tells
from tests.support.nursery import Nursery
from tests.support.topics import topic_rows
from textmix.cli.main import main
from textmix.config.parsing import with_options
from textmix.config.run import RunConfig
from textmix.config.train import TrainConfig
from textmix.data.config import DataConfig
from textmix.errors import ConfigError, ModelError, RunError, TrainingInterrupted
from textmix.experiments.sweep import sweep as module
from textmix.experiments.sweep.space import Choices, Range, Space
from textmix.experiments.sweep.sweep import Sweep
from textmix.io.locks import locked
from textmix.mixing.config import MixConfig
from textmix.models.config import ModelConfig
from textmix.training.trainer import OnEvaluation

SPACE: Space = {
    "mix.strategy": Choices(["none", "word", "manifold"]),
    "mix.manifold.layers": Choices([None, [1]]),
    "mix.alpha": Range(0.1, 2.0, log=True),
    "train.learning_rate": Range(1e-3, 5e-2, log=True),
}


def recipe(source: Path, directory: Path, **train: Any) -> RunConfig:
    """A tiny run."""
    model = ModelConfig(name="textcnn", max_length=12)
    size = {"model.words.embedding_dim": 8, "model.textcnn.num_filters": 4}
    config = with_options(RunConfig(DataConfig(source=str(source)), model, MixConfig(strategy="word")), size)
    train = {"epochs": 1, "batch_size": 16, "save_steps": "epoch", **train}
    return replace(config, train=TrainConfig(**train), output_dir=str(directory))


def run(config: RunConfig, trials: int, space: Space = SPACE) -> dict[str, Any]:
    return Sweep(config, space, trials).run()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """Runs that are not trained: their score follows from their learning rate, epoch by epoch."""
    runs: list[RunConfig] = []

    def trained(config: RunConfig, *, test: bool, on_evaluation: OnEvaluation, **others: Any) -> dict[str, Any]:
        runs.append(config)
        assert not test
        rate = config.train.learning_rate
        assert rate is not None
        scores: dict[str, float] = {}
        for epoch in range(1, (config.train.epochs or 3) + 1):
            scores = {"macro_f1": 1 / (1 + abs(np.log(rate / 0.01))), "nll": rate}
            on_evaluation(epoch, epoch == (config.train.epochs or 3), scores)
        (Path(str(config.output_dir)) / "model").mkdir(parents=True)
        (Path(str(config.output_dir)) / "config.yaml").write_text(config.to_yaml())
        return {"validation": scores, "train": {"epochs": config.train.epochs or 3, "seconds": 1.0}}

    monkeypatch.setattr(module, "train_or_resume", trained)
    return runs


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep by the command line."""
    directory = tmp_path_factory.mktemp("sweep")
    source = directory / "topics.csv"
    source.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in topic_rows(90)))
    space = directory / "space.yaml"
    space.write_text("mix.strategy: [none, word]\ntrain.learning_rate: {low: 0.001, high: 0.05, log: true}\n")
    size = ["--data.source", str(source), *SMALL, "--train.epochs", "2", "--train.batch_size", "16"]
    options = ["--trials", "3", "--space", str(space), "--output_dir", str(directory / "d")]
    assert main(["sweep", *size, *options]) == 0
    return directory / "d"


class TestReal:
    def test_what_it_leaves(self, done: Path) -> None:
        report = json.loads((done / "sweep.json").read_text())
        assert [row["number"] for row in report["trials"]] == [0, 1, 2]
        assert {row["state"] for row in report["trials"]} <= {"complete", "pruned"}
        values = [row["value"] for row in report["trials"] if row["value"] is not None]
        assert report["best"]["value"] == max(values)
        best = done / "trials" / str(report["best"]["number"])
        assert [path.parent for path in done.glob("trials/*/model")] == [best]
        assert not list(done.glob("trials/*.lock")) + list(done.glob("trials/*/checkpoints"))
        assert "| trial | macro_f1 (validation) |" in (done / "sweep.md").read_text()

    def test_the_test_split_is_not_evaluated(self, done: Path) -> None:
        for path in done.glob("trials/*/metrics.json"):
            metrics = json.loads(path.read_text())
            assert metrics.keys() == {"validation", "train"}
        assert not list(done.glob("trials/*/report.md")) + list(done.glob("trials/*/predictions.csv"))

    def test_the_value_is_that_of_the_run(self, done: Path) -> None:
        for row in json.loads((done / "sweep.json").read_text())["trials"]:
            if row["value"] is not None:
                metrics = json.loads((done / "trials" / str(row["number"]) / "metrics.json").read_text())
                assert row["value"] == metrics["validation"]["macro_f1"]

    def test_the_best_is_a_recipe_that_trains_to_the_same_score(self, done: Path) -> None:
        first = (done / "best.yaml").read_text().splitlines()[0]
        assert first == f"# textmix train {done / 'best.yaml'}"
        assert main(first.removeprefix("# textmix ").split()) == 0
        metrics = json.loads((done / "best" / "metrics.json").read_text())
        assert metrics["validation"]["macro_f1"] == json.loads((done / "sweep.json").read_text())["best"]["value"]
        assert "accuracy" in metrics["test"]

    def test_the_same_command_trains_no_trial_again(self, done: Path, capsys: pytest.CaptureFixture[str]) -> None:
        recipe = yaml.safe_load((done / "sweep.yaml").read_text())["recipe"]
        before = snapshot(done / "trials"), (done / "sweep.json").read_bytes()
        path = done.parent / "again.yaml"
        path.write_text(yaml.safe_dump(recipe))
        space = ["--space", str(done.parent / "space.yaml")]
        assert main(["sweep", str(path), "--trials", "3", *space, "--output_dir", str(done)]) == 0
        assert before == (snapshot(done / "trials"), (done / "sweep.json").read_bytes())
        assert f"textmix train {done / 'best.yaml'}" in " ".join(capsys.readouterr().out.split())

    def test_all_trials_are_on_the_same_data(
        self, done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        copy = Path(shutil.copytree(done, tmp_path / "d"))
        begun = (copy / "trials" / "0" / "data.json").read_bytes()
        (copy / "trials" / "0" / "data.json").write_text(json.dumps({"train": "0" * 64}))
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(yaml.safe_load((copy / "sweep.yaml").read_text())["recipe"]))
        space = ["--space", str(done.parent / "space.yaml")]
        more = ["sweep", str(path), "--trials", "4", *space, "--output_dir", str(copy)]
        message = fails_quietly(more, capsys)
        assert f"the data of {copy / 'trials' / '0'} have changed since it started" in message
        assert not (copy / "trials" / "3").exists()
        (copy / "trials" / "0" / "data.json").write_bytes(begun)
        assert main(more) == 0
        assert (copy / "trials" / "3" / "data.json").read_bytes() == begun


class TestTrials:
    def test_each_has_its_own_seed_and_place_but_the_same_splits(
        self, scripted: list[RunConfig], topics_csv: Path, tmp_path: Path
    ) -> None:
        report = run(recipe(topics_csv, tmp_path / "d", seed=7), 4)
        assert [config.train.seed for config in scripted] == [7, 8, 9, 10]
        assert {config.data.split_seed for config in scripted} == {7}
        assert len({config.output_dir for config in scripted}) == 4
        for config, row in zip(scripted, report["trials"], strict=True):
            assert config.train.learning_rate == row["options"]["train.learning_rate"]
            assert config.mix.strategy == row["options"]["mix.strategy"]
            assert ("mix.manifold.layers" in row["options"]) == (config.mix.strategy == "manifold")
        rates = [config.train.learning_rate for config in scripted]
        assert len(set(rates)) == 4
        assert yaml.safe_load((tmp_path / "d" / "best.yaml").read_text())["output_dir"] == str(tmp_path / "d" / "best")

    def test_a_lower_nll_is_better(self, scripted: list[RunConfig], topics_csv: Path, tmp_path: Path) -> None:
        report = run(recipe(topics_csv, tmp_path / "d", metric="nll"), 4)
        assert report["best"]["value"] == min(config.train.learning_rate or 0 for config in scripted)

    @pytest.mark.slow
    def test_more_may_be_asked_for_later(self, scripted: list[RunConfig], topics_csv: Path, tmp_path: Path) -> None:
        """And those drawn in two goes are those drawn in one."""
        run(recipe(topics_csv, tmp_path / "d"), 2)
        parts = run(recipe(topics_csv, tmp_path / "d"), 12)
        whole = run(recipe(topics_csv, tmp_path / "e"), 12)
        assert parts["trials"] == whole["trials"]

    @pytest.mark.slow
    def test_hopeless_ones_are_pruned(self, scripted: list[RunConfig], topics_csv: Path, tmp_path: Path) -> None:
        space: Space = {"train.learning_rate": Range(1e-3, 5e-2, log=True)}
        report = run(recipe(topics_csv, tmp_path / "d", epochs=4), 12, space)
        pruned = [row for row in report["trials"] if row["state"] == "pruned"]
        assert pruned
        assert {row["epochs"] for row in pruned} == {2}
        assert min(row["number"] for row in pruned) >= 5
        assert len(report["trials"]) == 12

    def test_one_that_fails_is_told_and_the_others_go_on(
        self,
        scripted: list[RunConfig],
        topics_csv: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        works = module.train_or_resume

        def fails_for_some(config: RunConfig, **others: Any) -> dict[str, Any]:
            if config.train.seed == 1:
                raise ModelError("it has no site layer:9")
            return works(config, **others)

        monkeypatch.setattr(module, "train_or_resume", fails_for_some)
        caplog.set_level("INFO", "textmix")
        report = run(recipe(topics_csv, tmp_path / "d"), 3)
        assert [row["state"] for row in report["trials"]] == ["complete", "failed", "complete"]
        assert report["trials"][1]["reason"] == "it has no site layer:9"
        assert caplog.messages[1] == "trial 1 failed: it has no site layer:9"


@pytest.mark.slow
class TestKilled:
    def test_its_trial_is_taken_over(
        self,
        scripted: list[RunConfig],
        topics_csv: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        config = recipe(topics_csv, tmp_path / "d")
        works = module.train_or_resume

        def dies(config: RunConfig, **others: Any) -> dict[str, Any]:
            if len(scripted) == 1:
                others["on_evaluation"](1, False, {"macro_f1": 0.5})
                raise KeyboardInterrupt
            return works(config, **others)

        monkeypatch.setattr(module, "train_or_resume", dies)
        with pytest.raises(KeyboardInterrupt):
            run(config, 3)
        monkeypatch.setattr(module, "train_or_resume", works)
        caplog.set_level("INFO", "textmix")
        report = run(config, 3)
        said = [record.getMessage() for record in caplog.records if record.name.startswith("textmix")]
        assert said[0] == "trial 1 was left unfinished; resuming it"
        assert [config.train.seed for config in scripted] == [0, 1, 2]
        assert [row["state"] for row in report["trials"]] == ["complete"] * 3
        undisturbed = run(recipe(topics_csv, tmp_path / "e"), 3)
        assert report["trials"] == undisturbed["trials"]

    def test_one_that_another_process_trains_is_left_alone(
        self, scripted: list[RunConfig], topics_csv: Path, tmp_path: Path
    ) -> None:
        sweep = Sweep(recipe(topics_csv, tmp_path / "d"), SPACE, 2)
        sweep._study.ask()
        lock = tmp_path / "d" / "trials" / "0.lock"
        lock.parent.mkdir()
        lock.touch()
        with locked(lock):
            report = sweep.run()
        assert [row["state"] for row in report["trials"]] == ["running", "complete"]
        assert [config.train.seed for config in scripted] == [1]
        assert [row["state"] for row in run(recipe(topics_csv, tmp_path / "d"), 2)["trials"]] == ["complete"] * 2

    def test_an_interrupted_training_says_how_to_go_on(
        self, topics_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(config: RunConfig, **others: Any) -> dict[str, Any]:
            raise TrainingInterrupted("interrupted at step 3 of 9; resume with: textmix train --resume there")

        monkeypatch.setattr(module, "train_or_resume", interrupted)
        with pytest.raises(TrainingInterrupted) as caught:
            run(recipe(topics_csv, tmp_path / "d"), 2)
        assert tells(str(caught.value), "trial 0", "interrupted at step 3 of 9", "same command")

    def test_after_sigkill_it_goes_on_from_the_checkpoint_to_the_same_results(
        self, topics_csv: Path, tmp_path: Path, nursery: Nursery
    ) -> None:
        space: Space = {"train.learning_rate": Range(1e-3, 5e-2, log=True)}
        program = tmp_path / "dies.py"
        program.write_text(
            "import os, signal\nfrom pathlib import Path\nfrom textmix.training import loop\n"
            "save = loop.TrainingLoop._save\n"
            "def dies(self):\n    save(self)\n    self.progress.epoch == 2 and os.kill(os.getpid(), signal.SIGKILL)\n"
            "loop.TrainingLoop._save = dies\n"
            "from tests.experiments.sweep.test_sweep import recipe, run\n"
            "from textmix.experiments.sweep.space import Range\n"
            f"space = {space!r}\n"
            f"run(recipe(Path({str(topics_csv)!r}), Path({str(tmp_path / 'd')!r}), epochs=3), 1, space)\n"
        )
        assert nursery.run([], program=str(program)) == -9, nursery.said()
        report = run(recipe(topics_csv, tmp_path / "d", epochs=3), 1, space)
        whole = run(recipe(topics_csv, tmp_path / "e", epochs=3), 1, space)
        for row in (report["trials"][0], whole["trials"][0]):
            row.pop("seconds")
        assert report["trials"] == whole["trials"]


@pytest.mark.slow
def test_two_processes_share_a_sweep(topics_csv: Path, tmp_path: Path, nursery: Nursery) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("mix.strategy: [none, word]\nmix.alpha: {low: 0.1, high: 2.0}\n")
    command = ["sweep", "--data.source", str(topics_csv), *SMALL]
    command += ["--train.epochs", "1", "--trials", "4", "--space", str(space), "--output_dir", str(tmp_path / "d")]
    outputs = [tmp_path / "first", tmp_path / "second"]
    ended = nursery.run_together([{"arguments": command, "stdout": output} for output in outputs])
    told = [output.read_text() for output in outputs]
    assert ended == [0, 0], told
    report = json.loads((tmp_path / "d" / "sweep.json").read_text())
    assert [row["state"] for row in report["trials"]] == ["complete"] * 4
    trained = [line.split(":")[0] for output in told for line in output.splitlines() if line.startswith("trial ")]
    assert sorted(trained) == [f"trial {number}" for number in range(4)]


class TestWrongInput:
    def test_another_question_in_the_same_place(
        self, scripted: list[RunConfig], topics_csv: Path, tmp_path: Path
    ) -> None:
        config = recipe(topics_csv, tmp_path / "d")
        run(config, 1)
        with pytest.raises(RunError, match="holds a sweep with another recipe "):
            run(replace(config, train=replace(config.train, epochs=9)), 1)
        with pytest.raises(RunError, match="holds a sweep with another space "):
            run(config, 1, {"mix.alpha": Range(0.5, 1.0)})

    def test_what_is_no_sweep_is_not_touched(self, topics_csv: Path, tmp_path: Path) -> None:
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "notes.txt").write_text("mine")
        with pytest.raises(RunError, match="exists and is not a sweep; choose another"):
            run(recipe(topics_csv, tmp_path / "d"), 1)

    def test_nothing_to_choose_by(self, topics_csv: Path, tmp_path: Path) -> None:
        config = recipe(topics_csv, tmp_path / "d")
        with pytest.raises(ConfigError, match="a sweep needs a validation split"):
            run(replace(config, data=replace(config.data, validation_fraction=0.0)), 1)
        assert not (tmp_path / "d").exists()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--trials", "0"], "--trials must be at least 1, not 0"),
            (["--space", "none.yaml"], "File does not exist: none.yaml"),
            (["--trails", "3"], "unknown option --trails; did you mean '--trials'"),
            (["--model.name", "no/such"], "no model 'no/such'"),
            (["--data.source", "none.csv"], "no file at 'none.csv'"),
        ],
    )
    def test_on_the_command_line(
        self, arguments: list[str], message: str, in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert message in fails(["sweep", "--data.source", "x.csv", "--model.name", "textcnn", *arguments], capsys)

    def test_without_optuna_the_extra_is_named(
        self, in_tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "optuna", None)
        message = fails(["sweep", "--data.source", "x.csv", "--model.name", "textcnn"], capsys)
        assert tells(message, "optuna", "pip install 'textmix[sweep]'")
