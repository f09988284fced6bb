"""Tables of text, as Markdown and for a terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table as RichTable


@dataclass(frozen=True)
class Table:
    """A table of text.

    Args:
        header: Names of the columns.
        rows: The cells, row by row.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Return the table as Markdown, without a newline at its end."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        return "\n".join("| " + " | ".join(map(_escape, line)) + " |" for line in lines)

    def rich(self, numbers: bool = False) -> "RichTable":
        """Return the table for a rich console.

        Args:
            numbers: Align all columns but the first to the right.
        """
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable()
        for number, name in enumerate(self.header):
            table.add_column(name, justify="right" if numbers and number else "left")
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
