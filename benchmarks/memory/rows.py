"""Measure memory on few and on many rows: python -m benchmarks.memory.rows [--rows 50000 500000 2000000].

For each number of rows two commands run, each in a new process: `textmix train` with a TextCNN, a fixed
`train.max_steps` and 5000 rows each for test and validation; and `textmix predict` with that model, from parquet to
parquet. The benchmark reports the peak of the anonymous memory (RssAnon), read from /proc twenty times a second. Pages
of files, including the memory-mapped data, are not counted: the kernel reclaims them when it needs memory. For training
it also reports the time from the start of the process to the first step, with an empty cache of data sets. Processor
times, which other processes on the machine do not affect, are recorded for the first step and for the whole command.
Results: benchmarks/results/memory.json.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.shared import machine, make_parser, print_header, print_row, write_results

WORDS, CLASSES, LENGTH, BLOCK, HELD_OUT = 50_000, 5, 12, 50_000, 5000


def write_rows(path: Path, count: int) -> None:
    """Write short texts of Zipf-distributed words; in three texts of four, one word determines the class."""
    draw = np.random.default_rng(0)
    vocabulary = np.array([f"word{number}" for number in range(WORDS)], dtype=object)
    tables = []
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        classes = draw.integers(0, CLASSES, size)
        words = vocabulary[np.minimum(draw.zipf(1.2, (size, LENGTH)), WORDS) - 1]
        words[:, 0] = np.where(draw.random(size) < 0.75, [f"topic{number}" for number in classes], words[:, 0])
        texts = pa.array([" ".join(row) for row in words.tolist()])
        tables.append(pa.table({"text": texts, "label": pa.array([f"class{number}" for number in classes])}))
    pq.write_table(pa.concat_tables(tables), path)  # in row groups of a million rows, pyarrow's default


def read_process(process: int) -> tuple[int, float]:
    """Return the anonymous memory of a process in kB, and the time of all its processors in seconds."""
    status = Path(f"/proc/{process}/status").read_text()
    times = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    used = (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")
    return int(fields.get("RssAnon", "0").split()[0]), used


def measure(command: list[str], cache: Path, first_step: Path | None = None) -> dict[str, Any]:
    """Run a command and measure its memory.

    Args:
        command: Arguments of `textmix`.
        cache: Directory of the copies of the datasets library; empty at first.
        first_step: A file whose first line is written after the first step.

    Returns:
        The peak in MB and times in seconds.
    """
    variables = {**os.environ, "HF_DATASETS_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    peak = 0
    step: tuple[float, float] | None = None
    used = 0.0
    started = time.perf_counter()
    # To a file: the progress bar would fill a pipe that is not read, and block the process.
    with (
        tempfile.TemporaryFile() as printed,
        subprocess.Popen(
            [sys.executable, "-m", "textmix", *command], env=variables, stdout=subprocess.DEVNULL, stderr=printed
        ) as process,
    ):
        while process.poll() is None:
            anonymous, used = read_process(process.pid)
            peak = max(peak, anonymous)
            if first_step is not None and step is None and first_step.exists() and first_step.stat().st_size:
                step = time.perf_counter() - started, used
            time.sleep(0.05)
        if process.returncode:
            printed.seek(0)
            sys.exit(printed.read().decode())
    return {
        "anonymous_mb": peak / 1024,
        "first_step_seconds": step and step[0],
        "first_step_processor_seconds": step and step[1],
        "seconds": time.perf_counter() - started,
        "processor_seconds": used,
    }


def measure_rows(count: int, steps: int, directory: Path) -> list[dict[str, Any]]:
    """Measure training and prediction on a number of rows."""
    source, run, output = directory / f"{count}.parquet", directory / f"run-{count}", directory / f"{count}.out.parquet"
    write_rows(source, count)
    train = ["train", "--data.source", str(source), "--model.name", "textcnn", "--train.max_steps", str(steps)]
    train += ["--model.words.embedding_dim", "64", "--model.textcnn.num_filters", "32"]
    # Models and splits of the same size for every number of rows.
    train += ["--model.words.vocab_size", "10000"]
    train += ["--data.test_fraction", str(HELD_OUT / count), "--train.log_steps", "1"]
    train += ["--data.validation_fraction", str(HELD_OUT / (count - HELD_OUT))]
    cells = [
        measure([*train, "--output_dir", str(run)], directory / "train-cache", run / "history.jsonl"),
        measure(["predict", str(run), str(source), "--output", str(output)], directory / "predict-cache"),
    ]
    predicted = pq.read_metadata(output).num_rows
    if predicted != count:
        sys.exit(f"{predicted} rows predicted instead of {count}")
    source.unlink()
    output.unlink()
    return [{"command": name, "rows": count, **cell} for name, cell in zip(("train", "predict"), cells, strict=True)]


def main() -> None:
    """Run everything."""
    parser = make_parser(__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 500_000, 2_000_000], help="numbers of rows")
    parser.add_argument("--steps", type=int, default=100, help="train.max_steps")
    options = parser.parse_args()
    print_header("command", "rows", "anonymous memory, MB", "first step, s (processors)", "whole, s (processors)")
    cells = []
    for count in options.rows:
        with tempfile.TemporaryDirectory() as directory:
            for cell in measure_rows(count, options.steps, Path(directory)):
                memory = f"{cell['anonymous_mb']:.0f}"
                whole = f"{cell['seconds']:.0f} ({cell['processor_seconds']:.0f})"
                first = ""
                if cell["first_step_seconds"] is not None:
                    first = f"{cell['first_step_seconds']:.0f} ({cell['first_step_processor_seconds']:.0f})"
                print_row([cell["command"], count, memory, first, whole])
                cells.append(cell)
    write_results("memory", {"steps": options.steps, "environment": machine(), "cells": cells}, options)


if __name__ == "__main__":
    main()
