"""LabeledFile: a file of labelled rows that grows by whole rows."""

import csv
import io
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from textmix.data.cells import as_string
from textmix.data.standardize import join_texts
from textmix.errors import DataError, RunError, listed

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = ".jsonl"


class LabeledFile:
    """Labelled rows in a csv, tsv or jsonl file, each on disk before the next is asked for.

    Args:
        path: The file; it may be missing.
        text_columns: Its text columns.
        label_column: Its label column.
        columns: The columns of the rows to add, with which a new file begins.

    Attributes:
        texts: The texts of its rows.
        counts: Number of rows of each class.

    Raises:
        RunError: If its format cannot grow, or its directory is missing.
        DataError: If it cannot be read, or has no place for the rows.
    """

    def __init__(self, path: Path, text_columns: list[str], label_column: str, columns: list[str]) -> None:
        if path.suffix not in (*_SEPARATORS, _JSON_LINES):
            raise RunError(f"cannot add rows to '{path}': its name must end in .csv, .tsv or .jsonl")
        if not path.parent.is_dir() or path.is_dir():
            raise RunError(f"cannot write '{path}': " + ("it is a directory" if path.is_dir() else "no such directory"))
        self._path, self._label = path, label_column
        self._separator = _SEPARATORS.get(path.suffix)
        self._added: list[tuple[int, str]] = []
        rows, header = self._read()
        self._columns = header or list(dict.fromkeys([*columns, label_column]))
        if missing := [name for name in (*text_columns, label_column) if name not in self._columns]:
            raise DataError(f"{path}: no column '{missing[0]}'; it has {listed(self._columns)}")
        if header and (extra := [name for name in columns if name not in header]):
            raise DataError(f"{path} has no column for '{extra[0]}' of the pool; write to another file")
        parts = [[as_string(row.get(name)) for row in rows] for name in text_columns]
        self.texts = set(zip(*join_texts(parts).values(), strict=True)) if rows else set()
        self.counts = Counter(str(row.get(label_column)) for row in rows if row.get(label_column) not in (None, ""))

    def _read(self) -> tuple[list[dict[str, Any]], list[str] | None]:
        """Return the rows and the columns; None for a file without any."""
        if not self._path.exists() or not self._path.stat().st_size:
            return [], None
        try:
            text = self._path.read_text(encoding="utf-8-sig")
            if self._separator is None:
                rows = [json.loads(line) for line in text.splitlines() if line.strip()]
                return rows, list(dict.fromkeys(name for row in rows for name in row)) or None
            reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=self._separator, strict=True)
            return list(reader), list(reader.fieldnames or []) or None
        except (UnicodeDecodeError, csv.Error, ValueError, AttributeError) as error:
            raise DataError(f"{self._path} cannot be read: {error}") from error

    def add(self, row: dict[str, Any], label: str) -> None:
        """Append a row with a label, and flush it to disk."""
        end = self._path.stat().st_size if self._path.exists() else 0
        line = self._line({**row, self._label: label}, with_header=end == 0)
        with self._path.open("a+b") as file:
            if end:
                file.seek(-1, os.SEEK_END)
                if file.read(1) not in b"\r\n":  # the last line has no end
                    line = "\n" + line
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        self._added.append((end, label))
        self.counts[label] += 1

    def undo(self) -> bool:
        """Take back the last row that was added; returns whether there was one."""
        if not self._added:
            return False
        end, label = self._added.pop()
        with self._path.open("r+b") as file:
            file.truncate(end)
            os.fsync(file.fileno())
        self.counts[label] -= 1
        return True

    def _line(self, row: dict[str, Any], with_header: bool) -> str:
        if self._separator is None:
            return json.dumps({name: row.get(name) for name in self._columns}, ensure_ascii=False, default=str) + "\n"
        written = io.StringIO(newline="")
        writer = csv.writer(written, delimiter=self._separator, lineterminator="\n")
        if with_header:
            writer.writerow(self._columns)
        writer.writerow([as_string(row.get(name)) for name in self._columns])
        return written.getvalue()
