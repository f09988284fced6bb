"""The scikit-learn estimators, at a short path: `from textmix.sklearn import MixupClassifier`."""

from textmix.integrations.sklearn import MixupClassifier as MixupClassifier
from textmix.integrations.sklearn import MixupRegressor as MixupRegressor

__all__ = ["MixupClassifier", "MixupRegressor"]
