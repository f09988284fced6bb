"""Classifiers: any Hugging Face encoder with a choice of pooling, and word models."""
