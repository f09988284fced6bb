"""The errors that textmix raises on purpose, each with one line that says what is wrong and what to do."""

import difflib
import signal
from collections.abc import Iterable

# Characters of a name, and choices, that a mistyped name is compared with: each takes a tenth of a millisecond.
_COMPARED = 200


class TextmixError(ValueError):
    """Something the user can put right; the command line prints it as one line and exits with code 2."""


class ConfigError(TextmixError):
    """An option has a value that cannot work, alone or beside the others."""


class DataError(TextmixError):
    """A data source cannot be read, or its rows cannot be used as they are."""


class ModelError(TextmixError):
    """A model cannot be found, loaded, or mixed at the site asked for."""


class RunError(TextmixError):
    """A run directory is missing, in the way, or not a run."""


class RunFinished(RunError):  # noqa: N818  # nothing went wrong
    """A run that should go on has finished already."""


class TrainingError(TextmixError):
    """Training cannot go on, for example because the loss is no longer finite."""


def listed(names: Iterable[str], most: int = 20) -> str:
    """List names for a message, of many only the first."""
    shown = list(names)
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")


def one_line(message: str, most: int = 2000) -> str:
    """Bring a message that quotes what users gave to one line of printable characters, its middle left out if long."""
    words = " ".join(message.split())
    if len(words) > most:
        words = f"{words[: most // 2]} … {words[-most // 2 :]}"
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in words
    )


def nearest(name: str, choices: Iterable[str]) -> str:
    """Say which of the choices a mistyped name is near to.

    Args:
        name: What was given.
        choices: What would have been right.

    Returns:
        A clause to append to an error message; empty when none is near.
    """
    known = list(choices)[:_COMPARED]
    # An option that was looked for in another section has the same last part.
    near = [one for one in known if "." in name and one.rpartition(".")[2] == name.rpartition(".")[2]]
    near = near if len(near) == 1 else difflib.get_close_matches(name[:_COMPARED], known, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Like `nearest`, but list all the choices when none is near."""
    names = list(choices)
    return nearest(name, names) or f"; known: {', '.join(names)}"


class TrainingInterrupted(TextmixError):  # noqa: N818  # it is a wish of the user's, not an error
    """Training was asked to stop and has saved a checkpoint to go on from.

    Args:
        message: What happened, in one line.
        number: The signal that asked for it.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.number = number
