"""Inputs that no user means and every user makes: broken, cut, huge, mistyped, and well-formed but strange files.

`make_case` writes one for a number, always the same one; benchmarks/robustness/fuzz.py tries as many as the time
allows.
"""

import gzip
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.support.hostile_recipes import RECIPES, VALUES
from tests.support.hostile_tables import DAMAGES, ROWS, STRANGE, TABLES, WRITERS, write_rows, write_types
from textmix.config.parsing import option_names

QUICK = [
    "--model.name",
    "textcnn",
    "--model.words.embedding_dim",
    "4",
    "--model.textcnn.num_filters",
    "2",
    "--train.max_steps",
    "1",
    "--train.precision",
    "fp32",
]


@dataclass(frozen=True)
class Case:
    """One call of the command line.

    Args:
        kind: What is wrong with it, for counting.
        arguments: Arguments of `textmix`; paths are relative to the directory that holds the files.
    """

    kind: str
    arguments: list[str]


def make_case(number: int, directory: Path, run: Path) -> Case:
    """Write the files of a case.

    Args:
        number: Which case.
        directory: An empty directory to write them into.
        run: A finished run that cases of prediction use.
    """
    chance = random.Random(number)
    kind = chance.choice(["recipe", "recipe", "option", "place", "data", "data", "data"])
    if kind == "recipe":
        name = chance.choice(list(RECIPES))
        (directory / "recipe.yaml").write_bytes(RECIPES[name](chance))
        write_rows(directory / "d.csv", ROWS)
        return Case(f"recipe: {name}", ["train", "recipe.yaml", *QUICK])
    if kind == "option":
        write_rows(directory / "d.csv", ROWS)
        option = chance.choice([name for name in option_names() if "." in name and name != "train.max_steps"])
        value = chance.choice(VALUES)
        text = value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True, width=10**6)
        return Case(
            "option", ["train", "--data.source", "d.csv", *QUICK, f"--{option}", text.removesuffix("\n...\n").strip()]
        )
    if kind == "place":
        name = chance.choice(list(PLACES))
        return Case(f"place: {name}", PLACES[name](directory, chance, run))
    ending = chance.choice(list(WRITERS))
    path = directory / f"d{ending}"
    rows_kind = chance.choice(list(TABLES))
    damage = chance.choice(list(DAMAGES)) if chance.random() < 0.6 else "none"
    if chance.random() < 0.2 and ending == ".parquet":
        rows_kind = "types"
        write_types(path, chance)
    else:
        write_rows(path, TABLES[rows_kind](chance))
    content = DAMAGES[damage](path.read_bytes(), chance) if damage != "none" else path.read_bytes()
    if chance.random() < 0.2 and ending != ".parquet":
        path.unlink()
        path, content = path.with_name(path.name + ".gz"), gzip.compress(content, 1)
        if chance.random() < 0.5:
            content = content[: chance.randrange(len(content) + 1)]
    path.write_bytes(content)
    if chance.random() < 0.3:
        output = f"o{chance.choice(['.csv', '.tsv', '.jsonl', '.parquet'])}"
        arguments = ["predict", str(run), path.name, "--output", output, "--data.text_column", "text"]
        return Case(f"predict {ending}: {rows_kind}, {damage}", arguments)
    dropped = ["--data.drop_missing", "true"] if chance.random() < 0.5 else []
    return Case(f"train {ending}: {rows_kind}, {damage}", ["train", "--data.source", path.name, *QUICK, *dropped])


def _data(directory: Path, name: str) -> str:
    write_rows(directory / "d.csv", ROWS)
    return name


def _made(path: Path, make: Callable[[Path], object]) -> str:
    make(path)
    return path.name


# What stands where a file is expected.
PLACES: dict[str, Callable[[Path, random.Random, Path], list[str]]] = {
    "source is a directory": lambda d, c, r: ["train", "--data.source", _made(d / "d.csv", Path.mkdir), *QUICK],
    "source is a device": lambda d, c, r: [
        "train",
        "--data.source",
        c.choice(["/dev/null", "/dev/zero", "/dev/stdin"]),
        *QUICK,
    ],
    "source is a pipe": lambda d, c, r: ["train", "--data.source", _made(d / "d.csv", os.mkfifo), *QUICK],
    "source is a loop": lambda d, c, r: [
        "train",
        "--data.source",
        _made(d / "d.csv", lambda p: p.symlink_to(p)),
        *QUICK,
    ],
    "source links to a device": lambda d, c, r: [
        "train",
        "--data.source",
        _made(d / "d.csv", lambda p: p.symlink_to("/dev/zero")),
        *QUICK,
    ],
    "source is a strange name": lambda d, c, r: [
        "train",
        "--data.source",
        c.choice(STRANGE).replace("\x00", "%00"),
        *QUICK,
    ],
    "recipe is a directory": lambda d, c, r: ["train", _made(d / "r.yaml", Path.mkdir)],
    "recipe is a device": lambda d, c, r: ["train", c.choice(["/dev/null", "/dev/zero"])],
    "recipe is a pipe": lambda d, c, r: ["train", _made(d / "r.yaml", os.mkfifo)],
    "run is a file": lambda d, c, r: ["predict", _data(d, "d.csv"), "d.csv", "--output", "o.csv"],
    "run is a device": lambda d, c, r: [
        c.choice(["predict", "evaluate"]),
        "/dev/null",
        *(["x.csv"] if c.random() < 0.5 else []),
    ],
    "output is a directory": lambda d, c, r: [
        "predict",
        str(r),
        _data(d, "d.csv"),
        "--output",
        _made(d / "o.csv", Path.mkdir),
    ],
    "output is the source": lambda d, c, r: [
        "predict",
        str(r),
        _data(d, "d.csv"),
        "--output",
        "d.csv",
        "--data.text_column",
        "text",
    ],
    "output_dir is a file": lambda d, c, r: [
        "train",
        "--data.source",
        _data(d, "d.csv"),
        *QUICK,
        "--output_dir",
        "d.csv",
    ],
    "output_dir is a device": lambda d, c, r: [
        "train",
        "--data.source",
        _data(d, "d.csv"),
        *QUICK,
        "--output_dir",
        "/dev/null",
    ],
    "vectors are no vectors": lambda d, c, r: [
        "train",
        "--data.source",
        _data(d, "d.csv"),
        *QUICK,
        "--model.words.vectors",
        c.choice(["d.csv", ".", "/dev/null", "v.bin"]),
    ],
    "config of a run damaged": lambda d, c, r: _damaged_run(d, c, r),
}


def _damaged_run(directory: Path, chance: random.Random, run: Path) -> list[str]:
    """Copy a run, damage one of its files, and predict with it."""
    shutil.copytree(run, directory / "run")
    victim = chance.choice([path for path in sorted((directory / "run").rglob("*")) if path.is_file()])
    victim.write_bytes(chance.choice(list(DAMAGES.values()))(victim.read_bytes(), chance))
    write_rows(directory / "d.csv", ROWS)
    return ["predict", "run", "d.csv", "--output", "o.csv", "--data.text_column", "text"]
