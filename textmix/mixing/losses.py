"""The loss of logits against blended targets, in float32."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from textmix.errors import ConfigError, DataError

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression", "token_classification"]
IGNORED = -100


@dataclass(frozen=True)
class Scoring:
    """A `LossConfig` with its class weights as a tensor.

    Args:
        label_smoothing: ε of label smoothing.
        class_weights: Weight of each class, shape (C,); None when all weigh 1.
        focal_gamma: γ of the focal loss.
    """

    label_smoothing: float = 0.0
    class_weights: Tensor | None = None
    focal_gamma: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether nothing is weighted, smoothed or focused."""
        return not self.label_smoothing and self.class_weights is None and not self.focal_gamma


PLAIN = Scoring()


class Blend(NamedTuple):
    """The labels that each row, or each token, is scored against, and their weights.

    Args:
        labels: Integer classes (B, K) or (B, K, L), where -100 is ignored; soft labels, multi-labels or numbers
            (B, K, C); a single number may be (B, K).
        weights: Their weights, shape (B, K), or (B, K, L) or (B, K, 1) for tokens; each row sums to 1 over K.
        sample_weights: Weight of the row that each label comes from, shape (B, K), or (B, K, 1) for tokens; None when
            all rows weigh 1.
        soft: Soft labels (B, K, C) that rows of integer classes are scored against in place of these, which still say
            which rows count and what is accurate; None for none.
    """

    labels: Tensor
    weights: Tensor
    sample_weights: Tensor | None = None
    soft: Tensor | None = None


def are_classes(labels: Tensor, kind: ProblemType) -> bool:
    """Return whether labels are integer classes, where -100 is ignored."""
    return kind in ("single_label_classification", "token_classification") and not labels.is_floating_point()


def unmixed(labels: Tensor, kind: ProblemType) -> Blend:
    """Return labels (B, ...) as a blend of each row with itself only."""
    weights = torch.ones(labels.shape[0], 1, device=labels.device)
    return Blend(labels.unsqueeze(1), weights.unsqueeze(-1) if kind == "token_classification" else weights)


def resolve_problem_type(declared: str | None, logits: Tensor, labels: Tensor) -> ProblemType:
    """Return the kind of the labels, without guessing where two kinds look alike.

    Args:
        declared: `config.problem_type` of the model, or None.
        logits: Model outputs, shape (B, C), or (B, L, C) for tokens.
        labels: Targets, shape (B,), (B, 1), (B, C), or (B, L) for tokens.

    Raises:
        ConfigError: If the type is not declared and the labels are neither integer classes nor one number a row, or
            if the labels do not fit the logits.
        DataError: If labels on a CPU contain NaN or infinity.
    """
    kind = "token_classification" if logits.dim() == 3 else declared
    if kind is None and logits.shape[-1] == 1:
        kind = "regression"
    if kind is None and not labels.is_floating_point() and labels.dim() == 1:
        kind = "single_label_classification"
    if kind is None:
        raise ConfigError(
            f"labels of shape {tuple(labels.shape)} and type {labels.dtype} may be soft or multi-label: set"
            " config.problem_type to 'single_label_classification' (soft) or 'multi_label_classification'"
        )
    if kind not in get_args(ProblemType) or (kind == "token_classification" and logits.dim() != 3):
        raise ConfigError(f"unknown config.problem_type '{kind}'")
    _check_labels(cast(ProblemType, kind), logits, labels)
    return cast(ProblemType, kind)


def _check_labels(kind: ProblemType, logits: Tensor, labels: Tensor) -> None:
    """Refuse labels that would broadcast over the wrong logits, and labels that are NaN or infinite."""
    # Reading the values would synchronise a GPU and break a compiled graph; there the loss becomes NaN.
    visible = labels.is_floating_point() and labels.device.type == "cpu" and not torch.compiler.is_compiling()
    if visible and not bool(torch.isfinite(labels).all()):
        raise DataError(f"labels of {kind} must be finite, but these contain NaN or infinity")
    shape, classes, numbers = tuple(labels.shape), tuple(logits.shape[:-1]), tuple(logits.shape)
    if are_classes(labels, kind):
        fits = shape == classes
    elif kind == "regression" and logits.shape[-1] == 1:
        fits = shape in (classes, numbers)
    else:
        fits = shape == numbers and kind != "token_classification"
    if not fits:
        raise ConfigError(
            f"labels of shape {shape} and type {labels.dtype} do not fit {kind} with logits of shape {numbers}: classes"
            f" are integers of shape {classes}; soft labels, multi-labels and numbers have shape {numbers}"
        )


def score(logits: Tensor, labels: Tensor, kind: ProblemType, scoring: Scoring = PLAIN) -> Tensor:
    """Score each row, or each token, against K labels.

    With t a target, w the class weights, p the probabilities, ε and γ as in `LossConfig`, and the cost of a class
    `ℓ_c = (1 - p_c)^γ (-log p_c)`: classes score `sum_c t_c w_c ((1 - ε) ℓ_c + ε mean(ℓ))`; multi-label scores the mean
    over classes of the binary counterpart, whose targets are smoothed towards 1/2 and where w weighs the presence of a
    label alone, as `pos_weight` of torch; numbers score the squared error, averaged over C.

    The term that smoothing adds also has the weight of the row's own class. torch weighs each class of this term
    separately, so that with balanced weights every row trains the rarest classes (with 19 classes, one of which had 3
    rows, accuracy fell from 0.52 to 0.06).

    Args:
        logits: Model outputs, shape (B, C), or (B, L, C) for tokens.
        labels: As in `Blend`.
        kind: Their kind.
        scoring: Class weights, smoothing and focus.

    Returns:
        Losses, shape (B, K) or (B, K, L), float32 (float64 for float64 logits); 0 for ignored labels.

    Raises:
        ConfigError: If regression is weighted, smoothed or focused, or the class weights do not fit.
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    weights = scoring.class_weights
    if kind == "regression":
        if not scoring.is_plain:
            raise ConfigError("label smoothing, class weights and the focal loss have no meaning for regression")
        targets = labels.to(logits.dtype).view(*labels.shape[:2], -1)
        return (logits.unsqueeze(1) - targets).square().mean(dim=-1)
    if weights is not None and weights.shape != logits.shape[-1:]:
        raise ConfigError(f"there are {weights.numel()} class weights for {logits.shape[-1]} classes")
    weights = weights.to(logits.dtype) if weights is not None else None
    if kind == "multi_label_classification":
        return _score_binary(logits.unsqueeze(1), labels.to(logits.dtype), weights, scoring)
    return _score_classes(logits.log_softmax(dim=-1), labels, weights, scoring)


def _score_classes(log_probabilities: Tensor, labels: Tensor, weights: Tensor | None, scoring: Scoring) -> Tensor:
    costs = -log_probabilities
    if scoring.focal_gamma:
        # expm1 computes 1 - p accurately near p = 1; at p = 1 the power would have no gradient.
        miss = (-torch.expm1(-costs)).clamp(min=torch.finfo(costs.dtype).tiny)
        costs = miss**scoring.focal_gamma * costs
    if scoring.label_smoothing:
        costs = torch.lerp(costs, costs.mean(dim=-1, keepdim=True), scoring.label_smoothing)
    if weights is not None:
        costs = weights * costs
    costs = costs.unsqueeze(1)
    if labels.is_floating_point():
        return (labels.to(costs.dtype) * costs).sum(dim=-1)
    counts = labels != IGNORED
    chosen = labels.masked_fill(~counts, 0).unsqueeze(-1)
    return costs.expand(*labels.shape, -1).gather(-1, chosen).squeeze(-1).masked_fill(~counts, 0)


def _score_binary(logits: Tensor, targets: Tensor, weights: Tensor | None, scoring: Scoring) -> Tensor:
    targets = torch.lerp(targets, torch.full_like(targets, 0.5), scoring.label_smoothing)
    if not scoring.focal_gamma:
        costs = F.binary_cross_entropy_with_logits(
            logits.expand_as(targets), targets, reduction="none", pos_weight=weights
        )
        return costs.mean(dim=-1)
    log_present, log_absent = F.logsigmoid(logits), F.logsigmoid(-logits)
    # Powers are computed from logarithms: the power of a probability that rounds to 0 would have no gradient.
    present = (scoring.focal_gamma * log_absent).exp() * -log_present
    absent = (scoring.focal_gamma * log_present).exp() * -log_absent
    present = present if weights is None else weights * present
    return torch.lerp(absent.expand_as(targets), present.expand_as(targets), targets).mean(dim=-1)


def blended_loss(
    logits: Tensor,
    blend: Blend,
    kind: ProblemType,
    scoring: Scoring = PLAIN,
    num_items: Tensor | float | None = None,
) -> Tensor:
    """Score blended rows: `sum_k weights[i, k] * loss(logits[i], labels[i, k])`, averaged over rows or labelled tokens.

    Sample weights scale each of these losses; they are the weights of the rows that the labels come from. As with class
    weights, the sum is divided by the number of rows, not by the sum of their weights.

    Args:
        logits: Model outputs for the blended rows, shape (B, C) or (B, L, C).
        blend: The labels of the rows that each is blended from, and their weights.
        kind: Kind of the labels.
        scoring: Class weights, smoothing and focus.
        num_items: Number of rows (or labelled tokens) in the accumulation window, by which the sum is divided instead
            of the number in this batch. Without it labels count with their weights: a token with a label in only one of
            two rows counts as λ tokens.

    Returns:
        The loss, a scalar; 0 if nothing has a label.
    """
    losses = score(logits, blend.labels if blend.soft is None else blend.soft, kind, scoring)
    if blend.sample_weights is not None:
        losses = losses * blend.sample_weights.to(losses.dtype)
    weights = blend.weights.to(losses.dtype)
    if num_items is None:
        num_items = float(logits.shape[0])
        if are_classes(blend.labels, kind):
            num_items = (weights * (blend.labels != IGNORED)).sum().clamp(min=torch.finfo(losses.dtype).tiny)
    return (weights * losses).sum() / num_items


def plain_loss(
    logits: Tensor,
    labels: Tensor | None,
    declared: str | None,
    num_items_in_batch: Tensor | int | None = None,
    scoring: Scoring = PLAIN,
) -> Tensor | None:
    """Score unmixed rows.

    Args:
        logits: Model outputs, shape (B, C) or (B, L, C).
        labels: Targets before mixing, or None.
        declared: `config.problem_type` of the model.
        num_items_in_batch: The count of the stock Trainer; see `items`.
        scoring: Class weights, smoothing and focus.

    Returns:
        The loss, a scalar; None without labels.
    """
    if labels is None:
        return None
    kind = resolve_problem_type(declared, logits, labels)
    return blended_loss(logits, unmixed(labels, kind), kind, scoring, items(num_items_in_batch, labels, kind))


def items(num_items_in_batch: Tensor | int | None, labels: Tensor, kind: ProblemType) -> Tensor | float | None:
    """Convert the stock Trainer's count of the entries of (B, C) labels into rows; tokens stay tokens."""
    if num_items_in_batch is None or kind == "token_classification":
        return num_items_in_batch
    return num_items_in_batch / labels[0].numel()


def blended_accuracy(logits: Tensor, blend: Blend) -> Tensor:
    """λ-weighted accuracy: a prediction earns the weight of every label that it matches.

    Accuracy against one hard label has no meaning for blended rows.

    Args:
        logits: Model outputs, shape (B, C) or (B, L, C).
        blend: Integer classes and their weights.

    Returns:
        The mean over rows or labelled tokens, a float32 scalar.
    """
    predicted = logits.argmax(dim=-1).unsqueeze(1)
    earned = (blend.weights * (predicted == blend.labels)).sum()
    total = (blend.weights * (blend.labels != IGNORED)).sum()
    return (earned / total.clamp(min=torch.finfo(torch.float32).tiny)).float()
