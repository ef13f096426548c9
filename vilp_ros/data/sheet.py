"""A contact sheet of an episode: one picture that tells whether it is worth keeping."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vilp_ros.data.episodes import EpisodeFile

COLUMNS, WIDTH = 8, 160
CURVES = (
    ("hand x", (200, 40, 40)),
    ("hand y", (40, 150, 40)),
    ("hand z", (40, 80, 200)),
    ("gripper width", (40, 40, 40)),
)
_LINE, _HIGH = 18, 56  # pixels: a line of text, the curves


def contact_sheet(file: EpisodeFile, index: int) -> Image.Image:
    """Frames evenly spaced in time, a row a view, and below them what the hand did.

    Args:
        file: of episodes; only the frames shown are read.
        index: of the episode.
    """
    episode, period_s = file.read(index, ()), file.control_period_s
    count = min(COLUMNS, len(episode) + 1)
    picks = np.unique(np.linspace(0, len(episode), count).round().astype(int))
    rows = [
        np.concatenate([_small(frame) for frame in file.frames(index, view, picks)], axis=1)
        for view in file.views
    ]
    pictures = np.concatenate([row[:, : min(r.shape[1] for r in rows)] for row in rows])
    height, width = pictures.shape[:2]
    step = width // len(picks)
    title = str(episode.info.get("bag", f"{file.path.name} {index}"))
    sheet = Image.new("RGB", (width, height + 4 * _LINE + _HIGH + 12), "white")
    sheet.paste(Image.fromarray(pictures), (0, 3 * _LINE))
    draw = ImageDraw.Draw(sheet)
    font, small = ImageFont.load_default(14), ImageFont.load_default(12)
    moved = np.linalg.norm(np.diff(episode.ee_pose[:, :3], axis=0), axis=1)
    facts = (
        f"role: {episode.role}",
        f"outcome: {'success' if episode.success else 'failure'}",
        f"lasts {len(episode) * period_s:.1f} s",
        f"hand travels {moved.sum():.2f} m",
        f"steps disturbed or not to imitate: {episode.disturbed.mean():.0%}",
    )
    draw.text((2, 0), title, "black", font)
    draw.text((2, _LINE), "     ".join(facts), "black", small)
    for i, k in enumerate(picks):
        draw.text((i * step + 2, 2 * _LINE), f"{k * period_s:.2f} s", "gray", small)
    for row, view in enumerate(file.views):
        at = (4, 3 * _LINE + sum(r.shape[0] for r in rows[:row]) + 2)
        draw.text(at, view, "white", small, stroke_width=2, stroke_fill="black")
    top = 3 * _LINE + height + 4
    for values, (_, colour) in zip((*episode.ee_pose.T[:3], episode.gripper_width), CURVES):
        _curve(draw, values, top, width, colour)
    at_x = 2.0
    for name, colour in (*CURVES, ("each over its own range, first frame to last", (110,) * 3)):
        draw.text((at_x, top + _HIGH + 4), name, colour, small)
        at_x += small.getlength(name) + 16
    return sheet


def save_sheet(file: EpisodeFile, index: int, path: Path) -> None:
    """Writes a contact sheet as PNG; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(file, index).save(path)


def _small(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    if width <= WIDTH:
        return frame
    size = (WIDTH, round(height * WIDTH / width))
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX))


def _curve(
    draw: ImageDraw.ImageDraw, values: np.ndarray, top: int, width: int, colour: tuple[int, ...]
) -> None:
    """A line over the whole width, scaled to its own range."""
    span = float(np.ptp(values)) or 1.0
    x = np.linspace(0, width - 1, len(values))
    y = top + _HIGH * (1 - (values - values.min()) / span)
    draw.line(list(zip(x.tolist(), y.tolist())), fill=colour, width=1)
