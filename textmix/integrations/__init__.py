"""Mixing in the training loops of transformers and scikit-learn; no other room imports these modules."""
