"""Functions shared by the readers of all formats."""

import glob
import gzip
import re
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, cast

from textmix.errors import DataError

# Rows of a block of the copy on disk. When the copy is mapped to memory, 64 KiB of each block become resident.
STORED_AT_ONCE = 10_000
# datasets takes 0.3 ms a column before it reads a row: five minutes for a million columns.
_MOST_COLUMNS = 10_000


def opened(file: str) -> BinaryIO:
    """Open a file for reading bytes; a gzip file is decompressed."""
    return cast(BinaryIO, gzip.open(file)) if file.lower().endswith(".gz") else Path(file).open("rb")


def check_width(file: str, columns: int) -> None:
    """Check the number of columns of a file.

    Raises:
        DataError: If there are too many.
    """
    if columns > _MOST_COLUMNS:
        raise DataError(f"{file} has {columns} columns; no more than {_MOST_COLUMNS} can be read: leave some out")


def escaped(files: list[str]) -> list[str]:
    """Turn names of files into the globs that datasets takes."""
    return [glob.escape(file) for file in files]


def file_stamp(files: list[str]) -> str:
    """Hash the size and times of files, to recognise their copy on disk.

    datasets itself compares only the time of the last change, which `cp -p` and `rsync -t` set.
    """
    states = [(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for stat in (Path(file).stat() for file in files)]
    return sha256(repr(states).encode()).hexdigest()[:16]


def explain(files: list[str], error: BaseException) -> str:
    """Describe in one line why files could not be read, with the line number if it is known."""
    where = ", ".join(files)
    chain: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in chain:
        chain.append(step)
        step = step.__cause__ or step.__context__
    for cause in reversed(chain):
        if "corresponds to no data" in str(cause):
            return f"{where}: no rows"
        if isinstance(cause, UnicodeDecodeError):
            return f"{where}: not UTF-8 (byte {cause.start}: {cause.reason}); save it as UTF-8"
        fields = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(cause))
        if fields:
            return f"{where}: broken line {fields[2]}: {fields[3]} fields instead of {fields[1]}"
        quote = re.search(r"EOF inside string starting at row (\d+)", str(cause))
        if quote:
            return f"{where}: broken line {int(quote[1]) + 1}: a quote is opened there and never closed"
    reason = str(chain[-1]).strip() or type(chain[-1]).__name__
    return f"cannot read {where}: {reason.splitlines()[0]}"
