"""`textmix adapt`."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from textmix.cli.common import add_reading_options, command_parser
from textmix.config.adapt import AdaptConfig
from textmix.config.parsing import parse
from textmix.data.config import READING_OPTIONS
from textmix.data.reading import Reading
from textmix.errors import ConfigError
from textmix.io.inputs import refuse_overwriting
from textmix.io.quiet import quiet_libraries
from textmix.models.bundled import resolve_model_path


def adapt(arguments: list[str]) -> None:
    """Pretrain an encoder further on texts without labels."""
    options = parse(_parser(), arguments)
    config = AdaptConfig(**{field.name: options[field.name] for field in fields(AdaptConfig)})
    reading = _reading(options)
    named = options["data"]["text_column"]
    target = Path(options["output_dir"])
    refuse_overwriting(target, [*options["source"], resolve_model_path(options["encoder"])], "output_dir")

    quiet_libraries()
    from textmix.runs.adapt import adapt as adapt_encoder
    from textmix.training.cpu.memory import keep_memory

    keep_memory()
    columns = [named] if isinstance(named, str) else named
    adapt_encoder(options["encoder"], options["source"], columns, reading, config, target)
    print(f"saved to {target}; train with --model.name {target}")


def _parser() -> ArgumentParser:
    parser = command_parser(
        "adapt", "Pretrain an encoder further on texts: textmix adapt ENCODER SOURCE... --output_dir DIR [OPTIONS]"
    )
    parser.add_argument("encoder", help="a built-in name (minilm), a directory, or a hub id")
    parser.add_argument(
        "source", nargs="+", help="texts as predict takes them; labels are not read; of several splits that to train on"
    )
    parser.add_argument("--output_dir", type=str, required=True, help="directory of the encoder to write")
    parser.add_class_arguments(AdaptConfig)
    parser.add_argument(
        "--data.text_column",
        type=str | list[str],
        default="text",
        help="column of the text; each of several is a text of its own",
    )
    add_reading_options(parser, "the default of train")
    return parser


def _reading(options: Any) -> Reading:
    reading = Reading.of(**{name: options["data"][name] for name in READING_OPTIONS})
    if wrong := reading.wrong():
        raise ConfigError("; ".join(wrong))
    return reading
