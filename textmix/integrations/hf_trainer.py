"""MixupCallback and MixupTrainerMixin: mixing in the Trainer of transformers."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.trainer_callback import ExportableState, TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

import textmix.models.auto  # noqa: F401  # registers the models with the Auto classes
from textmix.errors import ConfigError
from textmix.hooks.attached_mixer import AttachedMixer
from textmix.hooks.metrics import MixMetrics
from textmix.integrations.trainer_data import count_classes, find_special_ids
from textmix.mixing.completion import complete
from textmix.mixing.config import MixConfig, mix_config
from textmix.mixing.loss_config import LossConfig, loss_config
from textmix.mixing.mixer import MixObserver


class MixupCallback(TrainerCallback, ExportableState):
    """Mixes the training batches of a `transformers.Trainer`: `Trainer(..., callbacks=[MixupCallback(alpha=0.4)])`.

    The mixer is attached only during the forward and backward passes of a training step. Evaluation, checkpoints, logs
    and everything after training see the model without hooks. The Trainer does not notify callbacks of an exception
    inside a step. After one, call `callback.detach()` or train again, which detaches first; or derive the Trainer from
    `MixupTrainerMixin`, which detaches automatically.

    Special tokens are taken from the Trainer's tokenizer and class counts from its training data, if they are needed
    and not configured. Training minimises `loss`; evaluation reports the model's own loss.

    The callback adds these means since the last log to the Trainer's logs of the training loss: `mix_lam` (weight of a
    row itself; 1 in unmixed batches), `mix_accuracy` (λ-weighted; for integer labels), `mix_share` (share of mixed
    batches) and, if there are several sites or strategies, the share of each (`mix_at_layer_2`, `mix_by_word`).
    Trackers in `report_to` are called before other callbacks, so they get these metrics only with `MixupTrainerMixin`.

    The generator of the mixer is seeded at each optimizer step from the seed, the rank of the process and the step. The
    Trainer's checkpoints save the seed. A resumed run therefore repeats the uninterrupted run in every process.

    Args:
        config: A `MixConfig`; None means that its fields are given as keywords.
        loss: A `LossConfig` or a mapping of its fields; None means the default loss for the kind of labels.
        seed: Seed of the mixer; None means the Trainer's seed. A resumed run uses the seed of its checkpoint.
        **options: Fields of `MixConfig`, if `config` is None.

    Attributes:
        mixer: The mixer during training; None before and after.

    Raises:
        ConfigError: If the options are invalid. At the start of training or at its first step, if they are
            incompatible with the Trainer's options or its loss.
    """

    def __init__(
        self,
        config: MixConfig | None = None,
        *,
        loss: LossConfig | Mapping[str, Any] | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        self.config = mix_config(config, options)
        self.loss = loss_config(loss)
        self.seed = seed
        self.mixer: AttachedMixer | None = None
        self._seed_in_use = seed
        self._metrics: MixMetrics | None = None
        self._check = _LossCheck()

    def state(self) -> dict[str, Any]:
        """Return the state for the Trainer's checkpoints: the arguments that recreate this callback."""
        fields = {**asdict(self.config), "loss": asdict(self.loss), "seed": self._seed_in_use}
        # The Trainer cannot serialize NumPy numbers.
        return {"args": json.loads(json.dumps(fields, default=lambda number: number.item())), "attributes": {}}

    def detach(self) -> None:
        """Detach the mixer from the model; needed only after an exception inside a step."""
        if self.mixer is not None:
            self.mixer.detach()
        self.mixer = self._metrics = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Create the mixer."""
        self.detach()  # a previous run may have failed inside a step
        _check_arguments(args)
        name = type(self).__name__
        self._seed_in_use = _saved_seed(state, name)
        if self._seed_in_use is None:
            self._seed_in_use = args.seed if self.seed is None else self.seed
        # The Trainer cannot save a callback that is missing in the checkpoint it resumes from.
        _states(state).setdefault(name, self.state())
        model, loader = kwargs["model"], kwargs.get("train_dataloader")
        config = complete(
            self.config,
            self.loss,
            lambda: find_special_ids(kwargs.get("processing_class"), loader),
            lambda: count_classes(model, loader, args.label_names),
        )
        mixer = AttachedMixer(model, config, self.loss, self._seed_in_use, args.process_index, strict=True)
        mixer.attach()  # refuses a second mixer before the first step
        mixer.detach()
        self._metrics, self._check = MixMetrics(mixer), _LossCheck()
        mixer.observers += [self._metrics, self._check]
        self.mixer = mixer

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Attach the mixer for the forward and backward passes of a step."""
        if self.mixer is not None:
            self.mixer.progress = state.global_step / state.max_steps
            self.mixer.generator.manual_seed(_step_seed(self._seed_in_use, args.process_index, state.global_step))
            self.mixer.attach()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Detach the mixer."""
        if self.mixer is not None:
            self.mixer.detach()
            if self._check in self.mixer.observers:
                self.mixer.observers.remove(self._check)
                self._check.finish(kwargs["model"])

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Add the means since the last log to a log of the training loss."""
        added = self.read_metrics(logs or {})
        if logs is not None and added:
            logs.update(added)
            state.log_history[-1].update(added)

    def read_metrics(self, logs: Mapping[str, Any]) -> dict[str, float]:
        """Return the metrics to add to a log of the Trainer; empty if it is not a log of the training loss."""
        if self._metrics is None or not {"loss", "learning_rate"} <= logs.keys():
            return {}
        return {f"mix_{name}": value for name, value in self._metrics.read(_sum_over_processes).items()}

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Detach and drop the mixer."""
        self.detach()


class MixupTrainerMixin:
    """Mixin for a Trainer with a `MixupCallback`: `class MyTrainer(MixupTrainerMixin, Trainer)`.

    It covers what a callback cannot: it detaches the mixer after an exception inside a step, refuses
    `compute_loss_func` before training starts, and passes the callback's metrics to the trackers in `report_to`.
    """

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train, and detach the mixer however training ends.

        Raises:
            ConfigError: If the Trainer has a `compute_loss_func`.
        """
        callbacks = _mixup_callbacks(self)
        if callbacks and getattr(self, "compute_loss_func", None) is not None:
            raise ConfigError(f"compute_loss_func {_TAKES_LABELS}LossConfig(...))")
        try:
            return super().train(*args, **kwargs)  # type: ignore[misc]
        finally:
            for callback in callbacks:
                callback.detach()

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log with the metrics of the callback."""
        for callback in _mixup_callbacks(self):
            logs = {**logs, **callback.read_metrics(logs)}
        super().log(logs, *args, **kwargs)  # type: ignore[misc]


class _LossCheck(MixObserver):
    """Checks that the first step trains on the loss that the model returns."""

    def __init__(self) -> None:
        self._gradients: list[Tensor] = []

    def scored(self, rows: int, loss: Tensor) -> None:
        """Record whether a gradient reaches the loss."""
        loss.register_hook(self._gradients.append)  # type: ignore[no-untyped-call]

    def finish(self, model: nn.Module) -> None:
        """Check that a gradient has reached the loss.

        Raises:
            ConfigError: If no gradient has reached it.
        """
        if not self._gradients:
            raise ConfigError(
                f"the Trainer does not train on the loss that {type(model).__name__} returns, the only loss with mixed"
                " targets: an overridden compute_loss must use it; give label smoothing and class weights as"
                " MixupCallback(..., loss=LossConfig(...))"
            )


def _mixup_callbacks(trainer: Any) -> list[MixupCallback]:
    return [callback for callback in trainer.callback_handler.callbacks if isinstance(callback, MixupCallback)]


_TAKES_LABELS = "removes the labels before the model sees them: leave it out and give MixupCallback(..., loss="


def _check_arguments(args: TrainingArguments) -> None:
    wrong = []
    if args.label_smoothing_factor:
        smoothing = f"LossConfig(label_smoothing={args.label_smoothing_factor}))"
        wrong.append(f"label_smoothing_factor {_TAKES_LABELS}{smoothing}")
    if args.n_gpu > 1:
        wrong.append(
            "DataParallel copies the model, but not its mixer: start one process for each GPU (torchrun), or use one"
            " GPU (CUDA_VISIBLE_DEVICES=0)"
        )
    if wrong:
        raise ConfigError("; ".join(wrong))


def _saved_seed(state: TrainerState, name: str) -> int | None:
    """Return the seed of the checkpoint that training resumes from; None in a new run."""
    if not state.global_step:
        return None
    seed: int | None = _states(state).get(name, {}).get("args", {}).get("seed")
    return seed


def _states(state: TrainerState) -> dict[str, Any]:
    """Return the states of all callbacks by the names of their classes."""
    return cast("dict[str, Any]", state.stateful_callbacks)  # declared as a list in transformers


def _step_seed(seed: int | None, rank: int, step: int) -> int:
    # A hash, because generators with consecutive seeds need not be independent. 32 bits are the most that the generator
    # of the CPU uses.
    return int.from_bytes(hashlib.blake2b(f"{seed} {rank} {step}".encode(), digest_size=4).digest())


def _sum_over_processes(line: Tensor) -> Tensor:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(line)
    return line
