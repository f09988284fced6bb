"""Classifiers: any Hugging Face encoder with a pooling of choice, and TextCNN."""
