"""Pretrain an encoder further: pieces of texts in a file, whole-word masks, the loop."""
