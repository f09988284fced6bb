"""The accelerate loop and what it needs."""
