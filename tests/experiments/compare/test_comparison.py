"""A comparison: equal beginnings, runs that are trained once, and the files it keeps."""

import json
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from datasets import Dataset

from tests.support.commands import SMALL, fails, fails_quietly
from textmix.cli.main import main
from textmix.runs import fitting
from textmix.training.trainer import MixupTrainer

STRATEGIES = "none,word,sentence(regmix=1.0,alpha=0.2)"
NAMES = STRATEGIES.split(",", 2)
DIRECTORIES = ["none", "word", "sentence-regmix=1.0-alpha=0.2"]


def arguments(source: Path, directory: Path, *more: str) -> list[str]:
    data = ["--data.source", str(source), *SMALL, "--train.epochs", "1", "--train.batch_size", "8"]
    return ["compare", *data, "--output_dir", str(directory), "--strategies", STRATEGIES, "--seeds", "2", *more]


def digest(*values: Any) -> str:
    return sha256(repr(values).encode()).hexdigest()


class Beginnings:
    """What the runs of a comparison began with."""

    def __init__(self) -> None:
        self.found: list[dict[str, str]] = []

    def note(self, trainer: MixupTrainer) -> None:
        weights = [tensor.tolist() for tensor in trainer.model.state_dict().values()]
        train, validation, batches = trainer.data.train, trainer.data.validation, trainer._batches()
        assert isinstance(train, Dataset)
        assert isinstance(validation, Dataset)
        order = []
        for epoch in range(2):
            batches.epoch = epoch
            order.append(list(batches))
        self.found.append(
            {
                "training rows": digest(train["input_ids"][:], train["labels"][:]),
                "validation rows": digest(validation["input_ids"][:], validation["labels"][:]),
                "weights": digest(weights),
                "batches": digest(order),
                "dropout": digest(torch.get_rng_state().tolist()),
            }
        )


@pytest.fixture
def beginnings(monkeypatch: pytest.MonkeyPatch) -> Beginnings:
    noted = Beginnings()

    def build_trainer(*arguments: Any) -> MixupTrainer:
        trainer = fitting.build_trainer(*arguments)
        noted.note(trainer)
        return trainer

    monkeypatch.setattr("textmix.runs.train.build_trainer", build_trainer)
    return noted


@pytest.mark.slow
def test_for_a_seed_all_strategies_begin_alike_and_seeds_differ(
    topics_csv: Path, tmp_path: Path, beginnings: Beginnings
) -> None:
    assert main(arguments(topics_csv, tmp_path / "c")) == 0
    first, second = beginnings.found[:3], beginnings.found[3:]
    assert first == [first[0]] * 3
    assert second == [second[0]] * 3
    assert all(first[0][name] != second[0][name] for name in first[0])
    for seed in range(2):
        tested = [pd.read_csv(tmp_path / "c" / name / f"seed-{seed}" / "predictions.csv") for name in DIRECTORIES]
        for table in tested[1:]:
            assert table[["text", "label"]].equals(tested[0][["text", "label"]])


@pytest.mark.slow
def test_with_a_fixed_split_seeds_share_their_rows(topics_csv: Path, tmp_path: Path, beginnings: Beginnings) -> None:
    assert main(arguments(topics_csv, tmp_path / "c", "--data.split_seed", "0", "--train.seed", "5")) == 0
    first, second = beginnings.found[0], beginnings.found[3]
    same = {name for name in first if first[name] == second[name]}
    assert same == {"training rows", "validation rows"}
    assert (tmp_path / "c" / "word" / "seed-6" / "metrics.json").is_file()


@pytest.mark.slow
def test_each_row_is_tested_in_one_of_the_folds(
    topics_csv: Path, tmp_path: Path, beginnings: Beginnings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(topics_csv, tmp_path / "c", "--seeds", "null", "--folds", "3")) == 0
    assert "1/9 none, fold 0: accuracy" in capsys.readouterr().out
    for fold in range(3):
        first, *others = beginnings.found[3 * fold : 3 * fold + 3]
        assert others == [first] * 2
    assert beginnings.found[0]["weights"] != beginnings.found[3]["weights"]
    rows = pd.read_csv(topics_csv)
    for name in DIRECTORIES:
        tested = pd.concat(
            [pd.read_csv(tmp_path / "c" / name / f"fold-{fold}" / "predictions.csv") for fold in range(3)]
        )
        assert sorted(tested["text"]) == sorted(rows["text"])


def test_what_is_written(topics_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "c"
    assert main(arguments(topics_csv, directory)) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].startswith("1/6 none, seed 0: accuracy ")
    assert lines[4].startswith("5/6 word, seed 1: accuracy ")
    assert captured.err == ""
    assert (directory / "comparison.md").read_text() in captured.out
    assert lines[-1] == f"saved to {directory}"
    assert "training textcnn with strategy word" in (directory / "log.txt").read_text()

    found = json.loads((directory / "comparison.json").read_text())
    assert (found["baseline"], found["pairs"], list(found["strategies"])) == ("none", ["seed 0", "seed 1"], NAMES)
    for name, place in zip(NAMES, DIRECTORIES, strict=True):
        record = found["strategies"][name]
        assert {"accuracy", "macro_f1", "nll", "ece", "scaled_nll", "scaled_ece", "p_value", "options"} < set(record)
        for seed in range(2):
            run_directory = directory / place / f"seed-{seed}"
            metrics = json.loads((run_directory / "metrics.json").read_text())
            for figure in ("accuracy", "nll", "ece", "scaled_nll", "scaled_ece"):
                assert record[figure]["values"][seed] == metrics["test"][figure]
            assert not (run_directory / "model").exists()
            assert all((run_directory / kept).is_file() for kept in ("predictions.csv", "history.jsonl", "config.yaml"))
    assert found["strategies"][NAMES[2]]["options"] == {"strategy": "sentence", "alpha": 0.2, "regmix": 1.0}


@pytest.mark.slow
def test_finished_runs_are_not_made_again(
    topics_csv: Path, tmp_path: Path, beginnings: Beginnings, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "c"
    assert main(arguments(topics_csv, directory, "--seeds", "1")) == 0
    assert "One seed, seed 0: nothing is tested" in (directory / "comparison.md").read_text()
    assert len(beginnings.found) == 3
    first = {name: (directory / name / "seed-0" / "metrics.json").read_bytes() for name in DIRECTORIES}
    assert main(arguments(topics_csv, directory, "--seeds", "2")) == 0
    assert len(beginnings.found) == 6
    assert first == {name: (directory / name / "seed-0" / "metrics.json").read_bytes() for name in DIRECTORIES}
    before = (directory / "comparison.json").read_bytes()
    assert main(arguments(topics_csv, directory)) == 0
    assert len(beginnings.found) == 6
    assert (directory / "comparison.json").read_bytes() == before
    capsys.readouterr()
    assert "holds a run with another train.epochs" in fails(
        arguments(topics_csv, directory, "--train.epochs", "2"), capsys
    )


def test_all_runs_are_on_the_same_data(topics_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "c"
    assert main(arguments(topics_csv, directory, "--seeds", "1")) == 0
    topics_csv.write_text(topics_csv.read_text().replace("goal", "score"))
    message = fails_quietly(arguments(topics_csv, directory, "--seeds", "2"), capsys)
    assert f"the data of {directory / 'none' / 'seed-0'} have changed since it started" in message
    assert not (directory / "none" / "seed-1").exists()
    # Nor are strategies compared that are not of this call.
    one = [*arguments(topics_csv, directory), "--strategies", "manifold"]
    assert "have changed since it started" in fails_quietly(one, capsys)
    (directory / "word" / "seed-0" / "data.json").write_text(json.dumps({"train": "0" * 64}))
    assert "have changed since it started" in fails_quietly(arguments(topics_csv, directory, "--seeds", "1"), capsys)


def test_models_stay_if_asked(topics_csv: Path, tmp_path: Path) -> None:
    assert main([*arguments(topics_csv, tmp_path / "c", "--keep_models"), "--strategies", "none", "--seeds", "1"]) == 0
    assert (tmp_path / "c" / "none" / "seed-0" / "model" / "model.safetensors").is_file()


def test_wrong_input_is_told_before_anything_is_written(
    topics_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "c"
    for more, message in (
        (["--seeds", "0"], "--seeds must be at least 1, not 0"),
        (["--folds", "1", "--seeds", "null"], "--folds must be at least 2, not 1"),
        (["--folds", "3"], "give --seeds or --folds, not both: each fold has its own seed"),
        (["--strategies", "wrod"], "unknown mix.strategy 'wrod'"),
        (["--train.seed", str(2**32 - 1)], "train.seed must lie in"),
        (["--sedes", "3"], "unknown option --sedes; did you mean '--seeds'?"),
    ):
        assert message in fails(arguments(topics_csv, directory, *more), capsys)
        assert not directory.exists()


def test_a_run_is_not_taken_for_a_comparison(
    topics_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "config.yaml").write_text("")
    assert "c is a run; choose another --output_dir" in fails(arguments(topics_csv, tmp_path / "c"), capsys)


def test_a_directory_with_something_else_is_left_alone(
    topics_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "comparison.md").write_text("mine")
    message = fails(arguments(topics_csv, tmp_path / "c"), capsys)
    assert message.endswith("c exists and is not a comparison; choose another")
    assert [path.read_text() for path in (tmp_path / "c").iterdir()] == ["mine"]


def test_which_run_failed_is_told(topics_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [*arguments(topics_csv, tmp_path / "c"), "--strategies", "manifold(layers=[7])"]
    assert fails(wrong, capsys).startswith("manifold(layers=[7]), seed 0: ")
    assert not (tmp_path / "c").exists()
    (tmp_path / "c").mkdir()
    fails(wrong, capsys)
    assert not list((tmp_path / "c").iterdir())


def test_plots_need_their_extra(
    topics_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "--plot needs matplotlib; install it with: pip install 'textmix[plots]'" in fails(
        arguments(topics_csv, tmp_path / "c", "--plot"), capsys
    )
    assert not (tmp_path / "c").exists()


@pytest.mark.slow
def test_a_plot(topics_csv: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert main(arguments(topics_csv, tmp_path / "c", "--plot")) == 0
    assert (tmp_path / "c" / "comparison.png").read_bytes().startswith(b"\x89PNG")
