"""Comparison of strategies trained with the same seeds, with paired tests."""
