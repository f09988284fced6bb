"""Metrics, calibration and reports, computed from arrays of labels and probabilities."""
