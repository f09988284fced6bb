"""Exceptions of textmix. Each message is one line that names the problem and, where possible, the fix."""

import difflib
import signal
from collections.abc import Iterable

# Limits of the search for similar names: characters of a name, and number of choices (0.1 ms each).
_COMPARED = 200
# Not printable for Python, but part of words and emoji.
_JOINERS = "\u200c\u200d"


class TextmixError(ValueError):
    """An error that the user can fix; the command line prints it as one line and exits with code 2."""


class ConfigError(TextmixError):
    """An option has an invalid value, alone or in combination with others."""


class DataError(TextmixError):
    """A data source cannot be read, or its rows are invalid."""


class ModelError(TextmixError):
    """A model cannot be found, loaded, or mixed at the requested site."""


class RunError(TextmixError):
    """A run directory is missing, already in use, or not a run."""


class RunFinished(RunError):  # noqa: N818  # nothing went wrong
    """The run to resume has already finished."""


class TrainingError(TextmixError):
    """Training cannot continue, for example because the loss is not finite."""


def listed(names: Iterable[str], most: int = 20) -> str:
    """Join names for a message; shows the first `most` and the number of the others."""
    shown = list(names)
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")


def one_line(message: str, most: int = 2000) -> str:
    """Make one line of printable characters from a message that quotes user input; shortens it in the middle.

    The joiners that many scripts and emoji need are kept.
    """
    words = " ".join(message.split())
    if len(words) > most:
        words = f"{words[: most // 2]} … {words[-most // 2 :]}"
    return "".join(
        character if character.isprintable() or character in _JOINERS else character.encode("unicode_escape").decode()
        for character in words
    )


def nearest(name: str, choices: Iterable[str]) -> str:
    """Suggest the choice that is most similar to a mistyped name.

    Args:
        name: The name given.
        choices: The valid names.

    Returns:
        A clause to append to an error message; empty if no choice is similar.
    """
    known = list(choices)[:_COMPARED]
    # An option given in the wrong section has the same last part.
    near = [one for one in known if "." in name and one.rpartition(".")[2] == name.rpartition(".")[2]]
    near = near if len(near) == 1 else difflib.get_close_matches(name[:_COMPARED], known, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Like `nearest`, but list all choices if none is similar."""
    names = list(choices)
    return nearest(name, names) or f"; known: {', '.join(names)}"


class TrainingInterrupted(TextmixError):  # noqa: N818  # requested by the user, not an error
    """Training was interrupted and has saved a checkpoint to resume from.

    Args:
        message: The message, in one line.
        number: Number of the signal that interrupted it.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.number = number
