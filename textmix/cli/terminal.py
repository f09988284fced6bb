"""What the commands print with: a console and tables of rich's."""

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


class _StandardOutput(logging.Handler):
    """Prints log lines; unlike a StreamHandler it follows redirections and lets a broken pipe be seen."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record))


@contextmanager
def logging_to_standard_output() -> Iterator[None]:
    """Print what textmix logs at the level INFO and above, as plain lines."""
    logger, handler = logging.getLogger("textmix"), _StandardOutput()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


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
