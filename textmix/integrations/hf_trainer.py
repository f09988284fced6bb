"""MixupCallback: mixing in the stock Trainer of transformers."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from types import FrameType
from typing import Any

from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from textmix.errors import ConfigError
from textmix.hooks.attach import AttachedMixer, attach
from textmix.integrations.completion import complete
from textmix.integrations.figures import Figures
from textmix.mixing.config import LossConfig, MixConfig, mix_config


class MixupCallback(TrainerCallback, ExportableState):
    """Mixes the training batches of a `transformers.Trainer`: `Trainer(..., callbacks=[MixupCallback(alpha=0.4)])`.

    The mixer is made at the start of training. The Trainer tells no callback that training has failed; so the model
    carries the mixer, hooks and all, only while `training_step` runs (forward and backward pass of one batch), and a
    `finally` takes it off. Evaluation, checkpoints and every other callback meet the bare model, and whatever ends
    training, Ctrl-C included, leaves a bare one. The Trainer itself carries two wrapped methods, `training_step` and
    `log`, while it trains; after an error outside of a step they stay, without effect, until it trains again.

    The special tokens come from the Trainer's tokenizer, the class counts from its training data, if they are needed
    and the configuration leaves them open. The loss that is trained on is `loss`; evaluation reports the model's own.

    To the Trainer's logs of the training loss it adds, averaged over the rows of all processes since the last log:
    `mix_lam` (mean weight of a row itself; 1 in batches that are not mixed), `mix_accuracy` (λ-weighted; for integer
    labels), `mix_share` (share of the batches that were mixed) and, where there are several to draw from, the share
    that was mixed at each site (`mix_at_layer_2`) and by each strategy (`mix_by_word`).

    The mixer's generator is set at each optimizer step from the seed, the number of the process and that of the step;
    the seed is saved in the Trainer's checkpoints. A run that is resumed from one therefore repeats the uninterrupted
    run on every process, though a checkpoint holds the state of the first one's callbacks alone.

    Args:
        config: How to mix; or give the fields of `MixConfig` as keywords.
        loss: How to score, or the fields of that as a dict; None means the plain loss of the labels' kind.
        seed: Seed of the mixer's own generator; None means the Trainer's. A resumed run goes on with that of its
            checkpoint.
        **options: Fields of `MixConfig`, when `config` is None.

    Attributes:
        mixer: The mixer while training runs, also between its steps; None before and after.

    Raises:
        ConfigError: If the options cannot work; at the start of training, if the Trainer's cannot work beside them.
    """

    def __init__(
        self,
        config: MixConfig | None = None,
        *,
        loss: LossConfig | dict[str, Any] | None = None,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        if config is not None and not isinstance(config, MixConfig):
            raise ConfigError(f"give a MixConfig or its fields by name, as in strategy='word', not {config!r}")
        self.config = mix_config(config, options)
        self.loss = LossConfig(**loss) if isinstance(loss, dict) else loss or LossConfig()
        self.seed = seed
        self.mixer: AttachedMixer | None = None
        self._seed_in_use = seed
        self._undo = ExitStack()

    def state(self) -> dict[str, Any]:
        """Return what the Trainer's checkpoints keep: arguments that make this callback again."""
        fields = {**asdict(self.config), "loss": asdict(self.loss), "seed": self._seed_in_use}
        # Counts and rates may be NumPy's numbers, at which the Trainer would fail, in the middle of a run.
        return {"args": json.loads(json.dumps(fields, default=lambda number: number.item())), "attributes": {}}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Make the mixer, and have the Trainer put it on for each of its steps."""
        self._let_go()  # of a run that failed outside of a step
        trainer = _running_trainer()
        _refuse(trainer)
        name = type(self).__name__
        self._seed_in_use = _saved_seed(state, name)
        if self._seed_in_use is None:
            self._seed_in_use = args.seed if self.seed is None else self.seed
        # The Trainer fails at saving a callback that the checkpoint it resumes from does not know.
        _states(state).setdefault(name, self.state())
        config, model = complete(self.config, self.loss, trainer), trainer.model
        assert model is not None
        mixer = attach(model, config, self._seed_in_use, args.process_index, self.loss, strict=True)
        mixer.detach()
        self.mixer = mixer
        self._take_over(trainer, mixer)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Tell the mixer where training stands."""
        if self.mixer is not None:
            self.mixer.progress = state.global_step / state.max_steps
            self.mixer.generator.manual_seed(_step_seed(self._seed_in_use, args.process_index, state.global_step))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Give the Trainer its methods back."""
        self._let_go()

    def _take_over(self, trainer: Trainer, mixer: AttachedMixer) -> None:
        state, step, log = trainer.state, trainer.training_step, trainer.log
        figures = Figures(mixer)
        own_loss = type(trainer).compute_loss is not Trainer.compute_loss

        def running() -> bool:
            return self.mixer is mixer and trainer.state is state

        def training_step(model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
            if not running():
                return step(model, inputs, *args, **kwargs)
            try:
                mixer.attach()
                with _checking_loss(trainer) if own_loss and not figures.batches else nullcontext():
                    loss = step(model, inputs, *args, **kwargs)
            except BaseException:
                self._let_go()
                raise
            finally:
                mixer.detach()
            figures.add(len(inputs["labels"]))
            return loss

        def logging(logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
            if running() and {"loss", "learning_rate"} <= logs.keys():
                logs = {**logs, **figures.read(trainer.accelerator)}
            log(logs, *args, **kwargs)

        self._undo.callback(_override(trainer, "training_step", training_step))
        self._undo.callback(_override(trainer, "log", logging))

    def _let_go(self) -> None:
        self.mixer = None
        self._undo.close()


@contextmanager
def _checking_loss(trainer: Trainer) -> Iterator[None]:
    """Check that a training step trains on the loss that the model returns.

    Raises:
        ConfigError: If no gradient has passed through it.
    """
    gradients: list[Tensor] = []

    def watch(model: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        loss: Tensor = output["loss"] if isinstance(output, dict) else output[0]
        loss.register_hook(gradients.append)  # type: ignore[no-untyped-call]

    model: Any = trainer.model
    handle = model.register_forward_hook(watch)
    try:
        yield
    finally:
        handle.remove()
    if not gradients:
        raise ConfigError(
            f"{type(trainer).__name__}.compute_loss does not train on the loss that the model returns, which alone"
            " knows what was mixed: use that one, and weigh or smooth it by MixupCallback(..., loss=LossConfig(...))"
        )


def _override(trainer: Trainer, name: str, function: Callable[..., Any]) -> Callable[[], None]:
    """Put a function over a method of one Trainer; return what takes it away again."""
    before = vars(trainer).get(name)
    setattr(trainer, name, function)

    def undo() -> None:
        if vars(trainer).get(name) is not function:  # somebody has put theirs over it
            return
        if before is None:
            delattr(trainer, name)
        else:
            setattr(trainer, name, before)

    return undo


def _running_trainer() -> Trainer:
    """Find the Trainer that calls: it does not introduce itself to its callbacks."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, Trainer):
            return caller
        frame = frame.f_back
    raise ConfigError("MixupCallback works in a transformers.Trainer only; elsewhere use textmix.mixing(model, ...)")


def _refuse(trainer: Trainer) -> None:
    wrong = []
    taken = "takes the labels away before the model sees them: leave it out and give MixupCallback(..., loss="
    if trainer.args.label_smoothing_factor:
        factor = trainer.args.label_smoothing_factor
        wrong.append(f"label_smoothing_factor {taken}LossConfig(label_smoothing={factor}))")
    if trainer.compute_loss_func is not None:
        wrong.append(f"compute_loss_func {taken}LossConfig(...))")
    if trainer.args.n_gpu > 1:
        wrong.append(
            "DataParallel copies the model, but not its mixer: start a process for each GPU (torchrun), or show it one"
            " GPU only (CUDA_VISIBLE_DEVICES=0)"
        )
    if wrong:
        raise ConfigError("; ".join(wrong))


def _saved_seed(state: TrainerState, name: str) -> int | None:
    """Return the seed of the checkpoint from which training is resumed; None in a run that begins."""
    if not state.global_step:
        return None
    saved = _states(state).get(name, {})
    seed: int | None = saved.get("args", {}).get("seed")
    return seed


def _states(state: TrainerState) -> dict[str, Any]:
    """Return the states of all callbacks, by the names of their classes."""
    states: Any = state.stateful_callbacks  # declared as the list of which the Trainer makes it
    return states  # type: ignore[no-any-return]


def _step_seed(seed: int | None, rank: int, step: int) -> int:
    # A hash, for generators with consecutive seeds are not meant to be independent; of 32 bits, since torch's generator
    # on the CPU takes no more.
    return int.from_bytes(hashlib.blake2b(f"{seed} {rank} {step}".encode(), digest_size=4).digest())
