"""Training on rows without labels, whose labels are guessed."""
