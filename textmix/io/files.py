"""Write files and directories atomically: whole or not at all, and flushed to disk before they get their name."""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from textmix.errors import RunError

_Made = TypeVar("_Made")
# Locks a directory: textmix.io.locks.
LOCK = ".lock"
# .NAME.newPID is being written; .NAME.oldPID is the directory NAME until the new one has taken its place.
_LEFTOVER = re.compile(r"\.(?P<name>.+)\.(?P<kind>new|old)(?P<pid>\d+)")


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Replace a file or directory by a temporary one at the end of a `with` block, unless the block raises.

    The new content is flushed to disk before it gets its name, so that neither a killed process nor a power failure
    leaves a part of it. Unfinished files of killed processes for the same target are removed first.

    Args:
        target: The file or directory to write; the old one stays until the new one is complete.

    Yields:
        A path in the same directory that does not exist yet.

    Raises:
        OSError: If it cannot be written, for example because the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for path, found in _leftovers(target.parent):
        if found["name"] == target.name and not _is_another_process(int(found["pid"])):
            _clear(path, found)
    temporary = _beside(target, "new")
    try:
        with _system_errors(target):
            yield temporary
        _flush(temporary)
        _put_in_place(temporary, target)
        _flush_one(target.parent)
    finally:
        _remove(temporary)


def is_leftover(path: Path) -> bool:
    """Test whether a killed process has left a path: a file or directory it was writing, or its lock."""
    return path.name == LOCK or _LEFTOVER.fullmatch(path.name) is not None


def clear_leftovers(directory: Path) -> None:
    """Remove the unfinished files of killed processes from a directory that no other process writes to.

    Args:
        directory: The directory, which may be missing; its subdirectories are left alone.
    """
    for path, found in _leftovers(directory):
        _clear(path, found)


def _beside(target: Path, kind: str) -> Path:
    return target.with_name(f".{target.name}.{kind}{os.getpid()}")


def _leftovers(directory: Path) -> list[tuple[Path, re.Match[str]]]:
    paths = sorted(directory.iterdir()) if directory.is_dir() else []
    return [(path, found) for path in paths if (found := _LEFTOVER.fullmatch(path.name))]


def _clear(path: Path, found: re.Match[str]) -> None:
    target = path.with_name(found["name"])
    if found["kind"] == "old" and not target.exists():
        path.rename(target)
    else:
        _remove(path)


def _is_another_process(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # of another user, or not the number of a process
        return True
    return True


@contextmanager
def _system_errors(target: Path) -> Iterator[None]:
    """Convert write errors of libraries in Rust and C++ to OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        number = _system_error(error)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(target)) from error


def _system_error(error: BaseException) -> int | None:
    """Find the errno behind an error: safetensors and tokenizers name it in the message, torch in the context."""
    named = re.search(r"\(os error (\d+)\)|Os \{ code: (\d+)", str(error))  # the second is of safetensors before 0.5
    if named:
        return int(named[1] or named[2])
    return error.__context__.errno if isinstance(error.__context__, OSError) else None


def _flush(path: Path) -> None:
    """Flush a file, or a directory with all its files, to disk."""
    if path.is_dir():
        for parent, _, names in os.walk(path):
            for name in names:
                _flush_one(Path(parent, name))
            _flush_one(Path(parent))
    else:
        _flush_one(path)


def _flush_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot flush a directory
            raise
    finally:
        os.close(descriptor)


def _put_in_place(temporary: Path, target: Path) -> None:
    if not temporary.is_dir() or not target.exists():
        temporary.replace(target)  # a file never takes the place of a directory
        return
    # Python cannot exchange directories atomically.
    old = _beside(target, "old")
    target.rename(old)
    try:
        temporary.rename(target)
    except BaseException:
        old.rename(target)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """Write a JSON file atomically; NaN and infinity, which JSON lacks, raise ValueError."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, make: Callable[[Any], _Made]) -> _Made:
    """Read a JSON file and convert its value.

    Args:
        path: A file that `write_json` has written.
        make: Converts the value; may raise ValueError, TypeError, KeyError or AttributeError.

    Returns:
        The converted value.

    Raises:
        RunError: If the file is damaged.
    """
    try:
        return make(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RunError(f"{path} is damaged: {error!r}") from error
