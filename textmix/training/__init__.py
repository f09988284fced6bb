"""Training with accelerate: loop, batches, optimizer, checkpoints, history and several processes."""
