"""Evaluate the model of a run, and write the report and the predictions."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
from datasets import Dataset

from textmix.config.run import RunConfig
from textmix.data.columns import categories
from textmix.data.config import DataConfig
from textmix.data.labels import ClassIds, encode_labels
from textmix.data.sources import source_name
from textmix.data.splits import load_rows, load_test_split
from textmix.data.standardize import LABEL, PAIR, TEXT, text_columns
from textmix.evaluation.metrics import Evaluation
from textmix.evaluation.report import markdown_report, predictions_table
from textmix.inference.predictor import Predictor
from textmix.io.files import replacing, write_text
from textmix.io.run_directory import MODEL, PREDICTIONS, REPORT, check_data, refuse_links
from textmix.models.loading import load_model

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
    if data is None:
        rows, digests = load_test_split(config.data, config.train.seed)
        check_data(directory, digests)
        where = f"test split of {source_name(config.data.source)}"
    else:
        rows, where = load_rows(data), source_name(data.source)
    labels = encode_labels(categories(rows, LABEL), predictor.class_names, where)
    return evaluate_rows(predictor, rows, labels), rows, where


def evaluate_rows(predictor: Predictor, rows: Dataset, labels: ClassIds) -> Evaluation:
    """Predict labelled rows and evaluate the predictions.

    Args:
        predictor: A classifier.
        rows: N rows with `text` and optionally `text_pair`.
        labels: Their class ids, shape (N,).
    """
    texts, *pairs = text_columns(rows)
    blocks = [range(start, min(start + _BLOCK, rows.num_rows)) for start in range(0, rows.num_rows, _BLOCK)]
    probabilities = [predictor(texts.take(block), pairs[0].take(block) if pairs else None) for block in blocks]
    return Evaluation(labels, np.concatenate(probabilities), predictor.class_names)


def write_evaluation(directory: Path, title: str, rows: Dataset, evaluation: Evaluation) -> None:
    """Write report.md and predictions.csv."""
    write_text(directory / REPORT, markdown_report(title, evaluation))
    with replacing(directory / PREDICTIONS) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        for start in range(0, rows.num_rows, _BLOCK):
            part = slice(start, start + _BLOCK)
            texts = rows.select_columns([name for name in (TEXT, PAIR) if name in rows.column_names])[part]
            block = replace(evaluation, labels=evaluation.labels[part], probabilities=evaluation.probabilities[part])
            # Quoted, because a lone carriage return in a text would end the line.
            table = predictions_table(texts, block)
            table.to_csv(file, index=False, header=start == 0, quoting=csv.QUOTE_NONNUMERIC)
