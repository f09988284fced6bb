"""Strategies trained with the same seeds, and paired tests of what comes of it."""
