"""Files of each task, and the options to train on them."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import BertModel

from tests.support.commands import QUICK
from tests.support.family_configs import bert_config
from tests.support.topics import topic_rows
from textmix.models.words.tokenizer_training import train_tokenizer

ROWS = topic_rows(60)
TOPICS = sorted({label for _, label in ROWS})
PLACES = ["Lima", "Oslo", "Rome"]


@dataclass(frozen=True)
class Case:
    """A task and a file of its labels.

    Args:
        task: The task.
        labels: Options that say where the labels are.
        cells: The label columns.
        predicted: Columns that predictions add.
        ensemble: Whether predictions can be averaged.
    """

    task: str
    labels: list[str]
    cells: dict[str, list]
    predicted: list[str]
    ensemble: bool = True
    model: list[str] = field(default_factory=lambda: QUICK)


def has_topic(topic: str) -> list[int]:
    """Return which rows have a topic, some all of them."""
    return [int(label == topic or number % 4 == 0) for number, (_, label) in enumerate(ROWS)]


def _tokens() -> dict[str, list]:
    texts, tags = [], []
    for number in range(60):
        place = PLACES[number % 3]
        texts.append(["we", "met", "in", place, "again"] if number % 2 else [place, "is", "far"])
        tags.append(["O", "O", "O", "B-LOC", "O"] if number % 2 else ["B-LOC", "O", "O"])
    return {"text": texts, "label": tags}


CASES = [
    Case(
        "single_label",
        [],
        {"label": [label for _, label in ROWS]},
        ["prediction", "confidence", *(f"probability_{name}" for name in TOPICS)],
    ),
    Case(
        "multi_label",
        ["--data.label_column", "[food,music,sport]"],
        {name: has_topic(name) for name in TOPICS},
        ["prediction", *(f"probability_{name}" for name in TOPICS)],
    ),
    Case(
        "regression",
        [],
        {"label": [TOPICS.index(label) * 10 + number / 100 for number, (_, label) in enumerate(ROWS)]},
        ["prediction"],
    ),
    Case("token_classification", [], _tokens(), ["prediction"], ensemble=False, model=[]),
]


def _encoder(directory: Path) -> list[str]:
    """Save a small encoder, which classifies tokens; word models do not."""
    tokenizer = train_tokenizer([" ".join(tokens) for tokens in _tokens()["text"]], min_frequency=1)
    tokenizer.model_max_length = 30
    config = bert_config()
    config.vocab_size = len(tokenizer)
    torch.manual_seed(0)
    BertModel(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return [
        "--model.name",
        str(directory),
        "--train.epochs",
        "3",
        "--train.batch_size",
        "8",
        "--train.learning_rate",
        "0.01",
    ]


def write_case(case: Case, folder: Path, rows: int = 60) -> list[str]:
    """Write data.jsonl, and new.jsonl without labels; returns the options of the data and the model."""
    columns = {"id": [*range(60)], "text": [text for text, _ in ROWS], **case.cells}
    written = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)][:rows]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in written))
    new = [{"id": row["id"], "text": row["text"]} for row in written[:7]]
    (folder / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in new))
    return ["--data.source", str(folder / "data.jsonl"), *case.labels, *(case.model or _encoder(folder / "encoder"))]
