"""Helpers shared by the commands: the parser, data options, the printed evaluation."""

from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser

if TYPE_CHECKING:
    from textmix.evaluation.metrics import Evaluation


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
        "--data.label_column", type=str | None, default=None, help=f"column of the class; null means {label}"
    )
    parser.add_argument("--data.drop_missing", type=bool, default=False, help="skip rows with a missing value")


def print_evaluation(evaluation: "Evaluation", where: str) -> None:
    """Print the classification report of an evaluation."""
    print(f"\n{where}: {len(evaluation.labels)} rows\n\n{evaluation.report_text()}")
