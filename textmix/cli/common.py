"""Helpers shared by the commands: the parser, data options, the printed evaluation."""

from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser

from textmix.data.reading import Format

if TYPE_CHECKING:
    from textmix.tasks.evaluation import Evaluation


def command_parser(command: str, description: str) -> ArgumentParser:
    """Build the argument parser shared by all commands."""
    return ArgumentParser(prog=f"textmix {command}", description=description, exit_on_error=False, allow_abbrev=False)


def add_data_options(parser: ArgumentParser, text: str, label: str) -> None:
    """Add the options for reading labelled data.

    Args:
        parser: The parser of a command.
        text: What null means for the text columns; part of the help text.
        label: What null means for the label column; part of the help text.
    """
    parser.add_argument("--data.subset", type=str | None, default=None, help="configuration of a hub data set")
    parser.add_argument(
        "--data.text_column",
        type=str | list[str] | None,
        default=None,
        help=f"column of the text; null means {text}",
    )
    parser.add_argument(
        "--data.label_column",
        type=str | list[str] | None,
        default=None,
        help=f"column of the label, or several; null means {label}",
    )
    parser.add_argument("--data.label_separator", type=str | None, default=None, help="separates labels in a cell")
    parser.add_argument(
        "--data.unknown_labels",
        type=Literal["error", "skip", "wrong"] | None,
        default=None,
        help="rows whose labels training never saw; null means the run's choice",
    )
    parser.add_argument("--data.drop_missing", type=bool, default=False, help="skip rows with a missing value")
    add_reading_options(parser, "the run's, or the default for a model" if "model" in text else "the run's")


def add_reading_options(parser: ArgumentParser, null: str = "the run's") -> None:
    """Add the options that say how files are read.

    Args:
        parser: The parser of a command.
        null: What null means; part of the help text.
    """
    means = f"; null means {null}"
    parser.add_argument(
        "--data.encoding", type=str | None, default=None, help=f"encoding of the files, or auto to find it{means}"
    )
    parser.add_argument(
        "--data.delimiter", type=str | None, default=None, help=f"character between two cells, or tab{means}"
    )
    parser.add_argument(
        "--data.columns",
        type=str | list[str] | None,
        default=None,
        help=f"names of the columns of files without a header, as in text,label{means}",
    )
    parser.add_argument(
        "--data.format", type=Format | None, default=None, help=f"format, where a file's name does not tell it{means}"
    )
    parser.add_argument(
        "--data.field",
        type=str | None,
        default=None,
        help=f"where the rows of a JSON document are, or the sheet of an xlsx file{means}",
    )


def print_evaluation(evaluation: "Evaluation", where: str) -> None:
    """Print the classification report of an evaluation."""
    print(f"\n{where}: {len(evaluation.targets)} rows\n\n{evaluation.report_text()}")
