"""An independent reference for mixing: each pair alone, one plain hook, no masks where there is no padding."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

from tests.support.families import Family, Head, blocks_of


@dataclass(frozen=True)
class Row:
    """One text.

    Args:
        ids: Token ids, shape (L,).
        mask: Real positions, shape (L,); None where all are.
        positions: Numbers of its positions, where it does not begin at 0.
        types: Which sentence of a pair each token belongs to.
    """

    ids: Tensor
    mask: Tensor | None = None
    positions: Tensor | None = None
    types: Tensor | None = None

    def inputs(self) -> dict[str, Tensor]:
        given = {
            "input_ids": self.ids,
            "attention_mask": self.mask,
            "position_ids": self.positions,
            "token_type_ids": self.types,
        }
        return {name: value[None] for name, value in given.items() if value is not None}


@contextmanager
def hooked(
    model: hf.PreTrainedModel, family: Family, head: Head, site: str, replacement: Tensor | None = None
) -> Iterator[list[Tensor]]:
    """Record the hidden state (1, L, H) at a site of one forward of one row, and replace it if so asked."""
    seen: list[Tensor] = []
    blocks = blocks_of(model, family)
    number = {"embeddings": 0, "pooled": -1}.get(site)
    number = int(site.split(":")[1]) if number is None else number
    calls = [0]

    def take(hidden: Tensor) -> Tensor:
        batch = family.batch if site != "pooled" else 0
        seen.append(hidden.transpose(0, batch).detach())
        return hidden if replacement is None else replacement.transpose(0, batch)

    def before(module: nn.Module, args: tuple[Any, ...]) -> Any:
        calls[0] += 1
        mine = [index for index, block in enumerate(blocks) if block is module]
        if site == "pooled" or mine[calls[0] - 1] == number:
            return (take(args[0]), *args[1:])
        return None

    def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        calls[0] += 1
        if site != "embeddings" and calls[0] < sum(block is module for block in blocks):
            return None
        return (take(output[0]), *output[1:]) if isinstance(output, tuple) else take(output)

    if site == "pooled":
        handle = model.get_submodule(head.classifier).register_forward_pre_hook(before)
    elif site == "embeddings" and family.embeddings is not None:
        handle = model.get_submodule(family.embeddings).register_forward_hook(after)
    elif number == len(blocks):
        handle = blocks[-1].register_forward_hook(after)
    else:
        handle = blocks[number].register_forward_pre_hook(before)
    try:
        yield seen
    finally:
        handle.remove()


def run(model: hf.PreTrainedModel, row: Row) -> Tensor:
    """Logits of one row."""
    return model(**row.inputs()).logits[0]


def hidden_at(model: hf.PreTrainedModel, family: Family, head: Head, site: str, row: Row) -> Tensor:
    """Hidden state of one row at a site, (L, H), or its sentence vector (H,)."""
    with hooked(model, family, head, site) as seen:
        run(model, row)
    hidden = seen[-1][0]
    if site == "pooled" and hidden.dim() == 2 and "tokens" not in head.labels:
        return hidden[-1]  # pooled behind the classifier, at the last token
    return hidden


@dataclass(frozen=True)
class Blend:
    """How two rows are blended.

    Args:
        lam: Weight of the first one.
        left: Whether the shorter one is padded on the left.
        padding: What it is padded with: "zero" vectors, or a "copy" of the longer one.
    """

    lam: float
    left: bool = False
    padding: str = "zero"

    def __call__(self, own: Tensor, other: Tensor) -> Tensor:
        """Blend two rows of hidden states, (L, H) each with its own L, position by position."""
        length, rows = max(len(own), len(other)), []
        for position in range(length):
            found = []
            for hidden, weight in ((own, self.lam), (other, 1 - self.lam)):
                index = position - (length - len(hidden)) if self.left else position
                if 0 <= index < len(hidden):
                    found.append((weight, hidden[index]))
            if self.padding == "copy" and len(found) == 1:
                found = [(1.0, found[0][1])]
            rows.append(sum(weight * hidden for weight, hidden in found))
        return torch.stack(rows)


def pair_logits(
    model: hf.PreTrainedModel,
    family: Family,
    head: Head,
    site: str,
    rows: tuple[Row, Row],
    hidden: tuple[Tensor, Tensor],
    blend: Blend,
) -> Tensor:
    """Logits of two rows blended by their hidden states at a site: (C,), or (L, C) of the longer one for tokens."""
    (own, other), (first, second) = rows, hidden
    if own.mask is not None:  # padded as in their batch: positions that are not real count as zero vectors
        assert other.mask is not None
        assert blend.padding == "zero"
        if first.dim() == 2:
            first, second = first * own.mask[:, None], second * other.mask[:, None]
        longer = replace(own, mask=((own.mask + other.mask) > 0).long())
    else:
        longer = own if len(own.ids) >= len(other.ids) else other
    if first.dim() == 1:
        return model.get_submodule(head.classifier)(blend.lam * first + (1 - blend.lam) * second)
    blended = blend(first, second)
    if site == "pooled":
        return model.get_submodule(head.classifier)(blended)
    with hooked(model, family, head, site, blended[None]):
        return run(model, longer)


def cut_logits(model: hf.PreTrainedModel, own: Row, ids: list[int]) -> Tensor:
    """Logits of a row whose tokens were replaced."""
    return run(model, replace(own, ids=torch.tensor(ids)))
