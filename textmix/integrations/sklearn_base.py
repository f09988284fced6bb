"""What the scikit-learn estimators share: parameters, training, and outputs for texts."""

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
from datasets import Dataset
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from textmix.config.parsing import with_options
from textmix.config.run import RunConfig
from textmix.data.config import DataConfig
from textmix.data.label_format import Array
from textmix.data.long_text import TRAINED_WINDOWS
from textmix.data.tokenization import encode_columns
from textmix.errors import ConfigError, DataError, TrainingInterrupted, did_you_mean
from textmix.inference.predictor import Predictor
from textmix.integrations.sklearn_data import Rows, read_texts
from textmix.io.quiet import libraries_quiet
from textmix.mixing.config import SECTIONS, MixConfig
from textmix.models.loading import check_model
from textmix.runs.fitting import build_seeded_model, build_trainer, load_best
from textmix.runs.options import check_long_text, resolve
from textmix.tasks.base import LabelSpace
from textmix.training.random_state import preserved_random_state
from textmix.training.trainer import Reporting, TrainingData

# Options that are parameters of the estimators, or have no effect in them.
_OWN = {
    "task": "y tells it",
    "model.name": "use the parameter model",
    "loss.class_weights": "use the parameter class_weight of MixupClassifier",
    "train.epochs": "use the parameter epochs",
    "train.batch_size": "use the parameter batch_size",
    "train.learning_rate": "use the parameter learning_rate",
    "train.seed": "use the parameter random_state",
    "train.save_steps": "nothing is saved",
    "train.metric": "all rows are used for training, so no epoch can be chosen",
    "train.patience": "all rows are used for training, so no epoch can be chosen",
}
# Fields of MixConfig that the estimators take beyond the parameters that they name.
_MIXING = {field.name for field in fields(MixConfig)} - {"strategy", "alpha"}


class MixupEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Base of the estimators: the parameters, which `MixupClassifier` describes, and training on checked rows."""

    predictor_: Predictor
    paired_: bool

    def __init__(
        self,
        model: str = "textcnn",
        strategy: str = "word",
        alpha: float = 0.4,
        *,
        epochs: int = 6,
        batch_size: int = 32,
        learning_rate: float | None = None,
        options: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
        **mixing: Any,
    ) -> None:
        self.model = model
        self.strategy = strategy
        self.alpha = alpha
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.options = options
        self.random_state = random_state
        self.verbose = verbose
        for name, value in mixing.items():
            setattr(self, name, value)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name, including the given fields of `MixConfig`."""
        return {**super().get_params(deep), **self._mixing()}

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, including fields of `MixConfig`; returns the estimator itself."""
        for name in _MIXING.intersection(params):
            setattr(self, name, params.pop(name))
        super().set_params(**params)
        return self

    def _mixing(self) -> dict[str, Any]:
        others = self._get_param_names()
        return {
            name: value
            for name, value in vars(self).items()
            if name not in others and not name.startswith("_") and not name.endswith("_")
        }

    def _fit(self, rows: Rows, space: LabelSpace, targets: Array, loss: Mapping[str, Any] | None = None) -> None:
        """Train on rows.

        Args:
            rows: The rows.
            space: The labels.
            targets: The targets of the rows, as the label space describes them.
            loss: Options of the loss by dotted name.
        """
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        config = self._config(seed, loss or {})
        check_model(config.model, config.mix)
        with libraries_quiet(), preserved_random_state():
            self.predictor_ = _train(config, rows, space, targets, bool(self.verbose))
        self.paired_ = len(rows.columns) == 2

    def _outputs(self, X: Any) -> Array:
        """Return the outputs of the task for N texts or pairs of texts; arguments and errors as in `predict`."""
        check_is_fitted(self)
        columns = read_texts(X)
        if (len(columns) == 2) != self.paired_:
            expected, given = ("pairs", "texts") if self.paired_ else ("texts", "pairs")
            raise DataError(f"X holds {given}, but {type(self).__name__} was fitted on {expected}")
        return self.predictor_(columns[0], columns[1] if self.paired_ else None)

    def _config(self, seed: int, loss: Mapping[str, Any]) -> RunConfig:
        options, mixing = dict(self.options or {}), self._mixing()
        for name in mixing.keys() - _MIXING:
            raise ConfigError(f"unknown parameter '{name}'{did_you_mean(name, [*self._get_param_names(), *_MIXING])}")
        for name in options:
            section, _, option = name.partition(".")
            if section == "mix":
                raise ConfigError(f"options cannot hold '{name}': use the parameter {option.split('.')[0]}")
            if name in _OWN or section in ("data", "output_dir"):
                raise ConfigError(f"options cannot hold '{name}': {_OWN.get(name, 'fit takes the data')}")
        given = {
            "model.name": self.model,
            **_dotted({"strategy": self.strategy, "alpha": self.alpha, **mixing}),
            **loss,
            "train.epochs": self.epochs,
            "train.batch_size": self.batch_size,
            "train.learning_rate": self.learning_rate,
            "train.seed": seed,
            "train.save_steps": None,
        }
        plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()}
        none = RunConfig(DataConfig(source="X", validation_fraction=0.0))
        return resolve(with_options(none, {**plain, **options}))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, True, False
        return tags


def _dotted(mixing: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields of MixConfig as options of a recipe: `manifold={"layers": [1]}` is `mix.manifold.layers`."""
    options = {}
    for name, value in mixing.items():
        section = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
        if name in SECTIONS and isinstance(section, Mapping):
            options.update({f"mix.{name}.{option}": given for option, given in section.items()})
        else:
            options[f"mix.{name}"] = value
    return options


def _train(config: RunConfig, rows: Rows, space: LabelSpace, targets: Array, verbose: bool) -> Predictor:
    """Build a model and train it in a temporary directory."""
    check_long_text(config, len(rows.columns) > 1, space.of_tokens)
    loaded = build_seeded_model(config, space, [text for column in rows.columns for text in column])
    texts, pairs = rows.columns[0], rows.columns[1] if len(rows.columns) > 1 else None
    cells = {**encode_columns(loaded.tokenizer, texts, pairs, TRAINED_WINDOWS), "labels": space.to_labels(targets)}
    if rows.weights is not None:
        cells["sample_weight"] = rows.weights.astype(np.float32)
    data = TrainingData(Dataset.from_dict(cells), None, space)
    with TemporaryDirectory(prefix="textmix-") as name:
        directory = Path(name)
        trainer = build_trainer(config, loaded, data, directory, Reporting(show_progress=verbose))
        try:
            trainer.train()
        except TrainingInterrupted:  # its checkpoint is removed with the directory
            raise KeyboardInterrupt from None
        return load_best(config, directory)
