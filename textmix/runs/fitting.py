"""Middle stages of a run: model and tokenizer, tokenised rows, trainer, and the best model."""

import math
from collections.abc import Iterable
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import set_seed
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from textmix.config.run import RunConfig
from textmix.config.train import TrainConfig
from textmix.data.label_format import Array
from textmix.data.long_text import LONG_TEXT, TRAINED_WINDOWS
from textmix.data.splits import TRAIN, VALIDATION
from textmix.data.standardize import IN_MEMORY
from textmix.data.tokenization import LazyTokens, tokenize
from textmix.errors import ModelError
from textmix.inference.predictor import Predictor
from textmix.io.run_directory import MODEL
from textmix.models.loading import LoadedModel, build_model, load_model
from textmix.models.sequence_classifier import MixupForSequenceClassification
from textmix.runs.data import RunData
from textmix.tasks.base import LabelSpace
from textmix.training.distributed import ProcessGroup
from textmix.training.pooled import pool_rows
from textmix.training.trainer import MixupTrainer, Reporting, TrainingData


def build_seeded_model(config: RunConfig, space: LabelSpace, texts: Iterable[str]) -> LoadedModel:
    """Build model and tokenizer with the initial weights of the run's seed.

    Args:
        config: The resolved options of the run.
        space: The labels.
        texts: Training texts, used for the vocabulary of word models.

    Raises:
        ModelError: If the model cannot be loaded.
    """
    set_seed(config.train.seed)
    loaded = build_model(config.model, space.to_config(), texts, space.of_tokens)
    space.store(loaded.model.config)
    loaded.tokenizer.init_kwargs.pop(LONG_TEXT, None)  # of a model that was trained before
    if config.model.long_text != "truncate":
        if not loaded.tokenizer.is_fast:
            raise ModelError(f"the tokenizer of {config.model.name} is too slow for model.long_text; leave it out")
        loaded.tokenizer.init_kwargs[LONG_TEXT] = config.model.long_text
    return loaded


def tokenize_splits(config: RunConfig, data: RunData, loaded: LoadedModel) -> TrainingData:
    """Tokenise the training and validation rows; with a frozen encoder, compute their sentence vectors."""
    rows: dict[str, Dataset | LazyTokens] = {}
    for name in (TRAIN, VALIDATION):
        if name not in data.splits:
            continue
        split, labels = data.splits[name], data.space.to_labels(data.targets[name])
        if config.model.freeze == "encoder":
            assert isinstance(loaded.model, MixupForSequenceClassification)
            tokens = tokenize(split, loaded.tokenizer, labels)  # all windows: they are computed once
            rows[name] = pool_rows(loaded.model, loaded.tokenizer, tokens, config.train.eval_batch_size)
        else:
            used = _count_rows_used(config.train) if name == TRAIN else math.inf
            most_windows = TRAINED_WINDOWS if name == TRAIN else None
            rows[name] = _tokenize(split, loaded.tokenizer, labels, used, most_windows)
    return TrainingData(rows[TRAIN], rows.get(VALIDATION), data.space)


def check_processes_agree(config: RunConfig, data: RunData, tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that all processes have the same data, options and vocabulary.

    This runs before weights are broadcast, which would fail with an obscure error on a different shape.

    Raises:
        RunError: If they differ; the message says in what.
    """
    ProcessGroup().check_same(
        {
            "options": (config.train, config.mix, config.loss),
            "data": data.fingerprint(),
            "vocabulary": sorted(tokenizer.get_vocab().items()),
        }
    )


def build_trainer(
    config: RunConfig, loaded: LoadedModel, data: TrainingData, directory: Path, reporting: Reporting
) -> MixupTrainer:
    """Build the trainer of a run; changes neither the model nor the directory.

    Raises:
        ConfigError: If class counts or weights do not fit the classes, or a tracker is not installed.
        ModelError: If the model lacks a site that the strategy needs.
    """
    return MixupTrainer(
        loaded.model, loaded.tokenizer, data, config.train, config.mix, config.loss, directory, reporting
    )


def load_best(config: RunConfig, directory: Path) -> Predictor:
    """Load the saved best model of a run in float32."""
    best = load_model(directory / MODEL, config.model.trust_remote_code)
    return Predictor(best.model, best.tokenizer, config.train.eval_batch_size)


def _count_rows_used(config: TrainConfig) -> float:
    """Return the maximum number of training rows that the run reads."""
    if config.max_steps is None:
        return math.inf
    assert config.batch_size is not None
    processes: int = PartialState().num_processes
    return config.max_steps * config.accumulation_steps * config.batch_size * processes


def _tokenize(
    rows: Dataset, tokenizer: PreTrainedTokenizerBase, labels: Array, used: float, most_windows: int | None
) -> Dataset | LazyTokens:
    """Tokenise rows in advance, or on demand if there are many or only some are used."""
    if rows.num_rows > min(IN_MEMORY, used):
        return LazyTokens(rows, tokenizer, labels, most_windows)
    return tokenize(rows, tokenizer, labels, most_windows)
