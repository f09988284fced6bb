"""Silence the libraries that textmix uses."""

from collections.abc import Iterator
from contextlib import contextmanager


def quiet_libraries() -> None:
    """Turn off the load reports and progress bars of transformers and datasets."""
    import datasets as hub_datasets
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    hub_datasets.disable_progress_bars()
    # textmix reports read errors itself.
    hub_datasets.logging.set_verbosity(hub_datasets.logging.CRITICAL)


@contextmanager
def libraries_quiet() -> Iterator[None]:
    """Apply `quiet_libraries` within a `with` block and restore the previous settings after it."""
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
