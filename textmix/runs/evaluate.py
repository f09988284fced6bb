"""Evaluate the model of a run, and write the report and the predictions."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
from datasets import Dataset

from textmix.config.run import RunConfig
from textmix.data.config import DataConfig
from textmix.data.label_format import Array
from textmix.data.sources import source_name
from textmix.data.splits import load_rows, load_test_split
from textmix.data.standardize import PAIR, TEXT, text_columns
from textmix.inference.predictor import Predictor
from textmix.io.files import replacing, write_text
from textmix.io.run_directory import MODEL, PREDICTIONS, REPORT, check_data, refuse_links
from textmix.models.loading import load_model
from textmix.runs.data import encode_rows
from textmix.tasks.evaluation import Evaluation
from textmix.tasks.registry import build_task

# Rows predicted at a time; enough to form batches of similar lengths.
_BLOCK = 16_384


def evaluate_run(directory: Path, config: RunConfig, data: DataConfig | None) -> tuple[Evaluation, Dataset, str]:
    """Evaluate the model of a run.

    Args:
        directory: The run.
        config: Its configuration.
        data: Labelled data to evaluate on; None means the run's own test split.

    Returns:
        The evaluation, its rows, and the name of the data.

    Raises:
        TextmixError: If the model or the data cannot be used.
    """
    refuse_links(directory)
    loaded = load_model(directory / MODEL, config.model.trust_remote_code)
    predictor = Predictor(loaded.model, loaded.tokenizer, config.train.eval_batch_size)
    task = build_task(predictor.space.task, data or config.data)
    if data is None:
        rows, digests = load_test_split(config.data, task, config.train.seed)
        check_data(directory, digests)
        where = f"test split of {source_name(config.data.source)}"
    else:
        rows, where = load_rows(data, task), source_name(data.source)
    rows, targets = encode_rows(rows, predictor.space, data or config.data, where)
    return evaluate_rows(predictor, rows, targets), rows, where


def evaluate_rows(predictor: Predictor, rows: Dataset, targets: Array) -> Evaluation:
    """Predict labelled rows and evaluate the predictions.

    Args:
        predictor: A classifier.
        rows: N rows with `text` and optionally `text_pair`.
        targets: Their targets.
    """
    texts, *pairs = text_columns(rows)
    blocks = [range(start, min(start + _BLOCK, rows.num_rows)) for start in range(0, rows.num_rows, _BLOCK)]
    of_tokens = predictor.space.of_tokens
    outputs = [
        predictor.outputs(
            texts.take(block),
            pairs[0].take(block) if pairs else None,
            [targets[row][:, :2] for row in block] if of_tokens else None,
        )
        for block in blocks
    ]
    return Evaluation(targets, np.concatenate(outputs), predictor.space)


def write_evaluation(directory: Path, title: str, rows: Dataset, evaluation: Evaluation) -> None:
    """Write report.md and predictions.csv."""
    write_text(directory / REPORT, evaluation.markdown(title))
    with replacing(directory / PREDICTIONS) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        for start in range(0, rows.num_rows, _BLOCK):
            part = slice(start, start + _BLOCK)
            texts = rows.select_columns([name for name in (TEXT, PAIR) if name in rows.column_names])[part]
            block = replace(evaluation, targets=evaluation.targets[part], outputs=evaluation.outputs[part])
            # Quoted, because a lone carriage return in a text would end the line.
            block.table(texts).to_csv(file, index=False, header=start == 0, quoting=csv.QUOTE_NONNUMERIC)
