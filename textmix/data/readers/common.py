"""Functions shared by the readers of all formats."""

import gzip
import re
from hashlib import sha256
from pathlib import Path
from typing import IO, BinaryIO, cast
from zipfile import ZipFile

from textmix.data.readers.names import ZIP, ending, zip_member
from textmix.errors import DataError

# Rows of a block of the copy on disk. When the copy is mapped to memory, 64 KiB of each block become resident.
STORED_AT_ONCE = 10_000
# datasets takes 0.3 ms a column before it reads a row: five minutes for a million columns.
_MOST_COLUMNS = 10_000


def opened(file: str) -> BinaryIO:
    """Open a file for reading bytes; a gzip file is decompressed, of a zip file its only table.

    Raises:
        DataError: If a zip file does not have exactly one table.
    """
    if ending(file) == ZIP:
        member = zip_member(file)
        return cast(BinaryIO, _unzipped(file, member))
    return cast(BinaryIO, gzip.open(file)) if file.lower().endswith(".gz") else Path(file).open("rb")


def _unzipped(file: str, member: str) -> IO[bytes]:
    with ZipFile(file) as archive:
        stream = archive.open(member)  # keeps the file open
    return cast(BinaryIO, gzip.open(stream)) if member.lower().endswith(".gz") else stream


def check_width(file: str, columns: int) -> None:
    """Check the number of columns of a file.

    Raises:
        DataError: If there are too many.
    """
    if columns > _MOST_COLUMNS:
        raise DataError(f"{file} has {columns} columns; no more than {_MOST_COLUMNS} can be read: leave some out")


def file_stamp(files: list[str]) -> str:
    """Hash the size and times of files, to recognise their copy on disk.

    datasets itself compares only the time of the last change, which `cp -p` and `rsync -t` set.
    """
    states = [(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for stat in (Path(file).stat() for file in files)]
    return sha256(repr(states).encode()).hexdigest()[:16]


def explain(files: list[str], error: BaseException) -> str:
    """Describe in one line why files could not be read, with the line number if it is known."""
    where = ", ".join(files)
    chain = _causes(error)
    for cause in reversed(chain):
        if "corresponds to no data" in str(cause):
            return f"{where}: no rows"
        fields = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(cause))
        if fields:
            return f"{where}: broken line {fields[2]}: {fields[3]} fields instead of {fields[1]}"
        quote = re.search(r"EOF inside string starting at row (\d+)", str(cause))
        if quote:
            return f"{where}: broken line {int(quote[1]) + 1}: a quote is opened there and never closed"
    reason = str(chain[-1]).strip() or type(chain[-1]).__name__
    return f"cannot read {where}: {reason.splitlines()[0]}"


def is_decoding_error(error: BaseException) -> bool:
    """Test whether files could not be read because their text is in another encoding."""
    return any(isinstance(cause, UnicodeDecodeError) for cause in _causes(error))


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in chain:
        chain.append(step)
        step = step.__cause__ or step.__context__
    return chain
