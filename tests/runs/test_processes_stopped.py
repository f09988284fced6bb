"""`textmix train` in two processes that are killed, interrupted, or of which one fails."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.launching import ROOT, SIZES, finished, history, launch, said, sources
from textmix.cli.main import main

pytestmark = pytest.mark.slow

MIXED = [*SIZES, "--mix.strategy", "manifold", "--train.precision", "fp32", "--train.batch_size", "4"]
MIXED += ["--train.epochs", "3", "--train.log_steps", "1", "--train.learning_rate", "0.01"]


def workers(launcher: "subprocess.Popen[str]") -> list[int]:
    """Return the processes that train; each is a child of the launcher."""
    found = subprocess.run(["ps", "--ppid", str(launcher.pid), "-o", "pid=,args="], capture_output=True, text=True)
    lines = [line.split(maxsplit=1) for line in found.stdout.splitlines()]
    return [int(pid) for pid, arguments in lines if "textmix" in arguments]


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """The options of a run with mixing and dropout, and what it wrote."""
    directory = tmp_path_factory.mktemp("processes")
    arguments = ["train", *sources(directory, train=203, validation=21), *MIXED]
    finished(launch([*arguments, "--output_dir", str(directory / "run")]))
    return arguments, directory / "run"


def same(first: Path, second: Path) -> None:
    for name in ("history.jsonl", "predictions.csv", "model/model.safetensors"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_a_run_with_mixing_repeats_itself(whole: tuple[list[str], Path], tmp_path: Path) -> None:
    arguments, run = whole
    assert any(0 < line["lam"] < 1 for line in history(run) if "lam" in line)
    finished(launch([*arguments, "--output_dir", str(tmp_path / "again")]))
    same(run, tmp_path / "again")


def test_a_run_whose_processes_are_all_killed_ends_like_the_uninterrupted_one(
    whole: tuple[list[str], Path], tmp_path: Path
) -> None:
    arguments, run = whole
    parts = tmp_path / "parts"
    process = launch([*arguments, "--train.save_steps", "10", "--output_dir", str(parts)])
    wait_for(lambda: any(parts.glob("checkpoints/step-*")), process)
    for pid in [process.pid, *workers(process)]:
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    assert not (parts / "metrics.json").exists()
    finished(launch(["train", "--resume", str(parts)]))
    same(run, parts)


@pytest.mark.parametrize("whom", ["launcher", "worker"])
def test_an_interrupted_run_saves_and_says_how_to_go_on(
    whom: str, whole: tuple[list[str], Path], tmp_path: Path
) -> None:
    arguments, run = whole
    parts = tmp_path / "parts"
    process = launch([*arguments, "--output_dir", str(parts)])
    wait_for(lambda: (parts / "history.jsonl").exists() and (parts / "history.jsonl").stat().st_size > 0, process)
    os.kill(process.pid if whom == "launcher" else workers(process)[1], signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    (line,) = said(errors)
    go_on = rf"resume in 2 processes again with: textmix train --resume {re.escape(str(parts))}"
    assert re.fullmatch(rf"textmix: interrupted at step \d+ of 78; {go_on}", line)
    finished(launch(["train", "--resume", str(parts)]))
    same(run, parts)


def test_a_checkpoint_of_two_processes_is_none_for_one(
    whole: tuple[list[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = tmp_path / "parts"
    process = launch([*whole[0], "--train.save_steps", "3", "--output_dir", str(parts)])
    wait_for(lambda: any(parts.glob("checkpoints/step-*")), process)
    for pid in [process.pid, *workers(process)]:
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    capsys.readouterr()
    assert main(["train", "--resume", str(parts)]) == 2
    assert "was written by 2 processes; resume with 2, not 1" in capsys.readouterr().err


def test_when_one_process_is_killed_the_other_ends_with_one_line(whole: tuple[list[str], Path], tmp_path: Path) -> None:
    process = launch([*whole[0], "--output_dir", str(tmp_path / "run")])
    told = tmp_path / "run" / "history.jsonl"
    wait_for(lambda: told.exists() and told.stat().st_size > 0, process)
    os.kill(workers(process)[1], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    (line,) = said(errors)
    assert "process 0 of 2 cannot continue; another one may have ended" in line
    assert 'File "' + str(ROOT / "textmix") not in errors


def test_what_is_wrong_is_told_once(tmp_path: Path) -> None:
    arguments = ["train", *sources(tmp_path, train=30, validation=9), *MIXED, "--output_dir", str(tmp_path / "run")]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("years of work")
    _, errors = launch([*arguments, "--overwrite"]).communicate(timeout=240)
    (line,) = said(errors)
    assert line.endswith("exists and is not a run; choose another")
    (tmp_path / "run" / "thesis.tex").unlink()
    _, errors = launch([*arguments, "--train.learning_rate", "1e30", "--train.max_grad_norm", "0"]).communicate(
        timeout=240
    )
    (line,) = said(errors)
    assert "not finite at step" in line


def test_processes_that_see_other_data_do_not_train(tmp_path: Path) -> None:
    """Each of two machines has a file of its own by the same name."""
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29641", "WORLD_SIZE": "2", "PYTHONPATH": str(ROOT)}
    processes = []
    for rank in range(2):
        directory = tmp_path / str(rank)
        directory.mkdir()
        arguments = ["train", *sources(directory, train=30 + 3 * rank, validation=9), *MIXED]
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "textmix", *arguments, "--output_dir", str(directory / "run")],
                env={**os.environ, **meeting, "RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2"},
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
            )
        )
    errors = "".join(process.communicate(timeout=240)[1] for process in processes)
    assert [process.returncode for process in processes] == [2, 2]
    (line,) = said(errors)
    assert line.startswith("textmix: error: process 1 has different data and vocabulary from process 0")
    assert not (tmp_path / "0" / "run").exists()
