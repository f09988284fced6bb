"""Train a small TextCNN on the topics, change or stop the training at a step, read what it wrote."""

import json
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from tests.support.topics import TOPICS, topic_rows
from textmix import TextCNN, TextCNNConfig
from textmix.config.train import TrainConfig
from textmix.data.tokenization import tokenize
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.models.words.tokenizer_training import train_tokenizer
from textmix.tasks.single_label import Classes
from textmix.training.loop import TrainingLoop
from textmix.training.trainer import MixupTrainer, Reporting, TrainingData

NAMES = sorted(TOPICS)
ROWS = topic_rows(60)
TOKENIZER = train_tokenizer([text for text, _ in ROWS])


def data(rows: list[tuple[str, str]], tokenizer: PreTrainedTokenizerBase = TOKENIZER) -> Dataset:
    texts = Dataset.from_dict({"text": [text for text, _ in rows]})
    return tokenize(texts, tokenizer, np.array([NAMES.index(label) for _, label in rows]))


def textcnn(dropout: float = 0.5) -> TextCNN:
    torch.manual_seed(0)
    sizes = {"vocab_size": len(TOKENIZER), "embedding_dim": 16, "num_filters": 8, "num_labels": 3}
    return TextCNN(TextCNNConfig(dropout=dropout, problem_type="single_label_classification", **sizes))


def trainer(
    directory: Path, strategy: str = "manifold", model: PreTrainedModel | None = None, **options: Any
) -> MixupTrainer:
    validation = options.pop("validation", data(topic_rows(30, seed=1)))
    mix = options.pop("mix", MixConfig(strategy=strategy))
    loss = options.pop("loss", LossConfig())
    rows = options.pop("tokens", None) or data(options.pop("rows", ROWS))
    reporting = Reporting(options.pop("settings", {}))
    config = TrainConfig(
        **{"epochs": 3, "batch_size": 8, "learning_rate": 5e-3, "log_steps": 2, "precision": "fp32", **options}
    )
    model = model or textcnn()
    return MixupTrainer(
        model, TOKENIZER, TrainingData(rows, validation, Classes(NAMES)), config, mix, loss, directory, reporting
    )


def on_loop(instance: MixupTrainer, change: Callable[[TrainingLoop], None]) -> None:
    """Change the loop of a trainer's next training before it runs."""
    prepare = instance._prepare

    def prepare_and_change(stack: ExitStack) -> TrainingLoop:
        loop = prepare(stack)
        change(loop)
        return loop

    instance._prepare = prepare_and_change


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return AutoModelForSequenceClassification.from_pretrained(directory / "model").state_dict()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def history(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "history.jsonl").read_text().splitlines()]


class CrashError(Exception):
    pass


def stop_at(instance: MixupTrainer, step: int, action: Callable[[TrainingLoop], None]) -> None:
    def change(loop: TrainingLoop) -> None:
        original = loop._step

        def step_then_act(window: list[dict[str, torch.Tensor]]) -> None:
            original(window)
            if loop.progress.step == step:
                action(loop)

        loop._step = step_then_act

    on_loop(instance, change)


def send(number: signal.Signals) -> Callable[[TrainingLoop], None]:
    return lambda loop: os.kill(os.getpid(), number)
