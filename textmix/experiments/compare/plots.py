"""Plots of a comparison; needs matplotlib (the extra `plots`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textmix.experiments.compare.results import compared_metrics
from textmix.io.files import replacing


def plot_comparison(comparison: Mapping[str, Any], path: Path) -> None:
    """Plot each metric: a dot for each run, the mean of each strategy, and lines between runs of the same seed.

    Args:
        comparison: The content of comparison.json.
        path: The PNG file to write.
    """
    from matplotlib.figure import Figure

    strategies = comparison["strategies"]
    names = list(strategies)
    shown = compared_metrics(strategies)
    drawing = Figure(figsize=(3 + 1.8 * len(shown), 1.5 + 0.5 * len(names)), dpi=120, layout="constrained")
    for axes, metric in zip(drawing.subplots(1, len(shown), sharey=True), shown, strict=True):
        for values in zip(*(strategies[name][metric]["values"] for name in names), strict=True):
            axes.plot(values, names, marker=".", color="0.75", linewidth=0.6)
        axes.plot([strategies[name][metric]["mean"] for name in names], names, "|", color="C0", markersize=18)
        axes.set_title(metric)
        axes.margins(y=0.15)
    axes.invert_yaxis()  # the axes share it
    drawing.suptitle("grey line: a seed or fold; blue bar: the mean")
    with replacing(path) as temporary:
        drawing.savefig(temporary, format="png")
