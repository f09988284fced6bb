"""What the runs of a comparison show: means, and paired tests against the baseline. Pure functions."""

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

# What is compared on the test split, and whether more is better. The first is what `p_value` of a strategy is about.
COMPARED = {
    "accuracy": True,
    "macro_f1": True,
    "nll": False,
    "ece": False,
    "scaled_nll": False,
    "scaled_ece": False,
}
SECONDS_PER_STEP, STEPS = "seconds_per_step", "steps"

NOT_SHOWN = "no difference shown"
Record = dict[str, Any]


def summarize(metrics: Mapping[str, Sequence[Mapping[str, Any]]], baseline: str) -> dict[str, Record]:
    """Summarise the runs of each strategy and test its scores against those of the baseline.

    Args:
        metrics: For each strategy what is in metrics.json of its runs, in the same order of seeds or folds.
        baseline: The strategy that the others are tested against.

    Returns:
        For each strategy a record: for each of `COMPARED` that there is (the scaled ones need a validation split), for
        `seconds_per_step`, and for `steps`, its `mean`, standard deviation `sd` (null for one run) and `values`. With
        two runs or more, and unless it is the baseline, those of `COMPARED` also have the mean paired `difference`,
        its 95 % `interval`, the `p_value` corrected for the number of strategies, a `verdict`, and as `pairs_needed`
        the seeds or folds that would show the difference seen (no fewer than `fewest_pairs`; null for over a million).
        `p_value` of the record is that of the accuracy.
    """
    values = {name: [_figures(run) for run in runs] for name, runs in metrics.items()}
    found = list(values[baseline][0])
    records: dict[str, Record] = {
        name: {figure: _spread([run[figure] for run in runs]) for figure in found} for name, runs in values.items()
    }
    others = [name for name in metrics if name != baseline]
    if len(metrics[baseline]) > 1:
        for figure in [figure for figure in found if figure in COMPARED]:
            _test([records[name][figure] for name in others], records[baseline][figure], COMPARED[figure])
    first = next(iter(COMPARED))
    return {name: {**record, "p_value": record[first].get("p_value")} for name, record in records.items()}


def fewest_pairs(comparisons: int) -> int:
    """Return the number of pairs below which the corrected test cannot show any difference."""
    pairs = 2
    while comparisons * smallest_p(pairs) >= LEVEL:
        pairs += 1
    return pairs


def _figures(run: Mapping[str, Any]) -> dict[str, float]:
    train = run["train"]
    scores = {name: run["test"][name] for name in COMPARED if name in run["test"]}
    return {**scores, SECONDS_PER_STEP: train["seconds"] / train["steps"], STEPS: train["steps"]}


def _spread(values: list[float]) -> Record:
    sd = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "sd": sd, "values": values}


def _test(others: list[Record], baseline: Record, more_is_better: bool) -> None:
    """Add to the figures of the others what comes of testing them."""
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
