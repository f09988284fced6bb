"""Experiments made of many runs: comparison, cross-validation, hyperparameter search."""
