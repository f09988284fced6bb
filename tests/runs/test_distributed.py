"""Mixing in two processes on the CPU."""

import json
from pathlib import Path

import pytest

from tests.support.nursery import Nursery


@pytest.mark.slow
def test_two_processes_draw_apart_and_share_gradients(tmp_path: Path, nursery: Nursery) -> None:
    results = [tmp_path / f"{rank}.json" for rank in range(2)]
    program = {"program": "tests.support.mixing_in_two_processes"}
    ranks = [[str(rank), str(tmp_path / "meeting"), str(results[rank])] for rank in range(2)]
    assert nursery.run_together([{**program, "arguments": rank} for rank in ranks]) == [0, 0], nursery.said()
    first, second = (json.loads(path.read_text()) for path in results)
    for rank in (first, second):
        assert rank["first"] == rank["again"]
        assert len(set(rank["first"]["lam"])) == 18
    assert not set(first["first"]["lam"]) & set(second["first"]["lam"])
    assert first["first"]["partner"] != second["first"]["partner"]
    assert first["first"]["gradient"] == second["first"]["gradient"]
    mean = [(one + other) / 2 for one, other in zip(first["alone"], second["alone"], strict=True)]
    assert first["first"]["gradient"] == pytest.approx(mean, abs=1e-12)
