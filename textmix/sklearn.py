"""The scikit-learn estimator, at a short path: `from textmix.sklearn import MixupClassifier`."""

from textmix.integrations.sklearn import MixupClassifier as MixupClassifier

__all__ = ["MixupClassifier"]
