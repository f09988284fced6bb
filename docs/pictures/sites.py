"""Draw the sites of a network at which two rows can be mixed: python docs/pictures/sites.py [OUTPUT.png]."""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

OWN, PARTNER, BLEND = "#2563a8", "#c2571a", "#7b3fa0"
INK, PALE, FAINT = "#222222", "#f1f1f4", "#8a8a93"
OWN_LANE, MIDDLE, PARTNER_LANE = 0.85, 0.0, -0.85
TALL, FLAT = 2.9, 1.0

# What a batch passes, from left to right: name, place, height.
PARTS = [
    ("embedding", 1.55, TALL),
    ("block 1", 3.1, TALL),
    ("block k", 4.65, TALL),
    ("block n", 6.75, FLAT),
    ("pooling", 8.0, FLAT),
    ("linear", 9.6, FLAT),
]
# The sites: name, place, and where the two rows run apart from each other.
APART = [("tokens", 0.7), ("embeddings", 2.32)]
CHOSEN = ("layer:k", 5.7)
JOINED = ("pooled", 8.8)


def main(path: Path) -> None:
    """Draw and save the picture."""
    figure = pyplot.figure(figsize=(10.4, 3.4), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-1.75, 11.95), ylim=(-2.5, 2.0))
    axes.axis("off")
    draw_lanes(axes)
    for name, x, height in PARTS:
        draw_part(axes, name, x, height)
    for name, x in APART:
        for lane, color in ((OWN_LANE, OWN), (PARTNER_LANE, PARTNER)):
            draw_site(axes, x, lane, color)
        label_site(axes, name, x)
    draw_site(axes, JOINED[1], MIDDLE, BLEND)
    label_site(axes, JOINED[0], JOINED[1])
    draw_blend(axes)
    figure.savefig(path, dpi=160, facecolor="white")


def draw_lanes(axes: Axes) -> None:
    """Draw the way of both rows to the site, and that of their blend from there on."""
    x = CHOSEN[1]
    for lane, color, text in ((OWN_LANE, OWN, '"a fine film"'), (PARTNER_LANE, PARTNER, '"never again"')):
        axes.plot([0.35, x - 0.55, x], [lane, lane, MIDDLE], color=color, linewidth=3, zorder=1)
        axes.text((PARTS[1][1] + PARTS[2][1]) / 2, lane + 0.2, "…", color=color, fontsize=16, ha="center", va="center")
        axes.text(0.25, lane, text, color=color, fontsize=12, ha="right", va="center", weight="bold")
    axes.text((x + PARTS[3][1]) / 2, MIDDLE + 0.2, "…", color=BLEND, fontsize=16, ha="center", va="center")
    axes.plot([x, 10.3], [MIDDLE, MIDDLE], color=BLEND, linewidth=3, zorder=1)
    axes.text(10.35, MIDDLE + 0.22, "λ · good", color=OWN, fontsize=12, va="center", weight="bold")
    axes.text(10.35, MIDDLE - 0.22, "(1−λ) · bad", color=PARTNER, fontsize=12, va="center", weight="bold")


def draw_part(axes: Axes, name: str, x: float, height: float) -> None:
    """Draw a part of the network as a box with its name in it."""
    box = FancyBboxPatch(
        (x - 0.24, -height / 2), 0.48, height, "round,pad=0.06", facecolor=PALE, edgecolor=FAINT, linewidth=1, zorder=2
    )
    axes.add_patch(box)
    axes.text(x, 0, name, color=INK, fontsize=11, ha="center", va="center", rotation=90, zorder=3)


def draw_site(axes: Axes, x: float, y: float, color: str) -> None:
    """Draw a site that was not drawn for this step as a hollow circle."""
    axes.plot([x], [y], "o", markersize=9, markerfacecolor="white", markeredgecolor=color, markeredgewidth=2, zorder=4)


def label_site(axes: Axes, name: str, x: float, color: str = INK) -> None:
    """Write the name of a site below the network."""
    axes.text(x, -1.85, name, color=color, fontsize=11, ha="center", va="center", family="monospace")


def draw_blend(axes: Axes) -> None:
    """Draw the site of this step, with the weights of the two rows."""
    name, x = CHOSEN
    axes.plot([x], [MIDDLE], "o", markersize=14, color=BLEND, zorder=4)
    axes.text(x - 0.08, 0.62, "λ", color=OWN, fontsize=14, ha="left", va="center", weight="bold")
    axes.text(x - 0.08, -0.62, "1−λ", color=PARTNER, fontsize=14, ha="left", va="center", weight="bold")
    label_site(axes, name, x, BLEND)
    axes.text(x, -2.25, "the site of this step", color=BLEND, fontsize=10, ha="center", va="center")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".png"))
