"""RunConfig: everything that decides a run, as it stands in a recipe and in a run's config.yaml. Imports no torch."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from textmix.config.train import TrainConfig
from textmix.data.config import DataConfig
from textmix.errors import ConfigError
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.models.config import ModelConfig


@dataclass(frozen=True)
class RunConfig:
    """One training run.

    Args:
        data: Which data is used and how it is split.
        model: Which model is trained.
        mix: How training batches are mixed.
        loss: How logits are scored against targets, mixed or not.
        train: How the model is trained.
        output_dir: Directory of the run; null means runs/<data>-<model>-<strategy>.
    """

    data: DataConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    output_dir: str | None = None

    def __post_init__(self) -> None:
        """Check what concerns several sections.

        Raises:
            ConfigError: If an option has no effect beside the others.
        """
        validated = self.data.validation_source is not None or self.data.validation_fraction > 0
        if self.train.patience is not None and not validated:
            raise ConfigError("train.patience needs a validation split; set data.validation_fraction above 0")

    @property
    def inputs(self) -> list[str]:
        """Everything that a run reads: paths, globs and names of its data, its model and its word vectors."""
        vectors = self.model.words.vectors
        return [*self.data.sources, self.model.name, *([vectors] if vectors else [])]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, every default written out."""
        return asdict(self)

    def to_yaml(self) -> str:
        """Return it as YAML that `textmix train` takes."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)


def slug(name: str) -> str:
    """Shorten the name of a model to something that fits into a directory's name."""
    return Path(name.rstrip("/")).name or name
