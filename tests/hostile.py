"""Inputs that no user means and every user makes: broken, cut, huge, mistyped, and well-formed but strange files.

`make_case` writes one for a number, always the same one; benchmarks/fuzz.py tries as many as the time allows.
"""

import gzip
import io
import json
import os
import random
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

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
STRANGE = [
    "ordinary words",
    "emoji 🤷🏽‍♀️ 👩‍👩‍👧‍👦 🇺🇳",
    "שלום עולם مرحبا بالعالم",
    "\u202eturned round\u202c \u2066isolated\u2069",
    "e\u0301\u0302\u0303\u0304 zalgo" + "\u0336" * 50,
    "null\x00byte",
    "\x1b[31mred\x1b[0m \x07",
    "\ufeffmark",
    "line\u2028separator\u2029 \x85 \x0b\x0c",
    "NA",
    "null",
    "nan",
    "-0",
    "1e999",
    "\u00a0\u3000",
    "",
    "' or \" , ; \t |",
    "<b>&amp;</b> {{x}} ${HOME} %s {0}",
    "../../etc/passwd",
    "\U0010ffff\ufffe",
    "猫" * 300,
]
VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    -(2**63),
    10**30,
    0.0,
    -0.0,
    1e-320,
    1e308,
    float("inf"),
    float("-inf"),
    float("nan"),
    "",
    " ",
    "null",
    "yes",
    "1e999",
    "x" * 5000,
    [],
    {},
    [[]],
    [None],
    {"a": {"b": []}},
    ["a", 1, None],
    "2026-01-02",
    b"\x00\xff",
    "../../x",
    "/",
    "\x00",
    "🤷",
    "auto",
    "textcnn",
    "minilm",
    3,
    0.5,
    [1, 2],
    ["text", "label"],
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


# Well-formed tables with strange content: columns of values.
Columns = dict[str, list[Any]]
ROWS: Columns = {
    "text": [f"{word} number {number}" for number, word in enumerate(["soup", "goal", "song"] * 14)],
    "label": ["food", "sport", "music"] * 14,
}


def _strange_texts(chance: random.Random) -> Columns:
    return {**ROWS, "text": [chance.choice(STRANGE) for _ in ROWS["text"]]}


def _strange_labels(chance: random.Random) -> Columns:
    names = chance.sample(STRANGE, 3)
    return {**ROWS, "label": [chance.choice(names) for _ in ROWS["text"]]}


def _strange_columns(chance: random.Random) -> Columns:
    return {**ROWS, **{chance.choice(STRANGE): list(ROWS["text"]) for _ in range(3)}}


def _reserved_columns(chance: random.Random) -> Columns:
    names = [
        "prediction",
        "confidence",
        "probability_food",
        "labels",
        "input_ids",
        "text_pair",
        "Unnamed: 0",
        "__index_level_0__",
    ]
    return {**ROWS, chance.choice(names): list(ROWS["label"])}


def _values(chance: random.Random) -> Columns:
    column = chance.choice(["text", "label"])
    kind = chance.choice(
        [
            lambda: chance.random() * 10 ** chance.randrange(-300, 300),
            lambda: chance.choice([0, 1, None]),
            lambda: chance.choice([True, False]),
            lambda: chance.randrange(-(2**63), 2**63),
            lambda: float(chance.randrange(3)),
        ]
    )
    return {**ROWS, column: [kind() for _ in ROWS["text"]]}


def _long_lines(chance: random.Random) -> Columns:
    texts = list(ROWS["text"])
    texts[chance.randrange(len(texts))] = chance.choice(["long ", "x", "猫", "\u0301", "\n"]) * (
        1 << chance.randrange(16, 21)
    )
    return {**ROWS, "text": texts}


def _many_columns(chance: random.Random) -> Columns:
    return {**ROWS, **{f"c{number}": ["x"] * len(ROWS["text"]) for number in range(chance.choice([50, 500, 3000]))}}


def _many_classes(chance: random.Random) -> Columns:
    count = chance.choice([41, 150, 5000])
    return {"text": [f"t {number}" for number in range(count)], "label": [str(number) for number in range(count)]}


def _few_rows(chance: random.Random) -> Columns:
    count = chance.randrange(6)
    return {name: values[:count] for name, values in ROWS.items()}


def _one_class(chance: random.Random) -> Columns:
    return {**ROWS, "label": [chance.choice(STRANGE)] * len(ROWS["text"])}


TABLES: dict[str, Callable[[random.Random], Columns]] = {
    "plain": lambda chance: ROWS,
    "strange texts": _strange_texts,
    "strange labels": _strange_labels,
    "strange columns": _strange_columns,
    "reserved columns": _reserved_columns,
    "values": _values,
    "long lines": _long_lines,
    "many columns": _many_columns,
    "many classes": _many_classes,
    "few rows": _few_rows,
    "one class": _one_class,
}


def _csv(columns: Columns, separator: str) -> bytes:
    import csv

    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=separator)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return file.getvalue().encode("utf-8", "surrogatepass")


def _records(columns: Columns) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _parquet(columns: Columns) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


WRITERS: dict[str, Callable[[Columns], bytes]] = {
    ".csv": lambda columns: _csv(columns, ","),
    ".tsv": lambda columns: _csv(columns, "\t"),
    ".jsonl": lambda columns: "".join(json.dumps(row) + "\n" for row in _records(columns)).encode(),
    ".json": lambda columns: json.dumps(_records(columns), ensure_ascii=False).encode("utf-8", "surrogatepass"),
    ".parquet": _parquet,
}


def write_rows(path: Path, columns: Columns) -> None:
    """Write a table in the format that the path's ending names."""
    path.write_bytes(WRITERS[path.suffix](columns))


def write_types(path: Path, chance: random.Random) -> None:
    """Write a parquet file whose text or label has a type that is neither a string nor a number."""
    import datetime
    import decimal

    count = len(ROWS["text"])
    strings = pa.array(ROWS["label"])
    columns = [
        strings.dictionary_encode(),
        strings.cast(pa.large_string()),
        strings.cast(pa.binary()),
        strings.cast(pa.string_view()),
        pa.array([["a"]] * count),
        pa.array([{"a": 1}] * count),
        pa.array([decimal.Decimal(number % 3) for number in range(count)]),
        pa.array([datetime.datetime(2026, 1, 1 + number % 3, tzinfo=datetime.UTC) for number in range(count)]),
        pa.array([datetime.date(2026, 1, 1 + number % 3) for number in range(count)]),
        pa.array([datetime.timedelta(number % 3) for number in range(count)]),
        pa.array([datetime.time(number % 3) for number in range(count)]),
        pa.nulls(count),
        pa.nulls(count, pa.string()),
        pa.array([bool(number % 2) for number in range(count)]),
        pa.array([number % 3 for number in range(count)], pa.uint64()),
        pa.array([float("nan")] * count),
        pa.array([chance.choice([0.5, 1.5, float("inf")]) for _ in range(count)], pa.float16()),
        pa.StringArray.from_buffers(count, strings.buffers()[1], pa.py_buffer(b"\xff" * 1000)),
    ]
    table = {
        "text": pa.array(ROWS["text"]),
        "label": strings,
        chance.choice(["text", "label", "other"]): chance.choice(columns),
    }
    if chance.random() < 0.1:
        pq.write_table(pa.table(list(table.values())[:2], names=["text", "text"]), path)
    else:
        pq.write_table(pa.table(table), path)


# What happens to the bytes of a file.
def _flip(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice([1, 3, 30])):
        if changed:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _insert(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content) + 1)
    what = chance.choice(
        [
            b"\x00",
            b"\xff\xfe",
            b'"',
            b"\n",
            b"\r",
            b",",
            b"{",
            b"[" * 5000,
            b"\x00" * 4096,
            b"\xef\xbb\xbf",
            b"PAR1",
            b"\xed\xa0\x80",
            b"\\ud800",
            b"NaN",
        ]
    )
    return content[:place] + what + content[place:]


def _as(encoding: str) -> Callable[[bytes, random.Random], bytes]:
    return lambda content, chance: content.decode("utf-8", "replace").encode(encoding, "replace")


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut": lambda content, chance: content[: chance.randrange(len(content) + 1)],
    "beginning lost": lambda content, chance: content[chance.randrange(len(content) + 1) :],
    "flipped": _flip,
    "inserted": _insert,
    "doubled": lambda content, chance: content + content,
    "utf-16": _as("utf-16"),
    "utf-32": _as("utf-32"),
    "latin-1": _as("latin-1"),
    "random": lambda content, chance: chance.randbytes(chance.randrange(2000)),
    "nothing": lambda content, chance: b"",
    "nul": lambda content, chance: b"\x00" * chance.choice([1, 1000, 1 << 20]),
    "old line ends": lambda content, chance: content.replace(b"\r\n", b"\n").replace(b"\n", b"\r"),
}


def _recipe(**sections: Any) -> bytes:
    return yaml.safe_dump({"data": {"source": "d.csv"}, **sections}, allow_unicode=True).encode()


def _wrong_value(chance: random.Random) -> bytes:
    sections: dict[str, Any] = {"data": {"source": "d.csv"}}
    for _ in range(chance.choice([1, 1, 3])):
        keys = chance.choice(list(option_names())).split(".")
        place: Any = sections
        for key in keys[:-1]:
            place = place.setdefault(key, {}) if isinstance(place, dict) else {}
        if isinstance(place, dict):
            place[keys[-1]] = chance.choice(VALUES)
    return yaml.safe_dump(sections, allow_unicode=True).encode()


def _unknown_key(chance: random.Random) -> bytes:
    key = chance.choice(
        [*STRANGE, "alpha", "epochs", "train.epochs", "__class__", "class_path", "init_args", "config", "?"]
    )
    section = chance.choice(["data", "model", "mix", "loss", "train", None])
    return _recipe(**({section: {key: 1}} if section else {key: {"a": 1}}))


def _bomb(chance: random.Random) -> bytes:
    width, depth = chance.choice([(9, 9), (2, 30), (30, 5)])
    lines = [f"a0: &a0 [{', '.join(['x'] * width)}]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]" for level in range(1, depth)]
    place = chance.choice(["mix: {layers: *a%d}", "data: {source: *a%d}", "mix: *a%d"]) % (depth - 1)
    return "\n".join([*lines, place]).encode()


def _nested(chance: random.Random) -> bytes:
    opening, closing = chance.choice([("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")])
    depth = chance.choice([50, 2000, 20000])
    return b"data: {source: d.csv}\nmix: " + (opening * depth + closing * depth).encode()


def _pieces(chance: random.Random) -> bytes:
    pieces = [
        "data",
        ":",
        " ",
        "\n",
        "  ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "&a",
        "*a",
        "!!",
        "!",
        "|",
        ">",
        "'",
        '"',
        "%",
        "@",
        "`",
        "---\n",
        "...\n",
        "\t",
        "source",
        "d.csv",
        "train",
        "epochs",
        "1",
        "null",
        "~",
        "<<",
        "? ",
        "#",
        "\x00",
        "é",
    ]
    return "".join(chance.choice(pieces) for _ in range(chance.randrange(60))).encode()


RECIPES: dict[str, Callable[[random.Random], bytes]] = {
    "wrong value": _wrong_value,
    "unknown key": _unknown_key,
    "alias bomb": _bomb,
    "deep": _nested,
    "pieces": _pieces,
    "random": lambda chance: chance.randbytes(chance.randrange(300)),
    "printable": lambda chance: "".join(chance.choices(string.printable, k=chance.randrange(300))).encode(),
    "damaged": lambda chance: chance.choice(list(DAMAGES.values()))(
        _recipe(mix={"strategy": "word", "alpha": 0.2}, train={"epochs": 1, "seed": 3}), chance
    ),
    "duplicated key": lambda chance: b"data: {source: d.csv}\ntrain: {epochs: 1, epochs: 2}\ndata: {source: d.csv}\n",
    "recursive": lambda chance: b"data: &a {source: d.csv, text_column: *a}\n",
    "merged": lambda chance: b"base: &b {source: d.csv}\ndata: {<<: *b}\n",
    "python tag": lambda chance: chance.choice(
        [
            b"data: !!python/object/apply:os.system ['touch owned']\n",
            b"data: {source: !!python/name:os.system}\n",
            b"data: {source: !!binary aGVsbG8=}\n",
            b"data: {source: !!set {a, b}}\n",
            b"data: !include d.csv\n",
        ]
    ),
    "several documents": lambda chance: _recipe() + b"---\n" + _recipe(),
    "long line": lambda chance: b"data: {source: " + b"d" * (1 << chance.randrange(10, 21)) + b"}\n",
}


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
    import shutil

    shutil.copytree(run, directory / "run")
    victim = chance.choice([path for path in sorted((directory / "run").rglob("*")) if path.is_file()])
    victim.write_bytes(chance.choice(list(DAMAGES.values()))(victim.read_bytes(), chance))
    write_rows(directory / "d.csv", ROWS)
    return ["predict", "run", "d.csv", "--output", "o.csv", "--data.text_column", "text"]
