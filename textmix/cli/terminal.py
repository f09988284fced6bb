"""What the commands print with: a console and tables of rich's."""

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console() -> "Console":
    """Make a console on standard output, without colours where that is no terminal or NO_COLOR is set."""
    from rich.console import Console

    class OurConsole(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to the command line, instead of ending the program here."""
            raise  # rich calls this while it handles the BrokenPipeError

    return OurConsole(file=sys.stdout, highlight=False)


def print_table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Print a table on standard output."""
    from rich.table import Table

    table = Table(*header)
    for row in rows:
        table.add_row(*row)
    console().print(table)


def abandon_output() -> None:
    """Give up standard output, whose reader has gone, so that the interpreter does not flush it in vain at its exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
