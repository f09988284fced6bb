"""Pictures of a comparison, drawn by matplotlib (the extra `plots`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textmix.errors import ConfigError
from textmix.experiments.results import COMPARED
from textmix.files import replacing


def check_plots() -> None:
    """Make sure that plots can be drawn.

    Raises:
        ConfigError: If matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise ConfigError("--plot needs matplotlib; install it with: pip install 'textmix[plots]'") from None


def plot_comparison(comparison: Mapping[str, Any], path: Path) -> None:
    """Draw each metric: a dot for each run, the mean of each strategy, and lines between the runs of a seed.

    Args:
        comparison: What stands in comparison.json.
        path: The png file to write.
    """
    from matplotlib.figure import Figure

    strategies = comparison["strategies"]
    names = list(strategies)
    shown = [figure for figure in COMPARED if figure in strategies[names[0]]]
    drawing = Figure(figsize=(1.5 + 0.9 * len(names) * min(3, len(shown)), 3.2 * -(-len(shown) // 3)), dpi=150)
    for number, figure in enumerate(shown, start=1):
        axes = drawing.add_subplot(-(-len(shown) // 3), min(3, len(shown)), number)
        for values in zip(*(strategies[name][figure]["values"] for name in names), strict=True):
            axes.plot(names, values, marker=".", color="0.75", linewidth=0.6)
        axes.plot(names, [strategies[name][figure]["mean"] for name in names], "_", color="C0", markersize=18)
        axes.set_title(figure)
        axes.tick_params(axis="x", rotation=60)
        axes.margins(x=0.15)
    drawing.suptitle("one line a seed; the bar is the mean")
    drawing.set_layout_engine("tight")
    with replacing(path) as temporary:
        drawing.savefig(temporary, format="png")
