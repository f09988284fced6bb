"""`textmix ensemble`."""

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from textmix.cli.common import command_parser
from textmix.cli.terminal import print_table
from textmix.config.parsing import parse
from textmix.evaluation.tables import Table
from textmix.io.quiet import quiet_libraries

_SHOWN = ("nll", "accuracy", "micro_f1", "macro_f1", "mse", "mae", "r2")


def ensemble(arguments: list[str]) -> None:
    """Average cross-validated runs with weights fitted on their out-of-fold predictions."""
    options = parse(_parser(), arguments)

    quiet_libraries()
    from textmix.experiments.crossval.ensemble import combine_runs
    from textmix.experiments.crossval.submission import SUBMISSION

    target = Path(options["output_dir"])
    result = combine_runs([Path(run) for run in options["runs"]], target, options["metric"])
    print_table(_table(result))
    if not (target / SUBMISSION).is_file():
        print("no submission was written: not every run has one (textmix crossval --submit)")
    print(f"saved to {target}")


def _parser() -> ArgumentParser:
    parser = command_parser(
        "ensemble", "Average runs of textmix crossval with fitted weights: textmix ensemble RUN RUN ... [OPTIONS]"
    )
    parser.add_argument("runs", nargs="+", help="directories of textmix crossval or ensemble, all for the same rows")
    parser.add_argument(
        "--metric",
        type=str | None,
        default=None,
        help="metric of the task to optimize the weights for; null means nll, or mse for regression",
    )
    parser.add_argument("--output_dir", type=str, default="runs/ensemble", help="directory to write")
    return parser


def _table(result: dict[str, Any]) -> Table:
    rows = [(name, f"{weight:.3f}", result["runs"][name]) for name, weight in result["weights"].items()]
    rows += [
        ("equal weights", "", result["equal"]),
        ("ensemble, on the rows that its weights were fitted on (optimistic)", "", result["fitted"]),
        ("ensemble, nested: weights fitted on the other folds", "", result["nested"]),
    ]
    shown = [result["metric"], *(name for name in _SHOWN if name in result["equal"] and name != result["metric"])]
    return Table(
        ("out-of-fold predictions of", "weight", *shown),
        [(name, weight, *(f"{scores[key]:.4f}" for key in shown)) for name, weight, scores in rows],
    )
