"""Runs that several benchmarks of quality share: a data set, a seed, and options, in runs/quality/."""

from pathlib import Path
from typing import Any

from benchmarks.shared import read_run, run_textmix

WORK = Path("runs") / "quality"
# The files of each data set, in the directory of the data sets; BBC News is built in, and MR is split by the seed.
FILES = {
    "TREC": ("trec_train.csv", "trec_test.csv"),
    "MR": ("mr.csv",),
    "R8": ("reuters_r8_train.csv", "reuters_r8_test.csv"),
    "BBC": (),
}


def finished_run(data: Path, name: str, seed: int, *options: str) -> Path:
    """Train MiniLM unless the run has finished, and return its directory.

    The options are the defaults but for `options`, and sentence vectors are mixed beside the clean ones.
    """
    label = "-".join(option.removeprefix("--").rpartition(".")[2] for option in options)
    directory = WORK / f"{name.lower()}{'-' if label else ''}{label}-{seed}"
    if not (directory / "metrics.json").is_file():
        files = [str(data / file) for file in FILES[name]] or ["bbc_news"]
        arguments = ["--data.source", files[0], *(["--data.test_source", files[1]] if len(files) > 1 else [])]
        arguments += ["--mix.strategy", "sentence", "--train.seed", str(seed)]
        run_textmix("train", *arguments, *options, "--output_dir", str(directory), "--overwrite")
    return directory


def test_scores(directory: Path) -> dict[str, Any]:
    """Return the scores on the test split of a run, its share of texts that were cut, and its time in seconds."""
    run = read_run(directory)
    return {**run["test"], "truncated": run["train"]["truncated"], "seconds": run["train"]["seconds"]}
