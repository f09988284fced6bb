"""What the commands print with: a console and tables of rich's, and libraries that keep quiet."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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


def quiet_libraries() -> None:
    """Keep the libraries' load reports and progress bars out of our output; warnings stay."""
    import datasets as hub_datasets
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    hub_datasets.disable_progress_bars()
    # What cannot be read is told by our own error.
    hub_datasets.logging.set_verbosity(hub_datasets.logging.CRITICAL)


@contextmanager
def libraries_quiet() -> Iterator[None]:
    """Keep the libraries quiet within a block, as `quiet_libraries` does, and let them speak as before after it."""
    import datasets as hub_datasets
    from transformers.utils import logging

    level, hub_level = logging.get_verbosity(), hub_datasets.logging.get_verbosity()
    bars, hub_bars = logging.is_progress_bar_enabled(), not hub_datasets.are_progress_bars_disabled()
    quiet_libraries()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        hub_datasets.logging.set_verbosity(hub_level)
        if bars:
            logging.enable_progress_bar()
        if hub_bars:
            hub_datasets.enable_progress_bars()
