"""Tell whether the first line of a table is a row of data instead of a header."""

from collections.abc import Mapping, Sequence

from datasets import Dataset

# Column names are short; survey exports, whose columns are named after whole questions, stay below this.
_MOST_WORDS = 16
# Rows that are searched for the cells of the first line.
HEAD = 1000


def first_cell_of_data(rows: Mapping[str, Sequence[str | None]]) -> str | None:
    """Find a name of a column that is a value rather than a name.

    A name is taken for a value if it has many words, as texts have, or occurs again in its own column, as labels do.
    Rows that repeat the whole header, and the names 0, 1, 2, ... that pandas writes for lack of others, do not count.

    Args:
        rows: Column names to the values of the first rows.

    Returns:
        The name, or None if all of them may be names.
    """
    names = list(rows)
    unnamed = [name for name in names if name != "Unnamed: 0"]  # the index of a pandas table has no name at all
    if unnamed == [str(number) for number in range(len(unnamed))]:
        return None
    below = [row for row in zip(*rows.values(), strict=True) if list(row) != names]
    for place, name in enumerate(names):
        if len(name.split()) > _MOST_WORDS or any(row[place] == name for row in below):
            return name
    return None


def is_header(first: Sequence[str], columns: Sequence[str]) -> bool:
    """Test whether the first line of a file names columns, given the names for a file without a header."""
    return len(first) > 0 and set(first) <= {*columns}


def hint(dataset: Dataset) -> str:
    """Return what may be wrong with a file that lacks a column, as the end of a message; empty if nothing is known."""
    if dataset.builder_name == "text":
        return "; a file of plain text has one text a line: --data.format csv or tsv reads columns"
    if dataset.builder_name in ("json", "jsonl") and dataset.num_rows == 1:
        return "; if its rows are in a field of the document, name it with --data.field"
    return ""


def no_header(cell: str) -> str:
    """Describe a file without a header, given what `first_cell_of_data` has found."""
    shown = cell if len(cell) <= 30 else f"{cell[:30]}…"
    return f"the file seems to have no header, as its first line has '{shown}', which looks like data"
