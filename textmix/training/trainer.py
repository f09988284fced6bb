"""MixupTrainer: a short accelerate loop that trains a classifier with mixing and keeps its best epoch."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.data_loader import prepare_data_loader
from accelerate.state import AcceleratorState
from accelerate.utils import ProjectConfiguration, set_seed
from datasets import Dataset
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from textmix.config.train import TrainConfig
from textmix.data.tokenization import LazyTokens, labels_of
from textmix.errors import TrainingInterrupted
from textmix.evaluation.metrics import SELECTION_METRICS, Evaluation
from textmix.hooks.attach import attach
from textmix.io.files import replacing
from textmix.io.run_directory import MODEL, PROFILE, TENSORBOARD
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.losses import IGNORED
from textmix.models.logits import predict_logits
from textmix.training.batches import EpochBatches, padded_loader, row_lengths
from textmix.training.completion import complete_mix
from textmix.training.cpu.dropout import byte_dropout
from textmix.training.cpu.embedding import gather_embedding, scatter_embeddings
from textmix.training.distributed import Agreement
from textmix.training.ema import averaged
from textmix.training.finite import FiniteWatch
from textmix.training.history import add_history, rewrite_history
from textmix.training.interrupt import InterruptGuard
from textmix.training.optimization import build_optimizer, build_schedule, choose_precision, clip_gradients
from textmix.training.profiling import profiled
from textmix.training.progress import TrainProgress
from textmix.training.random_state import restore_random_state
from textmix.training.sharding import prepare_sharding, sharded_by, whole_weights
from textmix.training.state import RunState
from textmix.training.trackers import check_trackers, finish_trackers, start_trackers

# Called after each evaluation with the number of epochs done and the scores; what it raises ends training.
OnEvaluation = Callable[[int, dict[str, float]], None]
_MIXED_PRECISION = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


class MixupTrainer:
    """Trains one classifier, alone or as one of several processes that do the same on other rows.

    Writes into `directory`: `model/` (the best epoch, or the last one without a validation split), `history.jsonl`,
    and `checkpoints/` to go on from. With `ema_decay` the averaged weights are evaluated and kept in `model/`.

    Args:
        model: A sequence classifier.
        tokenizer: Its tokenizer; pads the batches and is saved beside the model.
        train_data: Tokenised rows with `labels`, or those that are tokenised when they are asked for.
        validation_data: Likewise; None to train without selection.
        class_names: Names of the classes.
        config: How to train; `learning_rate` must be set.
        mix: How to mix; class counts and special tokens that it leaves open are filled in.
        loss: How to score; balanced class weights are those of `train_data`.
        directory: Directory of the run.
        settings: The run's options, nested, for trackers.
        on_evaluation: Told the scores on the validation data after each epoch; may raise to end training there.
        show_progress: Show a progress bar and a line for each epoch.

    Raises:
        ConfigError: If class counts or class weights are not as many as there are classes, or a tracker is not
            installed.
        ModelError: If the model lacks a site that the strategy needs.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        train_data: Dataset | LazyTokens,
        validation_data: Dataset | LazyTokens | None,
        class_names: list[str],
        config: TrainConfig,
        mix: MixConfig,
        loss: LossConfig,
        directory: Path,
        settings: Mapping[str, Any] | None = None,
        on_evaluation: OnEvaluation | None = None,
        show_progress: bool = True,
    ) -> None:
        check_trackers(config.trackers)
        self.tokenizer = tokenizer
        self.validation_data = validation_data
        self.class_names = class_names
        self.config = config
        self.directory = directory
        self._settings = settings or {}
        self._on_evaluation = on_evaluation
        self.precision = choose_precision(config.precision)
        self.accelerator = Accelerator(
            mixed_precision=_MIXED_PRECISION[self.precision],
            cpu=not torch.accelerator.is_available(),  # which accelerate must be told to see several processes there
            log_with=config.trackers or None,
            project_config=ProjectConfiguration(logging_dir=str(directory / TENSORBOARD)),
        )
        self._show_progress = show_progress and self.accelerator.is_local_main_process
        prepare_sharding(self.accelerator, model, config, mix)
        self._agreement = Agreement()
        if sharded_by(self.accelerator) is None and self.accelerator.scaler is None:  # a scaler leaves out steps
            gather_embedding(model, tokenizer, train_data, mix)
        assert config.learning_rate is not None
        self.average = averaged(model, config.ema_decay) if config.ema_decay is not None else None
        mix = complete_mix(mix, loss, tokenizer, labels_of(train_data), class_names)
        self.mixer = attach(model, mix, loss=loss, seed=config.seed, rank=self._agreement.rank)
        processes, rank = self._agreement.size, self._agreement.rank
        lengths = row_lengths(train_data) if config.group_by_length else None
        self._batches = EpochBatches(
            len(train_data), config.batch_size, config.seed, processes, rank, lengths, config.accumulation_steps
        )
        # It deals the rows to the processes itself, so that accelerate is left to put them on the device.
        self.loader = prepare_data_loader(
            padded_loader(train_data, tokenizer, self._batches),
            self.accelerator.device,
            num_processes=1,
            process_index=0,
            put_on_device=True,
        )
        optimizer = build_optimizer(model, config.learning_rate, config.weight_decay)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        if self.average is not None:
            self.average.module.to(self.accelerator.device)
        self.steps_per_epoch = math.ceil(len(self.loader) / config.accumulation_steps)
        self.total_steps = config.max_steps or self.steps_per_epoch * config.epochs
        self._epochs = math.ceil(self.total_steps / self.steps_per_epoch)
        self.schedule = build_schedule(optimizer, config, self.total_steps)
        self._validation_loader = None
        if validation_data is not None:
            self._validation_loader = self.accelerator.prepare(
                padded_loader(validation_data, tokenizer, batch_size=config.eval_batch_size)
            )
        self._finite = FiniteWatch(self.accelerator, config, self.precision)
        models = {"model": self._bare_model}
        if self.average is not None:
            models["average"] = self.average
        self._state = RunState(
            directory, self.accelerator, self._agreement, models, self.optimizer, self.schedule, self.mixer
        )

    @property
    def progress(self) -> TrainProgress:
        """How far training has come."""
        return self._state.progress

    @property
    def _bare_model(self) -> nn.Module:
        """The model without what accelerate wraps it in."""
        model: nn.Module = self.accelerator.unwrap_model(self.model)
        return model

    def train(self, resume: bool = False, say: Callable[[str], None] = print) -> TrainProgress:
        """Train to the end, or go on from the newest checkpoint; without one, from the beginning.

        Args:
            resume: Go on, instead of starting anew.
            say: Takes lines for the user.

        Returns:
            Where training stands at its end.

        Raises:
            TrainingError: If the loss stops being finite; names the step.
            TrainingInterrupted: On Ctrl-C or SIGTERM, after saving a checkpoint.
            RunError: If there are checkpoints to resume from, but none is whole or of this run.
        """
        try:
            random = self._state.load(say) if resume else None
            if random is None:
                # Each process drops out other units, and the first one those that it would drop alone.
                set_seed((self.config.seed + self._agreement.rank) % 2**32)
            rewrite_history(self.accelerator, self.directory, self.progress)
            start_trackers(self.accelerator, self.directory, self._settings, self.progress.step)
            traces = self.directory / PROFILE if self.config.profile and self.accelerator.is_main_process else None
            with (
                InterruptGuard() as guard,
                self._progress_bar() as bar,
                byte_dropout(self.model),
                profiled(traces) as self._after_step,
            ):
                while not self._done():
                    self._train_epoch(bar, guard, random)
                    random = None
                    self._finish_epoch(bar)
                    asked = self._asked(guard)
                    # At the end always: whatever stops the work that comes after training, none of this is lost.
                    if asked or self._done() or self._save_is_due():
                        self._save()
                    self._stop_if_asked(asked)
                rewrite_history(self.accelerator, self.directory, self.progress)
                self._stop_if_asked(self._asked(guard))
            # Not after an error: it takes up to a second, in which the launcher's signal would hide what went wrong.
            self.accelerator.free_memory()
        finally:
            self.mixer.detach()
            scatter_embeddings(self.model)
            finish_trackers(self.accelerator)
            # The state is shared by all accelerators of a process; the next run may ask for another precision.
            AcceleratorState._reset_state()
        return self.progress

    def _done(self) -> bool:
        patience = self.config.patience
        out_of_patience = patience is not None and self.progress.stale_epochs >= patience
        return self.progress.epoch >= self._epochs or out_of_patience

    def _progress_bar(self) -> "tqdm[Any]":
        return tqdm(
            total=self.total_steps,
            initial=self.progress.step,
            unit="step",
            mininterval=0.2 if sys.stderr.isatty() else 10,  # a log file needs no animation
            disable=not self._show_progress,
        )

    def _train_epoch(self, bar: "tqdm[Any]", guard: InterruptGuard, random: dict[str, Any] | None) -> None:
        progress, config = self.progress, self.config
        bar.set_description(f"epoch {progress.epoch + 1}/{self._epochs}")
        self._batches.epoch, self._batches.first = progress.epoch, progress.batches
        self.model.train()
        batches = iter(self.loader)
        if random is not None:
            restore_random_state(random)
        started = time.perf_counter()
        while progress.step < self.total_steps and (window := list(islice(batches, config.accumulation_steps))):
            self._step(window)
            progress.batches += len(window)
            bar.update()
            self._after_step()
            if progress.step % config.log_steps == 0:
                progress.seconds += time.perf_counter() - started
                self._log(bar)
                started = time.perf_counter()
            asked = self._asked(guard)
            save = isinstance(config.save_steps, int) and progress.step % config.save_steps == 0
            if asked or save:
                progress.seconds += time.perf_counter() - started
                self._save()
                self._stop_if_asked(asked)
                started = time.perf_counter()
        progress.seconds += time.perf_counter() - started

    def _step(self, window: list[dict[str, Tensor]]) -> None:
        self.mixer.progress = self.progress.step / self.total_steps
        numbers = range(self.progress.batches, self.progress.batches + len(window))
        rows = sum(self._batches.rows(number) for number in numbers)
        loss = torch.zeros((), device=self.accelerator.device)
        metrics: dict[str, Tensor] = {}
        for number, batch in zip(numbers, window, strict=True):
            own_rows = self._batches.own_rows(number)
            if own_rows == 0:
                batch["labels"].fill_(IGNORED)  # only so that this process takes part in the step
            with nullcontext() if number == numbers[-1] else self.accelerator.no_sync(self.model):
                # Divided by the rows of the whole window, the losses of its batches add up to their mean; times the
                # processes, over which gradients are averaged.
                part = self.model(**batch, num_items_in_batch=rows / self._agreement.size).loss
                self.accelerator.backward(part)
            loss += part.detach()
            for name, value in self.mixer.metrics.items():
                weighted = value.detach() * (own_rows * self._agreement.size / rows)
                metrics[name] = metrics[name] + weighted if name in metrics else weighted
        if self.config.max_grad_norm > 0:
            clip_gradients(self.accelerator, self.model, self.optimizer, self.config.max_grad_norm)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update_parameters(self._bare_model)
        self.progress.step += 1
        self.progress.samples += rows
        self._finite.note(self.progress.step, loss)
        self._state.means.add({"loss": loss, **metrics})

    def _log(self, bar: "tqdm[Any]") -> None:
        progress = self.progress
        self._finite.check(progress.step)  # a pass over the weights is for the ends of epochs
        line = {
            "step": progress.step,
            "epoch": progress.step / self.steps_per_epoch,
            "learning_rate": self.schedule.get_last_lr()[0],
            **self._state.means.read(lambda total: self.accelerator.reduce(total, "mean")),
        }
        add_history(self.accelerator, self.directory, progress, line)
        bar.set_postfix(
            loss=f"{line['loss']:.4f}",
            accuracy=f"{line['accuracy']:.3f}",
            lr=f"{line['learning_rate']:.1e}",
            samples_per_second=f"{progress.samples / progress.seconds:.1f}",
        )

    def _finish_epoch(self, bar: "tqdm[Any]") -> None:
        """Evaluate, and keep the model if it is the best."""
        progress, config = self.progress, self.config
        self._finite.check(progress.step, self.model)
        progress.epoch += 1
        progress.batches = 0
        if self._validation_loader is None:
            self._save_model()
            return
        scores = self._evaluate(self._validation_loader)
        line = {"step": progress.step, "epoch": progress.epoch, "validation": scores}
        add_history(self.accelerator, self.directory, progress, line)
        value = scores[config.metric]
        sign = 1 if SELECTION_METRICS[config.metric] else -1
        improved = progress.best_value is None or sign * value > sign * progress.best_value
        if improved:
            progress.best_value, progress.best_epoch, progress.stale_epochs = value, progress.epoch, 0
            progress.best_step = progress.step
            self._save_model()
        else:
            progress.stale_epochs += 1
        if self._show_progress:
            bar.write(
                f"epoch {progress.epoch}: validation accuracy {scores['accuracy']:.4f}, macro F1"
                f" {scores['macro_f1']:.4f}, nll {scores['nll']:.4f}{' (best so far)' if improved else ''}"
            )
        if self._on_evaluation is not None:
            self._on_evaluation(progress.epoch, scores)

    def _evaluate(self, loader: DataLoader[Any]) -> dict[str, float]:
        assert self.validation_data is not None
        model = self.model if self.average is None else self.average.module
        with self.accelerator.autocast():  # the average is not wrapped in it as the model is
            logits = predict_logits(model, loader, self.accelerator.gather_for_metrics)
        labels = labels_of(self.validation_data)
        probabilities = logits.double().softmax(dim=-1).numpy()
        return Evaluation(labels, probabilities, self.class_names).scores()

    def _save_model(self) -> None:
        weights = whole_weights(self.accelerator, self.model)
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            with replacing(self.directory / MODEL) as temporary:
                model: Any = self._bare_model if self.average is None else self.average.module
                model.save_pretrained(temporary, state_dict=weights)
                self.tokenizer.save_pretrained(temporary)

    def _save_is_due(self) -> bool:
        """Say whether the end of an epoch is saved: where that is asked for, and of the others the best."""
        best = self.progress.best_step == self.progress.step
        return self.config.save_steps == "epoch" or (self.config.save_steps is not None and best)

    def _asked(self, guard: InterruptGuard) -> int:
        """Return the number of the signal by which any of the processes was asked to stop, 0 if none was."""
        return self._agreement.largest(guard.signal or 0)

    def _stop_if_asked(self, number: int) -> None:
        if number:
            raise TrainingInterrupted(f"interrupted at step {self.progress.step} of {self.total_steps}", number)

    def _save(self) -> None:
        """Save a checkpoint, but for divided weights: then what is asked for has been refused in the beginning."""
        self._finite.check(self.progress.step, self.model)
        if sharded_by(self.accelerator) is None:
            self._state.save(self.config.keep_checkpoints)
