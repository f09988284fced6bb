"""`textmix crossval`."""

from typing import Any

from jsonargparse import ArgumentParser

from textmix.cli.terminal import print_table
from textmix.config.parsing import check_trust, parse, run_parser, to_run_config, with_recipe
from textmix.errors import ConfigError
from textmix.evaluation.tables import Table
from textmix.io.inputs import refuse_overwriting
from textmix.io.quiet import quiet_libraries


def crossval(arguments: list[str]) -> None:
    """Cross-validate: train one model for each fold, and write out-of-fold predictions."""
    parser = _parser()
    arguments = with_recipe(arguments)
    namespace = parse(parser, arguments)
    folds, id_column = namespace.pop("folds"), namespace.pop("id_column")
    source, columns = namespace.pop("submit"), namespace.pop("submit_columns")
    if columns is not None and source is None:
        raise ConfigError("--submit_columns has no effect without --submit")
    config = check_trust(to_run_config(parser, namespace), arguments)

    quiet_libraries()
    from textmix.experiments.crossval import cross_validation
    from textmix.experiments.crossval.submission import SUBMISSION, plan_submission, submit
    from textmix.training.cpu.memory import keep_memory

    if config.train.cpu_speedups:
        keep_memory()
    prepared = cross_validation.prepare(config, folds, id_column)
    directory, space = prepared.directory, prepared.space
    if source is not None:
        refuse_overwriting(directory, [source], "output_dir")
    submission = plan_submission(source, columns, config.data, space) if source is not None else None
    _, scores = cross_validation.cross_validate(prepared)
    print_table(_table(scores))
    if submission is not None:
        size, trust = config.train.eval_batch_size, config.model.trust_remote_code
        submit(submission, prepared.folds, space, directory, size, trust)
        print(f"submission: {directory / SUBMISSION}")
    print(f"saved to {directory}")


def _parser() -> ArgumentParser:
    parser = run_parser("textmix crossval", "Cross-validate a recipe: textmix crossval [RECIPE.yaml] [OPTIONS]")
    parser.add_argument("--folds", type=int, default=5, help="number of folds; data.group_column keeps groups together")
    parser.add_argument(
        "--id_column",
        type=str | None,
        default=None,
        help="column of the source with ids for oof_predictions.csv",
    )
    parser.add_argument(
        "--submit", type=str | None, default=None, help="new rows to predict with the average of the folds' models"
    )
    parser.add_argument(
        "--submit_columns",
        type=str | None,
        default=None,
        help="header of submission.csv, such as id,label: columns of the new rows, prediction, confidence,"
        " probability_CLASS, or data.label_column for the predicted class; NAME=COLUMN renames a column; null means"
        " all columns of the new rows except the texts, and the predicted class",
    )
    return parser


def _table(scores: dict[str, Any]) -> Table:
    """Build the table of scores: mean, standard deviation and pooled value; each fold has its own temperature."""
    pooled = scores["pooled"]
    return Table(
        (f"{len(scores['folds'])} folds", "mean ± sd", f"all {scores['rows']} rows"),
        [
            (name, f"{mean:.4f} ± {scores['sd'][name]:.4f}", f"{pooled[name]:.4f}" if name in pooled else "")
            for name, mean in scores["mean"].items()
        ],
    )
