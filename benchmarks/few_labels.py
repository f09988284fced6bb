"""How good is a classifier with few labels? python -m benchmarks.few_labels --data DIRECTORY --setfit PYTHON."""

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from benchmarks.shared import RAW, Row, read_rows

LINES = RAW / "few_labels.jsonl"
POOL = 2000
TEST = 1000


def held_out(rows: list[Row], size: int) -> tuple[list[Row], list[Row]]:
    """Split off `size` rows by class, always the same."""
    first, second = train_test_split(rows, random_state=12345, test_size=size, stratify=[label for _, label in rows])
    return first, second


def corpus(data: Path, name: str) -> tuple[list[Row], list[Row]]:
    """Read a data set: the rows to draw from, and the test rows."""
    if name == "TREC":
        return read_rows(data / "trec_train.csv"), read_rows(data / "trec_test.csv")
    if name == "R8":
        _, test = held_out(read_rows(data / "reuters_r8_test.csv"), TEST)
        return read_rows(data / "reuters_r8_train.csv"), test
    return held_out(read_rows(data / "mr.csv"), TEST)


def draw(data: Path, name: str, shots: int, seed: int) -> dict[str, Any]:
    """Draw the labelled rows, a pool of other rows without their labels, and the test rows."""
    rows, test = corpus(data, name)
    order = np.random.default_rng(seed).permutation(len(rows))
    train: list[Row] = []
    rest: list[Row] = []
    counts: dict[str, int] = {}
    for number in order:
        text, label = rows[number]
        counts[label] = counts.get(label, 0) + 1
        (train if counts[label] <= shots else rest).append((text, label))
    return {"train": train, "pool": rest[:POOL], "choice": rest[POOL : POOL + 500], "test": test}
