"""MixupClassifier: a scikit-learn estimator for texts that trains with mixing."""

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from datasets import Dataset
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from textmix.config.parsing import with_options
from textmix.config.run import RunConfig
from textmix.data.config import DataConfig
from textmix.data.tokenization import tokenize_batch
from textmix.errors import ConfigError, DataError, TrainingInterrupted, did_you_mean
from textmix.inference.predictor import Predictor
from textmix.io.quiet import libraries_quiet
from textmix.mixing.config import SECTIONS, MixConfig
from textmix.models.loading import check_model
from textmix.runs.fitting import build_seeded_model, build_trainer, load_best
from textmix.runs.options import resolve
from textmix.tasks.base import LabelSpace
from textmix.tasks.single_label import Classes
from textmix.training.random_state import preserved_random_state
from textmix.training.trainer import Reporting, TrainingData

# Options that are parameters of the estimator, or have no effect in it.
_OWN = {
    "model.name": "use the parameter model",
    "loss.class_weights": "use the parameter class_weight",
    "train.epochs": "use the parameter epochs",
    "train.batch_size": "use the parameter batch_size",
    "train.learning_rate": "use the parameter learning_rate",
    "train.seed": "use the parameter random_state",
    "train.save_steps": "nothing is saved",
    "train.metric": "all rows are used for training, so no epoch can be chosen",
    "train.patience": "all rows are used for training, so no epoch can be chosen",
}
# Fields of MixConfig that the estimator takes beyond the parameters that it names.
_MIXING = {field.name for field in fields(MixConfig)} - {"strategy", "alpha"}


class MixupClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A text classifier that is trained with mixing.

    `X` holds one text a row, as a list, an array or a Series; an array or DataFrame with two columns holds pairs of
    sentences. All rows are used for training. A fitted estimator pickles with its model and tokenizer.

    Args:
        model: `textcnn`, a built-in name, a hub id, or a directory, as `model.name` of a recipe.
        strategy: How training batches are mixed; `none` for no mixing (see `textmix strategies`).
        alpha: λ ~ Beta(alpha, alpha).
        epochs: Passes over the rows. Default: 6, as in the recipe for TextCNN; pretrained encoders want 2 to 4 (Devlin
            et al. 2019).
        batch_size: Rows of a step.
        learning_rate: Highest learning rate; None means the default for the kind of model.
        class_weight: A mapping of classes to weights, or `balanced`, as in scikit-learn; None means equal weights.
        options: Other options of a recipe by dotted name, such as `{"train.warmup_ratio": 0}`.
        random_state: Seed or generator for weights, order, dropout and mixing. None draws a seed from NumPy's global
            state, as everywhere in scikit-learn.
        verbose: Show a progress bar.
        **mixing: Other fields of `MixConfig`, such as `partner="nearest"` or `manifold={"layers": [1]}`. The given
            fields are parameters of the estimator: `get_params`, `set_params` and grid searches support them.

    Attributes:
        classes_: The sorted classes, shape (C,), in the order of the columns of `predict_proba`.
        predictor_: `textmix.Predictor` of the fitted model; `predictor_.model.save_pretrained` saves it.
        paired_: Whether rows are pairs of sentences.
    """

    classes_: npt.NDArray[Any]
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
        class_weight: Mapping[Any, float] | str | None = None,
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
        self.class_weight = class_weight
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

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train.

        Args:
            X: N texts, or N pairs of texts, shape (N, 2).
            y: Their classes, shape (N,).
            sample_weight: Weights of the rows, shape (N,), scaled to a mean of 1. In a blended row each label has the
                weight of the row that it comes from. Rows of weight 0 are removed, and so are classes without other
                rows. A weight of 2 is similar, but not equal, to giving a row twice, which would be mixed twice.

        Returns:
            The estimator itself.

        Raises:
            DataError: If texts, classes or weights are invalid; a ValueError, like all errors of textmix.
            ConfigError: If a parameter is invalid.
            ModelError: If the model cannot be loaded, or lacks a site that the strategy needs.
            TrainingError: If the loss stops being finite.
        """
        columns, (labels, weights) = _columns(X), _targets(y, sample_weight)
        check_consistent_length(columns[0], labels, *(() if weights is None else (weights,)))
        if weights is not None:
            kept = np.flatnonzero(weights)
            columns = [[column[row] for row in kept] for column in columns]
            labels, weights = labels[kept], weights[kept] / weights[kept].mean()
        classes, ids = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise DataError(f"y has only one class, {classes.tolist()[0]!r}; a classifier needs at least two classes")
        class_weights = None
        if self.class_weight is not None:
            class_weights = compute_class_weight(self.class_weight, classes=classes, y=labels).tolist()
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        config = self._config(seed, class_weights)
        check_model(config.model, config.mix)
        with libraries_quiet(), preserved_random_state():
            space = Classes([str(name) for name in classes])
            self.predictor_ = _train(config, columns, space, ids, weights, bool(self.verbose))
        self.classes_, self.paired_ = classes, len(columns) == 2
        return self

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Predict the probability of each class, shape (N, C), in the order of `classes_`.

        Args:
            X: N texts, or N pairs of texts, as in `fit`.

        Raises:
            sklearn.exceptions.NotFittedError: If it was not fitted.
            DataError: If X does not hold texts, or holds pairs although `fit` got single texts, or vice versa.
        """
        check_is_fitted(self)
        columns = _columns(X)
        if (len(columns) == 2) != self.paired_:
            expected, given = ("pairs", "texts") if self.paired_ else ("texts", "pairs")
            raise DataError(f"X holds {given}, but {type(self).__name__} was fitted on {expected}")
        return self.predictor_(columns[0], columns[1] if self.paired_ else None)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Predict the class of each row, shape (N,); arguments and errors as in `predict_proba`."""
        numbers = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[numbers])

    def _config(self, seed: int, class_weights: list[float] | None) -> RunConfig:
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
            "loss.class_weights": class_weights,
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


def _columns(X: Any) -> list[list[str]]:
    """Return texts as one list of N strings, pairs of texts as two."""
    array = np.asarray(X, dtype=object)
    if array.ndim == 2 and array.shape[1] in (1, 2):
        columns = [array[:, number].tolist() for number in range(array.shape[1])]
    elif array.ndim == 1:
        columns = [array.tolist()]
    else:
        given = f"has shape {array.shape}" if array.ndim else f"is a {type(X).__name__}"
        raise DataError(f"X must be a list, an array or a Series of texts, or have two columns of them; it {given}")
    for column in columns:
        for row, text in enumerate(column):
            if not isinstance(text, str):
                what = "missing" if text is None or text is pd.NA or text != text else f"a {type(text).__name__}"
                raise DataError(f"X must hold texts, but row {row} is {what}")
    return [[str(text) for text in column] for column in columns]


def _targets(y: Any, sample_weight: Any) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64] | None]:
    """Check classes and weights, each of shape (N,)."""
    if y is None:
        raise DataError("MixupClassifier requires y to be passed, but the target y is None")
    # scikit-learn turns pandas' nullable integers into floats.
    labels = column_or_1d(_without_extension(y), warn=True)
    if not len(labels):
        raise DataError("X and y have no rows")
    missing = np.flatnonzero(pd.isna(np.asarray(y, dtype=object)).reshape(-1))  # labels of a list would hold "nan"
    if len(missing):
        raise DataError(f"y must hold classes, but the class of row {missing[0]} is missing")
    check_classification_targets(labels)
    if sample_weight is None:
        return labels, None
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.ndim != 1:
        raise DataError(f"sample_weight must hold one number for each row, not have shape {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise DataError("sample_weight must be finite, not negative, and not all zero")
    return labels, weights


def _without_extension(y: Any) -> Any:
    """Convert a Series of a nullable type of pandas to an array of the NumPy type that it stands for."""
    kind = getattr(getattr(y, "dtype", None), "numpy_dtype", None)
    return y if kind is None or y.isna().any() else y.to_numpy(dtype=kind)


def _train(
    config: RunConfig,
    columns: list[list[str]],
    space: LabelSpace,
    labels: npt.NDArray[Any],
    weights: npt.NDArray[np.float64] | None,
    verbose: bool,
) -> Predictor:
    """Build a model and train it in a temporary directory."""
    loaded = build_seeded_model(config, space, [text for column in columns for text in column])
    rows: dict[str, Any] = {**tokenize_batch(loaded.tokenizer, *columns), "labels": labels}
    if weights is not None:
        rows["sample_weight"] = weights.astype(np.float32)
    data = TrainingData(Dataset.from_dict(rows), None, space)
    with TemporaryDirectory(prefix="textmix-") as name:
        directory = Path(name)
        trainer = build_trainer(config, loaded, data, directory, Reporting(show_progress=verbose))
        try:
            trainer.train()
        except TrainingInterrupted:  # its checkpoint is removed with the directory
            raise KeyboardInterrupt from None
        return load_best(config, directory)
