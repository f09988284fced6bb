"""Train in processes that are really killed, without waiting for their imports each time.

`python -m tests.support.killing` is a nursery: it imports what training needs, and forks a process for each line of
JSON that it reads. `Nursery` talks to it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import yaml

HISTORY, CONFIG = "history.jsonl", "config.yaml"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir")


class Nursery:
    """Runs `textmix` commands in processes forked from one that has imported everything.

    Args:
        log: File that takes what the commands print.
        threads: Threads of each process; None for torch's own choice.
    """

    def __init__(self, log: Path, threads: int | None = 1) -> None:
        self.log = log
        environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-m", "tests.support.killing", str(log), str(threads or 0)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[2], **pipes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def start(self, arguments: list[str], kill_at_change: int | None = None) -> int:
        """Start a command.

        Args:
            arguments: Those of `textmix`.
            kill_at_change: The process kills itself before its n-th change of a file; None for never.

        Returns:
            The number of the process.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"arguments": arguments, "kill_at_change": kill_at_change}) + "\n")
        self._process.stdin.flush()
        return int(self._read())

    def end(self) -> int:
        """Wait for the command; returns its exit code, or the number of the signal that ended it, negative."""
        return os.waitstatus_to_exitcode(int(self._read()))

    def run(self, arguments: list[str], kill_at_change: int | None = None) -> int:
        """Start a command and wait for it."""
        self.start(arguments, kill_at_change)
        return self.end()

    def said(self) -> str:
        """Return what the last command printed."""
        return self.log.read_text(errors="replace")

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the nursery is gone; {self.log} may say why"
        return line


def kill_at_step(nursery: Nursery, arguments: list[str], directory: Path, step: int) -> int:
    """Run a command, and kill it as soon as its history has so many lines; returns how it ended."""
    pid = nursery.start(arguments)
    while not is_dead(pid):
        if _lines(directory / HISTORY) >= step:
            _kill(pid)
            break
        time.sleep(0.0005)
    return nursery.end()


def kill_after(nursery: Nursery, arguments: list[str], seconds: float) -> int:
    """Run a command, and kill it after some time; returns how it ended."""
    pid = nursery.start(arguments)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not is_dead(pid):
        time.sleep(0.0005)
    _kill(pid)
    return nursery.end()


def kill_while_writing(
    nursery: Nursery, arguments: list[str], directory: Path, pattern: str, delay: float = 0.0, skip: int = 0
) -> int:
    """Run a command, and kill it while a path is there that matches a pattern.

    Args:
        nursery: Starts it.
        arguments: The command.
        directory: Where to look.
        pattern: What to look for.
        delay: Seconds to wait when it is there.
        skip: How often to let it come and go.

    Returns:
        How it ended.
    """
    pid = nursery.start(arguments)
    seen: list[Path] = []
    while not is_dead(pid):
        before, seen = seen, list(directory.glob(pattern))
        if seen and seen != before:
            if not skip:
                time.sleep(delay)
                _kill(pid)
                break
            skip -= 1
    return nursery.end()


def _kill(pid: int) -> None:
    # Nobody has waited for it before the nursery, and the nursery tells only afterwards: the number is still its own,
    # or of a process that is gone.
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def is_dead(pid: int) -> bool:
    """Say whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def outcome(directory: Path) -> dict[str, Any]:
    """Read all that a run leaves, but for the times and the name of its directory."""
    found: dict[str, Any] = {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }
    found[CONFIG] = {**yaml.safe_load(found[CONFIG]), "output_dir": None}
    if "metrics.json" in found:
        metrics = json.loads(found["metrics.json"])
        del metrics["train"]["seconds"], metrics["train"]["samples_per_second"]
        found["metrics.json"] = json.dumps(metrics)
    return found


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Name the files in which two outcomes differ."""
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def go_on(train: list[str], directory: Path) -> list[str]:
    """Say how to go on with a killed run: what was killed before it wrote anything is started anew."""
    if (directory / CONFIG).exists():
        return ["train", "--resume", str(directory)]
    shutil.rmtree(directory, ignore_errors=True)
    return [*train, "--output_dir", str(directory)]


def _count_changes(kill_at: int | None, log: Path) -> None:
    """Kill this process before its n-th change of a file that is not in a cache; leave the count beside the log."""
    count = 0
    counted = os.open(log.with_suffix(".count"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def hook(event: str, values: tuple[Any, ...]) -> None:
        nonlocal count
        changes = bool(values[2] & _WRITING) if event == "open" else event in _CHANGES
        if not changes or ".cache" in str(values[0]) or "/dev/" in str(values[0]):
            return
        count += 1
        os.pwrite(counted, b"%08d" % count, 0)
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _nurse(log: Path, threads: int) -> None:
    import torch

    # What `main` would import in each process.
    import textmix.config.parsing
    import textmix.runs.train  # noqa: F401
    from textmix.cli.main import main

    if threads:
        torch.set_num_threads(threads)
    for line in sys.stdin:
        command = json.loads(line)
        pid = os.fork()
        if not pid:
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            _count_changes(command["kill_at_change"], log)
            code = 70
            try:
                code = main(command["arguments"])
            finally:
                sys.stderr.flush()
                os._exit(code)
        _tell(pid)
        _tell(os.waitpid(pid, 0)[1])


def _tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _nurse(Path(sys.argv[1]), int(sys.argv[2]))
