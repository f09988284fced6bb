"""No command asks the network where its data and models are local or built in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.support.commands import SMALL
from tests.support.launching import ROOT
from tests.support.topics import topic_rows
from tests.support.versions import HAS_EXPORTER

# A process of its own, without the offline variables that the tests set.
GUARDED = """
import json, socket, sys
asked = []

def getaddrinfo(host, *arguments, **options):
    asked.append(str(host))
    raise OSError(f"the network was asked for {host}")

socket.getaddrinfo = getaddrinfo
from textmix.cli.main import main
for command in json.loads(sys.argv[1]):
    code = main(command)
    print("RESULT", json.dumps([command[0], code, asked]), flush=True)
    asked.clear()
"""


@pytest.mark.slow
def test_no_command_asks_the_network_for_local_and_built_in_data(tmp_path: Path) -> None:
    frame = pd.DataFrame(topic_rows(60), columns=["text", "label"])
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.to_csv(tmp_path / "rows.tsv", index=False, sep="\t")
    frame.to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "rows.parquet")
    runs, once = tmp_path / "runs", [*SMALL, "--train.epochs", "1"]
    train = ["--data.source", str(tmp_path / "rows.csv"), *once]
    run = str(runs / "run")
    commands = [
        ["train", *train, "--output_dir", run],
        ["train", "--data.source", "bbc_news", *once, "--train.max_steps", "1", "--output_dir", str(runs / "news")],
        ["evaluate", run],
        ["evaluate", run, "--data.source", str(tmp_path / "rows.tsv")],
        ["evaluate", run, "--data.source", str(tmp_path / "rows.jsonl"), "--output_dir", str(runs / "jsonl")],
        ["predict", run, str(tmp_path / "rows.parquet"), "--output", str(tmp_path / "predicted.csv")],
        ["inspect", run, str(tmp_path / "rows.csv"), "-n", "1", "--strategy", "word"],
        *([["export", run]] if HAS_EXPORTER else []),
        ["compare", *train, "--strategies", "none,word", "--seeds", "1", "--output_dir", str(runs / "compare")],
        ["crossval", *train, "--folds", "2", "--output_dir", str(runs / "one")],
        ["crossval", *train, "--folds", "2", "--mix.strategy", "none", "--output_dir", str(runs / "two")],
        ["ensemble", str(runs / "one"), str(runs / "two"), "--output_dir", str(runs / "ensemble")],
        ["sweep", *train, "--trials", "1", "--output_dir", str(runs / "sweep")],
        ["recipes"],
        ["datasets"],
        ["models"],
        ["strategies"],
    ]
    environment = {name: value for name, value in os.environ.items() if "OFFLINE" not in name}
    environment["HF_DATASETS_CACHE"] = str(tmp_path / "cache")  # nothing is read from an earlier copy
    done = subprocess.run(
        [sys.executable, "-c", GUARDED, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=ROOT,
    )
    results = [json.loads(line.partition(" ")[2]) for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert results == [[command[0], 0, []] for command in commands], done.stderr[-2000:]
