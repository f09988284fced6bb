"""Find the delimiter of a csv file from its first rows."""

import csv
from itertools import islice

# In order of preference.
_DELIMITERS = (",", ";", "\t", "|")
_ROWS = 100


def find_delimiter(head: str, width: int | None = None) -> str:
    """Find the delimiter.

    A delimiter must occur in the first line. Of several, the one wins with which all rows have as many cells as the
    first; then the one with the most cells. Quoted cells may contain any of them.

    Args:
        head: The first rows, whole lines.
        width: Number of columns, if it is known.

    Returns:
        The delimiter; a comma if the file has a single column.
    """
    widths = {delimiter: _widths(head, delimiter) for delimiter in _DELIMITERS}
    splitting = {delimiter: found for delimiter, found in widths.items() if found and found[0] > 1}
    if not splitting:
        return ","

    def score(delimiter: str) -> tuple[bool, bool, int]:
        found = splitting[delimiter]
        return found[0] == width, len(set(found)) == 1, found[0]

    return max(splitting, key=score)  # the first of equals


def _widths(head: str, delimiter: str) -> list[int]:
    """Return the number of cells of the first rows."""
    try:
        rows = list(islice(csv.reader(head.splitlines(keepends=True), delimiter=delimiter), _ROWS))
    except csv.Error:  # a cell beyond the limit of the module
        return []
    return [len(row) for row in rows if row]
