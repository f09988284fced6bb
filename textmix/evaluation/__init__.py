"""Calibration, plots and tables: arrays and numbers in, numbers and text out."""
