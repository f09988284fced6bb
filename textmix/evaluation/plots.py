"""Plots of an evaluation; needs matplotlib (the extra `plots`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from textmix.errors import ConfigError
from textmix.io.files import replacing

Array = npt.NDArray[Any]


def check_plots() -> None:
    """Check that plots can be drawn.

    Raises:
        ConfigError: If matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise ConfigError("--plot needs matplotlib; install it with: pip install 'textmix[plots]'") from None


def plot_residuals(targets: Array, outputs: Array, names: Sequence[str], path: Path) -> None:
    """Plot the residuals (true minus predicted) of each number against its prediction, a dot for each row.

    Args:
        targets: True numbers, shape (N, T).
        outputs: Predicted numbers, shape (N, T).
        names: Names of the T numbers.
        path: The PNG file to write.
    """
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(4.5 * len(names), 4), dpi=120, layout="constrained")
    for place, (axes, name) in enumerate(zip(drawing.subplots(1, len(names), squeeze=False)[0], names, strict=True)):
        axes.axhline(0, color="0.75", linewidth=0.8)
        axes.plot(outputs[:, place], targets[:, place] - outputs[:, place], ".", markersize=4)
        axes.set(title=name, xlabel="predicted", ylabel="true minus predicted")
    with replacing(path) as temporary:
        drawing.savefig(temporary, format="png")
