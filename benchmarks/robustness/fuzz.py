"""Fuzz the command line with invalid input: python -m benchmarks.robustness.fuzz [--minutes 10] [--first 0].

Each case of tests/support/hostile.py is one call of the command line in a new process, forked from a process that has
imported everything. The call must end within the time limit, with success or with exit code 2 and an error of one line;
without a traceback, without changing an existing file, and, after an error, without leaving a new one. Failures are
printed with their number; `--first NUMBER --cases 1` repeats one. Results: benchmarks/results/fuzz.json.
"""

import argparse
import collections
import gc
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORK = Path(tempfile.mkdtemp(prefix="textmix-fuzz-"))
os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_CACHE=str(WORK / "cache"), TOKENIZERS_PARALLELISM="false")

import torch  # noqa: E402

import textmix.runs.train  # noqa: E402, F401  # imported once, before the cases fork
from benchmarks.shared import machine, make_parser, write_results  # noqa: E402
from tests.support.hostile import QUICK, Case, make_case  # noqa: E402
from tests.support.hostile_tables import ROWS, write_rows  # noqa: E402
from textmix.cli.main import main as run_command  # noqa: E402

MOST_MEMORY = 6 << 30
_NAP = 0.01


def call(arguments: list[str], directory: Path, limit: float) -> tuple[int | None, str]:
    """Run a command in a forked process.

    Returns:
        Its exit code, negative for a signal, None after the time limit; and its output.
    """
    log = directory.with_suffix(".log")
    child = os.fork()
    if child == 0:
        os.setsid()
        _redirect(log)
        os.chdir(directory)
        torch.set_num_threads(1)
        code = 70
        try:
            _limit_memory()
            code = run_command(arguments)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    code: int | None = None
    for _ in range(round(limit / _NAP)):  # not by the clock, which also runs while the machine is suspended
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            break
        time.sleep(_NAP)
    if code is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return code, log.read_text(encoding="utf-8", errors="replace")


def _redirect(log: Path) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def _limit_memory() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))


def snapshot(directory: Path) -> dict[str, Any]:
    """Return the contents of a directory."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() and not path.is_symlink() else "other"
        for path in sorted(directory.rglob("*"))
    }


def problem(case: Case, code: int | None, printed: str, before: dict[str, Any], after: dict[str, Any]) -> str | None:
    """Return what is wrong with the outcome of a case; None if nothing is."""
    if code is None:
        return "hangs"
    if code not in (0, 2):
        return f"exit code {code}"
    if "Traceback" in printed:
        return "traceback"
    output = case.arguments[case.arguments.index("--output") + 1] if "--output" in case.arguments else None
    if code == 0:
        changed = [name for name in before if after.get(name) != before[name] and name != output]
        return f"changed {changed[0]}" if changed else None
    if "lower train.learning_rate" in printed:  # training has started, and its files are kept
        return None
    if after != before:
        return f"left {sorted(set(after) ^ set(before)) or 'a changed file'} behind"
    # The output of a started run can come first: the split report, and a progress bar.
    errors = [line for line in printed.replace("\r", "\n").splitlines() if line.startswith("textmix: error: ")]
    lines = printed.strip().split("\n")
    if len(errors) != 1 or not lines[-1].replace("\r", "\n").split("\n")[-1].startswith("textmix: error: "):
        return "not one line"
    return "a very long line" if len(errors[0]) > 5000 else None


def prepare() -> Path:
    """Train the run that the cases use; returns its directory."""
    finished = WORK / "run"
    write_rows(WORK / "train.csv", ROWS)
    code, printed = call(["train", "--data.source", "train.csv", *QUICK, "--output_dir", str(finished)], WORK, 300)
    if code != 0:
        sys.exit(f"cannot train: {printed}")
    return finished


def try_case(number: int, finished: Path, limit: float) -> tuple[Case, str | None, str, int | None]:
    """Run one case in an empty directory; returns it, what is wrong with its outcome, its output, its exit code."""
    directory = WORK / "case"
    directory.mkdir()
    case = make_case(number, directory, finished)
    before = snapshot(directory)
    code, printed = call(case.arguments, directory, limit)
    wrong = problem(case, code, printed, before, snapshot(directory))
    shutil.rmtree(directory)
    shutil.rmtree(WORK / "cache", ignore_errors=True)
    return case, wrong, printed, code


def try_cases(options: argparse.Namespace) -> dict[str, Any]:
    """Run the cases; returns the record."""
    finished = prepare()
    counts: collections.Counter[str] = collections.Counter()
    failures: list[dict[str, Any]] = []
    slowest = 0.0
    number, started = options.first, time.monotonic()
    while number < options.first + options.cases and time.monotonic() - started < options.minutes * 60:
        began = time.monotonic()
        case, wrong, printed, code = try_case(number, finished, options.limit)
        slowest = max(slowest, time.monotonic() - began)
        counts[f"{case.kind.split(':')[0].split(' .')[0]}, exit code {code}"] += 1
        if wrong is not None:
            failures.append({"number": number, "kind": case.kind, "problem": wrong})
            print(f"case {number} ({case.kind}) {wrong}: textmix {' '.join(case.arguments)[:300]}", flush=True)
            print("    " + "\n    ".join(printed.strip().splitlines()[-6:])[:3000], flush=True)
        if options.cases == 1:
            print(printed)
        number += 1
    return {
        "first": options.first,
        "inputs": number - options.first,
        "minutes": (time.monotonic() - started) / 60,
        "slowest_seconds": slowest,
        "counts": dict(sorted(counts.items())),
        "failures": failures,
        "environment": machine("fp32"),
    }


def main() -> None:
    """Run everything."""
    parser = make_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="duration")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--cases", type=int, default=10**9, help="maximum number of cases")
    parser.add_argument("--limit", type=float, default=60, help="time limit of a case in seconds")
    options = parser.parse_args()
    gc.freeze()
    record = try_cases(options)
    print(
        f"{record['inputs']} inputs in {record['minutes']:.1f} minutes, the slowest {record['slowest_seconds']:.1f} s;"
        f" {len(record['failures'])} failures"
    )
    for name, count in record["counts"].items():
        print(f"{count:7d}  {name}")
    shutil.rmtree(WORK)
    write_results("fuzz", record, options)


if __name__ == "__main__":
    main()
