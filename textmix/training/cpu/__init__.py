"""Faster training steps on a CPU with the same results, switched by `train.cpu_speedups`."""
