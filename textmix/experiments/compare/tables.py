"""Tables and notes of a comparison."""

from collections.abc import Mapping, Sequence
from typing import Any

from textmix.evaluation.tables import Table
from textmix.experiments.compare.results import (
    NOT_SHOWN,
    SECONDS_PER_STEP,
    STEPS,
    compared_metrics,
    fewest_pairs,
    summarize,
)
from textmix.experiments.compare.statistics import FEWEST_FOR_INTERVALS
from textmix.tasks.names import TaskName


def scores_table(strategies: Mapping[str, Mapping[str, Any]]) -> Table:
    """Build the table of scores: mean ± standard deviation over the runs of each strategy."""
    shown = compared_metrics(strategies)
    rows = [
        [
            name,
            *(_mean(record.get(metric), 4) for metric in shown),
            _mean(record.get(SECONDS_PER_STEP), 1, 1000),
        ]
        for name, record in strategies.items()
    ]
    return Table(["strategy", *shown, "ms a step"], rows)


def progress_table(
    metrics: Mapping[str, Sequence[Mapping[str, Any]]],
    names: Sequence[str],
    pairs: Sequence[str],
    task: TaskName = "single_label",
) -> Table:
    """Build the table of the finished runs: their number and their scores for each strategy."""
    records = {name: summarize({name: metrics[name]}, name, task)[name] if name in metrics else {} for name in names}
    table = scores_table(records)
    done = [f"{len(metrics.get(name, ()))} of {len(pairs)}" for name in names]
    return Table(
        ["strategy", "runs", *table.header[1:]],
        [[row[0], count, *row[1:]] for row, count in zip(table.rows, done, strict=True)],
    )


def differences_table(strategies: Mapping[str, Mapping[str, Any]], baseline: str) -> Table:
    """Build the table of tests against the baseline, by metric; it has no rows if each strategy has one run."""
    rows = [
        [
            metric,
            name,
            f"{test['difference']:+.4f}",
            "{:+.4f} to {:+.4f}".format(*test["interval"]),
            f"{test['p_value']:.4f}",
            test["verdict"],
            "over 1 000 000" if test["pairs_needed"] is None else str(test["pairs_needed"]),
        ]
        for metric in compared_metrics(strategies)
        for name, record in strategies.items()
        if (test := record.get(metric, {})).get("p_value") is not None
    ]
    header = ["metric", "strategy", f"minus {baseline}", "95 % interval", "p", "what it shows", "needed"]
    return Table(header, rows)


def notes(comparison: Mapping[str, Any]) -> list[str]:
    """Write notes on how to read the tables: budgets, splits, tests and their limits."""
    strategies, pairs, baseline = comparison["strategies"], comparison["pairs"], comparison["baseline"]
    config = comparison["config"]
    unit = pairs[0].split()[0]  # seed or fold
    lines = [_budget(config, strategies), _selection(config, strategies)]
    if len(pairs) == 1:
        return [*lines, f"One seed, {pairs[0]}: nothing is tested, and differences may be chance alone."]
    lines.append(
        f"Mean ± standard deviation over {len(pairs)} {unit}s ({pairs[0]} to {pairs[-1]}). Runs of the same"
        f" {unit} have the same splits, initial weights and batch order."
    )
    others = len(strategies) - 1
    if others == 0:
        return lines
    comparisons = f"{others} comparison{'s' if others > 1 else ''}"
    lines += [
        f"Tests are against {baseline}, paired by {unit}: p comes from a sign-flip permutation test of the mean"
        f" difference, corrected for {comparisons} (Holm) within each metric; the interval comes from a bootstrap over"
        f" {unit}s and is not corrected. At p ≥ 0.05 there is {NOT_SHOWN}.",
        f"Needed: {unit}s with which an uncorrected paired t test at 5 % has a power of 80 %, if the true difference"
        " and noise are the observed ones; at least the number with which p can fall below 0.05.",
    ]
    if unit == "fold":
        lines.append(
            "Training splits of folds overlap, so their runs are not independent: p values are somewhat too small and"
            " intervals too narrow (Nadeau and Bengio 2003)."
        )
    if len(pairs) < fewest_pairs(others):
        lines.append(
            f"With {len(pairs)} {unit}s the test cannot show any difference, however large; with {comparisons} it takes"
            f" at least {fewest_pairs(others)}."
        )
    if len(pairs) < FEWEST_FOR_INTERVALS:
        lines.append(f"Intervals of fewer than {FEWEST_FOR_INTERVALS} {unit}s are too narrow.")
    return lines


def report(comparison: Mapping[str, Any]) -> str:
    """Write a comparison as Markdown."""
    strategies, baseline = comparison["strategies"], comparison["baseline"]
    parts = [f"# Comparison with {baseline}", scores_table(strategies).markdown()]
    tests = differences_table(strategies, baseline)
    if tests.rows:
        parts.append(tests.markdown())
    parts += notes(comparison)
    return "\n\n".join(parts) + "\n"


def _selection(config: Mapping[str, Any], strategies: Mapping[str, Mapping[str, Any]]) -> str:
    fitted = {"scaled_nll": "scaled_nll and scaled_ece", "uncalibrated_nll": "nll and ece"}
    scores = next((what for name, what in fitted.items() for record in strategies.values() if name in record), None)
    temperature = f", where the temperature of {scores} was fitted too" if scores is not None else ""
    if scores is not None or _has_validation(config["data"]):
        return (
            f"The best epoch of each run was chosen by {config['train']['metric']} on its validation"
            f" split{temperature}; the test split was used only for the scores."
        )
    return (
        "There is no validation split: each run keeps its last epoch, and no temperature is fitted. The test split"
        " was used only for the scores."
    )


def _has_validation(data: Mapping[str, Any]) -> bool:
    return data["validation_source"] is not None or data["validation_fraction"] > 0


def _budget(config: Mapping[str, Any], strategies: Mapping[str, Mapping[str, Any]]) -> str:
    steps = [int(value) for record in strategies.values() for value in record[STEPS]["values"]]
    of = "" if config["train"]["max_steps"] else f" ({config['train']['epochs']} epochs)"
    if len(set(steps)) == 1:
        return f"Equal budgets: each run trained for {steps[0]} steps{of}."
    reason = ", as train.patience ended some early" if config["train"]["patience"] is not None else ""
    return f"Each run had the same budget{of} and trained for {min(steps)} to {max(steps)} steps{reason}."


def _mean(metric: Mapping[str, Any] | None, digits: int, factor: float = 1) -> str:
    if metric is None:
        return ""
    mean = f"{factor * metric['mean']:.{digits}f}"
    return mean if metric["sd"] is None else f"{mean} ± {factor * metric['sd']:.{digits}f}"
