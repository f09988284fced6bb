"""Names and ids of classes."""

import re
from collections import Counter
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from textmix.errors import DataError, listed

# Keys of scikit-learn's classification_report other than classes.
_REPORT_KEYS = {"accuracy", "micro avg", "macro avg", "weighted avg", "samples avg"}
# Reports have a line and predictions a column for each class; beyond this they are of no use.
MOST_CLASSES = 10_000
_FEW_CLASSES = 100

Labels: TypeAlias = list[str] | pa.DictionaryArray  # Python 3.11 has no `type`
ClassIds: TypeAlias = npt.NDArray[np.integer[Any]]


def class_names(labels: Labels, where: str) -> list[str]:
    """List the classes of the training labels, in numeric order if all are integers, else in alphabetical order.

    Args:
        labels: N class names.
        where: Name of the source, for errors.

    Raises:
        DataError: If there is only one class, or so many that the column cannot hold classes.
    """
    encoded = _encoded(labels)
    names = set(encoded.dictionary.take(pc.unique(encoded.indices)).to_pylist())
    taken = names & _REPORT_KEYS
    if taken:
        raise DataError(f"{where}: '{min(taken)}' is a key of the classification report; rename that class")
    if len(names) < 2:
        raise DataError(
            f"{where}: all {len(encoded)} labels are '{min(names)}'; a classifier needs at least two classes"
        )
    if len(names) > MOST_CLASSES or (len(names) > _FEW_CLASSES and 2 * len(names) > len(encoded)):
        raise DataError(
            f"{where}: {len(names)} classes in {len(encoded)} rows, such as {listed(sorted(names), 3)}; there may be at"
            f" most {MOST_CLASSES}, and beyond {_FEW_CLASSES} no more than half as many as rows: does"
            " data.label_column hold classes?"
        )
    if all(re.fullmatch("-?[0-9]+", name) for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def encode_labels(labels: Labels, names: list[str], where: str) -> ClassIds:
    """Turn class names into ids.

    Args:
        labels: N class names.
        names: The classes, in the order of their ids.
        where: Name of the source, for errors.

    Returns:
        Ids, shape (N,), of the smallest integer type that holds them all.

    Raises:
        DataError: If a label does not occur in `names`.
    """
    encoded = _encoded(labels)
    codes = encoded.indices.to_numpy()
    ids = pc.index_in(encoded.dictionary, value_set=pa.array(names, pa.string())).fill_null(-1).to_numpy()[codes]
    if (ids < 0).any():
        counts = np.bincount(codes[ids < 0], minlength=len(encoded.dictionary))
        unseen = Counter({encoded.dictionary[int(code)].as_py(): int(counts[code]) for code in np.flatnonzero(counts)})
        shown = ", ".join(f"'{label}' ({count} rows)" for label, count in unseen.most_common(5))
        raise DataError(
            f"{where}: {len(unseen)} labels that training never saw: {shown}; the classes are {listed(names)}"
        )
    return np.asarray(ids, dtype=np.min_scalar_type(len(names)))


def _encoded(labels: Labels) -> pa.DictionaryArray:
    return labels if isinstance(labels, pa.DictionaryArray) else pa.array(labels, pa.string()).dictionary_encode()
