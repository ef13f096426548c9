"""A picture of success against strength."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vilp_ros.errors import VilpError


def require_matplotlib() -> None:
    """Raises VilpError where it is not installed."""
    if find_spec("matplotlib") is None:
        raise VilpError("--plot needs matplotlib: pip install 'vilp_ros[plot]'")


def draw_curve(families: Mapping[str, Mapping[str, Any]], title: str, path: Path) -> None:
    """Draws the success rate of each family, with its Wilson interval, against the strength.

    Args:
        families: by name, figures by strength, as `vilp eval transfer` reports them.
        title: above the picture.
        path: PNG, SVG or PDF.

    Raises:
        VilpError: matplotlib is not installed, or it cannot write such a file.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for n, (family, cells) in enumerate(families.items()):
        points = sorted((float(strength), cell) for strength, cell in cells.items())
        x = [strength + 0.012 * (n - len(families) / 2) for strength, _ in points]
        rate = [cell["successes"] / cell["episodes"] for _, cell in points]
        low = [max(r - cell["wilson_95"][0], 0) for r, (_, cell) in zip(rate, points)]
        high = [max(cell["wilson_95"][1] - r, 0) for r, (_, cell) in zip(rate, points)]
        axes.errorbar(x, rate, (low, high), marker="o", capsize=2, label=family, linewidth=1.4)
    axes.axvline(1, color="0.7", linestyle=":", zorder=0)
    axes.set(xlabel="strength (1: as far as training went)", ylabel="success", title=title)
    axes.set_ylim(-0.03, 1.05)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    try:
        figure.savefig(path, dpi=130)
    except (OSError, ValueError) as error:
        raise VilpError(f"--plot {path}: {error}") from error
