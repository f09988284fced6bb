"""Processes of their own, without waiting for their imports each time.

`python -m tests.support.nursery` imports what the command line needs, and forks a process for each command that it
reads, a line of JSON each. `Nursery` talks to it.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
# What programs would import in each process.
IMPORTED = ("textmix.cli.main", "textmix.config.parsing", "textmix.runs.train", "transformers.trainer")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir")


class Nursery:
    """Runs programs in processes forked from one that has imported everything.

    Args:
        log: File that takes what a program prints, unless it is given files of its own.
        threads: Threads of each process; None for torch's own choice.
    """

    def __init__(self, log: Path, threads: int | None = 1) -> None:
        self.log = log
        self._last = 0
        environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-m", "tests.support.nursery", str(log), str(threads or 0)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, env=environment, cwd=ROOT, **pipes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def start(self, arguments: list[str], kill_at_change: int | None = None, **options: Any) -> int:
        """Start a program.

        Args:
            arguments: Those of the program.
            kill_at_change: The process kills itself before its n-th change of a file; None for never.
            options: `program`, a module or the path of a file, if it is not textmix; `environment`, variables to set;
                and paths: `stdin`, `stdout`, `stderr`.

        Returns:
            The number of the process.
        """
        command = {"arguments": arguments, "kill_at_change": kill_at_change, **options}
        self._last = self._ask(command)
        return self._last

    def end(self, pid: int | None = None) -> int:
        """Wait for a process, the last one by default.

        Returns:
            Its exit code, or the number of the signal that ended it, negative.
        """
        return os.waitstatus_to_exitcode(self._ask({"wait": pid or self._last}))

    def run(self, arguments: list[str], kill_at_change: int | None = None, **options: Any) -> int:
        """Start a program and wait for it."""
        self.start(arguments, kill_at_change, **options)
        return self.end()

    def run_together(self, programs: list[dict[str, Any]]) -> list[int]:
        """Start several programs, given by the arguments of `start`, and wait for all."""
        return [self.end(pid) for pid in [self.start(**program) for program in programs]]

    def run_ranks(self, programs: list[dict[str, Any]]) -> list[int]:
        """Run programs together as the ranks of one process group, with the variables that a launcher sets."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            common = {"WORLD_SIZE": str(len(programs)), "MASTER_ADDR": "127.0.0.1"}
            common["MASTER_PORT"] = str(free.getsockname()[1])
        ranks = [{**common, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(len(programs))]
        return self.run_together([{**programs[rank], "environment": ranks[rank]} for rank in range(len(programs))])

    def said(self) -> str:
        """Return what the last program printed."""
        return self.log.read_text(errors="replace")

    def _ask(self, request: Mapping[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request, default=str) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the nursery is gone; {self.log} may say why"
        return int(line)


def _nurse(log: Path, threads: int) -> None:
    import torch

    for name in IMPORTED:
        importlib.import_module(name)
    if threads:
        torch.set_num_threads(threads)
    gc.freeze()  # or each process would copy all that was imported when it collects garbage
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitpid(request["wait"], 0)[1]
        else:
            answer = os.fork()
            if not answer:
                _be(request, log)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _be(request: dict[str, Any], log: Path) -> None:
    """Run a program in this process, and end it."""
    printed = request.get("stdout") or log
    _redirect(0, request.get("stdin") or os.devnull, os.O_RDONLY)
    _redirect(1, printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    if "stderr" in request:
        _redirect(2, request["stderr"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    else:
        os.dup2(1, 2)
    sys.stdin, sys.stdout = os.fdopen(0, encoding="utf-8"), os.fdopen(1, "w", encoding="utf-8")
    os.environ.update(request.get("environment", {}))
    _count_changes(request["kill_at_change"], log)
    program = request.get("program", "textmix")
    sys.argv = [program, *request["arguments"]]
    code: Any = 70
    try:
        run: Any = runpy.run_path if program.endswith(".py") else runpy.run_module
        run(program, run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _redirect(number: int, path: str | Path, flags: int) -> None:
    file = os.open(path, flags)
    os.dup2(file, number)
    os.close(file)


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


if __name__ == "__main__":
    _nurse(Path(sys.argv[1]), int(sys.argv[2]))
