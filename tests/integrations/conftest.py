"""A tiny BERT and real news for the stock Trainer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from tests.support.counting import hooks
from textmix import MixupCallback, MixupTrainerMixin
from textmix.data.builtin import BUILTIN_DATASETS, load_builtin
from textmix.models.bundled import resolve_model_path

MakeTrainer = Callable[..., Trainer]

# Figures that differ from run to run.
TIMES = ("runtime", "per_second")


def tiny_bert(**options: Any) -> BertForSequenceClassification:
    """Build the same small model each time; it keeps the dropout of BERT."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return BertForSequenceClassification(BertConfig(vocab_size=30522, **{**sizes, "num_labels": 5, **options}))


def without_times(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in line.items() if not name.endswith(TIMES)} for line in history]


def training_logs(trainer: Trainer) -> list[dict[str, float]]:
    return [line for line in trainer.state.log_history if "loss" in line]


class MixupTrainer(MixupTrainerMixin, Trainer):
    """A Trainer that takes the mixer off whatever ends training."""


class Spy(TrainerCallback):
    """Notes what the mixer did in each step, and whether the model is bare behind it."""

    def __init__(self, callback: MixupCallback) -> None:
        self.callback = callback
        self.plans: list[Any] = []
        self.progress: list[float | None] = []
        self.bare = True

    def _look(self, model: torch.nn.Module) -> None:
        assert self.callback.mixer is not None
        self.plans.append(self.callback.mixer.plan)
        self.progress.append(self.callback.mixer.progress)

    def on_substep_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self._look(model)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self._look(model)
        self.bare &= not hooks(model) and "mixer" not in vars(model)


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return trainer.model.state_dict()


def train(make_trainer: MakeTrainer, *callbacks: Any, **options: Any) -> Trainer:
    trainer = make_trainer(*callbacks, **options)  # which seeds dropout
    trainer.train()
    return trainer


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(resolve_model_path("minilm"))


@pytest.fixture(scope="session")
def news(tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """160 articles of BBC News, cut at 24 tokens (titles are shorter); the text stays beside the tokens."""
    rows = load_builtin(BUILTIN_DATASETS["bbc_news"]).shuffle(seed=0).select(range(160)).class_encode_column("label")

    def encode(row: dict[str, Any]) -> dict[str, Any]:
        return dict(tokenizer(row["text"], truncation=True, max_length=12 + len(row["text"]) % 13))

    return rows.map(encode)


@pytest.fixture
def make_trainer(tmp_path: Path, news: Dataset, tokenizer: PreTrainedTokenizerBase) -> MakeTrainer:
    """Build a stock Trainer on 128 articles; options are its own and those of TrainingArguments."""
    own = ("model", "train_dataset", "eval_dataset", "callbacks", "compute_metrics", "compute_loss_func")
    own = (*own, "processing_class", "data_collator", "model_init", "optimizers")

    def make(*callbacks: Any, trainer_class: type[Trainer] = Trainer, **options: Any) -> Trainer:
        given = {name: options.pop(name) for name in own if name in options}
        arguments = {
            "output_dir": str(tmp_path / "run"),
            "per_device_train_batch_size": 16,
            "max_steps": 4,
            "learning_rate": 3e-3,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "log_level": "error",
            "use_cpu": True,
            "seed": 3,
        }
        if "model_init" not in given:
            given.setdefault("model", tiny_bert())
        return trainer_class(
            args=TrainingArguments(**{**arguments, **options}),
            callbacks=list(callbacks),
            **{
                "train_dataset": news.select(range(128)),
                "eval_dataset": news.select(range(128, 160)),
                "processing_class": tokenizer,
                **given,
            },
        )

    return make
