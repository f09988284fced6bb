"""Metrics of a classifier, computed by scikit-learn."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, classification_report, confusion_matrix, f1_score, log_loss

from textmix.errors import TrainingError
from textmix.evaluation.calibration import expected_calibration_error, fit_temperature, scale

Array = npt.NDArray[Any]

# Metrics that can select the best epoch of a run, and whether larger values are better.
SELECTION_METRICS = {"accuracy": True, "macro_f1": True, "micro_f1": True, "weighted_f1": True, "nll": False}


@dataclass(frozen=True)
class Evaluation:
    """Labels and predictions of N rows.

    Args:
        labels: True class ids, shape (N,).
        probabilities: Predicted probabilities, shape (N, C).
        class_names: Names of the C classes.

    Raises:
        TrainingError: If a probability is NaN or infinite, because training has diverged.
    """

    labels: Array
    probabilities: Array
    class_names: list[str]

    def __post_init__(self) -> None:
        broken = np.count_nonzero(~np.isfinite(self.probabilities).all(axis=1))
        if broken:
            raise TrainingError(
                f"the model predicts NaN for {broken} of {len(self.labels)} rows: training has diverged; lower"
                " train.learning_rate"
            )

    @property
    def predictions(self) -> Array:
        """Predicted class ids, shape (N,)."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def _ids(self) -> list[int]:
        # Always given: without it, a class that is absent from this split would shift the report.
        return list(range(len(self.class_names)))

    def scores(self) -> dict[str, float]:
        """Score the predictions.

        Returns:
            `accuracy`; F1 averaged in three ways over all classes, including absent ones (`macro_f1`, `micro_f1`,
            `weighted_f1`); the mean negative log-likelihood (`nll`); the expected calibration error (`ece`).
        """
        averages = {
            f"{average}_f1": f1_score(self.labels, self.predictions, labels=self._ids, average=average, zero_division=0)
            for average in ("macro", "micro", "weighted")
        }
        return {
            "accuracy": float(accuracy_score(self.labels, self.predictions)),
            **{name: float(value) for name, value in averages.items()},
            "nll": float(log_loss(self.labels, self.probabilities.astype(np.float64), labels=self._ids)),
            "ece": expected_calibration_error(self.labels, self.probabilities),
        }

    def report(self) -> dict[str, Any]:
        """Return scikit-learn's `classification_report` as a dictionary."""
        return dict(self._classification_report(output_dict=True))

    def report_text(self) -> str:
        """Return scikit-learn's `classification_report` as text."""
        return str(self._classification_report(output_dict=False))

    def _classification_report(self, output_dict: bool) -> Any:
        return classification_report(
            self.labels,
            self.predictions,
            labels=self._ids,
            target_names=self.class_names,
            digits=4,
            zero_division=0,
            output_dict=output_dict,
        )

    def confusion(self) -> Array:
        """Return the confusion matrix, shape (C, C): rows are true classes, columns are predicted classes."""
        return np.asarray(confusion_matrix(self.labels, self.predictions, labels=self._ids))


def scaled_scores(validation: Evaluation, test: Evaluation) -> dict[str, float]:
    """Score test predictions after temperature scaling, which does not change accuracy and F1.

    Args:
        validation: Predictions that the temperature is fitted on.
        test: Predictions to score.

    Returns:
        `temperature`, and `nll` and `ece` of the scaled test predictions as `scaled_nll` and `scaled_ece`.
    """
    temperature = fit_temperature(validation.labels, validation.probabilities)
    scores = replace(test, probabilities=scale(test.probabilities, temperature)).scores()
    return {"temperature": temperature, "scaled_nll": scores["nll"], "scaled_ece": scores["ece"]}
