"""Read files of a token a line with its tag, as in the CoNLL shared tasks (Tjong Kim Sang and De Meulder 2003)."""

from collections.abc import Iterator
from io import TextIOWrapper
from itertools import islice

import pyarrow as pa
from datasets import Dataset

from textmix.data.columns import stored
from textmix.data.readers.common import STORED_AT_ONCE, file_stamp
from textmix.data.readers.encoding import opened_as_utf8
from textmix.data.reading import Reading
from textmix.errors import DataError

_TOKENS, _TAGS = "text", "label"
_DOCUMENT = "-DOCSTART-"


def load_conll(files: list[str], reading: Reading) -> Dataset:
    """Load files of tokens into one data set on disk.

    A line has the token in its first column and the tag in its last, separated by white space; a blank line ends a
    text. Lines of `-DOCSTART-` are left out.

    Args:
        files: Names of the files.
        reading: How they are read; `columns` may name the columns of tokens and tags.

    Returns:
        The columns `text` and `label`, unless they have other names: lists of tokens, and lists of as many tags.

    Raises:
        DataError: If a line has a single column, or `columns` does not name two.
        UnicodeDecodeError: If a file is in another encoding.
    """
    names = [*(reading.columns or (_TOKENS, _TAGS))]
    if len(names) != 2:
        raise DataError(f"{files[0]}: data.columns must name the columns of tokens and tags, not {len(names)} columns")
    texts = (text for file in files for text in _texts(file, reading.encoding))
    return stored(_tables(texts, names), file_stamp(files), files, repr(reading), reuse=True)


def _tables(texts: Iterator[tuple[list[str], list[str]]], names: list[str]) -> Iterator[pa.Table]:
    kind = pa.list_(pa.string())
    first = True
    while (block := list(islice(texts, STORED_AT_ONCE))) or first:
        first = False
        yield pa.table({name: pa.array([text[place] for text in block], kind) for place, name in enumerate(names)})


def _texts(file: str, encoding: str) -> Iterator[tuple[list[str], list[str]]]:
    tokens: list[str] = []
    tags: list[str] = []
    with opened_as_utf8(file, encoding) as stream, TextIOWrapper(stream, encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.split()
            if not fields or fields[0] == _DOCUMENT:
                if tokens:
                    yield tokens, tags
                tokens, tags = [], []
                continue
            if len(fields) < 2:
                raise DataError(f"{file}, line {number}: '{fields[0][:40]}' has no tag")
            tokens.append(fields[0])
            tags.append(fields[-1])
    if tokens:
        yield tokens, tags
