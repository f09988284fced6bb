"""The supervised contrastive loss, and a mixer that scores sentence vectors with it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textmix.errors import ConfigError
from textmix.hooks.attached_mixer import AttachedMixer
from textmix.hooks.sites import Sites, check_sites
from textmix.mixing.plan import MixPlan


def supervised_contrastive_loss(vectors: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Score a batch of sentence vectors: those of one class should be near each other, and far from all others.

    With unit vectors z, τ the temperature, and w_ij the probability that rows i and j have the same class, row i scores
    `-sum_j w_ij log(exp(z_i z_j / τ) / sum_k exp(z_i z_k / τ)) / sum_j w_ij`, where j and k are all other rows. With
    one class a row this is L_out of Khosla et al. 2020. The cost is quadratic in the batch, not in the data.

    Args:
        vectors: Sentence vectors, shape (B, H), of any length.
        targets: Probabilities of the classes, shape (B, C).
        temperature: τ, above 0.

    Returns:
        The mean over the rows that share a class with another, a float32 scalar; 0 if there is none.
    """
    unit = F.normalize(vectors.float(), dim=-1)
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    with torch.autocast(unit.device.type, enabled=False):  # a product in bfloat16 has 8 bits; τ magnifies its error
        similarity, together = unit @ unit.T, targets.float() @ targets.float().T
    logits = (similarity / temperature).masked_fill(itself, torch.finfo(unit.dtype).min)
    same = together.masked_fill(itself, 0)
    total = same.sum(dim=1)
    least = torch.finfo(unit.dtype).tiny
    scores = -(same * logits.log_softmax(dim=1)).sum(dim=1) / total.clamp(min=least)
    return scores.sum() / (total > 0).sum().clamp(min=1)


def class_shares(labels: Tensor, classes: int) -> Tensor:
    """Return probabilities of the classes, shape (B, C), of integer classes (B,) or of such probabilities."""
    return labels.float() if labels.dim() == 2 else F.one_hot(labels, classes).float()


class ContrastiveMixer(AttachedMixer):
    """A mixer whose model returns sentence vectors in the place of logits, which it scores against each other.

    Targets are blended as rows are. With clean rows beside the mixed ones (`regmix`), all of them are one batch.

    Args:
        classes: Number of classes.
        temperature: As in `supervised_contrastive_loss`.
        *args: As in `AttachedMixer`.
        **kwargs: As in `AttachedMixer`.
    """

    def __init__(self, classes: int, temperature: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._classes = classes
        self._temperature = temperature

    def score(
        self,
        logits: Tensor,
        labels: Tensor,
        declared: str | None,
        num_items: Tensor | int | None,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """Score the sentence vectors of the batch of the current plan.

        Args:
            logits: Sentence vectors, shape (B, H), of the doubled batch with `regmix`.
            labels: Targets before mixing and doubling, shape (B,) or (B, C).
            declared: Not used.
            num_items: Not used.
            sample_weight: Not used.
        """
        targets = class_shares(labels, self._classes)
        if self.plan is not None and self.plan.mixed is not None:
            targets = torch.cat([targets, _blended(self.plan.mixed, targets)])
        elif self.plan is not None:
            targets = _blended(self.plan, targets)
        return supervised_contrastive_loss(logits, targets, self._temperature)

    def _unmixed_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return supervised_contrastive_loss(logits, class_shares(labels, self._classes), self._temperature)

    def _probabilities(self, kwargs: dict[str, Any], labels: Tensor, windows: Tensor | None) -> Tensor:
        raise ConfigError("partner easy_hard and targets trust need probabilities of classes, not sentence vectors")

    def _check_model(self, model: nn.Module, sites: Sites) -> None:
        # Only the sites: the model has an output for each number of a sentence vector, not for each class.
        check_sites(type(model).__name__, sites, self.sites, self.config.strategy)


def _blended(plan: MixPlan, targets: Tensor) -> Tensor:
    return (plan.targets.to(targets.dtype).unsqueeze(-1) * targets[plan.rows]).sum(dim=1)
