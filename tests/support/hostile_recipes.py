"""Recipes that are mistyped, damaged, huge or no YAML at all."""

import random
import string
from collections.abc import Callable
from typing import Any

import yaml

from tests.support.hostile_tables import DAMAGES, STRANGE
from textmix.config.parsing import option_names

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
