"""LabeledFile: a file of labelled rows that grows by whole rows."""

import csv
import io
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from textmix.data.cells import as_string
from textmix.data.standardize import join_texts
from textmix.errors import DataError, RunError, listed
from textmix.inference.writers import json_value

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
        texts: The texts of the rows that it had at first.
        counts: Number of rows of each class, those added included.

    Raises:
        RunError: If its format cannot grow, or it cannot be written.
        DataError: If it cannot be read, or has no place for the rows.
    """

    def __init__(self, path: Path, text_columns: list[str], label_column: str, columns: list[str]) -> None:
        self._path, self._label = path, label_column
        _check_writable(path)
        self._separator = _SEPARATORS.get(path.suffix.lower())
        # For each added row: the size of the file before, None if there was none, and after; the class.
        self._added: list[tuple[int | None, int, str]] = []
        self._line_end = "\n"
        rows, header = self._read()
        # The size of a file without columns, behind which they are written.
        self._headless = None if header else path.stat().st_size if path.exists() else 0
        self._columns = header or list(dict.fromkeys([*columns, label_column]))
        if missing := [name for name in (*text_columns, label_column) if name not in self._columns]:
            raise DataError(f"{path}: no column '{missing[0]}'; it has {listed(self._columns)}")
        if header and (extra := [name for name in columns if name not in header]):
            raise DataError(f"{path} has no column for '{extra[0]}' of the pool; write to another file")
        try:
            parts = [[as_string(row.get(name)) for row in rows] for name in text_columns]
            self.texts = set(zip(*join_texts(parts).values(), strict=True))
            labels = [as_string(row.get(label_column)).strip() for row in rows]
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        self.counts = Counter(label for label in labels if label)

    def _read(self) -> tuple[list[dict[str, Any]], list[str] | None]:
        """Return the rows and the columns; None for a file without any."""
        try:
            # Bytes: Python would change the ends of lines inside of texts.
            text = self._path.read_bytes().decode("utf-8-sig").lstrip("\r\n") if self._path.exists() else ""
            if "\r\n" in text[: text.find("\n") + 1]:
                self._line_end = "\r\n"
            if self._separator is None:
                rows = [_object(line) for line in text.split("\n") if line.strip()]  # texts may have other line ends
                return rows, list(dict.fromkeys(name for row in rows for name in row)) or None
            csv.field_size_limit(sys.maxsize)
            reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=self._separator, strict=True)
            return list(reader), list(reader.fieldnames or []) or None
        except (csv.Error, ValueError, RecursionError) as error:
            raise DataError(f"{self._path} cannot be read: {error}") from error

    def add(self, row: dict[str, Any], label: str) -> None:
        """Append a row with a label, and flush it to disk.

        Args:
            row: Its values by column.
            label: Its class.

        Raises:
            OSError: If it cannot be written, for example because the disk is full; the file is then as before.
        """
        start = self._path.stat().st_size if self._path.exists() else None
        with_header = not start or start == self._headless
        line = self._line({**row, self._label: label}, with_header)
        with self._path.open("a+b", buffering=0) as file:
            if start and not with_header:
                file.seek(-1, os.SEEK_END)
                if file.read(1) not in b"\r\n":  # the last line has no end
                    line = self._line_end + line
            left = memoryview(line.encode())
            try:
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(start or 0)
                raise
            end = file.seek(0, os.SEEK_END)
        self._added.append((start, end, label))
        self.counts[label] += 1

    def undo(self) -> bool:
        """Take back the last row that was added: the file is as before.

        Returns:
            Whether there was one.

        Raises:
            RunError: If another program has changed the file since.
        """
        if not self._added:
            return False
        start, end, label = self._added[-1]
        if self._path.stat().st_size != end:
            raise RunError(f"{self._path} has changed since the last answer, which is not taken back")
        if start is None:
            self._path.unlink()
        else:
            with self._path.open("r+b") as file:
                file.truncate(start)
                os.fsync(file.fileno())
        self._added.pop()
        self.counts[label] -= 1
        return True

    def _line(self, row: dict[str, Any], with_header: bool) -> str:
        values = {name: json_value(row.get(name)) for name in self._columns}
        if self._separator is None:
            return json.dumps(values, ensure_ascii=False) + self._line_end
        written = io.StringIO(newline="")
        cells = [_cell(value) for value in values.values()]
        # A lone carriage return would end the line, but the writer does not quote a text for it.
        writer = csv.writer(
            written,
            delimiter=self._separator,
            lineterminator=self._line_end,
            quoting=csv.QUOTE_ALL if "\r" in "".join(cells) else csv.QUOTE_MINIMAL,
        )
        if with_header:
            writer.writerow(self._columns)
        writer.writerow(cells)
        return written.getvalue()


def _check_writable(path: Path) -> None:
    if path.suffix.lower() not in (*_SEPARATORS, _JSON_LINES):
        raise RunError(f"cannot add rows to '{path}': its name must end in .csv, .tsv or .jsonl")
    if path.exists() and not path.is_file():
        raise RunError(f"cannot write '{path}': it is " + ("a directory" if path.is_dir() else "not a file"))
    if not path.parent.is_dir():
        raise RunError(f"cannot write '{path}': there is no directory {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise RunError(f"cannot write '{path}': no permission")


def _object(line: str) -> dict[str, Any]:
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError(f"a line holds a JSON {type(value).__name__}, not an object")
    return value


def _cell(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else as_string(value)
