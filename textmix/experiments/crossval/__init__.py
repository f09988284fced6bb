"""A run for each fold, out-of-fold predictions, submissions, and ensembles of them."""
