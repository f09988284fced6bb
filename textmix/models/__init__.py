"""Classifiers: any Hugging Face encoder with a pooling of choice, and models of words."""
