"""An independent reference for mixing: each pair alone, one plain hook, no masks where there is no padding."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
import transformers as hf
from torch import Tensor, nn

from tests.support.families import Family, Head, blocks_of, decoder_of
from tests.support.family_configs import LAYERS


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


@dataclass
class Place:
    """Where a hook reads one hidden state of a forward, and replaces it if so asked.

    Args:
        module: The module.
        call: The call of it that counts; None means each.
        what: The "input" or the "output" of the module, or the "memory": the encoder's output that a decoder reads.
        batch: Dimension of the batch.
    """

    module: nn.Module
    call: int | None = 0
    what: str = "input"
    batch: int = 0

    def hook(self, seen: list[Tensor], replacement: Tensor | None) -> Any:
        """Register the hook; returns its handle."""
        calls = [-1]

        def take(hidden: Tensor) -> Tensor:
            seen.append(hidden.transpose(0, self.batch).detach())
            if replacement is None:
                return hidden
            added = hidden.shape[1] - replacement.shape[1] if self.what != "memory" and not self.batch else 0
            # Longformer appends padding to its rows.
            return (
                nn.functional.pad(replacement, (0, 0, 0, added)) if added > 0 else replacement.transpose(0, self.batch)
            )

        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            calls[0] += 1
            if self.call not in (None, calls[0]):
                return None
            if self.what == "input":
                return (take(args[0]), *args[1:]), kwargs
            if "encoder_hidden_states" in kwargs:
                return args, {**kwargs, "encoder_hidden_states": take(kwargs["encoder_hidden_states"])}
            place = next(place for place in range(1, len(args)) if args[place] is not None and args[place].dim() == 3)
            return (*args[:place], take(args[place]), *args[place + 1 :]), kwargs

        def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            calls[0] += 1
            if self.call not in (None, calls[0]):
                return None
            return (take(output[0]), *output[1:]) if isinstance(output, tuple) else take(output)

        if self.what == "output":
            return self.module.register_forward_hook(after)
        return self.module.register_forward_pre_hook(before, with_kwargs=True)


def places(model: hf.PreTrainedModel, family: Family, head: Head, site: str) -> list[list[Place]]:
    """Where the hidden states are that a site consists of: one, or two in an encoder-decoder; each in some places."""
    if site == "pooled":
        return [[Place(model.get_submodule(head.classifier))]]
    blocks, decoder = blocks_of(model, family), decoder_of(model, family, head)
    number = 0 if site == "embeddings" else int(site.split(":")[1])
    if site == "embeddings" and family.embeddings is not None:
        return [[Place(model.get_submodule(family.embeddings), None, "output")]]
    if number > len(blocks):
        number -= len(blocks)
        memory = [Place(block, what="memory") for block in decoder[number:]]
        return [[_before(decoder, number, 0)], *([memory] if memory else [])]
    found = [[_before(blocks, number, family.batch)]]
    return [*found, [Place(decoder[0])]] if decoder else found


def _before(blocks: list[nn.Module], number: int, batch: int) -> Place:
    """In front of a block, or behind the last one."""
    if number == len(blocks):
        return Place(blocks[-1], sum(block is blocks[-1] for block in blocks) - 1, "output", batch)
    return Place(blocks[number], sum(block is blocks[number] for block in blocks[:number]), batch=batch)


@contextmanager
def hooked(
    model: hf.PreTrainedModel,
    family: Family,
    head: Head,
    site: str,
    replacements: tuple[Tensor, ...] | None = None,
) -> Iterator[list[list[Tensor]]]:
    """Record the hidden states (1, L, H) at a site of one forward of one row, and replace them if so asked."""
    states = places(model, family, head, site)
    seen: list[list[Tensor]] = [[] for _ in states]
    handles = [
        place.hook(seen[index], None if replacements is None else replacements[index])
        for index, state in enumerate(states)
        for place in state
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def run(model: hf.PreTrainedModel, row: Row) -> Tensor:
    """Logits of one row."""
    return model(**row.inputs()).logits[0]


def hidden_at(model: hf.PreTrainedModel, family: Family, head: Head, site: str, row: Row) -> tuple[Tensor, ...]:
    """Hidden states of one row at a site, (L, H) each, or its sentence vector (H,)."""
    with hooked(model, family, head, site) as seen:
        run(model, row)
    states = tuple(state[-1][0] for state in seen)
    states = tuple(state[: len(row.ids)] if state.dim() == 2 else state for state in states)
    if site == "pooled" and states[0].dim() == 2 and "tokens" not in head.labels:
        # Pooled behind the classifier.
        return (states[0].mean(dim=0) if family.averages else states[0][-1],)
    return states


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
    hidden: tuple[tuple[Tensor, ...], tuple[Tensor, ...]],
    blend: Blend,
) -> Tensor:
    """Logits of two rows blended by their hidden states at a site: (C,), or (L, C) of the longer one for tokens."""
    own, other = rows
    pairs = list(zip(*hidden, strict=True))
    if own.mask is not None:  # padded as in their batch: positions that are not real count as zero vectors
        assert other.mask is not None
        assert blend.padding == "zero"
        if pairs[0][0].dim() == 2:
            pairs = [(first * own.mask[:, None], second * other.mask[:, None]) for first, second in pairs]
        longer = replace(own, mask=((own.mask + other.mask) > 0).long())
    else:
        longer = own if len(own.ids) >= len(other.ids) else other
    first, second = pairs[0]
    if decoder_of(model, family, head) and site == f"layer:{2 * LAYERS}":
        blend = replace(blend, left=True)  # nothing but the end of each row is read any more
    if first.dim() == 1:
        return model.get_submodule(head.classifier)(blend.lam * first + (1 - blend.lam) * second)
    blended = tuple(blend(*pair) for pair in pairs)
    if site == "pooled":
        return model.get_submodule(head.classifier)(blended[0])
    with hooked(model, family, head, site, tuple(state[None] for state in blended)):
        return run(model, longer)


def cut_logits(model: hf.PreTrainedModel, own: Row, ids: list[int]) -> Tensor:
    """Logits of a row whose tokens were replaced."""
    return run(model, replace(own, ids=torch.tensor(ids)))
