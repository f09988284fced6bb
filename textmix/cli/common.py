"""Shared by several commands: the parser and the printed evaluation."""

from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser

if TYPE_CHECKING:
    from textmix.evaluation.metrics import Evaluation


def command_parser(command: str, description: str) -> ArgumentParser:
    """Build the argument parser shared by all commands."""
    return ArgumentParser(prog=f"textmix {command}", description=description, exit_on_error=False, allow_abbrev=False)


def add_data_options(parser: ArgumentParser, text: str, label: str) -> None:
    """Add the options that say how labelled data are read.

    Args:
        parser: The parser of a command.
        text: The meaning of null for the text columns.
        label: The meaning of null for the label column.
    """
    parser.add_argument("--data.subset", type=str | None, default=None, help="configuration of a hub data set")
    parser.add_argument(
        "--data.text_column",
        type=str | list[str] | None,
        default=None,
        help=f"column of the text; null means {text}",
    )
    parser.add_argument(
        "--data.label_column", type=str | None, default=None, help=f"column of the class; null means {label}"
    )
    parser.add_argument("--data.drop_missing", type=bool, default=False, help="leave out rows with a missing value")


def print_evaluation(evaluation: "Evaluation", where: str) -> None:
    """Print the classification report of an evaluation."""
    print(f"\n{where}: {len(evaluation.labels)} rows\n\n{evaluation.report_text()}")
