"""TrainingLoop: the epochs and steps of one call of `MixupTrainer.train`."""

from __future__ import annotations

import math
import sys
import time
from contextlib import nullcontext
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from accelerate.data_loader import prepare_data_loader
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from textmix.data.tokenization import labels_of
from textmix.errors import TrainingInterrupted
from textmix.hooks.attached_mixer import AttachedMixer
from textmix.io.files import replacing
from textmix.io.run_directory import ADAPTER, MODEL, PROFILE
from textmix.models.logits import predict_logits, predict_pieces
from textmix.models.lora import has_adapters, merged, save_adapters
from textmix.tasks.evaluation import Evaluation, headline
from textmix.tasks.names import selection_metric
from textmix.tasks.token_classification import as_objects
from textmix.training.batches import EpochBatches, padded_loader
from textmix.training.ema import averaged
from textmix.training.finite import FiniteCheck
from textmix.training.history import add_history, rewrite_history
from textmix.training.interrupt import InterruptGuard
from textmix.training.optimization import build_optimizer, build_schedule, clip_gradients
from textmix.training.profiling import profiled
from textmix.training.progress import TrainProgress
from textmix.training.random_state import restore_random_state
from textmix.training.sharding import sharded_by, whole_weights
from textmix.training.state import RunState
from textmix.training.trackers import start_trackers

if TYPE_CHECKING:
    from textmix.training.trainer import MixupTrainer


class TrainingLoop:
    """Trains a model once: steps, evaluation, history, checkpoints, and the saved model.

    Args:
        trainer: The trainer, with the model, the data and the options.
        accelerator: Devices, precision and processes.
        mixer: The mixer; the constructor attaches it, after it has copied the model for averaging.
        batches: The rows of each batch.

    Attributes:
        state: Everything that a checkpoint holds.
    """

    def __init__(
        self, trainer: MixupTrainer, accelerator: Accelerator, mixer: AttachedMixer, batches: EpochBatches
    ) -> None:
        config, model = trainer.config, trainer.model
        assert config.learning_rate is not None
        self.trainer, self.config, self.accelerator, self.mixer = trainer, config, accelerator, mixer
        self._processes, self._batches = trainer.processes, batches
        self.average = averaged(model, config.ema_decay) if config.ema_decay is not None else None
        mixer.attach()
        # The batches are already divided among the processes: accelerate only moves them to the device.
        self.loader = prepare_data_loader(
            padded_loader(trainer.data.train, trainer.tokenizer, batches),
            accelerator.device,
            num_processes=1,
            process_index=0,
            put_on_device=True,
            non_blocking=True,
        )
        optimizer = build_optimizer(model, config.learning_rate, config.weight_decay)
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        if self.average is not None:
            self.average.module.to(accelerator.device)
        self.steps_per_epoch = math.ceil(len(self.loader) / config.accumulation_steps)
        self.total_steps = trainer.total_steps
        self._epochs = math.ceil(self.total_steps / self.steps_per_epoch)
        self.schedule = build_schedule(optimizer, config, self.total_steps)
        self._validation_loader = self._load_validation()
        self._finite = FiniteCheck(accelerator, config, trainer.precision)
        self._show_progress = trainer.reporting.show_progress and accelerator.is_local_main_process
        models = {"model": self.bare_model} | ({} if self.average is None else {"average": self.average})
        self.state = RunState(
            trainer.directory, accelerator, self._processes, models, self.optimizer, self.schedule, mixer
        )

    @property
    def progress(self) -> TrainProgress:
        """Progress of training."""
        return self.state.progress

    @property
    def bare_model(self) -> PreTrainedModel:
        """The model without accelerate's wrapper."""
        model: PreTrainedModel = self.accelerator.unwrap_model(self.model)
        return model

    def run(self, random: dict[str, Any] | None) -> None:
        """Train to the end.

        Args:
            random: State of the process's generators, restored before the first batch; None in a new run.

        Raises:
            TrainingError: If the loss stops being finite; names the step.
            TrainingInterrupted: On Ctrl-C or SIGTERM, after saving a checkpoint.
        """
        directory, config = self.trainer.directory, self.config
        rewrite_history(self.accelerator, directory, self.progress)
        start_trackers(self.accelerator, directory, self.trainer.reporting.settings, self.progress.step)
        traces = directory / PROFILE if config.profile and self.accelerator.is_main_process else None
        with InterruptGuard() as guard, self._progress_bar() as bar, profiled(traces) as self._after_step:
            while not self._done():
                self._train_epoch(bar, guard, random)
                random = None
                self._finish_epoch(bar)
                signal = self._received_signal(guard)
                # Always save at the end: an error after training then loses nothing.
                if signal or self._done() or self._save_is_due():
                    self._save()
                self._stop_on(signal)
            rewrite_history(self.accelerator, directory, self.progress)
            self._stop_on(self._received_signal(guard))

    def _load_validation(self) -> DataLoader[Any] | None:
        rows = self.trainer.data.validation
        if rows is None:
            return None
        loader = padded_loader(rows, self.trainer.tokenizer, batch_size=self.config.eval_batch_size)
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared

    def _done(self) -> bool:
        patience = self.config.patience
        out_of_patience = patience is not None and self.progress.stale_epochs >= patience
        return self.progress.epoch >= self._epochs or out_of_patience

    def _progress_bar(self) -> tqdm[Any]:
        return tqdm(
            total=self.total_steps,
            initial=self.progress.step,
            unit="step",
            mininterval=0.2 if sys.stderr.isatty() else 10,  # fewer lines in a log file
            disable=not self._show_progress,
        )

    def _train_epoch(self, bar: tqdm[Any], guard: InterruptGuard, random: dict[str, Any] | None) -> None:
        progress, config = self.progress, self.config
        bar.set_description(f"epoch {progress.epoch + 1}/{self._epochs}")
        self._batches.epoch, self._batches.first = progress.epoch, progress.batches
        self.model.train()
        # accelerate < 1.8 makes one batch, None, out of no batches.
        batches = iter(self.loader if progress.batches < len(self._batches) else ())
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
            signal = self._received_signal(guard)
            if signal or (isinstance(config.save_steps, int) and progress.step % config.save_steps == 0):
                progress.seconds += time.perf_counter() - started
                self._save()
                self._stop_on(signal)
                started = time.perf_counter()
        progress.seconds += time.perf_counter() - started

    def _step(self, window: list[dict[str, Tensor]]) -> None:
        """Make one optimizer step from a window of batches."""
        self.mixer.progress = self.progress.step / self.total_steps
        numbers = range(self.progress.batches, self.progress.batches + len(window))
        rows = sum(self._batches.rows(number) for number in numbers)
        loss = torch.zeros((), device=self.accelerator.device)
        for number, batch in zip(numbers, window, strict=True):
            own_rows = self._batches.own_rows(number)
            if own_rows == 0:  # every process must take part in the step
                batch["sample_weight"] = torch.zeros(len(batch["labels"]), device=batch["labels"].device)
            with nullcontext() if number == numbers[-1] else self.accelerator.no_sync(self.model):
                # Dividing by the rows of the window makes the losses of its batches sum to their mean. The number of
                # processes cancels the averaging of gradients over the processes.
                part = self.model(**batch, num_items_in_batch=rows / self._processes.size).loss
                self.accelerator.backward(part)
            loss += part.detach()
            self.state.means.add(self.mixer.metrics, own_rows * self._processes.size / rows)
        if self.config.max_grad_norm > 0:
            clip_gradients(self.accelerator, self.model, self.optimizer, self.config.max_grad_norm)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update_parameters(self.bare_model)
        self.progress.step += 1
        self.progress.samples += rows
        self._finite.record(self.progress.step, loss)
        self.state.means.add({"loss": loss})

    def _log(self, bar: tqdm[Any]) -> None:
        progress = self.progress
        self._finite.check(progress.step)  # the weights are checked only at the end of an epoch
        line = {
            "step": progress.step,
            "epoch": progress.step / self.steps_per_epoch,
            "learning_rate": self.schedule.get_last_lr()[0],
            **self.state.means.read(lambda sums: self.accelerator.reduce(sums)),
        }
        add_history(self.accelerator, self.trainer.directory, progress, line)
        shown = {"loss": f"{line['loss']:.4f}", "lr": f"{line['learning_rate']:.1e}"}
        if "accuracy" in line:  # of classes alone
            shown["accuracy"] = f"{line['accuracy']:.3f}"
        bar.set_postfix(shown, samples_per_second=f"{progress.samples / progress.seconds:.1f}")

    def _finish_epoch(self, bar: tqdm[Any]) -> None:
        """Evaluate, and save the model if it is the best so far."""
        progress, config = self.progress, self.config
        self._finite.check(progress.step, self.model)
        progress.epoch += 1
        progress.batches = 0
        if self._validation_loader is None:
            self._save_model()
            return
        scores = self._evaluate(self._validation_loader)
        line = {"step": progress.step, "epoch": progress.epoch, "validation": scores}
        add_history(self.accelerator, self.trainer.directory, progress, line)
        space, rows = self.trainer.data.space, self.trainer.data.validation
        assert rows is not None
        metric = selection_metric(space.task, config.metric, len(rows))
        improved = progress.record_epoch(scores[metric], more_is_better=space.metrics[metric])
        if improved:
            self._save_model()
        if self._show_progress:
            bar.write(
                f"epoch {progress.epoch}: validation {headline(space, scores)}{' (best so far)' if improved else ''}"
            )
        if self.trainer.reporting.on_evaluation is not None:
            self.trainer.reporting.on_evaluation(progress.epoch, self._done(), scores)

    def _evaluate(self, loader: DataLoader[Any]) -> dict[str, float]:
        assert self.trainer.data.validation is not None
        model = self.model if self.average is None else self.average.module
        space = self.trainer.data.space
        with self.accelerator.autocast():  # accelerate wraps only the model in it, not the average
            if space.of_tokens:
                pieces = predict_pieces(model, loader, self.accelerator)
                labels, outputs = zip(*((row.numpy(), space.outputs(logits)) for row, logits in pieces), strict=True)
                return Evaluation(as_objects(labels), as_objects(outputs), space).scores()
            logits = predict_logits(model, loader, self.accelerator.gather_for_metrics)
        targets = space.to_targets(labels_of(self.trainer.data.validation))
        return Evaluation(targets, space.outputs(logits), space).scores()

    def _save_model(self) -> None:
        weights = whole_weights(self.accelerator, self.model)
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            directory = self.trainer.directory
            model: Any = self.bare_model if self.average is None else self.average.module
            with replacing(directory / MODEL) as temporary, merged(model):
                model.save_pretrained(temporary, state_dict=weights)
                self.trainer.tokenizer.save_pretrained(temporary)
            if has_adapters(model):
                save_adapters(model, directory / ADAPTER)

    def _save_is_due(self) -> bool:
        """Return whether to save a checkpoint after this epoch; with a number of steps, after the best epoch."""
        best = self.progress.best_step == self.progress.step
        return self.config.save_steps == "epoch" or (self.config.save_steps is not None and best)

    def _received_signal(self, guard: InterruptGuard) -> int:
        """Return the signal that any of the processes has received, 0 if none has."""
        return self._processes.largest(guard.signal or 0)

    def _stop_on(self, signal: int) -> None:
        if signal:
            raise TrainingInterrupted(f"interrupted at step {self.progress.step} of {self.total_steps}", signal)

    def _save(self) -> None:
        """Save a checkpoint, except with sharded weights; explicit `save_steps` are refused with them."""
        self._finite.check(self.progress.step, self.model)
        if sharded_by(self.accelerator) is None:
            self.state.save(self.config.keep_checkpoints)
