"""The recipes of the README on the whole of BBC News, as a user runs them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RECIPES = Path(__file__).parent.parent / "recipes" / "bbc_news"


def run(recipe: str, directory: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "textmix", "train", str(RECIPES / recipe), "--output_dir", str(directory)]
    subprocess.run(command, check=True)
    return json.loads((directory / "metrics.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "accuracy", "seconds"), [("minilm_manifold.yaml", 0.965, 300), ("textcnn_word.yaml", 0.94, 120)]
)
def test_accuracy_time_and_repetition(tmp_path: Path, recipe: str, accuracy: float, seconds: float) -> None:
    first, second = run(recipe, tmp_path / "first"), run(recipe, tmp_path / "second")
    assert first["test"]["accuracy"] >= accuracy
    assert min(metrics["train"]["seconds"] for metrics in (first, second)) < seconds
    for metrics in (first, second):
        del metrics["train"]["seconds"], metrics["train"]["samples_per_second"]
    assert json.dumps(first) == json.dumps(second)
    for name in ("history.jsonl", "predictions.csv", "report.md"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
