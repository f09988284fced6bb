"""Supervised contrastive training of sentence vectors, for few labels."""
