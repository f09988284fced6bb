"""Mixing in two processes on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = "tests.support.mixing_in_two_processes"


def test_two_processes_draw_apart_and_share_gradients(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    results = [tmp_path / f"{rank}.json" for rank in range(2)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", PROGRAM, str(rank), str(tmp_path / "meeting"), str(results[rank])],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    first, second = (json.loads(path.read_text()) for path in results)
    for rank in (first, second):
        assert rank["first"] == rank["again"]
        assert len(set(rank["first"]["lam"])) == 18
    assert not set(first["first"]["lam"]) & set(second["first"]["lam"])
    assert first["first"]["partner"] != second["first"]["partner"]
    assert first["first"]["gradient"] == second["first"]["gradient"]
    mean = [(one + other) / 2 for one, other in zip(first["alone"], second["alone"], strict=True)]
    assert first["first"]["gradient"] == pytest.approx(mean, abs=1e-12)
