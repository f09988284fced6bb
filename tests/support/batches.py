"""Batches of token ids as a data loader makes them."""

import torch

from tests.support.family_configs import VOCAB

Batch = dict[str, torch.Tensor]


def ragged_batch(pad: int = 1) -> Batch:
    """Five rows of different lengths, padded on the right, with labels of three classes."""
    generator = torch.Generator().manual_seed(3)
    lengths = [9, 4, 7, 1, 6]
    ids = torch.randint(5, VOCAB, (len(lengths), max(lengths)), generator=generator)
    mask = (torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]).long()
    padded = torch.where(mask.bool(), ids, pad)
    return {"input_ids": padded, "attention_mask": mask, "labels": torch.tensor([0, 1, 2, 1, 0])}


def unlabelled(batch: Batch) -> Batch:
    """Leave the labels out."""
    return {name: value for name, value in batch.items() if name != "labels"}
