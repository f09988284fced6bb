"""Well-formed tables with strange content in every format, and damages to the bytes of a file."""

import csv
import datetime
import decimal
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

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
    count = len(ROWS["text"])
    strings = pa.array(ROWS["label"])
    columns = [
        strings.dictionary_encode(),
        strings.cast(pa.large_string()),
        strings.cast(pa.binary()),
        strings.cast(pa.string_view() if hasattr(pa, "string_view") else pa.large_string()),  # pyarrow 16
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
        pa.array(np.array([chance.choice([0.5, 1.5, float("inf")]) for _ in range(count)], np.float16)),
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
