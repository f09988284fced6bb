"""Kinds of labels: one file for each, with all that depends on the kind."""
