"""Reading: how files are read. Imports no torch and no datasets: `--help` stays fast."""

import codecs
from dataclasses import dataclass, replace
from typing import Literal, Self

Format = Literal["csv", "tsv", "json", "jsonl", "parquet", "xlsx", "conll", "text"]
# Detects the encoding of each file.
AUTO = "auto"


@dataclass(frozen=True)
class Reading:
    """How a source is read; the options of `data` with these names.

    Args:
        subset: Configuration of a hub data set.
        encoding: Encoding of the files, or `auto`.
        delimiter: The character between two cells of csv and tsv files; None: a tab in tsv files, found in csv files.
        columns: Names of the columns of files without a header; None: the first line has them.
        format: Format of the files; None: their names tell.
        field: Where the rows of a JSON document are, as a dotted name, or the sheet of an xlsx file.
        nested: Dotted names of fields inside objects that become columns, such as `doc.body`.
    """

    subset: str | None = None
    encoding: str = "utf-8"
    delimiter: str | None = None
    columns: tuple[str, ...] | None = None
    format: Format | None = None
    field: str | None = None
    nested: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        subset: str | None = None,
        encoding: str | None = None,
        delimiter: str | None = None,
        columns: str | list[str] | None = None,
        format: Format | None = None,  # noqa: A002  # the option's name
        field: str | None = None,
    ) -> Self:
        r"""Build it from options as users give them: columns separated by commas, `tab` or `\t` for a tab."""
        given = columns.split(",") if isinstance(columns, str) else columns
        names = tuple(str(name).strip() for name in given) if given is not None else None
        delimiter = "\t" if delimiter in ("\\t", "tab") else delimiter
        return cls(subset, encoding or "utf-8", delimiter, names, format, field)

    def wrong(self) -> list[str]:
        """Return what is wrong with the values, one message each."""
        wrong: list[str] = []
        if self.encoding != AUTO and not is_text_encoding(self.encoding):
            wrong.append(f"data.encoding '{self.encoding}' is unknown; use a name such as utf-8, cp1252, gbk, or auto")
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            wrong.append(f"data.delimiter must be one character, or tab, not '{self.delimiter}'")
        if self.columns is not None and (
            not self.columns or not all(self.columns) or len(set(self.columns)) < len(self.columns)
        ):
            wrong.append(f"data.columns must name each column once, not '{','.join(self.columns)}'")
        return wrong

    def with_nested(self, names: list[str]) -> Self:
        """Read those of these columns that have a dotted name inside objects, too."""
        return replace(self, nested=tuple(dict.fromkeys([*self.nested, *(name for name in names if "." in name)])))


def is_text_encoding(name: str) -> bool:
    """Test whether Python knows an encoding of text by this name."""
    try:
        return isinstance("".encode(name), bytes) and bool(codecs.lookup(name))
    except (LookupError, ValueError):
        return False
