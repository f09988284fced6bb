"""Mask whole words of a batch.

The collator of transformers is not used: it takes tokens without a space between them for one word, so that a sentence
of Chinese is masked as a whole, and it never replaces or keeps a chosen token.
"""

from typing import NamedTuple

import torch
from torch import Generator, Tensor

# Of the tokens to be predicted, 80 % are masked, 10 % replaced and 10 % kept (Devlin et al. 2019, section 3.1).
_MASKED, _KEPT = 0.8, 0.9


class Masked(NamedTuple):
    """A batch with masked words.

    Args:
        input_ids: Shape (B, T), with masked and replaced tokens.
        chosen: Shape (B, T); true for the tokens to be predicted.
    """

    input_ids: Tensor
    chosen: Tensor


def mask_words(
    input_ids: Tensor, words: Tensor, probability: float, mask_id: int, vocab_size: int, generator: Generator
) -> Masked:
    """Choose whole words with a probability each, and mask, replace or keep each of their tokens.

    Args:
        input_ids: Shape (B, T).
        words: Shape (B, T); number of the word of each token, below T; -1 for tokens that are never chosen.
        probability: Probability of a word.
        mask_id: Id of the mask token.
        vocab_size: Replaced tokens are drawn from this many ids.
        generator: Draws all.
    """
    drawn = torch.rand(input_ids.shape, generator=generator)
    chosen = (drawn.gather(1, words.clamp(min=0)) < probability) & (words >= 0)
    fate = torch.rand(input_ids.shape, generator=generator)
    others = torch.randint(vocab_size, input_ids.shape, generator=generator)
    masked = input_ids.masked_fill(chosen & (fate < _MASKED), mask_id)
    return Masked(torch.where(chosen & (fate >= _KEPT), others, masked), chosen)
