"""Change rows a little before a model is trained on their guessed labels."""

import numpy as np
import torch
from torch import Tensor

# In EDA each word is swapped or deleted with the same rate (Wei and Zou 2019, alpha = 0.1 for both).


def hide_tokens(
    input_ids: Tensor, attention_mask: Tensor, special: Tensor, rate: float, generator: torch.Generator
) -> Tensor:
    """Hide some tokens from attention and pooling (token cutoff, Shen et al. 2020).

    Args:
        input_ids: Shape (B, L).
        attention_mask: Shape (B, L).
        special: Ids that stay, shape (S,).
        rate: Probability that a token is hidden.
        generator: CPU generator that is advanced.

    Returns:
        The mask without the hidden tokens, shape (B, L).
    """
    return attention_mask * ~_drawn(input_ids, attention_mask, special, rate, generator)


def mask_tokens(
    input_ids: Tensor, attention_mask: Tensor, special: Tensor, rate: float, mask_id: int, generator: torch.Generator
) -> Tensor:
    """Replace some tokens by the mask token; arguments as in `hide_tokens`, returns ids of shape (B, L)."""
    return input_ids.masked_fill(_drawn(input_ids, attention_mask, special, rate, generator), mask_id)


def _drawn(
    input_ids: Tensor, attention_mask: Tensor, special: Tensor, rate: float, generator: torch.Generator
) -> Tensor:
    drawn = torch.rand(input_ids.shape, generator=generator) < rate
    return drawn & attention_mask.bool() & ~torch.isin(input_ids, special)


def change_words(text: str, rate: float, generator: np.random.Generator) -> str:
    """Delete words and swap pairs of words at random (EDA, Wei and Zou 2019); a text keeps at least one word.

    Args:
        text: A text, whose words are separated by white space.
        rate: Probability that a word is deleted, and share of the words that are swapped.
        generator: Generator that is advanced.
    """
    words = text.split()
    if len(words) < 2:
        return text
    for _ in range(round(rate * len(words))):
        first, second = generator.choice(len(words), 2, replace=False)
        words[first], words[second] = words[second], words[first]
    kept = [word for word, drawn in zip(words, generator.random(len(words)), strict=True) if drawn >= rate]
    return " ".join(kept or [words[int(generator.integers(len(words)))]])
