"""A contact sheet of an episode: one picture that tells whether it is worth keeping."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from vilp_ros.data.episodes import EpisodeFile

COLUMNS, WIDTH = 8, 160
_LINE = 14


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
    sheet = Image.new("RGB", (width, height + 3 * _LINE + 64), "white")
    sheet.paste(Image.fromarray(pictures), (0, 2 * _LINE))
    draw = ImageDraw.Draw(sheet)
    moved = np.linalg.norm(np.diff(episode.ee_pose[:, :3], axis=0), axis=1)
    facts = (
        f"{episode.role}  success {episode.success}  {len(episode) * period_s:.1f} s  "
        f"{moved.sum():.2f} m  disturbed {episode.disturbed.mean():.0%}"
    )
    draw.text((2, 0), f"{title}   {facts}", fill="black")
    for i, k in enumerate(picks):
        draw.text((i * step + 2, _LINE), f"{k * period_s:.2f} s", fill="gray")
    top = 2 * _LINE + height + 4
    width_colour = (40, 40, 40)
    _curve(draw, episode.ee_pose[:, 0], top, width, (200, 40, 40))
    _curve(draw, episode.ee_pose[:, 1], top, width, (40, 150, 40))
    _curve(draw, episode.ee_pose[:, 2], top, width, (40, 80, 200))
    _curve(draw, episode.gripper_width, top, width, width_colour)
    legend = ("x", (200, 40, 40)), ("y", (40, 150, 40)), ("z", (40, 80, 200))
    for i, (name, colour) in enumerate((*legend, ("gripper", width_colour))):
        draw.text((2 + 20 * i, top + 62 - _LINE + 2), name, fill=colour)
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
    """A line over the whole width, 56 pixels high, scaled to its own range."""
    span = float(np.ptp(values)) or 1.0
    x = np.linspace(0, width - 1, len(values))
    y = top + 56 * (1 - (values - values.min()) / span)
    draw.line(list(zip(x.tolist(), y.tolist())), fill=colour, width=1)
