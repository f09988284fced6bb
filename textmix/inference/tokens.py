"""Outputs for the tokens of texts, and the entities in them."""

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import numpy as np
from torch import nn
from transformers import PreTrainedTokenizerBase

from textmix.data.label_format import Array
from textmix.data.tokenization import tokenize_batch
from textmix.data.tokens import Spans, first_pieces, pieces_of, words_of
from textmix.models.logits import piece_logits
from textmix.tasks.base import PREDICTION, Columns, LabelSpace
from textmix.tasks.token_classification import OUTSIDE, Tags, as_objects


class Entity(TypedDict):
    """An entity in a text: its first character, the character after its last, label, characters and probability."""

    start: int
    end: int
    label: str
    text: str
    score: float


def token_outputs(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    space: Tags,
    texts: Sequence[str],
    spans: Sequence[Spans] | None = None,
    batch_size: int = 64,
    progress: Callable[[int], object] = lambda rows: None,
) -> Array:
    """Run a token classifier over texts; what a token is predicted is what its first word piece is predicted.

    Args:
        model: A token classifier with a `device`.
        tokenizer: Its tokenizer; texts are cut at its `model_max_length`, tokens behind it are outside of entities.
        space: Its tags.
        texts: N texts.
        spans: Their tokens, shape (T, 2) each; None means the words of the tokenizer.
        batch_size: Maximum number of rows in a batch.
        progress: Called with the number of rows after each batch.

    Returns:
        Probabilities of the tags of each text's tokens, N objects of shape (T, C).
    """
    if not len(texts):
        return as_objects([])
    encoded = tokenize_batch(tokenizer, list(texts))
    rows = [dict(zip(encoded, values, strict=True)) for values in zip(*encoded.values(), strict=True)]
    logits = piece_logits(model, tokenizer, rows, batch_size, progress)
    outputs = []
    for number, (text, own) in enumerate(zip(texts, logits, strict=True)):
        encoding: Any = encoded[number]
        if spans is None:
            places, numbers = words_of(encoding, text)
        else:
            places, numbers = spans[number], pieces_of(encoding.offsets, spans[number])
        firsts = first_pieces(numbers, len(places))
        found = space.outside(len(places))
        found[firsts >= 0] = space.outputs(own[firsts[firsts >= 0]])
        outputs.append(found)
    return as_objects(outputs)


def write_outputs(
    space: LabelSpace, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], outputs: Array
) -> Columns:
    """Convert outputs for texts to columns; for a token classifier the column `prediction` holds lists of entities."""
    if space.of_tokens:
        return {PREDICTION: find_entities(tokenizer, texts, outputs, space.names)}
    return space.write_outputs(outputs)


def find_entities(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], outputs: Array, names: Sequence[str]
) -> list[list[Entity]]:
    """Return the entities of each of N texts by the outputs for the words of their tokenizer."""
    if not len(texts):
        return []
    encoded = tokenize_batch(tokenizer, list(texts))
    words = [words_of(encoded[number], text)[0] for number, text in enumerate(texts)]
    return [entities(*row, names) for row in zip(texts, words, outputs, strict=True)]


def entities(text: str, spans: Spans, outputs: Array, names: Sequence[str]) -> list[Entity]:
    """Return the entities of a text.

    Args:
        text: The text.
        spans: Its tokens, shape (T, 2).
        outputs: Probabilities of their tags, shape (T, C).
        names: The tags. An I-X that continues nothing begins an entity, as in seqeval.
    """
    found: list[Entity] = []
    scores: list[list[float]] = []
    before = OUTSIDE
    for (start, end), row in zip(spans.tolist(), outputs, strict=True):
        tag = names[int(row.argmax())]
        if tag == OUTSIDE:
            before = tag
            continue
        if tag.startswith("I-") and before[2:] == tag[2:]:
            found[-1]["end"] = end
            scores[-1].append(float(row.max()))
        else:
            found.append(Entity(start=start, end=end, label=tag[2:], text="", score=0.0))
            scores.append([float(row.max())])
        before = tag
    for entity, own in zip(found, scores, strict=True):
        entity["text"], entity["score"] = text[entity["start"] : entity["end"]], float(np.mean(own))
    return found
