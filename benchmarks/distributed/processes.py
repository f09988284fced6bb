"""Compare training in one process, in two processes and on two machines: python -m benchmarks.distributed.processes.

Each of two processes gets half of each batch. Without mixing and dropout the losses of all setups must be equal at
every step. The two machines are network namespaces connected by a virtual cable, each with its own launcher; they share
the file system. Namespaces need root and the command `ip` of iproute2; without them this setup is skipped. Results:
benchmarks/results/processes.json.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.shared import make_parser, print_table, read_run, write_results

BATCH = 16
PORT = "29517"
COMMON = ["--mix.strategy", "none", "--model.dropout", "0", "--train.precision", "fp32", "--train.epochs", "2"]
COMMON += ["--train.log_steps", "1", "--data.source", "bbc_news", "--data.max_train_samples", "100"]
MODELS = {
    "textcnn": ["--model.name", "textcnn"],
    "minilm": ["--model.name", "minilm", "--model.encoder_dropout", "0", "--model.max_length", "64"],
}


def command(arguments: list[str], *launcher: str) -> list[str]:
    """Return the command of one launcher, or without launcher options the command of a single process."""
    if not launcher:
        return [sys.executable, "-m", "textmix", "train", *arguments]
    fixed = ("--multi_gpu", "--num_processes", "2", "--mixed_precision", "no", "--dynamo_backend", "no")
    launch = [sys.executable, "-m", "accelerate.commands.launch", *fixed, *launcher]
    return [*launch, "-m", "textmix", "train", *arguments]


@contextmanager
def two_machines() -> Iterator[list[str]]:
    """Create two network namespaces that only a virtual cable connects; yields their names."""
    names = [f"textmix-{number}-{os.getpid()}" for number in range(2)]
    cable = [f"tm{number}x{os.getpid()}" for number in range(2)]

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    try:
        for name in names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("link", "add", cable[0], "type", "veth", "peer", "name", cable[1])
        for number, (name, end) in enumerate(zip(names, cable, strict=True)):
            ip("link", "set", end, "netns", name, "name", "eth0")
            ip("-n", name, "address", "add", f"10.77.0.{number + 1}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)


def train(setup: str, arguments: list[str]) -> None:
    """Train in one of the setups."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if setup == "one process":
        subprocess.run(command([*arguments, "--train.batch_size", str(BATCH)]), check=True, env=environment)
        return
    arguments = [*arguments, "--train.batch_size", str(BATCH // 2)]
    if setup == "two processes":
        launcher = ["--num_machines", "1", "--main_process_port", "0"]
        subprocess.run(command(arguments, *launcher), check=True, env=environment)
        return
    with two_machines() as names:
        machines = []
        for number, name in enumerate(names):
            meeting = ["--main_process_ip", "10.77.0.1", "--main_process_port", PORT]
            launcher = ["--num_machines", "2", "--machine_rank", str(number), *meeting]
            words = ["ip", "netns", "exec", name, *command(arguments, *launcher)]
            # gloo finds its address by the name of the machine, which a namespace does not have.
            machines.append(subprocess.Popen(words, env={**environment, "GLOO_SOCKET_IFNAME": "eth0"}))
        codes = [machine.wait() for machine in machines]
    if any(codes):
        raise SystemExit(f"the launchers on two machines exited with {codes}")


def read(directory: Path) -> dict[str, Any]:
    """Read the losses and scores of a run."""
    history = [json.loads(line) for line in (directory / "history.jsonl").read_text().splitlines()]
    run = read_run(directory)
    return {
        "losses": [line["loss"] for line in history if "loss" in line],
        "validation": [line["validation"]["nll"] for line in history if "validation" in line],
        "samples": run["train"]["samples"],
        "test_accuracy": run["test"]["accuracy"],
        "environment": run["environment"],
    }


def main() -> None:
    """Run everything."""
    parser = make_parser(__doc__)
    parser.add_argument("--models", default=",".join(MODELS), help="models, separated by commas")
    options = parser.parse_args()
    models = options.models.split(",")
    setups = ["one process", "two processes"]
    if os.geteuid() == 0 and shutil.which("ip"):
        setups.append("two machines")
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for model in models:
            results[model] = {}
            for setup in setups:
                directory = Path(scratch) / model / setup.replace(" ", "-")
                train(setup, [*MODELS[model], *COMMON, "--output_dir", str(directory)])
                results[model][setup] = read(directory)
    rows = []
    for model, found in results.items():
        one = found["one process"]
        for setup, result in found.items():
            for name in ("losses", "validation"):
                pairs = zip(result[name], one[name], strict=True)
                result[f"{name}_differ"] = max(abs(value - other) for value, other in pairs)
            differences = (f"{result['losses_differ']:.1e}", f"{result['validation_differ']:.1e}")
            rows.append((model, setup, len(result["losses"]), *differences))
    print_table(["model", "setup", "steps", "largest difference of training loss", "of validation NLL"], rows)
    write_results("processes", results, options)


if __name__ == "__main__":
    main()
