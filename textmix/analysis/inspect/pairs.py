"""A mixed row as plain values: its rows and weights, the origin of each token, and the nearest tokens."""

from dataclasses import dataclass, field
from typing import Literal

Origin = Literal["own", "partner", "both", "special", "padding"]


@dataclass(frozen=True)
class Row:
    """One of the rows that a row is blended from.

    Args:
        number: Its number in the data, from 0.
        text: Its text.
        text_pair: Its second sentence; None if the data has no pairs.
        label: Name of its class.
        weight: Its weight in the blended input.
        target_weight: The weight of its label in the blended target.
        ids: Its token ids; None at padding.
        tokens: Its tokens, with a leading space where the tokenizer marks the start of a word; None at padding.
    """

    number: int
    text: str
    text_pair: str | None
    label: str
    weight: float
    target_weight: float
    ids: list[int | None]
    tokens: list[str | None]


@dataclass(frozen=True)
class Neighbour:
    """A token of the vocabulary near a blended vector.

    Args:
        token: The token.
        cosine: Cosine between its input embedding and the vector.
    """

    token: str
    cosine: float


@dataclass(frozen=True)
class Position:
    """One position of the blended row.

    Args:
        origin: Where its token comes from: the row itself (`own`), a `partner`, `both`, only special tokens
            (`special`), or nowhere (`padding`).
        parts: Token of each row at this position; None for a row without one.
        source: Position in the partner that the token was taken from; None where nothing was cut.
        id: Id of the token in the model's input; None where vectors are blended.
        token: The token with this id; None where vectors are blended.
        nearest: Nearest tokens of the vocabulary where vectors are blended, the nearest first.
    """

    origin: Origin
    parts: list[str | None]
    source: int | None = None
    id: int | None = None
    token: str | None = None
    nearest: list[Neighbour] = field(default_factory=list)


@dataclass(frozen=True)
class Pair:
    """One row of a training step and the rows that it was blended with.

    Args:
        step: Number of the step, from 0.
        strategy: Strategy that was drawn; for `any` one of its choices.
        site: Where the rows are mixed.
        lam: λ, the weight of the row itself.
        rows: The row itself, then its partners, the one with the largest weight first; the row alone if it has none.
        target: The blended target: weight of each class above 0, the largest first; the weights sum to 1.
        positions: The blended row; empty where sentence vectors are blended.
        mixed_text: The model's input as text where token ids are mixed, else None.
        nearest: Nearest tokens of a blended sentence vector; empty at the other sites.
        note: How to read the nearest tokens; None where there are none.
    """

    step: int
    strategy: str
    site: str
    lam: float
    rows: list[Row]
    target: dict[str, float]
    positions: list[Position]
    mixed_text: str | None
    nearest: list[Neighbour]
    note: str | None
