"""Pure functions on tensors: draw λ and partners, blend rows and masks, score blended targets.

Every draw takes an explicit generator; nothing here reads or changes global random state.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from textmix.errors import ConfigError

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]


def draw_lam(
    size: int,
    generator: torch.Generator,
    *,
    kind: Literal["beta", "uniform", "fixed"] = "beta",
    alpha: float = 0.4,
    value: float = 0.5,
) -> Tensor:
    """Draw mixing weights.

    A Beta(α, α) variate is X / (X + Y) with X, Y ~ Gamma(α). For small α both underflow, so the ratio is taken between
    logarithms, with log Gamma(α) drawn as log Gamma(α + 1) + log(U) / α (Marsaglia and Tsang 2000, section 6).

    Args:
        size: How many weights.
        generator: CPU generator that is advanced.
        kind: `beta`, `uniform` or `fixed`.
        alpha: Parameter of the Beta distribution, above 0.
        value: The weight when `kind` is `fixed`.

    Returns:
        Weights in [0, 1], shape (size,), float32, on the CPU.
    """
    if kind == "fixed":
        return torch.full((size,), value, dtype=torch.float32)
    if kind == "uniform":
        return torch.rand(size, generator=generator)
    shape = torch.full((2, size), alpha + 1.0, dtype=torch.float64)
    log_gamma = torch._standard_gamma(shape, generator=generator).log()
    uniform = torch.rand(2, size, dtype=torch.float64, generator=generator)
    log_gamma = log_gamma + uniform.log() / alpha
    return torch.sigmoid(log_gamma[0] - log_gamma[1]).float()


def fold_lam(lam: Tensor) -> Tensor:
    """Replace each λ by max(λ, 1 - λ), so that a row outweighs its partner. Shape is kept."""
    return torch.maximum(lam, 1 - lam)


def draw_partner(size: int, generator: torch.Generator) -> Tensor:
    """Draw a partner for each row: a uniformly random cyclic permutation (Sattolo 1986).

    A plain random permutation pairs a row with itself at rate 1/size; a cyclic one never does, and still gives every
    other row the same chance.

    Args:
        size: Number of rows, at least 2.
        generator: CPU generator that is advanced.

    Returns:
        Indices, shape (size,), int64, on the CPU.
    """
    order = torch.randperm(size, generator=generator)
    partner = torch.empty_like(order)
    partner[order] = order.roll(-1)
    return partner


def blend(
    hidden: Tensor,
    lam: Tensor,
    partner: Tensor,
    mask: Tensor | None = None,
    padding: Literal["zero", "copy"] = "zero",
) -> Tensor:
    """Blend each row with its partner: `lam * hidden + (1 - lam) * hidden[partner]`.

    Args:
        hidden: Rows, shape (B, ...); with a mask (B, L, ...).
        lam: Weight of each row itself, shape (B,); cast to the dtype of `hidden`.
        partner: Index of the other row, shape (B,).
        mask: Real positions of each row before blending, shape (B, L), bool; None when every position is real.
        padding: What a position holds where only one of the two rows is real: `zero` blends the real one with a zero
            vector, `copy` takes it unscaled. Where both are padding the result is zero.

    Returns:
        Blended rows, shape and dtype of `hidden`.
    """
    weight = lam.to(hidden.dtype).view(-1, *[1] * (hidden.dim() - 1))
    if mask is not None:
        real = mask.view(*mask.shape, *[1] * (hidden.dim() - 2))
        hidden = hidden.masked_fill(~real, 0)
        if padding == "copy":
            weight = torch.where(real & real[partner], weight, real.to(hidden.dtype))
    return torch.lerp(hidden[partner], hidden, weight)


def union_mask(mask: Tensor, partner: Tensor) -> Tensor:
    """Unite the mask of each row with its partner's.

    Works for every mask in which a larger value attends to more: 0/1 integers, booleans, and additive floats (0 for
    real, very negative for padding), of any shape whose first dimension is the batch.

    Args:
        mask: Masks, shape (B, ...), or (1, ...) when all rows share one.
        partner: Index of the other row, shape (B,).

    Returns:
        United masks, shape and dtype of `mask`.
    """
    if mask.shape[0] == 1:
        return mask
    if mask.dtype == torch.bool:
        return mask | mask[partner]
    return torch.maximum(mask, mask[partner])


def resolve_problem_type(declared: str | None, logits: Tensor, labels: Tensor) -> ProblemType:
    """Say what kind of targets the labels are, without guessing where two kinds look alike.

    Args:
        declared: `config.problem_type` of the model, or None.
        logits: Model outputs, shape (B, C).
        labels: Targets, shape (B,), (B, 1) or (B, C).

    Raises:
        ConfigError: If the type is not declared and the labels are neither integer classes nor one number a row.
    """
    if declared in ("single_label_classification", "multi_label_classification", "regression"):
        return declared  # type: ignore[return-value]  # narrowed by the line above
    if declared is not None:
        raise ConfigError(f"unknown config.problem_type '{declared}'")
    if logits.shape[-1] == 1:
        return "regression"
    if not labels.is_floating_point() and labels.dim() == 1:
        return "single_label_classification"
    raise ConfigError(
        f"labels of shape {tuple(labels.shape)} and type {labels.dtype} may be soft or multi-label: set"
        " config.problem_type to 'single_label_classification' (soft) or 'multi_label_classification'"
    )


def sample_losses(logits: Tensor, labels: Tensor, problem_type: ProblemType) -> Tensor:
    """Score each row against its own labels, in float32.

    Args:
        logits: Model outputs, shape (B, C).
        labels: Integer classes (B,), or soft labels, multi-labels or numbers (B, C); a single number may be (B,).
        problem_type: Cross-entropy, binary cross-entropy (mean over C) or squared error (mean over C).

    Returns:
        Losses, shape (B,), float32; float64 when the logits are.
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    if problem_type == "single_label_classification":
        return F.cross_entropy(logits, labels.to(logits.dtype) if labels.dim() == 2 else labels, reduction="none")
    labels = labels.to(logits.dtype).view_as(logits)
    if problem_type == "multi_label_classification":
        return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(dim=-1)
    return F.mse_loss(logits, labels, reduction="none").mean(dim=-1)


def blended_loss(
    logits: Tensor,
    labels: Tensor,
    lam: Tensor,
    partner: Tensor,
    problem_type: ProblemType,
    num_items_in_batch: Tensor | int | None = None,
) -> Tensor:
    """Score blended rows: `lam * loss(logits, y) + (1 - lam) * loss(logits, y[partner])`, each row with its own λ.

    Args:
        logits: Model outputs for the blended rows, shape (B, C).
        labels: Targets before blending, as `sample_losses` takes them.
        lam: Weight of each row's own target, shape (B,).
        partner: Index of the other row, shape (B,).
        problem_type: As in `sample_losses`.
        num_items_in_batch: Number of label entries in the whole accumulation window; the sum of the losses is divided
            by it instead of by B. The stock Trainer counts the entries of (B, C) labels, so they are brought back to
            rows.

    Returns:
        The loss, a scalar.
    """
    own = sample_losses(logits, labels, problem_type)
    other = sample_losses(logits, labels[partner], problem_type)
    return _average(torch.lerp(other, own, lam.to(own.dtype)), labels, num_items_in_batch)


def plain_loss(
    logits: Tensor,
    labels: Tensor | None,
    declared: str | None,
    num_items_in_batch: Tensor | int | None = None,
) -> Tensor | None:
    """Score unmixed rows.

    Args:
        logits: Model outputs, shape (B, C).
        labels: Targets as in `sample_losses`, or None.
        declared: `config.problem_type` of the model.
        num_items_in_batch: As in `blended_loss`.

    Returns:
        The loss, a scalar; None without labels.
    """
    if labels is None:
        return None
    losses = sample_losses(logits, labels, resolve_problem_type(declared, logits, labels))
    return _average(losses, labels, num_items_in_batch)


def _average(losses: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None) -> Tensor:
    if num_items_in_batch is None:
        return losses.mean()
    return losses.sum() / (num_items_in_batch / labels[0].numel())


def blended_accuracy(logits: Tensor, labels: Tensor, lam: Tensor, partner: Tensor) -> Tensor:
    """λ-weighted accuracy: a prediction earns λ for its own class and 1 - λ for its partner's.

    Accuracy against the hard labels alone means nothing on blended rows.

    Args:
        logits: Model outputs, shape (B, C).
        labels: Integer classes, shape (B,).
        lam: Weight of each row's own class, shape (B,).
        partner: Index of the other row, shape (B,).

    Returns:
        The mean over rows, a float32 scalar.
    """
    predicted = logits.argmax(dim=-1)
    return torch.lerp((predicted == labels[partner]).float(), (predicted == labels).float(), lam).mean()
