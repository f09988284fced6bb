"""What a plan makes of a row, as plain values: who is blended with whom, what comes from where, what it resembles."""

from dataclasses import dataclass, field
from typing import Literal

Origin = Literal["own", "partner", "both", "special", "padding"]


@dataclass(frozen=True)
class Row:
    """One of the rows that a row is blended from.

    Args:
        number: Its number in the data, from 0.
        text: Its text.
        text_pair: Its second sentence, if the data has pairs.
        label: Name of its class.
        weight: Its weight in the blended input.
        target_weight: The weight of its label in the blended target.
        ids: Its token ids; None where it is padded.
        tokens: Its tokens, likewise; with a leading space where the tokenizer marks the start of a word.
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
        origin: Whose token stands there: the row's `own`, its `partner`'s (any of them), `both`, only `special` ones,
            or none (`padding`).
        parts: Token that each of the rows brings there; None for a row that brings none.
        source: Position of the partner that its token was taken from; None where nothing was cut.
        id: Id of the token that the model is given there; None where vectors are blended.
        token: That token, likewise.
        nearest: Nearest tokens of the vocabulary, where vectors are blended; the nearest first.
    """

    origin: Origin
    parts: list[str | None]
    source: int | None = None
    id: int | None = None
    token: str | None = None
    nearest: list[Neighbour] = field(default_factory=list)


@dataclass(frozen=True)
class Pair:
    """One row of a training step and what it was blended with.

    Args:
        step: Number of the step, from 0.
        strategy: Strategy that was drawn; for `any` one of its choices.
        site: Where the rows are mixed.
        lam: λ, the weight of the row itself.
        rows: The row itself, then those it was blended with, the heaviest first; alone where it found no partner.
        target: The blended target: weight of each class that has one, the largest first; they sum to 1.
        positions: The blended row; empty where sentence vectors are blended.
        mixed_text: The text that the model is given, where token ids are mixed.
        nearest: Nearest tokens of the blended sentence vector, where these are blended.
        note: What to keep in mind when reading the nearest tokens; None where there are none.
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
