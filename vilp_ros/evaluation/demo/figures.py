"""Pictures for people who never saw the project: reality above the plan that was made for it.

Pure functions from arrays to arrays; nothing here knows ROS, the simulator or a policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw, ImageFont

COLUMN, GAP, MARGIN, HEADING = 464, 8, 12, 48  # pixels
SHOWN = 3  # frames of a plan
INK, FAINT, PAPER = (236, 238, 240), (150, 156, 164), (22, 24, 28)
REAL, IMAGINED, SUCCESS = (94, 176, 255), (255, 176, 64), (96, 208, 120)
VIEW_TITLES = {"agentview": "front camera", "eye_in_hand": "wrist camera"}


@dataclass(frozen=True)
class Plan:
    """The part of a decoded plan that is shown.

    Attributes:
        offsets_s: seconds ahead of the observation, one a frame.
        frames: per view `(len(offsets_s), H, W, 3)` uint8.
    """

    offsets_s: tuple[float, ...]
    frames: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Foreseen:
    """What had been imagined for the moment that is shown.

    Attributes:
        ahead_s: how long before.
        frames: per view `(H, W, 3)` uint8.
    """

    ahead_s: float
    frames: Mapping[str, np.ndarray]


def video_frame(
    real: Mapping[str, np.ndarray],
    foreseen: Foreseen | None,
    plan: Plan | None,
    *,
    title: str,
    time_s: float,
    notes: str = "",
    success: bool = False,
) -> np.ndarray:
    """One frame of an episode's video: cameras, below them what was imagined for the same moment.

    Args:
        real: per view `(H, W, 3)` uint8, what the camera saw.
        foreseen: what an earlier plan expected it to see; None leaves its place empty.
        plan: newest decoded plan at that time; `SHOWN` of its frames are drawn, the last included.
        title: what the video shows.
        time_s: seconds since the episode began.
        notes: last line, e.g. plan rate and ages.
        success: whether the task is done.

    Returns:
        `(height, width, 3)` uint8; both even, as h264 wants them.
    """
    height, width = next(iter(real.values())).shape[:2]
    big = (COLUMN, COLUMN * height // width)
    wide = (COLUMN - (SHOWN - 1) * GAP) // SHOWN
    small = (wide, wide * height // width)
    tops = [84, 84 + big[1] + HEADING, 84 + 2 * (big[1] + HEADING)]
    size = _even(2 * MARGIN + len(real) * (COLUMN + GAP) - GAP, tops[2] + small[1] + 40)
    canvas = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(canvas)
    right = canvas.width - MARGIN
    draw.text((MARGIN, 10), title, INK, _font(22))
    draw.text((right, 10), f"{time_s:5.2f} s", INK, _font(22), anchor="ra")
    if success:
        draw.text((right, 46), "SUCCESS", SUCCESS, _font(22), anchor="ra")
    before = f"{foreseen.ahead_s:.2g} s ago" if foreseen else "earlier"
    headings = (
        ("REALITY", REAL, "what the cameras see now"),
        ("IMAGINED", IMAGINED, f"what the policy, {before}, expected them to see now"),
        ("PLAN", IMAGINED, "what it expects them to see next"),
    )
    for top, (name, colour, about) in zip(tops, headings, strict=True):
        draw.text((MARGIN, top - 34), name, colour, _font(17))
        draw.text((MARGIN + 104, top - 34), about, FAINT, _font(17))
    for column, (view, image) in enumerate(real.items()):
        x = MARGIN + column * (COLUMN + GAP)
        _tile(canvas, image, (x, tops[0]), big, SUCCESS if success else REAL)
        _label(draw, (x + 10, tops[0] + 8), VIEW_TITLES.get(view, view), 15)
        if foreseen is not None:
            _tile(canvas, foreseen.frames[view], (x, tops[1]), big, IMAGINED)
        for i, (offset, frame) in enumerate(_spread(plan, view) if plan else ()):
            at = (x + i * (small[0] + GAP), tops[2])
            _tile(canvas, frame, at, small, IMAGINED)
            _label(draw, (at[0] + 8, at[1] + 6), f"in {offset:.2g} s", 14)
    absent = (tops[1], foreseen, "no plan was made for this moment"), (tops[2], plan, "no plan yet")
    for top, given, text in absent:
        if given is None:
            draw.text((canvas.width // 2, top + 20), text, FAINT, _font(17), anchor="ma")
    draw.text((MARGIN, canvas.height - 28), notes, FAINT, _font(16))
    return np.asarray(canvas)


def _spread(plan: Plan, view: str) -> list[tuple[float, np.ndarray]]:
    """At most `SHOWN` frames spread over a plan, with how far ahead they are; the last included."""
    frames = len(plan.offsets_s)
    shown = min(SHOWN, frames)
    chosen = [frames * (i + 1) // shown - 1 for i in range(shown)]
    return [(plan.offsets_s[k], plan.frames[view][k]) for k in chosen]


@dataclass(frozen=True)
class Pair:
    """A camera's frames and the ones imagined for the same time.

    Attributes:
        time_s: seconds since the episode began.
        real: per view `(H, W, 3)` uint8.
        imagined: per view `(H, W, 3)` uint8, decoded from an earlier plan.
    """

    time_s: float
    real: Mapping[str, np.ndarray]
    imagined: Mapping[str, np.ndarray]


def strip(pairs: Sequence[Pair], *, title: str, ahead_s: float) -> np.ndarray:
    """Real frames above the frames imagined for the same times, one column a time.

    Args:
        pairs: columns, oldest first.
        title: what the strip shows.
        ahead_s: how long before its time a frame was imagined.

    Returns:
        `(height, width, 3)` uint8.
    """
    height, width = next(iter(pairs[0].real.values())).shape[:2]
    tile = (208, 208 * height // width)
    left, top = 156, 76
    views = list(pairs[0].real)
    block = 2 * (tile[1] + 4) + 14
    width = max(left + len(pairs) * (tile[0] + 4), MARGIN + round(_font(22).getlength(title)))
    canvas = Image.new("RGB", (width + MARGIN, top + len(views) * block + MARGIN), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, 10), title, INK, _font(22))
    for column, pair in enumerate(pairs):
        x = left + column * (tile[0] + 4)
        draw.text((x, 48), f"{pair.time_s:.2f} s", INK, _font(17))
        for row, view in enumerate(views):
            y = top + row * block
            _tile(canvas, pair.real[view], (x, y), tile, REAL)
            _tile(canvas, pair.imagined[view], (x, y + tile[1] + 4), tile, IMAGINED)
    for row, view in enumerate(views):
        y = top + row * block
        draw.text((MARGIN, y + 10), VIEW_TITLES.get(view, view), INK, _font(17))
        draw.text((MARGIN, y + 34), "reality", REAL, _font(17))
        draw.text((MARGIN, y + tile[1] + 14), "imagined", IMAGINED, _font(17))
        draw.text((MARGIN, y + tile[1] + 38), f"{ahead_s:.2g} s before", FAINT, _font(17))
    return np.asarray(canvas)


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Writes an rgb image."""
    Image.fromarray(image).save(path)


def write_video(path: str | Path, frames: Iterable[np.ndarray], fps: float) -> None:
    """Writes rgb frames of one even size as h264 in yuv420p, which every browser plays.

    Args:
        path: the .mp4 file.
        frames: `(H, W, 3)` uint8 each; consumed one at a time. None at all writes no file.
        fps: frames per second.
    """
    writer = None
    for frame in frames:
        if writer is None:
            writer = imageio_ffmpeg.write_frames(
                str(path),
                (frame.shape[1], frame.shape[0]),
                fps=fps,
                codec="libx264",
                pix_fmt_out="yuv420p",
                macro_block_size=2,
                ffmpeg_log_level="error",
                output_params=[
                    "-preset",
                    "veryfast",
                    "-crf",
                    "21",
                    "-threads",
                    "1",
                    "-movflags",
                    "+faststart",
                ],
            )
            writer.send(None)
        writer.send(np.ascontiguousarray(frame))
    if writer is not None:
        writer.close()


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)  # drawn from Pillow itself: equal on every machine


def _even(width: int, height: int) -> tuple[int, int]:
    return width + width % 2, height + height % 2


def _tile(
    canvas: Image.Image,
    image: np.ndarray,
    at: tuple[int, int],
    size: tuple[int, int],
    colour: tuple[int, int, int],
) -> None:
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    scaled[:2], scaled[-2:], scaled[:, :2], scaled[:, -2:] = colour, colour, colour, colour
    canvas.paste(Image.fromarray(scaled), at)


def _label(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int) -> None:
    left, top, right, bottom = draw.textbbox(at, text, _font(size))
    draw.rectangle((left - 5, top - 4, right + 5, bottom + 4), PAPER)
    draw.text(at, text, INK, _font(size))
