"""Train alike in one process, in two, and on two machines: python benchmarks/processes.py [--models textcnn,minilm].

Each of two processes gets half of the batches of the one, without mixing and dropout, so that all must see the same
loss at every step. The two machines are network namespaces joined by a virtual cable, each with a launcher of its own;
they share the file system, as machines that train together do. Namespaces need root and the command `ip` of iproute2;
without them that part is left out. The table goes to standard output, everything to benchmarks/results/processes.json.
"""

import argparse
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

HERE = Path(__file__).resolve().parent
BATCH = 16
PORT = "29517"
COMMON = ["--mix.strategy", "none", "--model.dropout", "0", "--train.precision", "fp32", "--train.epochs", "2"]
COMMON += ["--train.log_steps", "1", "--data.source", "bbc_news", "--data.max_train_samples", "100"]
MODELS = {
    "textcnn": ["--model.name", "textcnn"],
    "minilm": ["--model.name", "minilm", "--model.encoder_dropout", "0", "--model.max_length", "64"],
}


def command(arguments: list[str], *launcher: str) -> list[str]:
    """Make the command of one launcher, or without its options that of one process alone."""
    if not launcher:
        return [sys.executable, "-m", "textmix", "train", *arguments]
    fixed = ("--multi_gpu", "--num_processes", "2", "--mixed_precision", "no", "--dynamo_backend", "no")
    launch = [sys.executable, "-m", "accelerate.commands.launch", *fixed, *launcher]
    return [*launch, "-m", "textmix", "train", *arguments]


@contextmanager
def two_machines() -> Iterator[list[str]]:
    """Make two network namespaces whose only way to each other is a cable between them; yields their names."""
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
            # gloo looks for its own address by the machine's name, which a namespace does not have.
            machines.append(subprocess.Popen(words, env={**environment, "GLOO_SOCKET_IFNAME": "eth0"}))
        codes = [machine.wait() for machine in machines]
    if any(codes):
        raise SystemExit(f"the launchers on two machines ended with {codes}")


def read(directory: Path) -> dict[str, Any]:
    """Read what a run has reached."""
    history = [json.loads(line) for line in (directory / "history.jsonl").read_text().splitlines()]
    metrics = json.loads((directory / "metrics.json").read_text())
    return {
        "losses": [line["loss"] for line in history if "loss" in line],
        "validation": [line["validation"]["nll"] for line in history if "validation" in line],
        "samples": metrics["train"]["samples"],
        "test_accuracy": metrics["test"]["accuracy"],
        "environment": json.loads((directory / "environment.json").read_text()),
    }


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(MODELS))
    models = parser.parse_args().models.split(",")
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
    print("| model | setup | steps | training loss differs by at most | validation nll differs by at most |")
    print("| --- | --- | --- | --- | --- |")
    for model, found in results.items():
        one = found["one process"]
        for setup, result in found.items():
            for name in ("losses", "validation"):
                pairs = zip(result[name], one[name], strict=True)
                result[f"{name}_differ"] = max(abs(value - other) for value, other in pairs)
            figures = f"{result['losses_differ']:.1e} | {result['validation_differ']:.1e}"
            print(f"| {model} | {setup} | {len(result['losses'])} | {figures} |")
    (HERE / "results" / "processes.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
