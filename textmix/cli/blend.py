"""`textmix blend`."""

from pathlib import Path
from typing import Literal

from textmix.cli.common import command_parser
from textmix.cli.terminal import print_table
from textmix.config.parsing import parse
from textmix.io.quiet import quiet_libraries

_SHOWN = ("nll", "accuracy", "macro_f1")


def blend(arguments: list[str]) -> None:
    """Blend cross-validations with weights fitted on their out-of-fold predictions."""
    parser = command_parser("blend", "Blend runs of textmix crossval: textmix blend RUN RUN ... [OPTIONS]")
    parser.add_argument("runs", nargs="+", help="directories that textmix crossval has written, of the same rows")
    parser.add_argument(
        "--metric",
        type=Literal["nll", "accuracy", "macro_f1"],
        default="nll",
        help="what the weights are fitted for; nll has one best solution, the others are searched for from there",
    )
    parser.add_argument("--output_dir", type=str, default="runs/blend", help="directory to write")
    options = parse(parser, arguments)

    quiet_libraries()
    from textmix.experiments.crossval.ensemble import blend_runs
    from textmix.experiments.crossval.submission import SUBMISSION

    target = Path(options["output_dir"])
    result = blend_runs([Path(run) for run in options["runs"]], target, options["metric"])
    rows = [(name, f"{weight:.3f}", result["runs"][name]) for name, weight in result["weights"].items()]
    rows += [
        ("equal weights", "", result["equal"]),
        ("blend on the rows it was fitted on (optimistic)", "", result["fitted"]),
        ("blend, nested: weights fitted on the other folds", "", result["nested"]),
    ]
    print_table(
        ("out-of-fold predictions of", "weight", *_SHOWN),
        [(name, weight, *(f"{scores[key]:.4f}" for key in _SHOWN)) for name, weight, scores in rows],
    )
    if not (target / SUBMISSION).is_file():
        print("no submission is written, as not every run has one (textmix crossval --submit)")
    print(f"saved to {target}")
