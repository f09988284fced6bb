"""Output of the commands: log lines, a rich console, tables."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from textmix.evaluation.tables import Table

if TYPE_CHECKING:
    from rich.console import Console


class _StandardOutput(logging.Handler):
    """Prints log lines; unlike StreamHandler it follows redirections and raises BrokenPipeError."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record))


@contextmanager
def logging_to_standard_output() -> Iterator[None]:
    """Print the log records of textmix at level INFO and above as plain lines."""
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
    """Build a console on standard output; it has no colours if the output is not a terminal or NO_COLOR is set."""
    from rich.console import Console

    class PipeSafeConsole(Console):
        def on_broken_pipe(self) -> None:
            """Pass the error on to `main` instead of exiting."""
            raise  # rich calls this while it handles the BrokenPipeError

    return PipeSafeConsole(file=sys.stdout, highlight=False)


def print_table(table: Table) -> None:
    """Print a table on standard output."""
    console().print(table.rich())


def abandon_output() -> None:
    """Redirect standard output after a broken pipe, so that the interpreter's last flush does not fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
