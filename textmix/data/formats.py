"""What the readers of all formats have in common."""

import gzip
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, cast

from textmix.errors import DataError

# Rows of each block of the copy on the disk: when it is mapped, 64 KiB of each become resident.
STORED_AT_ONCE = 10_000
# datasets takes 0.3 ms a column before it reads a row: five minutes for a million.
_MOST_COLUMNS = 10_000


def opened(file: str) -> BinaryIO:
    """Open a file for reading bytes, uncompressed."""
    return cast(BinaryIO, gzip.open(file)) if file.lower().endswith(".gz") else Path(file).open("rb")


def check_width(file: str, columns: int) -> None:
    """Refuse what is no table of rows.

    Raises:
        DataError: If there are too many columns.
    """
    if columns > _MOST_COLUMNS:
        raise DataError(f"{file} has {columns} columns; no more than {_MOST_COLUMNS} can be read: leave some out")


def file_stamp(files: list[str]) -> str:
    """Name the state of files, for the copy that datasets keeps of them.

    Which goes by the time of the last change alone, and that `cp -p` and `rsync -t` set as they please.
    """
    states = [(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for stat in (Path(file).stat() for file in files)]
    return sha256(repr(states).encode()).hexdigest()[:16]
