"""Submissions for competitions: average models over new rows, and write the requested columns."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from textmix.data.columns import stored_tables
from textmix.data.config import DataConfig
from textmix.data.label_format import Array
from textmix.data.reading import Reading
from textmix.data.sources import load_source, source_name
from textmix.data.splits import TEST, TRAIN, VALIDATION, pick
from textmix.data.standardize import PAIR, TEXT, as_texts, check_columns, join_texts
from textmix.data.standardize import Columns as Selection
from textmix.data.windows import WINDOW
from textmix.errors import ConfigError, DataError, listed, nearest
from textmix.inference.packed_linear import pack_linears
from textmix.inference.predictor import Predictor
from textmix.inference.tokens import write_outputs
from textmix.inference.writers import open_writer
from textmix.io.files import read_json, write_json
from textmix.io.run_directory import MODEL
from textmix.models.loading import load_model
from textmix.tasks.base import PROBABILITY, Columns, LabelSpace

SUBMISSION, TEST_PROBABILITIES, COLUMNS = "submission.csv", "test_probabilities.csv", "submission.json"


@dataclass(frozen=True)
class Layout:
    """The columns of a submission.

    Args:
        submitted: For each column of submission.csv its source: a column of the new rows, or `prediction`,
            `confidence` or `probability_<class>`.
        kept: Columns of the new rows in test_probabilities.csv, which also holds all predictions.
    """

    submitted: dict[str, str]
    kept: list[str]


@dataclass(frozen=True)
class Submission:
    """New rows, and the columns to write for them.

    Args:
        rows: The new rows, as read.
        text_columns: Their text columns.
        layout: The columns to write.
    """

    rows: Dataset
    text_columns: list[str]
    layout: Layout

    def texts(self, rows: pa.Table) -> dict[str, list[str]]:
        """Return the texts of some of the rows."""
        return join_texts([as_texts(rows.column(name).to_pylist()) for name in self.text_columns])


def plan_submission(source: str, asked: str | None, data: DataConfig, space: LabelSpace) -> Submission:
    """Read new rows and check the requested columns, before anything is trained.

    Args:
        source: New rows, as `load_source` takes them.
        asked: Columns of submission.csv, separated by commas: columns of the new rows, of the predictions, or the label
            column, which is the predicted class. `NAME=COLUMN` writes COLUMN under another name. None means all columns
            of the new rows except the texts, and the label column.
        data: The options of the training data.
        space: The labels.

    Raises:
        ConfigError: If a requested column is neither in the new rows nor predicted.
        DataError: If the new rows cannot be read, lack a text column, or have a column named like a prediction.
    """
    reading = Reading.of(**data.reading_options(source)).with_nested(data.text_columns)
    rows, where = pick(load_source(source, reading), TEST, VALIDATION, TRAIN), source_name(source)
    check_columns(rows, Selection(data.text_columns, None, of_tokens=space.of_tokens), where)
    others = [name for name in rows.column_names if name not in (*data.text_columns, *data.label_columns)]
    predicted = space.prediction_columns
    answers = _answers(data, space)
    taken = [name for name in others if name in predicted or name.startswith(PROBABILITY)]
    if taken:
        raise DataError(f"{where} has a column '{taken[0]}', named like a prediction; rename it or leave it out")
    words = [word.strip() for word in asked.split(",")] if asked is not None else [*others, *answers]
    submitted: dict[str, str] = {}
    for word in words:
        name, _, column = word.partition("=")
        column = column or name
        known = [*others, *data.text_columns, *answers, *predicted]
        column = answers.get(column, column)
        if column not in known:
            columns = listed([*rows.column_names, *answers, *predicted], 20)
            raise ConfigError(f"--submit_columns: no column '{column}'; there are {columns}{nearest(column, known)}")
        if name in submitted:
            raise ConfigError(f"--submit_columns has '{name}' twice")
        submitted[name] = column
    if not {*submitted.values()} & {*predicted}:
        raise ConfigError(f"--submit_columns has no prediction; add '{next(iter(answers))}' or NAME={predicted[0]}")
    kept = [name for name in rows.column_names if name in others or name in submitted.values()]
    return Submission(rows, data.text_columns, Layout(submitted, kept))


def _answers(data: DataConfig, space: LabelSpace) -> dict[str, str]:
    """Return for each label column of the data the column of predictions that answers it."""
    if len(data.label_columns) == 1:
        return dict.fromkeys(data.label_columns, space.prediction_columns[0])
    return {column: space.answer(column) for column in data.label_columns}


def submit(
    submission: Submission,
    models: Sequence[Path],
    space: LabelSpace,
    directory: Path,
    batch_size: int = 64,
    trust_remote_code: bool = False,
) -> None:
    """Average the outputs of models over new rows, and write submission.csv and test_probabilities.csv.

    Only one model and one window of rows are in memory at a time; the sums are kept in a file.

    Args:
        submission: The new rows.
        models: Directories of runs.
        space: The labels.
        directory: Directory to write.
        batch_size: Maximum number of rows in a batch.
        trust_remote_code: Run the Python code that a model with a custom architecture was saved with.

    Raises:
        RunError: If a model cannot be loaded.
    """
    with TemporaryFile(dir=directory) as file:
        count = submission.rows.num_rows
        sums = np.zeros(count, dtype=object)  # of tokens: an array for each row
        if not space.of_tokens:
            sums = np.memmap(file, dtype=np.float64, mode="w+", shape=(count, len(space.names)))  # zeros
        found = [_add(submission, run, sums, batch_size, trust_remote_code) for run in models]
        space, tokenizer = space.averaged([own for own, _ in found]), found[0][1]
        starts = range(0, count, WINDOW)
        windows = zip(starts, stored_tables(submission.rows, WINDOW), strict=True)
        averages = ((rows, sums[start : start + WINDOW] / len(models)) for start, rows in windows)
        blocks = (
            (rows, write_outputs(space, tokenizer, submission.texts(rows)[TEXT], outputs)) for rows, outputs in averages
        )
        write_submission(directory, submission.layout, blocks)


def _add(
    submission: Submission, run: Path, sums: Array, batch_size: int, trust_remote_code: bool
) -> tuple[LabelSpace, PreTrainedTokenizerBase]:
    """Add the outputs of one model to `sums`, and return its labels and tokenizer; the model is released on return."""
    loaded = load_model(run / MODEL, trust_remote_code)
    pack_linears(loaded.model, torch.float32)
    predictor = Predictor(loaded.model, loaded.tokenizer, batch_size)
    start = 0
    for rows in stored_tables(submission.rows, WINDOW):
        texts = submission.texts(rows)
        sums[start : start + rows.num_rows] += predictor.outputs(texts[TEXT], texts.get(PAIR))
        start += rows.num_rows
    return predictor.space, loaded.tokenizer


def write_submission(directory: Path, layout: Layout, blocks: Iterable[tuple[pa.Table, Columns]]) -> None:
    """Write submission.csv, test_probabilities.csv, and submission.json, from which an ensemble takes the columns.

    Args:
        directory: Directory to write.
        layout: The columns.
        blocks: Blocks of new rows and the columns of their predictions.
    """
    with open_writer(directory / SUBMISSION) as submitted, open_writer(directory / TEST_PROBABILITIES) as everything:
        for rows, predicted in blocks:
            columns = {name: rows.column(name) for name in layout.kept}
            columns |= {name: pa.array(values) for name, values in predicted.items()}
            everything(pa.table(columns))
            submitted(pa.table([columns[what] for what in layout.submitted.values()], names=[*layout.submitted]))
    write_json(directory / COLUMNS, asdict(layout))


def read_layout(directory: Path) -> Layout | None:
    """Read the columns of a submission; None if there is no submission.

    Raises:
        RunError: If the file is damaged.
    """
    path = directory / COLUMNS
    return read_json(path, lambda content: Layout(**content)) if path.is_file() else None
