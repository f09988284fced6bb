"""MixupTrainer: trains a classifier with mixing through accelerate and keeps its best epoch."""

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from accelerate.utils import set_seed
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from textmix.config.train import TrainConfig
from textmix.data.tokenization import LazyTokens, labels_of
from textmix.hooks.attached_mixer import AttachedMixer
from textmix.hooks.special_tokens import special_ids
from textmix.mixing.completion import complete
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.tasks.base import LabelSpace
from textmix.training.accelerator import attributes_restored, run_accelerator
from textmix.training.batches import EpochBatches, row_lengths
from textmix.training.cpu.dropout import byte_dropout
from textmix.training.cpu.embedding import compact_embedding
from textmix.training.distributed import ProcessGroup
from textmix.training.loop import TrainingLoop
from textmix.training.optimization import choose_precision
from textmix.training.progress import TrainProgress
from textmix.training.sharding import prepare_sharding, sharded_by
from textmix.training.trackers import check_trackers, finish_trackers

# Called after each evaluation with the number of finished epochs, whether it was the last one, and the scores; an
# exception ends training.
OnEvaluation = Callable[[int, bool, dict[str, float]], None]


@dataclass(frozen=True)
class TrainingData:
    """The rows of a run.

    Args:
        train: Tokenised rows with `labels`, or rows that are tokenised on demand.
        validation: Rows of the same form; None means that no best epoch is selected.
        space: The labels.
    """

    train: Dataset | LazyTokens
    validation: Dataset | LazyTokens | None
    space: LabelSpace


@dataclass(frozen=True)
class Reporting:
    """How a run reports its progress.

    Args:
        settings: All options of the run, for trackers.
        on_evaluation: Called after each epoch; may raise to end training.
        show_progress: Show a progress bar and a line for each epoch.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    on_evaluation: OnEvaluation | None = None
    show_progress: bool = True


class MixupTrainer:
    """Trains one classifier, in one process or in several processes that share the rows.

    The constructor checks the options and does not change the model. `train` changes its weights and nothing else.

    Writes into `directory`: `model/` (the best epoch, or the last one without a validation split), `history.jsonl`,
    and `checkpoints/` to resume from. With `ema_decay` the averaged weights are evaluated and saved in `model/`.

    Args:
        model: A sequence classifier.
        tokenizer: Its tokenizer; it pads the batches and is saved with the model.
        data: The rows.
        config: How to train; `learning_rate` must be set; `batch_size` and `epochs` are filled in.
        mix: How to mix; missing class counts and special tokens are filled in.
        loss: How to score; balanced class weights are computed from the training rows.
        directory: Directory of the run.
        reporting: How to report progress; None means a progress bar.

    Raises:
        ConfigError: If the number of class counts or class weights is not the number of classes, or a tracker is not
            installed.
        ModelError: If the model lacks a site that the strategy needs.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        data: TrainingData,
        config: TrainConfig,
        mix: MixConfig,
        loss: LossConfig,
        directory: Path,
        reporting: Reporting | None = None,
    ) -> None:
        check_trackers(config.trackers)
        self.model = model
        self.tokenizer = tokenizer
        self.data = data
        self.processes = ProcessGroup()
        self.config = config = config.for_rows(len(data.train), self.processes.size)
        self.loss = _balanced(loss, data)
        self.mix = complete(
            mix, self.loss, lambda: special_ids(tokenizer), lambda: data.space.counts(labels_of(data.train))
        )
        self.directory = directory
        self.reporting = reporting or Reporting()
        self.precision = choose_precision(config.precision)
        self.progress = TrainProgress()
        self._mixer()  # checks the sites of the model
        with run_accelerator(config, self.precision, directory) as accelerator:
            prepare_sharding(accelerator, model, config, mix)
        self._lengths = row_lengths(data.train) if config.group_by_length else None
        steps_per_epoch = math.ceil(len(self._batches()) / config.accumulation_steps)
        assert config.epochs is not None
        self.total_steps = config.max_steps or steps_per_epoch * config.epochs

    def train(self, resume: bool = False) -> TrainProgress:
        """Train to the end, from the current weights or from the newest checkpoint.

        A second call continues from the weights of the first one.

        Args:
            resume: Resume from the newest checkpoint; without one, start from the beginning.

        Returns:
            The progress at the end of training.

        Raises:
            TrainingError: If the loss stops being finite; names the step.
            TrainingInterrupted: On Ctrl-C or SIGTERM, after saving a checkpoint.
            RunError: If every checkpoint is damaged, or the checkpoint is of another run.
        """
        with ExitStack() as stack:
            loop = self._prepare(stack)
            random = loop.state.load() if resume else None
            self.progress = loop.state.progress
            if random is None:
                # Each process has its own dropout masks; the first has those of a run in one process.
                set_seed((self.config.seed + self.processes.rank) % 2**32)
            loop.run(random)
            # Not after an error: it takes up to a second, and the launcher would kill the process before the report.
            loop.accelerator.free_memory()
        return self.progress

    def _prepare(self, stack: ExitStack) -> TrainingLoop:
        """Build the training loop; closing the stack undoes its changes to the model and the process."""
        config, model = self.config, self.model
        accelerator = stack.enter_context(run_accelerator(config, self.precision, self.directory))
        stack.callback(finish_trackers, accelerator)
        stack.enter_context(attributes_restored(model))
        prepare_sharding(accelerator, model, config, self.mix)
        whole = sharded_by(accelerator) is None and accelerator.scaler is None  # a scaler skips steps
        if config.cpu_speedups and whole:
            rows = self._batches().first_rows(self.total_steps * config.accumulation_steps)
            stack.enter_context(compact_embedding(model, self.tokenizer, self.data.train, self.mix, rows))
        if config.cpu_speedups and accelerator.device.type == "cpu":
            stack.enter_context(byte_dropout(model))
        mixer = self._mixer()
        stack.callback(mixer.detach)
        return TrainingLoop(self, accelerator, mixer, self._batches())

    def _mixer(self) -> AttachedMixer:
        return AttachedMixer(self.model, self.mix, self.loss, self.config.seed, self.processes.rank)

    def _batches(self) -> EpochBatches:
        config = self.config
        assert config.batch_size is not None
        return EpochBatches(
            len(self.data.train),
            config.batch_size,
            config.seed,
            self.processes.size,
            self.processes.rank,
            self._lengths,
            config.accumulation_steps,
        )


def _balanced(loss: LossConfig, data: TrainingData) -> LossConfig:
    """Compute balanced weights where they do not follow from the class counts."""
    weights = data.space.balanced_weights(labels_of(data.train)) if loss.class_weights == "balanced" else None
    return loss if weights is None else replace(loss, class_weights=weights)
