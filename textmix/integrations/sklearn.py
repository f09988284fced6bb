"""scikit-learn estimators for texts that train with mixing: MixupClassifier and MixupRegressor."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.class_weight import compute_class_weight

from textmix.data.label_format import Array
from textmix.errors import ConfigError, DataError
from textmix.inference.predictor import Predictor
from textmix.integrations.sklearn_base import MixupEstimator
from textmix.integrations.sklearn_data import is_matrix, read_classes, read_indicators, read_numbers, read_rows
from textmix.tasks.base import LabelSpace
from textmix.tasks.multi_label import LabelSet
from textmix.tasks.regression import Numbers
from textmix.tasks.single_label import Classes


class MixupClassifier(ClassifierMixin, MixupEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A text classifier that is trained with mixing, for one class a row or any number of labels a row.

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
        class_weight: A mapping of classes to weights, or `balanced`, as in scikit-learn; None means equal weights. For
            an indicator matrix the weight of a label multiplies the loss of its presence (`pos_weight` of torch);
            `balanced` is rows without the label / rows with it.
        options: Other options of a recipe by dotted name, such as `{"train.warmup_ratio": 0}`.
        random_state: Seed or generator for weights, order, dropout and mixing. None draws a seed from NumPy's global
            state, as everywhere in scikit-learn.
        verbose: Show a progress bar.
        **mixing: Other fields of `MixConfig`, such as `partner="nearest"` or `manifold={"layers": [1]}`. The given
            fields are parameters of the estimator: `get_params`, `set_params` and grid searches support them.

    Attributes:
        classes_: The sorted classes, shape (C,), in the order of the columns of `predict_proba`; for an indicator
            matrix the names of the columns of a DataFrame, else their numbers, shape (L,).
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
        super().__init__(
            model,
            strategy,
            alpha,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            options=options,
            random_state=random_state,
            verbose=verbose,
            **mixing,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train.

        Args:
            X: N texts, or N pairs of texts, shape (N, 2).
            y: Their classes, shape (N,), or an indicator matrix of their labels, shape (N, L) with L ≥ 2: 0 or 1, as
                an array, a DataFrame whose columns name the labels, or a sparse matrix. Rows may have no label.
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
        matrix = read_indicators(y) if is_matrix(y) else None
        rows = read_rows(X, read_classes(y) if matrix is None else matrix.values, sample_weight)
        space: LabelSpace
        targets: Array
        if matrix is None:
            classes, targets = np.unique(rows.labels, return_inverse=True)
            if len(classes) < 2:
                only = classes.tolist()[0]
                raise DataError(f"y has only one class, {only!r}; a classifier needs at least two classes")
            space = Classes([str(name) for name in classes])
        else:
            classes, targets = matrix.names, rows.labels.astype(np.float32)
            space = LabelSet([str(name) for name in classes])
        self._fit(rows, space, targets, {"loss.class_weights": self._class_weights(classes)})
        self.classes_, self._matrix_type = classes, None if matrix is None else matrix.dtype
        return self

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Predict probabilities in the order of `classes_`.

        Args:
            X: N texts, or N pairs of texts, as in `fit`.

        Returns:
            The probability of each class, shape (N, C). After an indicator matrix the probability that a row has each
            label, shape (N, L), as `MLPClassifier` returns it, not a list of arrays as `KNeighborsClassifier` does.

        Raises:
            sklearn.exceptions.NotFittedError: If it was not fitted.
            DataError: If X does not hold texts, or holds pairs although `fit` got single texts, or vice versa.
        """
        return self._outputs(X)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Predict the class of each row, shape (N,); arguments and errors as in `predict_proba`.

        After an indicator matrix: predict a matrix of 0 and 1 of the same type, shape (N, L), with the labels whose
        probability is at least 0.5.
        """
        probabilities = self.predict_proba(X)
        space = self.predictor_.space
        if isinstance(space, LabelSet):
            return np.asarray(space.decide(probabilities).astype(self._matrix_type))
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def _class_weights(self, classes: npt.NDArray[Any]) -> list[float] | str | None:
        if self.class_weight is None or self.class_weight == "balanced":
            return self.class_weight  # the trainer computes those that are balanced
        if isinstance(self.class_weight, str):
            raise ConfigError(f"class_weight must be a mapping or 'balanced', not '{self.class_weight}'")
        weights: list[float] = compute_class_weight(self.class_weight, classes=classes, y=classes).tolist()
        return weights

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MixupRegressor(RegressorMixin, MixupEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Predicts one or several numbers for a text; trained with mixing, on the squared error.

    The targets are standardised for training: differences from their mean, divided by their standard deviation.
    Predictions are in the units of y. `score` is R².

    Args:
        model: As all other parameters, that of `MixupClassifier`; there is no `class_weight`.

    Attributes:
        predictor_: `textmix.Predictor` of the fitted model; `predictor_.model.save_pretrained` saves it.
        paired_: Whether rows are pairs of sentences.
    """

    predictor_: Predictor
    paired_: bool

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train.

        Args:
            X: N texts, or N pairs of texts, shape (N, 2).
            y: Their numbers, shape (N,), or (N, T) for T numbers a row.
            sample_weight: Weights of the rows, shape (N,), as in `MixupClassifier.fit`.

        Returns:
            The estimator itself.

        Raises:
            DataError: If texts, numbers or weights are invalid; a ValueError, like all errors of textmix.
            ConfigError: If a parameter is invalid.
            ModelError: If the model cannot be loaded, or lacks a site that the strategy needs.
            TrainingError: If the loss stops being finite.
        """
        matrix = read_numbers(y)
        rows = read_rows(X, matrix.values, sample_weight)
        with np.errstate(over="ignore"):
            means, scales = rows.labels.mean(axis=0), rows.labels.std(axis=0)
        if not np.isfinite([means, scales]).all():
            raise DataError("the numbers of y are too large for their standard deviation; divide them")
        scales = np.where(scales > 0, scales, 1.0)  # a number that never changes, as in scikit-learn's StandardScaler
        space = Numbers([str(name) for name in matrix.names], means.tolist(), scales.tolist())
        self._fit(rows, space, rows.labels)
        self._flat = matrix.flat
        return self

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Predict numbers, in the shape of the y of `fit`: (N,) or (N, T).

        Args:
            X: N texts, or N pairs of texts, as in `fit`.

        Raises:
            sklearn.exceptions.NotFittedError: If it was not fitted.
            DataError: If X does not hold texts, or holds pairs although `fit` got single texts, or vice versa.
        """
        numbers = self._outputs(X)
        return numbers[:, 0] if self._flat else numbers

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
