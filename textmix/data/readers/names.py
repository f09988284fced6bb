"""What the names of files tell: their format, and whether they are compressed."""

from pathlib import Path
from zipfile import BadZipFile, ZipFile

from textmix.data.reading import Format
from textmix.errors import DataError, listed

# Ending of a file name to the format.
FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".conll": "conll",
    ".txt": "text",
}
ZIP, _GZIP = ".zip", ".gz"


def ending(path: str) -> str:
    """Return the ending of a name that tells the format, such as `.csv`, `.csv.gz` or `.zip`; empty if none does."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes[-1:] == [ZIP]:
        return ZIP
    known = "".join(suffixes[-2:] if suffixes[-1:] == [_GZIP] else suffixes[-1:])
    return known if known.removesuffix(_GZIP) in FORMATS else ""


def format_of(file: str, asked: Format | None) -> Format:
    """Return the format of a file.

    Args:
        file: Name of an existing file.
        asked: The format that `data.format` gives, if any.

    Raises:
        DataError: If neither the name nor `data.format` tells, or a zip file is broken or has several tables.
    """
    name = zip_member(file) if ending(file) == ZIP else file
    told = asked or FORMATS.get(ending(name).removesuffix(_GZIP))
    if told is None:
        endings = listed([*FORMATS, ZIP])
        raise DataError(
            f"unknown format of '{name}'; its name must end in {endings} (or .gz), or say it with --data.format"
        )
    return told


def zip_member(file: str) -> str:
    """Return the name of the table in a zip file.

    Raises:
        DataError: If it is broken, or does not have exactly one table.
    """
    try:
        with ZipFile(file) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
    except BadZipFile as error:
        raise DataError(f"cannot read {file}: {error}") from error
    # Archives of macOS have a hidden copy of each file; a text beside a table is about it.
    visible = [name for name in names if not any(part.startswith((".", "__MACOSX")) for part in Path(name).parts)]
    tables = [name for name in visible if ending(name) not in ("", ZIP, ".txt")] or visible
    if len(tables) != 1:
        found = f"has several: {listed(tables)}; unpack it and name one" if tables else "has none"
        raise DataError(f"{file}: a zip file must have one table, this one {found}")
    return tables[0]
