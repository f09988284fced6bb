"""A single run: training, evaluation and its directory, in one or several processes."""
