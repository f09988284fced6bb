"""The labels that the rows of a batch are scored against, as its plan says."""

from torch import Tensor

from textmix.errors import ConfigError
from textmix.mixing.losses import Blend, ProblemType, unmixed
from textmix.mixing.plan import MixPlan


def clean_labels(plan: MixPlan | None, labels: Tensor, kind: ProblemType, sample_weight: Tensor | None) -> Blend:
    """Return the labels that each row, or each token, of an unmixed batch is scored against.

    Args:
        plan: The plan, if the batch stays beside a mixed one; its soft labels count for clean rows, too.
        labels: Targets, shape (B, ...).
        kind: Their kind.
        sample_weight: Weight of each row, shape (B,); None when all weigh 1.

    Raises:
        ConfigError: If the number of sample weights is not the number of rows.
    """
    rows = labels.shape[0]
    if sample_weight is not None and sample_weight.shape != (rows,):
        shape = tuple(sample_weight.shape)
        raise ConfigError(f"sample_weight of shape {shape} does not fit a batch of {rows} rows")
    blend = unmixed(labels, kind)
    if plan is not None and plan.soft_labels is not None:
        blend = blend._replace(soft=plan.soft_labels.unsqueeze(1))
    return _weighted(blend, sample_weight)


def mixed_labels(plan: MixPlan, labels: Tensor, kind: ProblemType, sample_weight: Tensor | None) -> Blend:
    """Return the labels that each row, or each token, of a mixed batch is scored against; arguments as above."""
    if kind == "token_classification":
        blend = Blend(*plan.strategy.token_targets(plan, labels))
    else:
        blend = Blend(labels[plan.rows], plan.targets)
    if plan.soft_labels is not None:
        blend = blend._replace(soft=plan.soft_labels[plan.rows])
    return _weighted(blend, None if sample_weight is None else sample_weight[plan.rows])


def _weighted(blend: Blend, sample_weights: Tensor | None) -> Blend:
    """Add the weights of the rows that labels come from, shape (B,) or (B, K), to a blend."""
    if sample_weights is None:
        return blend
    per_label = sample_weights.view(len(sample_weights), -1)
    return blend._replace(sample_weights=per_label.unsqueeze(-1) if blend.weights.dim() == 3 else per_label)
