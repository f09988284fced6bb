"""A tag for each token of a text: entities in the BIO scheme."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from seqeval.metrics import accuracy_score, classification_report, f1_score, precision_score, recall_score

from textmix.data.cells import as_lists, as_string
from textmix.data.config import DataConfig
from textmix.data.label_format import Array, Labels, Strata
from textmix.data.tokens import join_tokens
from textmix.errors import DataError
from textmix.tasks.base import PREDICTION, Columns, LabelSpace, Task
from textmix.tasks.class_report import class_table

if TYPE_CHECKING:
    from torch import Tensor

OUTSIDE = "O"
_TAGS, _PREDICTED_TAGS = "tags", "predicted_tags"


@dataclass(frozen=True)
class Tags(LabelSpace):
    """C tags, of which each token has one: `O` outside of entities, `B-X` and `I-X` at the begin and inside of them.

    Targets are, for each row, first character, character after the last and tag id of its tokens, shape (T, 3), int64;
    a tag that training never saw is -1. Outputs are the probabilities of its tokens, shape (T, C). Both are arrays of N
    objects.
    """

    task: ClassVar = "token_classification"
    problem_type: ClassVar = None
    of_tokens: ClassVar = True
    marks_unknown: ClassVar = True
    headline: ClassVar = ("f1", "precision", "recall")

    @property
    def continued(self) -> Array:
        """The tag that continues each tag, shape (C,): I-X for B-X, else the tag itself."""
        inside = [f"I-{name[2:]}" if name.startswith("B-") else name for name in self.names]
        return np.array([self.names.index(name) for name in inside])

    def known(self, labels: Labels) -> Array:
        names = set(self.names)
        known = [all(tag in names for *_, tag in json.loads(label)) for label in labels.dictionary.to_pylist()]
        return np.asarray(np.array(known, dtype=bool)[labels.indices.to_numpy()])

    def encode(self, labels: Labels) -> Array:
        ids = {name: number for number, name in enumerate(self.names)}
        rows = [
            np.array([(start, end, ids.get(tag, -1)) for start, end, tag in json.loads(label)], dtype=np.int64)
            for label in labels.dictionary.to_pylist()
        ]
        return np.asarray(as_objects(rows)[labels.indices.to_numpy()])

    def to_labels(self, targets: Array) -> Array:
        """Return the targets with the tag that continues each tag, shape (T, 4), as `piece_labels` takes them."""
        continued = np.append(self.continued, -1)  # that of an unknown tag
        return as_objects([np.column_stack([row, continued[row[:, 2]]]) for row in targets])

    def counts(self, targets: Array) -> list[int]:
        ids = np.concatenate([row if row.ndim == 1 else row[:, 2] for row in targets])
        counts: list[int] = np.bincount(ids[ids >= 0], minlength=len(self.names)).tolist()
        return counts

    def outputs(self, logits: "Tensor") -> Array:
        return logits.double().softmax(dim=-1).numpy()

    def broken(self, outputs: Array) -> int:
        return sum(not np.isfinite(row).all() for row in outputs)

    def outside(self, count: int) -> Array:
        """Return the outputs of tokens that the model has not read, shape (count, C): certainly outside of entities."""
        return np.tile(np.eye(len(self.names))[self.names.index(OUTSIDE)], (count, 1))

    def scores(self, targets: Array, outputs: Array) -> dict[str, float]:
        """Score entities as seqeval and CoNLL do.

        Returns:
            `f1`, `precision` and `recall` over all entities (an entity is right if its type and both its ends are),
            `macro_f1` over their types, and the `accuracy` of tags.
        """
        true, said = self._tags(targets), self._tags(outputs)
        return {
            "f1": float(f1_score(true, said, zero_division=0)),
            "precision": float(precision_score(true, said, zero_division=0)),
            "recall": float(recall_score(true, said, zero_division=0)),
            "macro_f1": float(f1_score(true, said, average="macro", zero_division=0)),
            "accuracy": float(accuracy_score(true, said)),
        }

    def _tags(self, rows: Array) -> list[list[str]]:
        """Return the tags of targets or outputs; an unknown tag is an entity of its own type."""
        names = [*self.names, "B-?"]
        return [[names[number] for number in _ids(row)] for row in rows]

    def report(self, targets: Array, outputs: Array) -> dict[str, Any]:
        """Return seqeval's `classification_report` as a dictionary."""
        found = classification_report(self._tags(targets), self._tags(outputs), output_dict=True, zero_division=0)
        return {name: {key: float(value) for key, value in values.items()} for name, values in found.items()}

    def report_text(self, targets: Array, outputs: Array) -> str:
        """Return seqeval's `classification_report` as text."""
        return str(classification_report(self._tags(targets), self._tags(outputs), digits=4, zero_division=0))

    def report_sections(self, targets: Array, outputs: Array) -> list[str]:
        report = self.report(targets, outputs)
        names = [name for name in report if not name.endswith(" avg")]
        return ["## Entities", class_table("entity", names, report).markdown()]

    @property
    def output_columns(self) -> list[str]:
        return [_PREDICTED_TAGS]

    @property
    def prediction_columns(self) -> list[str]:
        """Entities of new texts, which have no tokens of their own."""
        return [PREDICTION]

    @property
    def target_columns(self) -> list[str]:
        return [_TAGS]

    @classmethod
    def from_columns(cls, columns: list[str]) -> Self | None:
        return None  # files of predictions of tokens do not tell the tags

    def write_outputs(self, outputs: Array) -> Columns:
        """Return `predicted_tags`, the tags of each row, separated by spaces."""
        return {_PREDICTED_TAGS: [" ".join(tags) for tags in self._tags(outputs)]}

    def write_targets(self, targets: Array) -> Columns:
        """Return `tags`, the tags of each row, separated by spaces."""
        return {_TAGS: [" ".join(tags) for tags in self._tags(targets)]}

    def read_outputs(self, table: pd.DataFrame) -> Array:
        ones = np.eye(len(self.names))
        return as_objects([ones[[self.names.index(tag) for tag in cell.split()]] for cell in table[_PREDICTED_TAGS]])

    def read_targets(self, table: pd.DataFrame) -> Array:
        raise ValueError("tags of a file of predictions have no places in their text")


@dataclass(frozen=True)
class TokenClassification(Task):
    """A tag for each token: a column of lists of tokens, and one of lists of as many tags.

    Args:
        tokens: Column of the tokens.
    """

    tokens: str = "text"

    space: ClassVar = Tags
    nested: ClassVar = True
    of_tokens: ClassVar = True

    @classmethod
    def of(cls, data: DataConfig) -> Self:
        """Return the task for the columns of a run.

        Raises:
            DataError: If there are several columns of tokens or tags.
        """
        if len(data.text_columns) > 1 or len(data.label_columns) > 1:
            raise DataError("token_classification takes one column of tokens and one of tags")
        return cls(data.label_columns, tokens=data.text_columns[0], lowercase=data.lowercase_labels)

    def read(self, table: pa.Table, features: Mapping[str, Any], where: str) -> pa.Array:
        [name] = self.columns
        rows = as_lists(table.column(self.tokens), features[self.tokens], where)
        tags = as_lists(table.column(name), features[name], where)
        return pa.array(
            [self._written(*pair, where, row) for row, pair in enumerate(zip(rows, tags, strict=True))], pa.string()
        )

    def _written(self, tokens: list[Any] | None, tags: list[Any] | None, where: str, row: int) -> str:
        if not tokens or not tags:
            return ""
        if len(tokens) != len(tags):
            raise DataError(f"{where}: row {row + 1} has {len(tokens)} tokens and {len(tags)} tags")
        spans = join_tokens([as_string(token) for token in tokens])[1]
        names = [as_string(tag).strip() for tag in tags]
        wrong = next((name for name in names if name != OUTSIDE and name[:2] not in ("B-", "I-")), None)
        if wrong is not None:
            raise DataError(f"{where}: row {row + 1} has the tag '{wrong[:40]}'; tags are O, B-<type> or I-<type>")
        return json.dumps([[*span, tag] for span, tag in zip(spans, names, strict=True)], ensure_ascii=False)

    def strata(self, labels: Labels) -> Strata:
        found = [_types(label) for label in labels.dictionary.to_pylist()]
        names = sorted(set().union(*found))
        present = np.array([[name in types for name in names] for types in found]).reshape(len(found), len(names))
        return Strata.of_labels(present[labels.indices.to_numpy()], names)

    def fit(self, everything: Labels, train: Labels, where: str) -> Tags:
        """Collect the types of entities.

        Raises:
            DataError: If there is no entity.
        """
        types = sorted(set().union(*map(_types, everything.dictionary.to_pylist())))
        if not types:
            raise DataError(f"{where}: no token has another tag than O")
        return Tags([OUTSIDE, *(f"{place}-{name}" for name in types for place in "BI")])


def as_objects(rows: Sequence[Array]) -> Array:
    """Return arrays of different lengths as an array of N objects."""
    found = np.empty(len(rows), dtype=object)
    for number, row in enumerate(rows):  # of equal lengths, numpy would make one array
        found[number] = row
    return found


def _ids(row: Array) -> list[int]:
    """Return the tag ids of one row, of its targets, of labels of its word pieces, or of outputs."""
    if row.ndim == 1:
        return list(row.tolist())
    ids: list[int] = (row[:, 2] if np.issubdtype(row.dtype, np.integer) else row.argmax(axis=1)).tolist()
    return ids


def _types(label: str) -> set[str]:
    return {tag[2:] for *_, tag in json.loads(label) if tag != OUTSIDE}
