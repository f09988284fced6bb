"""Find the files that a command reads, and refuse to write over them."""

import glob
from collections.abc import Iterable
from pathlib import Path

from textmix.errors import RunError


def matching_paths(pattern: str) -> list[str]:
    """List the files and directories that a path or glob names; a path that exists is never taken for a glob."""
    return [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  # also absolute patterns


def refuse_overwriting(target: Path, inputs: Iterable[str | Path], option: str) -> None:
    """Check that the output of a command replaces none of its inputs.

    Links and different spellings of a path count as the file that they lead to.

    Args:
        target: The file that is written, or a directory whose files may be replaced or removed. It may be missing.
        inputs: Files that the command reads, directories of such files, and globs. What does not exist is skipped, so
            that hub ids and built-in names may be among them.
        option: The option that names the target, for the message.

    Raises:
        RunError: If the target is an input, contains one, or is a file in a directory that is an input.
    """
    for pattern in inputs:
        for path in map(Path, matching_paths(str(pattern))):
            if _would_replace(target, path):
                raise RunError(f"{option} {target} would overwrite {path}, an input of this command; choose another")


def _would_replace(target: Path, path: Path) -> bool:
    if not target.exists():
        return False
    if target.samefile(path):
        return True
    real = target.resolve()
    if target.is_dir():  # which may contain the file, or a link to it
        return real in path.resolve().parents or real in path.absolute().parent.resolve().joinpath(path.name).parents
    return path.is_dir() and path.resolve() in real.parents
