"""What makes steps cheap on a CPU, with the same results."""
