"""MixBatch: the properties of a batch that a strategy reads when it draws a plan."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from textmix.errors import ConfigError


def _unknown() -> Tensor:
    raise ConfigError(
        "the embeddings of this batch are not known: give find_means for partners and lam similarity, find_saliency for"
        " ssmix"
    )


def _not_predicted() -> Tensor:
    raise ConfigError(
        "the model's probabilities for this batch are not known: give find_probabilities for partner easy_hard and"
        " targets trust"
    )


@dataclass(frozen=True)
class MixBatch:
    """A training batch of B rows, before it is mixed.

    Args:
        size: B.
        device: Where the model is.
        alpha: Parameter of the Beta or Dirichlet distribution at this point of training.
        labels: Targets, shape (B,), (B, C) or (B, L).
        hidden_size: H, the size of the hidden states; None if it is not known.
        input_ids: Token ids, shape (B, L); None when embeddings were given.
        mask: Real positions, shape (B, L), bool; None where every position is real.
        special_ids: Ids of special tokens.
        find_means: Returns the mean embedding of each row, shape (B, E), where E is the size of the embeddings.
        find_saliency: Returns the norm of the loss's gradient at each token's embedding, shape (B, L).
        find_probabilities: Returns the model's probabilities of the classes, without a gradient, shape (B, C).
    """

    size: int
    device: torch.device
    alpha: float
    labels: Tensor
    hidden_size: int | None = None
    input_ids: Tensor | None = None
    mask: Tensor | None = None
    special_ids: Tensor | None = None
    find_means: Callable[[], Tensor] = field(default=_unknown)
    find_saliency: Callable[[], Tensor] = field(default=_unknown)
    find_probabilities: Callable[[], Tensor] = field(default=_not_predicted)

    @cached_property
    def content(self) -> Tensor:
        """Positions that hold neither padding nor a special token, shape (B, L), bool."""
        assert self.input_ids is not None
        assert self.special_ids is not None
        ordinary = ~torch.isin(self.input_ids, self.special_ids)
        return ordinary if self.mask is None else ordinary & self.mask

    @cached_property
    def lengths(self) -> Tensor:
        """Real positions of each row, shape (B,); zeros where every position of every row is real."""
        if self.mask is None:
            return torch.zeros(self.size, dtype=torch.long, device=self.device)
        return self.mask.sum(dim=1)

    def classes(self, option: str) -> Tensor:
        """Return the labels, shape (B,), for an option that needs integer classes.

        Raises:
            ConfigError: If they are not.
        """
        labels = self.labels
        if labels.dim() != 1 or labels.is_floating_point():
            raise ConfigError(
                f"{option} needs integer classes, not labels of shape {tuple(labels.shape)} and type {labels.dtype}"
            )
        return labels

    @cached_property
    def means(self) -> Tensor:
        """Mean embedding of each row, shape (B, E)."""
        return self.find_means()

    @cached_property
    def saliency(self) -> Tensor:
        """Saliency of each token, shape (B, L)."""
        return self.find_saliency()

    @cached_property
    def probabilities(self) -> Tensor:
        """Probabilities of the classes, shape (B, C)."""
        return self.find_probabilities()
