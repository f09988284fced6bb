"""Cross-validation: a run for each fold, out-of-fold predictions, submissions, and ensembles."""
