"""Pool the hidden states of a mixed batch where a model pools behind what can be hooked."""

import torch
from torch import Tensor

from textmix.errors import ModelError
from textmix.hooks.forward_pass import Forward
from textmix.mixing.functional import union_mask
from textmix.mixing.site_names import POOLED


def pool_last(forward: Forward, hidden: Tensor, pad: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """Pool at the last real token, for decoders that pool after their classifier; mix if the site is `pooled`.

    Args:
        forward: The forward pass.
        hidden: Input of the classifier, shape (B, L, H).
        pad: Id of the padding token, which the decoders of transformers use to find the last real token.

    Returns:
        The vectors before mixing and the pooled vectors, shape (B, H) each, and `hidden` with the latter at the
        positions that the model will pool.
    """
    plan = forward.plan
    assert plan is not None
    positions = torch.arange(hidden.shape[1], device=hidden.device)
    numbers = torch.arange(hidden.shape[0], device=hidden.device)
    if forward.ids is None or pad is None:  # the model then takes the last position
        own = positions[-1].expand(len(numbers))
    else:
        own = torch.where(forward.ids != pad, positions, 0).amax(dim=1)
    vectors = hidden[numbers, own]
    if plan.site == POOLED:
        pooled = forward.mix(vectors, None)
    else:
        last = own[plan.rows].amax(dim=1) if plan.strategy.joins_masks else own
        pooled = hidden[numbers, last]
    return vectors, pooled, hidden.index_put((numbers, own), pooled)


def pool_mean(forward: Forward, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Average over the real positions, for models that average after their classifier; mix if the site is `pooled`.

    The average of a linear map is the linear map of the average.

    Args:
        forward: The forward pass.
        hidden: Input of the classifier, shape (B, L, H).

    Returns:
        The vectors before mixing and the pooled vectors, shape (B, H) each, and hidden states (B, L, H) of which the
        model will pool the latter.
    """
    plan, mask = forward.plan, forward.own_mask
    assert plan is not None
    if mask is None:
        vectors = hidden.mean(dim=1)
    else:
        if plan.strategy.joins_masks and plan.site != POOLED:
            mask = union_mask(mask, plan.rows)
        weights = mask.to(hidden.dtype).unsqueeze(-1)
        vectors = (weights * hidden).sum(dim=1) / weights.sum(dim=1)
    if plan.site != POOLED:
        return vectors, vectors, hidden  # the model itself averages over the union
    pooled = forward.mix(vectors, None)
    return vectors, pooled, pooled.unsqueeze(1).expand_as(hidden)


def pool_end(forward: Forward) -> tuple[Tensor, Tensor]:
    """Pool the last hidden state of a decoder that reads an encoder.

    Returns:
        The vectors at the end of each row, where the model pools, and at the last end of all the rows that it is
        blended from, where the mixed row ends; shape (B, H) each.
    """
    plan, hidden = forward.plan, forward.decoded
    assert plan is not None
    assert hidden is not None
    numbers, own = _ends(forward, hidden)
    last = own[plan.rows].amax(dim=1) if plan.strategy.joins_masks and not forward.ends_decoder else own
    return hidden[numbers, own], hidden[numbers, last]


def join_ends(forward: Forward, hidden: Tensor, mixed: Tensor) -> Tensor:
    """Blend the output of a decoder's last block at the end of each row.

    Nothing reads other positions any more: the end of a longer row alone would not hold the shorter one.

    Args:
        forward: The forward pass.
        hidden: The output before mixing, shape (B, L, H).
        mixed: The output after mixing, shape (B, L, H).
    """
    plan, ends = forward.plan, _ends(forward, hidden)
    assert plan is not None
    return mixed.index_put(ends, plan.strategy.apply(plan, hidden[ends], None))


def _ends(forward: Forward, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Return the numbers of the rows and the position of the last end-of-sequence token in each."""
    ids, decoder = forward.ids, forward.sites.decoder
    assert decoder is not None
    if ids is None or hidden.shape[:2] != ids.shape:
        raise ModelError(f"{forward.model} does not pool its decoder at the end of each row of input_ids")
    numbers, positions = (torch.arange(size, device=hidden.device) for size in ids.shape)
    return numbers, torch.where(ids == decoder.eos, positions, 0).amax(dim=1)
