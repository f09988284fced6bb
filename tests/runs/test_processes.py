"""`textmix train` in two processes on the CPU."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.support.launching import SIZES, history, sources
from tests.support.nursery import Nursery
from tests.support.task_files import CASES, Case, write_case
from textmix.cli.main import main

PLAIN = ["--model.dropout", "0", "--train.precision", "fp32", "--train.epochs", "2", "--train.log_steps", "1"]


def test_two_processes_train_like_one_with_twice_the_batch(tmp_path: Path, nursery: Nursery) -> None:
    """Also in the last batch of an epoch, which is one row: it is in one of the processes alone."""
    arguments = [
        "train",
        *sources(tmp_path, train=49, validation=9),
        *SIZES,
        *PLAIN,
        "--mix.strategy",
        "none",
        "--train.learning_rate",
        "0.01",
    ]
    two = [*arguments, "--train.batch_size", "8", "--output_dir", str(tmp_path / "two")]
    printed = [tmp_path / f"printed-{rank}" for rank in range(2)]
    ended = nursery.run_ranks([{"arguments": two, "stdout": path} for path in printed])
    output = "".join(path.read_text() for path in printed)
    assert ended == [0, 0], output
    assert main([*arguments, "--train.batch_size", "16", "--output_dir", str(tmp_path / "one")]) == 0
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two")]
    lines = [history(tmp_path / name) for name in ("one", "two")]
    assert len(lines[0]) == 2 * (4 + 1)
    for one, other in zip(*lines, strict=True):
        assert one.keys() == other.keys()
        scores, others = one.pop("validation", {}), other.pop("validation", {})
        assert other == pytest.approx(one, abs=1e-5)
        assert others == pytest.approx(scores, abs=1e-5)
    weights = [load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two")]
    for name, weight in weights[0].items():
        assert (weights[1][name] - weight).abs().max() < 1e-4, name
    assert metrics[1]["train"]["samples"] == metrics[0]["train"]["samples"] == 2 * 49
    assert metrics[1]["test"]["report"] == metrics[0]["test"]["report"]
    assert output.count("saved to") == output.count("training textcnn") == 1
    names = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("one", "two")]
    assert names[0] == names[1]


# Each starts two processes.
OF_ONE = [case for case in CASES if case.task == "multi_label"]
OF_OTHERS = [case for case in CASES if case.task not in ("single_label", "multi_label")]


@pytest.mark.parametrize(
    "case", [*OF_ONE, *(pytest.param(case, marks=pytest.mark.slow) for case in OF_OTHERS)], ids=lambda case: case.task
)
def test_every_task_trains_in_two_processes(case: Case, tmp_path: Path, nursery: Nursery) -> None:
    """Of 49 training rows, the last batch has one, so that one of the processes has none."""
    options = write_case(case, tmp_path, rows=54)
    plain = [
        *options,
        *PLAIN,
        "--data.validation_fraction",
        "0",
        "--data.test_fraction",
        "0.08",
        "--mix.strategy",
        "none",
    ]
    arguments = ["train", *plain, "--train.warmup_ratio", "0"]
    two = [*arguments, "--train.batch_size", "8", "--output_dir", str(tmp_path / "two")]
    assert nursery.run_ranks([{"arguments": two}] * 2) == [0, 0], nursery.said()
    assert main([*arguments, "--train.batch_size", "16", "--output_dir", str(tmp_path / "one")]) == 0
    losses = [[line["loss"] for line in history(tmp_path / name)] for name in ("one", "two")]
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
