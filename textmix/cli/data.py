"""`textmix data`. Imports no torch."""

import json
import shlex
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from textmix.cli.common import add_reading_options, command_parser
from textmix.cli.terminal import print_table
from textmix.config.parsing import add_trust, parse
from textmix.data.reading import Reading
from textmix.errors import ConfigError, DataError, listed, nearest
from textmix.evaluation.tables import Table
from textmix.io.quiet import quiet_libraries
from textmix.models.config import WORD_MODELS, ModelConfig

if TYPE_CHECKING:
    from datasets import Dataset

    from textmix.data.checks import DataReport, Measure
    from textmix.data.suggest import Suggestion

_CLASSES = 20
# Labels a class up to which the recipe for few labels was measured (docs/few_labels.md).
FEW_LABELS = 64


def data(arguments: list[str]) -> None:
    """Show what a source holds, and what may be wrong with it."""
    options = parse(_parser(), arguments)
    reading = _reading(options["data"])

    quiet_libraries()
    from textmix.data.checks import check_data
    from textmix.data.sources import how_read, load_source

    source = options["source"]
    splits = load_source(source, reading)
    name = "train" if "train" in splits else next(iter(splits))
    rows = splits[name]
    text, labels, chosen = _columns(rows, options["data"])
    suggestion = _suggestion(rows, labels, options["data"]["label_separator"])
    report = check_data(rows, text, labels, _measure(options["model"]), suggestion)
    columns = chosen if report.header is None else [_names(report)]
    report.options = [*columns, *_suggested_options(report, suggestion)]
    report.recipe = _suggested_recipe(report)
    read = how_read(source, reading)
    sizes = {split: splits[split].num_rows for split in splits}
    if options["json"]:
        print(json.dumps({"source": source, "read": read, "splits": sizes, **report.to_dict()}, ensure_ascii=False))
        return
    _print(report, [f"{source}: {sizes.pop(name)} rows", *(f"{kind} {value!r}" for kind, value in read.items())], sizes)


def _parser() -> ArgumentParser:
    parser = command_parser("data", "Show what a source holds, and what may be wrong: textmix data SOURCE [OPTIONS]")
    parser.add_argument("source", help="a file, a glob, a directory, a hub id, or a built-in name, as in training")
    parser.add_argument("--data.subset", type=str | None, default=None, help="configuration of a hub data set")
    for what in ("text", "label"):
        parser.add_argument(
            f"--data.{what}_column",
            type=str | list[str] | None,
            default=None,
            help=f"column of the {what}, or several; null means `{what}`, or the likeliest if there is none",
        )
    parser.add_argument(
        "--data.label_separator", type=str | None, default=None, help="what separates several labels of one row"
    )
    add_reading_options(parser, "the default of train")
    parser.add_argument(
        "--model.name", type=str | None, default=None, help="count tokens as this model does; null counts words"
    )
    parser.add_argument(
        "--model.max_length", type=int | None, default=None, help="where texts are cut; null means the model's maximum"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    add_trust(parser)
    return parser


def _reading(options: Namespace) -> Reading:
    names = ("subset", "encoding", "delimiter", "columns", "format", "field")
    used = [name for key in ("text_column", "label_column") for name in _listed(options[key])]
    reading = Reading.of(**{name: options[name] for name in names}).with_nested(used)
    if wrong := reading.wrong():
        raise ConfigError("; ".join(wrong))
    return reading


def _columns(rows: "Dataset", options: Namespace) -> tuple[list[str], list[str], list[str]]:
    """Return the text columns, the label columns, and the options that name those that are not named as usual.

    Raises:
        DataError: If there is no column of a given name, or none that could be the text.
    """
    from textmix.data.readers.header import hint
    from textmix.data.suggest import suggest_columns

    given = {what: _listed(options[f"{what}_column"]) for what in ("text", "label")}
    for what, names in given.items():
        for name in names:
            if name not in rows.column_names:
                known = f"it has {listed(rows.column_names)}{nearest(name, rows.column_names)}"
                raise DataError(f"no column '{name}' (data.{what}_column); {known}")
    text, labels = suggest_columns(rows)
    if text is None and not given["text"]:
        known = listed(rows.column_names)
        raise DataError(f"no column of texts among {known}; name one with --data.text_column{hint(rows)}")
    found = {"text": given["text"] or [str(text)], "label": given["label"]}
    found["label"] = found["label"] or [name for name in labels if name not in found["text"]]
    chosen = [
        _option(f"data.{what}_column", names[0] if len(names) == 1 else f"[{','.join(names)}]")
        for what, names in found.items()
        if names and names != [what]
    ]
    return found["text"], found["label"], chosen


def _suggestion(rows: "Dataset", labels: list[str], separator: str | None) -> "Suggestion | None":
    from textmix.data.suggest import Suggestion, suggest_task

    if separator is not None:
        return Suggestion("multi_label", f"labels joined by '{separator}'", separator)
    return suggest_task(rows, labels) if labels else None


def _names(report: "DataReport") -> str:
    """Suggest names for the columns of a file without a header."""
    used = dict.fromkeys(report.label_columns, "label") | dict.fromkeys(report.text_columns, "text")
    names = [used.get(name, f"column{number}") for number, name in enumerate(report.columns, start=1)]
    return _option("data.columns", ",".join(names))


def _suggested_options(report: "DataReport", suggestion: "Suggestion | None") -> list[str]:
    options = [_option("task", report.task)] if report.task else []
    if suggestion is not None and suggestion.separator:
        options.append(_option("data.label_separator", suggestion.separator))
    if report.duplicates:
        options.append("--data.deduplicate true")
    if report.empty_texts or report.empty_labels:
        options.append("--data.drop_missing true")
    return options


def _suggested_recipe(report: "DataReport") -> str | None:
    """Suggest the recipe for few labels, for as many labels as it was measured with."""
    if report.task != "single_label" or len(report.label_columns) != 1 or not report.classes:
        return None
    if sum(report.classes.values()) > FEW_LABELS * len(report.classes):
        return None
    return "few_labels --data.unlabeled empty" if report.empty_labels else "few_labels"


def _option(name: str, value: str) -> str:
    return f"--{name} {shlex.quote(value)}"


def _listed(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _measure(options: Namespace) -> "Measure":
    """Return how lengths are measured: in tokens of the model, or in words."""
    from textmix.data.checks import Measure, count_words

    name, length = options["name"], options["max_length"]
    trust: dict[str, Any] = {"head": "native", "trust_remote_code": True} if options["trust_remote_code"] else {}
    model = ModelConfig(**({} if name is None else {"name": name}), max_length=length, **trust)
    if name is None:
        return Measure("words", count_words, length)
    from textmix.models.loading import LONGEST, load_tokenizer

    if name in WORD_MODELS:
        return Measure(f"words, about the tokens of {name}", count_words, length or LONGEST)
    tokenizer = load_tokenizer(model)
    limit = int(tokenizer.model_max_length)
    tokenizer.model_max_length = 10**9  # no warning of long texts

    def lengths(texts: list[str], pairs: list[str] | None) -> list[int]:
        return [len(ids) for ids in tokenizer(texts, pairs)["input_ids"]]

    return Measure(f"tokens of {name}", lengths, limit)


def _print(report: "DataReport", read: list[str], others: dict[str, int]) -> None:
    print(", ".join(read))
    for name, size in others.items():
        print(f"split {name}: {size} rows")
    used = dict.fromkeys(report.text_columns, "text") | dict.fromkeys(report.label_columns, "label")
    rows = [(name, one["type"], f"{one['filled']:.1%}", used.get(name, "")) for name, one in report.columns.items()]
    print_table(Table(("column", "type", "filled", "used as"), rows))
    if report.classes:
        most = list(report.classes.items())[:_CLASSES]
        print_table(Table(("class", "rows"), [(name, str(count)) for name, count in most]))
        print(
            f"{len(report.classes)} classes"
            + (f", of which {_CLASSES} are shown" if len(report.classes) > _CLASSES else "")
        )
    lengths = report.lengths
    print(
        f"lengths in {lengths['unit']}: median {lengths['median']}, 95 % {lengths['p95']}, longest {lengths['longest']}"
    )
    if "limit" in lengths:
        print(f"cut at {lengths['limit']}: {lengths['cut']:.1%} of {lengths['rows']} rows")
    for line in report.warnings():
        print(f"warning: {line}")
    if report.task is not None:
        print(f"task: {report.task} ({report.reason})")
    if report.options:
        print(f"options: {' '.join(report.options)}")
    if report.recipe is not None:
        print(f"few labels: textmix train {report.recipe} is made for as few as these (docs/few_labels.md)")
