"""What several commands share."""

from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser

if TYPE_CHECKING:
    from textmix.evaluation.metrics import Evaluation


def command_parser(command: str, description: str) -> ArgumentParser:
    """Make a parser in the way of all commands."""
    return ArgumentParser(prog=f"textmix {command}", description=description, exit_on_error=False, allow_abbrev=False)


def print_evaluation(evaluation: "Evaluation", where: str) -> None:
    """Print the classification report of an evaluation."""
    print(f"\n{where}: {len(evaluation.labels)} rows\n\n{evaluation.report_text()}")
