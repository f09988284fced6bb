"""Check and measure textmix on a GPU: python benchmarks/gpu.py [--sections NAME ...] [--data DIRECTORY].

Runs the sections one after the other, each in a separate process with its own time limit, at most 8 minutes in all.
Prints a table and writes benchmarks/results/gpu.json after each section. DIRECTORY holds trec_train.csv; without it
texts of the same lengths are made up. Without a GPU it ends with exit code 2; --rehearse runs tiny shapes on the CPU
and writes nothing.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # where textmix is not installed

RESULTS = ROOT / "benchmarks" / "results" / "gpu.json"
# Seconds that each section may take.
LIMITS = {"right": 150, "waits": 40, "training": 130, "mixing": 80, "prediction": 50, "textcnn": 30}
NEEDED = ("torch", "transformers", "accelerate", "tokenizers", "datasets", "sklearn", "jsonargparse", "filelock")


def missing_packages() -> list[str]:
    """Return the packages that the sections need and this environment lacks."""
    from importlib.util import find_spec

    return [name for name in NEEDED if find_spec(name) is None]


def run_section(name: str, rehearse: bool, data: Path | None) -> tuple[list[dict[str, Any]], str]:
    """Run a section in a new process.

    Returns:
        Its rows, also of a section that failed or was cut off, and how it ended.
    """
    command = [sys.executable, __file__, "--child", name]
    command += ["--rehearse"] * rehearse + (["--data", str(data)] if data is not None else [])
    rows = []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    timer = Timer(LIMITS[name], process.kill)
    timer.start()
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("ROW "):
            rows.append(json.loads(line[4:]))
            print_row(rows[-1])
    code = process.wait()
    cut = not timer.is_alive() and code != 0
    timer.cancel()
    return rows, "done" if code == 0 else f"cut off after {LIMITS[name]} s" if cut else f"failed with exit code {code}"


def print_row(row: dict[str, Any]) -> None:
    """Print a row of the table."""
    value = row["value"]
    shown = value if isinstance(value, str) else f"{value:.4g}"
    unit = f" {row['unit']}" if row["unit"] else ""
    print(f"| {row['section']} | {row['figure']} | {shown}{unit} | {row['goal']} |", flush=True)


def main() -> int:
    """Run the sections that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", nargs="+", choices=LIMITS, default=list(LIMITS), help="sections to run")
    parser.add_argument("--data", type=Path, default=None, help="directory with trec_train.csv")
    parser.add_argument("--rehearse", action="store_true", help="run tiny shapes on the CPU and write nothing")
    parser.add_argument("--child", choices=LIMITS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if missing := missing_packages():
        print(f"gpu.py: error: install {', '.join(missing)}", file=sys.stderr)
        return 2
    if options.child is not None:
        from benchmarks.gpu_sections import SECTIONS

        SECTIONS[options.child](options.rehearse, options.data)
        return 0
    import torch

    if not options.rehearse and not torch.cuda.is_available():
        print("gpu.py: error: no GPU is available; --rehearse runs tiny shapes on the CPU", file=sys.stderr)
        return 2
    from textmix.runs.environment import environment

    name = "cpu" if options.rehearse else torch.cuda.get_device_name()
    record: dict[str, Any] = {"device": name, "environment": environment("bf16"), "sections": {}}
    print(f"{name}\n\n| section | figure | value | goal |\n| --- | --- | --- | --- |", flush=True)
    for section in options.sections:
        started = time.perf_counter()
        rows, ended = run_section(section, options.rehearse, options.data)
        record["sections"][section] = {"ended": ended, "seconds": time.perf_counter() - started, "rows": rows}
        if ended != "done":
            print_row({"section": section, "figure": "ended", "value": ended, "unit": "", "goal": "done"})
        if not options.rehearse:
            RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return int(any(section["ended"] != "done" for section in record["sections"].values()))


if __name__ == "__main__":
    sys.exit(main())
