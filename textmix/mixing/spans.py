"""Pure functions on spans: draw their lengths and positions, and replace them.

Spans are measured in content tokens. Special tokens and padding between them are skipped and stay in place, so that the
same code works for single texts, sentence pairs, and padding on either side.
"""

import torch
from torch import Tensor

from textmix.mixing.plan import Span


def span_lengths(lam: Tensor, counts: Tensor, partner_counts: Tensor) -> Tensor:
    """Return the number of content tokens to replace: (1 - λ) of the row, rounded, at most those of its partner.

    Args:
        lam: Share to keep, shape (B,).
        counts: Number of content tokens of each row, shape (B,).
        partner_counts: Number of content tokens of its partner, shape (B,).

    Returns:
        Shape (B,), int64.
    """
    return torch.minimum(((1 - lam) * counts).round().long(), torch.minimum(counts, partner_counts))


def random_starts(lengths: Tensor, counts: Tensor, generator: torch.Generator) -> Tensor:
    """Draw the start of each span uniformly among those that fit, shape (B,), as numbers of content tokens."""
    uniform = torch.rand(lengths.shape, generator=generator).to(lengths.device, non_blocking=True)
    room = counts - lengths
    return torch.minimum((uniform * (room + 1)).long(), room)


def extreme_start(saliency: Tensor, content: Tensor, lengths: Tensor, *, most: bool) -> Tensor:
    """Find the first span of a given length with the largest or smallest total saliency.

    Args:
        saliency: Shape (B, L).
        content: Content tokens, shape (B, L), bool.
        lengths: Length of each row's span, shape (B,), at most its number of content tokens.
        most: Whether to find the largest total; else the smallest.

    Returns:
        Starts as numbers of content tokens, shape (B,).
    """
    order = _content_order(content)
    counts = content.sum(dim=1)
    # In float64: differences of long float32 sums are not exact enough for spans that are nearly equal.
    sums = torch.nn.functional.pad(saliency.gather(1, order).double().cumsum(dim=1), (1, 0))
    starts = torch.arange(sums.shape[1], device=sums.device).expand_as(sums)
    ends = (starts + lengths.unsqueeze(1)).clamp(max=sums.shape[1] - 1)
    totals = sums.gather(1, ends) - sums
    fits = starts + lengths.unsqueeze(1) <= counts.unsqueeze(1)
    if most:
        return totals.masked_fill(~fits, -torch.inf).argmax(dim=1)
    return totals.masked_fill(~fits, torch.inf).argmin(dim=1)


def place_span(content: Tensor, partner: Tensor, lengths: Tensor, own: Tensor, other: Tensor, keep: float) -> Span:
    """Convert starts and lengths into positions.

    Args:
        content: Content tokens of each row, shape (B, L), bool.
        partner: Partner of each row, shape (B,).
        lengths: Length of each span, shape (B,).
        own: Its start in the row, as a number of content tokens, shape (B,).
        other: Its start in the partner, as a number of content tokens, shape (B,).
        keep: Weight of the row's own vector at a replaced position.
    """
    number = content.cumsum(dim=1) - 1
    offset = number - own.unsqueeze(1)
    replaced = content & (offset >= 0) & (offset < lengths.unsqueeze(1))
    wanted = torch.where(replaced, other.unsqueeze(1) + offset, 0)
    source = _content_order(content)[partner].gather(1, wanted)
    return Span(replaced, torch.where(replaced, source, 0), keep)


def _content_order(content: Tensor) -> Tensor:
    """Return the positions of content tokens in order, then the others, shape (B, L)."""
    return content.long().argsort(dim=1, descending=True, stable=True)


def cut(hidden: Tensor, partner: Tensor, span: Span) -> Tensor:
    """Replace the span of each row by its partner's: `keep * own + (1 - keep) * other` at replaced positions.

    Args:
        hidden: Token ids (B, L) or hidden states (B, L, H).
        partner: Partner of each row, shape (B,).
        span: Positions to replace.
    """
    other = hidden[partner.unsqueeze(1), span.source]
    replaced = span.replaced.view(*span.replaced.shape, *[1] * (hidden.dim() - 2))
    if span.keep:
        other = torch.lerp(other, hidden, span.keep)
    return torch.where(replaced, other, hidden)


def span_targets(labels: Tensor, partner: Tensor, span: Span) -> tuple[Tensor, Tensor]:
    """Return the labels of tokens after a cut.

    Args:
        labels: Label of each token, shape (B, L).
        partner: Partner of each row, shape (B,).
        span: Positions that come from the partner.

    Returns:
        Own and partner's labels (B, 2, L) and their weights (B, 2, L).
    """
    other = labels[partner.unsqueeze(1), span.source]
    taken = span.replaced * (1 - span.keep)
    return torch.stack([labels, other], dim=1), torch.stack([1 - taken, taken], dim=1)
