"""Lay out how a plan mixes the first row of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from textmix.analysis.inspect.pairs import Neighbour, Origin, Pair, Position, Row
from textmix.data.label_format import Array
from textmix.hooks.special_tokens import special_ids
from textmix.mixing.plan import MixPlan
from textmix.mixing.site_names import EMBEDDINGS, POOLED, TOKENS

_NEIGHBOURS = 3


@dataclass(frozen=True)
class Texts:
    """Labelled rows to inspect.

    Args:
        texts: The texts.
        pairs: Their second sentences; None if there are none.
        labels: What the model is trained on for each.
        shown: The labels of each as text.
    """

    texts: list[str]
    pairs: list[str] | None
    labels: Array
    shown: list[str]


@dataclass(frozen=True)
class Frame:
    """A batch and the texts that it was made from.

    Args:
        model: The classifier.
        tokenizer: Its tokenizer.
        texts: All rows of the data.
        numbers: Numbers of the rows in the batch.
        batch: The model's inputs, including `input_ids` and `attention_mask`.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    texts: Texts
    numbers: list[int]
    batch: Any


def lay_out(step: int, plan: MixPlan, mixed: Tensor, frame: Frame) -> Pair:
    """Lay out the first row of a batch.

    Args:
        step: Number of the step.
        plan: The plan.
        mixed: The mixed batch at its site: token ids (B, L), hidden states (B, L, H) or sentence vectors (B, H).
        frame: The batch before mixing.
    """
    rows, columns = _rows(plan, frame)
    positions: list[Position] = []
    nearest: list[Neighbour] = []
    text = note = None
    if plan.site != POOLED:
        positions = _positions(plan, rows, columns, set(special_ids(frame.tokenizer)))
    if plan.site == TOKENS:
        ids = mixed[0].tolist()[columns.start : columns.stop]
        real = [position.origin != "padding" for position in positions]
        text = _decode([id_ for id_, is_real in zip(ids, real, strict=True) if is_real], frame.tokenizer)
        positions = [
            replace(position, id=id_, token=token_name(id_, frame.tokenizer)) if is_real else position
            for position, id_, is_real in zip(positions, ids, real, strict=True)
        ]
    else:
        vectors = mixed[:1] if plan.site == POOLED else mixed[0, columns.start : columns.stop]
        found, note = _nearest(vectors, plan.site, frame)
        if plan.site == POOLED:
            nearest = found[0]
        else:
            positions = [
                replace(position, nearest=near) if position.origin != "padding" else position
                for position, near in zip(positions, found, strict=True)
            ]
    name = plan.strategy.name
    return Pair(step, name, plan.site, float(plan.lam[0]), rows, _target(rows), positions, text, nearest, note)


def _rows(plan: MixPlan, frame: Frame) -> tuple[list[Row], range]:
    """List the rows that the first row is blended from, and the columns where any of them has a token."""
    weights: dict[int, float] = {}
    targets: dict[int, float] = {}
    members, values = plan.rows[0].tolist(), zip(plan.weights[0].tolist(), plan.targets[0].tolist(), strict=True)
    for member, (weight, target) in zip(members, values, strict=True):  # a row may replace its missing partner
        weights[member] = weights.get(member, 0.0) + weight
        targets[member] = targets.get(member, 0.0) + target
    others = sorted((member for member in weights if member != members[0]), key=lambda member: -weights[member])
    mask, ids = frame.batch["attention_mask"].bool().cpu(), frame.batch["input_ids"].cpu()
    used = mask[[members[0], *others]].any(dim=0).nonzero().flatten().tolist()
    columns = range(used[0], used[-1] + 1) if used else range(0)
    rows = []
    for member in (members[0], *others):
        number, texts = frame.numbers[member], frame.texts
        own = [int(ids[member, column]) if mask[member, column] else None for column in columns]
        rows.append(
            Row(
                number=number,
                text=texts.texts[number],
                text_pair=texts.pairs[number] if texts.pairs is not None else None,
                label=texts.shown[number],
                weight=weights[member],
                target_weight=targets[member],
                ids=own,
                tokens=[token_name(id_, frame.tokenizer) if id_ is not None else None for id_ in own],
            )
        )
    return rows, columns


def _target(rows: Sequence[Row]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for row in rows:
        totals[row.label] = totals.get(row.label, 0.0) + row.target_weight
    return dict(sorted(((name, value) for name, value in totals.items() if value > 0), key=lambda item: -item[1]))


def _positions(plan: MixPlan, rows: Sequence[Row], columns: range, special: set[int]) -> list[Position]:
    span = plan.span
    positions = []
    for index, column in enumerate(columns):
        at: list[int | None] = [index] * len(rows)  # where each row's part comes from; None for no part
        source = None
        if span is not None:
            replaced = bool(span.replaced[0, column])
            source = int(span.source[0, column]) - columns.start if replaced else None
            # Without a partner the span of a row replaces itself.
            at = [source] if replaced and len(rows) == 1 else [index if not replaced or span.keep else None, source]
            at = at[: len(rows)]
        parts = [row.tokens[place] if place is not None else None for row, place in zip(rows, at, strict=True)]
        ids = [row.ids[place] if place is not None else None for row, place in zip(rows, at, strict=True)]
        positions.append(Position(_origin(ids, special), parts, source))
    return positions


def _origin(ids: Sequence[int | None], special: set[int]) -> Origin:
    present = [id_ for id_ in ids if id_ is not None]
    if not present:
        return "padding"
    if special.issuperset(present):
        return "special"
    if ids[0] is None:
        return "partner"
    return "own" if len(present) == 1 else "both"


def token_name(id_: int, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a token as text, with a leading space where the tokenizer marks the start of a word."""
    raw, name = str(tokenizer.convert_ids_to_tokens(id_)), str(tokenizer.decode([id_]))
    if raw[:1] in ("Ġ", "▁") and not name.startswith(" "):
        name = f" {name}"
    return name or raw


def _decode(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    """Decode token ids; the sentences of a pair, which special tokens separate, are joined by a bar."""
    special = set(special_ids(tokenizer))
    segments: list[list[int]] = [[]]
    for id_ in ids:
        if id_ in special:
            segments.append([])
        else:
            segments[-1].append(id_)
    return " | ".join(str(tokenizer.decode(segment)).strip() for segment in segments if segment)


def _nearest(vectors: Tensor, site: str, frame: Frame) -> tuple[list[list[Neighbour]], str]:
    """Find the nearest tokens of vectors (N, H) by cosine to the input embeddings."""
    table = frame.model.get_input_embeddings().weight.detach()  # type: ignore[operator]
    if table.shape[1] != vectors.shape[1]:
        sizes = f"vectors of size {vectors.shape[1]} cannot be compared with token embeddings of size {table.shape[1]}"
        return [[] for _ in vectors], sizes
    vectors = torch.nn.functional.normalize(vectors.to(table), dim=1)
    cosines = (vectors @ table.T / table.norm(dim=1).clamp(min=1e-12)).topk(_NEIGHBOURS, dim=1)
    found = [
        [Neighbour(token_name(id_, frame.tokenizer), round(value, 4)) for id_, value in zip(ids, values, strict=True)]
        for ids, values in zip(cosines.indices.tolist(), cosines.values.tolist(), strict=True)
    ]
    note = "nearest tokens by cosine to the input embeddings"
    if site != EMBEDDINGS:
        what = "a sentence vector" if site == POOLED else "the output of a block"
        note += f"; only a rough picture, because {what} means more than any one word"
    return found, note
