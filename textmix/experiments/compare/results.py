"""Results of a comparison: means, and paired tests against the baseline. Pure functions."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from textmix.experiments.compare.statistics import (
    LEVEL,
    bootstrap_interval,
    holm,
    pairs_needed,
    sign_flip_test,
    smallest_p,
)
from textmix.tasks.names import COMPARED, TaskName

SECONDS_PER_STEP, STEPS = "seconds_per_step", "steps"

# Entries of a record that are not metrics.
_OTHERS = (SECONDS_PER_STEP, STEPS, "p_value", "options")

NOT_SHOWN = "no difference shown"
Record = dict[str, Any]


def summarize(
    metrics: Mapping[str, Sequence[Mapping[str, Any]]], baseline: str, task: TaskName = "single_label"
) -> dict[str, Record]:
    """Summarise the runs of each strategy, and test its scores against the baseline.

    Args:
        metrics: Contents of metrics.json of the runs, by strategy, in the same order of seeds or folds.
        baseline: The strategy that the others are tested against.
        task: Their task, which says what is compared.

    Returns:
        A record for each strategy. It has an entry for each available metric of the task (scaled metrics need a
        validation split), for `seconds_per_step` and for `steps`, with `mean`, standard deviation `sd` (null for one
        run) and `values`. If there are two runs or more, the metrics of strategies other than the baseline also have
        the mean paired `difference`, its 95 % `interval`, the `p_value` corrected for the number of strategies, a
        `verdict`, and `pairs_needed`: the number of seeds or folds needed to show the observed difference (at least
        `fewest_pairs`; null above a million). The `p_value` of the record is that of the first metric.
    """
    compared = COMPARED[task]
    values = {name: [_scores(run, compared) for run in runs] for name, runs in metrics.items()}
    found = list(values[baseline][0])
    records: dict[str, Record] = {
        name: {metric: _spread([run[metric] for run in runs]) for metric in found} for name, runs in values.items()
    }
    others = [name for name in metrics if name != baseline]
    if len(metrics[baseline]) > 1:
        for metric in [metric for metric in found if metric in compared]:
            _test([records[name][metric] for name in others], records[baseline][metric], compared[metric])
    first = next(iter(compared))
    return {name: {**record, "p_value": record[first].get("p_value")} for name, record in records.items()}


def compared_metrics(strategies: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the metrics that records of `summarize` have."""
    return list(dict.fromkeys(name for record in strategies.values() for name in record if name not in _OTHERS))


def fewest_pairs(comparisons: int) -> int:
    """Return the smallest number of pairs with which the corrected test can show a difference."""
    pairs = 2
    while comparisons * smallest_p(pairs) >= LEVEL:
        pairs += 1
    return pairs


def _scores(run: Mapping[str, Any], compared: Mapping[str, bool]) -> dict[str, float]:
    train = run["train"]
    scores = {name: run["test"][name] for name in compared if name in run["test"]}
    return {**scores, SECONDS_PER_STEP: train["seconds"] / max(train["steps"], 1), STEPS: train["steps"]}


def _spread(values: list[float]) -> Record:
    sd = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "sd": sd, "values": values}


def _test(others: list[Record], baseline: Record, more_is_better: bool) -> None:
    """Test the records of the other strategies against the baseline; adds the results to the records."""
    for other in others:
        differences = [own - base for own, base in zip(other["values"], baseline["values"], strict=True)]
        other["difference"] = statistics.fmean(differences)
        other["interval"] = bootstrap_interval(differences)
        other["p_value"] = sign_flip_test(differences)
        pairs = pairs_needed(differences)
        other["pairs_needed"] = None if pairs is None else max(pairs, fewest_pairs(len(others)))
    for other, p_value in zip(others, holm([other["p_value"] for other in others]), strict=True):
        other["p_value"] = p_value
        better = (other["difference"] > 0) == more_is_better
        other["verdict"] = NOT_SHOWN if p_value >= LEVEL else "better" if better else "worse"
