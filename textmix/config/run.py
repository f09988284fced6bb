"""RunConfig: all options of a run, as in a recipe or the config.yaml of a run. Imports no torch."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from textmix.config.contrastive import ContrastiveConfig
from textmix.config.train import TrainConfig
from textmix.config.unlabeled import UnlabeledConfig
from textmix.data.config import DataConfig
from textmix.errors import ConfigError
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.models.config import WORD_MODELS, ModelConfig
from textmix.tasks.names import TaskName, choose_metric

# Options of training in epochs, which a run for few labels does not have.
OF_EPOCHS = ("epochs", "max_steps", "batch_size", "accumulation_steps", "learning_rate", "patience", "ema_decay")


@dataclass(frozen=True)
class RunConfig:
    """Configuration of a training run.

    Args:
        data: The data and its splits.
        model: The model.
        mix: How training batches are mixed. Default: strategy `none`, as no strategy was shown to gain on the data of
            docs/defaults.md.
        loss: The loss of logits against targets, mixed or not.
        train: How the model is trained.
        contrastive: A contrastive warm-up for few labels, in the place of epochs.
        unlabeled: How rows without labels are trained on, after the warm-up.
        task: The kind of labels: `single_label` (one class a row, or probabilities of the classes), `multi_label` (any
            number of labels a row), `regression` (one or several numbers a row), or `token_classification` (a tag a
            token); `auto` finds it from the data, and stops where that is not certain.
        output_dir: Directory of the run; null means runs/<data>-<model>-<strategy>.
    """

    data: DataConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    mix: MixConfig = field(default_factory=lambda: MixConfig(strategy="none"))
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    contrastive: ContrastiveConfig = field(default_factory=ContrastiveConfig)
    unlabeled: UnlabeledConfig = field(default_factory=UnlabeledConfig)
    task: Literal["auto", TaskName] = "auto"
    output_dir: str | None = None

    def __post_init__(self) -> None:
        """Check options that depend on other sections.

        Raises:
            ConfigError: If an option has no effect with the others.
        """
        validated = self.data.validation_source is not None or self.data.validation_fraction > 0
        if self.train.patience is not None and not validated:
            raise ConfigError("train.patience needs a validation split; set data.validation_fraction above 0")
        if self.train.calibrate and not validated:
            raise ConfigError("train.calibrate needs a validation split; set data.validation_fraction above 0")
        if self.train.tune_thresholds and not validated:
            raise ConfigError("train.tune_thresholds needs a validation split; set data.validation_fraction above 0")
        if self.task != "auto":
            choose_metric(self.task, self.train.metric)
        if wrong := [*self._wrong_with_few_labels()]:
            raise ConfigError("; ".join(wrong))

    def _wrong_with_few_labels(self) -> Iterator[str]:
        if self.unlabeled != UnlabeledConfig() and self.data.unlabeled is None:
            yield "the section unlabeled has no effect without data.unlabeled, a source of rows"
        if not self.has_few_labels:
            if self.contrastive != ContrastiveConfig():
                yield "the section contrastive has no effect without contrastive.steps; auto for example"
            if self.data.label_descriptions is not None:
                yield "data.label_descriptions has no effect without contrastive.steps"
            return
        option = "contrastive.steps" if self.contrastive.steps else "data.unlabeled"
        model = self.model
        if model.name in WORD_MODELS or model.head != "linear":
            yield f"{option} needs an encoder with model.head linear"
        if model.freeze == "encoder" or model.lora.rank is not None or model.long_text == "windows":
            yield f"{option} goes without model.lora, model.freeze encoder and model.long_text windows; leave them out"
        confident = ["mix.targets trust"] if self.mix.targets == "trust" else []
        confident += ["mix.partner easy_hard"] if self.mix.partner == "easy_hard" else []
        if confident and self.contrastive.steps:
            yield f"contrastive.steps trains without a head, and {confident[0]} needs its probabilities; leave one out"
        of_classes = confident + (["mix.targets remix"] if self.mix.targets == "remix" else [])
        of_classes += [f"mix.partner {self.mix.partner}"] if self.mix.partner in ("same_class", "other_class") else []
        if of_classes and self.data.unlabeled is not None and self.unlabeled.steps:
            yield f"data.unlabeled trains on guesses, and {' and '.join(of_classes)} needs classes; leave one out"
        idle = [name for name in OF_EPOCHS if getattr(self.train, name) != getattr(TrainConfig(), name)]
        if idle:
            given = ", ".join(f"train.{name}" for name in idle)
            yield f"{option} trains in the place of epochs; leave out {given}"

    @property
    def has_few_labels(self) -> bool:
        """Whether the run is one for few labels: a contrastive warm-up, rows without labels, or both."""
        return self.contrastive.steps != 0 or self.data.unlabeled is not None

    @property
    def known_task(self) -> TaskName:
        """The task, once it is filled in."""
        assert self.task != "auto"
        return self.task

    @property
    def inputs(self) -> list[str]:
        """Everything that a run reads: paths, globs and names of its data, its model and its word vectors."""
        vectors = self.model.words.vectors
        return [*self.data.sources, self.model.name, *([vectors] if vectors else [])]

    def to_dict(self) -> dict[str, Any]:
        """Return all options as plain values, defaults included."""
        return asdict(self)

    def to_yaml(self) -> str:
        """Return all options as YAML, which `textmix train` reads as a recipe."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)


def slug(name: str) -> str:
    """Shorten the name of a model so that it can be part of the name of a directory."""
    return Path(name.rstrip("/")).name or name
