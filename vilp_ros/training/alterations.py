"""Alters pictures as light, paint, lenses, sensors and bumped cameras do, on pixels alone.

Every draw comes from the caller's `rng`: a training that goes on alters as it would have. A row of
a batch is a window of one or more frames, which are altered alike; noise is new in every frame.
The libraries were tried first: kornia draws from torch's global state and knows no smooth colour
tables, albumentations is no longer kept under a free licence.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_NODES = 9  # of a colour table, a side


@dataclass
class AlterationConfig:
    """How strongly each thing is altered: 1 as measured in the model cards, 0 not at all.

    Attributes:
        colour: random smooth table of colours: hue turned by hue, saturation and brightness.
        tone: exposure, contrast and gamma.
        white_balance: gain of each channel.
        gradient: light that fades across the picture.
        shadow: one soft-edged shadow.
        blur: out of focus.
        noise: of the sensor.
        jpeg: compression.
        cutout: boxes and discs that lie about and hide what is behind.
        shift: of a camera that was bumped: 5.6 % of the width.
        rotation: the same: 4 degrees.
        scale: the same: 4 %.
        perspective: the same: corners by 2 % of the picture.
        holes: depth views: no return, in blobs and at edges.
        edges: depth views: edges that fray by a pixel.
        quantisation: depth views: steps that grow with the distance.
    """

    colour: float = 1.0
    tone: float = 1.0
    white_balance: float = 1.0
    gradient: float = 1.0
    shadow: float = 1.0
    blur: float = 1.0
    noise: float = 1.0
    jpeg: float = 1.0
    cutout: float = 1.0
    shift: float = 1.0
    rotation: float = 1.0
    scale: float = 1.0
    perspective: float = 1.0
    holes: float = 1.0
    edges: float = 1.0
    quantisation: float = 1.0


def alter(
    frames: np.ndarray,
    rng: np.random.Generator,
    config: AlterationConfig,
    *,
    recolour: float = 1.0,
    warp: float = 1.0,
    depth: bool = False,
) -> np.ndarray:
    """Altered copies.

    Args:
        frames: `(B, T, H, W, 3)` uint8, B windows of T frames.
        rng: draws.
        config: strengths.
        recolour: share of the windows whose colours, tones and light are altered.
        warp: factor on the geometric strengths; 0 leaves everything in its place.
        depth: they are greys of depth: altered as depth cameras err, not as light does.

    Returns:
        uint8 of the same shape.
    """
    rows, length = frames.shape[:2]
    x = torch.from_numpy(np.ascontiguousarray(frames)).flatten(0, 1)
    x = x.permute(0, 3, 1, 2).float().div(255)
    if warp > 0:
        x = _warp(x, rng, config, warp, rows)
    if depth:
        x = _depth_errors(x, rng, config, rows)
        return _to_uint8(x, rows)
    chosen = np.flatnonzero(rng.random(rows) < recolour)
    if len(chosen):
        index = torch.from_numpy((chosen[:, None] * length + np.arange(length)).ravel())
        x[index] = _light(_recolour(x[index], rng, config, len(chosen)), rng, config, len(chosen))
    return _compress(_to_uint8(_sensor(x, rng, config, rows), rows), rng, config)


def _each(values: np.ndarray, like: Tensor) -> Tensor:
    """Numbers of R windows `(R, ...)` for all frames of them `(R * T, ...)`."""
    drawn = torch.from_numpy(np.asarray(values, np.float32))
    return drawn.repeat_interleave(len(like) // len(drawn), 0)


def _signed(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.uniform(-1, 1, shape)


def _warp(
    x: Tensor, rng: np.random.Generator, config: AlterationConfig, warp: float, rows: int
) -> Tensor:
    """Shift, rotation, scale and perspective in one sampling."""
    height, width = x.shape[-2:]
    aspect = width / height
    angle = np.deg2rad(4.0) * config.rotation * warp * _signed(rng, rows)
    scale = np.exp(0.04 * config.scale * warp * _signed(rng, rows))
    shift = 2 * 0.056 * config.shift * warp * _signed(rng, rows, 2) * [1, aspect]
    tilt = 0.02 * config.perspective * warp * _signed(rng, rows, 2)
    c, s, one = np.cos(angle) * scale, np.sin(angle) * scale, np.ones(rows)
    matrix = np.stack(  # from where in the picture a pixel comes, both in -1..1
        [c, -s / aspect, shift[:, 0], s * aspect, c, shift[:, 1], tilt[:, 0], tilt[:, 1], one], -1
    ).reshape(-1, 3, 3)
    v, u = torch.meshgrid(
        (torch.arange(height) + 0.5) * 2 / height - 1,
        (torch.arange(width) + 0.5) * 2 / width - 1,
        indexing="ij",
    )
    points = torch.stack([u, v, torch.ones_like(u)]).flatten(1)
    at = _each(matrix, x) @ points
    grid = (at[:, :2] / at[:, 2:]).unflatten(-1, (height, width)).permute(0, 2, 3, 1)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _recolour(x: Tensor, rng: np.random.Generator, config: AlterationConfig, rows: int) -> Tensor:
    """Each window through a colour table of its own."""
    tables = _colour_tables(rng, config, rows)
    grid = x.permute(0, 2, 3, 1).flip(-1)[:, None] * 2 - 1  # grid_sample's axes: blue, green, red
    found = F.grid_sample(_each(tables, x), grid, padding_mode="border", align_corners=True)
    return found[:, :, 0].clamp(0, 1)


def _colour_tables(rng: np.random.Generator, config: AlterationConfig, rows: int) -> np.ndarray:
    """`(R, 3, 9, 9, 9)` smooth random tables over red, green and blue."""
    axis = np.linspace(0, 1, _NODES, dtype=np.float32)
    rgb = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(1, -1, 3)
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)  # hue in degrees
    hue, saturation, value = (hsv[..., i] for i in range(3))

    def column(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (rows, 1))

    some = config.colour * (rng.random((rows, 1)) < 0.85)
    turned = column(-180, 180)
    for k in (1, 2):
        turned = turned + column(-40, 40) * np.cos(np.deg2rad(k * hue + column(0, 360)))
    turned = turned + column(-60, 60) * saturation + column(-60, 60) * value
    hue = (hue + some * turned) % 360
    saturation = saturation * np.exp(some * column(-1.0, 0.5))
    saturation = saturation + some * np.maximum(column(-0.5, 0.4), 0) * (value > 0.05)
    value = value ** np.exp(0.5 * config.tone * column(-1, 1))
    value = (value - 0.5) * np.exp(0.35 * config.tone * column(-1, 1)) + 0.5
    value = value * np.exp(config.tone * column(-0.9, 0.5))
    mixed = np.stack([hue, saturation.clip(0, 1), value.clip(0, 1)], -1).astype(np.float32)
    out = cv2.cvtColor(mixed, cv2.COLOR_HSV2RGB).reshape(rows, _NODES, _NODES, _NODES, 3)
    gains = 1 + 0.18 * config.white_balance * rng.uniform(-1, 1, (rows, 1, 1, 1, 3))
    return np.moveaxis(out * gains, -1, 1)


def _light(x: Tensor, rng: np.random.Generator, config: AlterationConfig, rows: int) -> Tensor:
    """A gradient across the picture, and a soft-edged shadow in a third of them."""
    v, u = torch.meshgrid(
        torch.linspace(-1, 1, x.shape[-2]), torch.linspace(-1, 1, x.shape[-1]), indexing="ij"
    )

    def across() -> Tensor:
        angle = rng.uniform(0, 2 * np.pi, (rows, 1, 1, 1))
        return _each(np.cos(angle), x) * u + _each(np.sin(angle), x) * v

    def drawn(low: float, high: float) -> Tensor:
        return _each(rng.uniform(low, high, (rows, 1, 1, 1)), x)

    x = x * (1 + config.gradient * drawn(0, 0.35) * across())
    edge = torch.sigmoid((across() - drawn(-0.8, 0.8)) / drawn(0.02, 0.3))
    depth = drawn(0.1, 0.6) * _each(rng.random((rows, 1, 1, 1)) < 0.33, x)
    return (x * (1 - config.shadow * depth * edge)).clamp(0, 1)


def _sensor(x: Tensor, rng: np.random.Generator, config: AlterationConfig, rows: int) -> Tensor:
    """Blur, noise and what stands before the camera."""
    frames = len(x) // rows
    for row in np.flatnonzero(rng.random(rows) < 0.4):
        part = slice(row * frames, (row + 1) * frames)
        share = min(config.blur, 1.0) * rng.random()
        x[part] += share * (_blurred(x[part]) - x[part])
    for row in np.flatnonzero(rng.random(rows) < 0.5 * min(config.cutout, 1.0)):
        for _ in range(int(rng.integers(1, 4))):
            _cover(x[row * frames : (row + 1) * frames], rng)
    sigma = _each(0.04 * config.noise * rng.random((rows, 1, 1, 1)) ** 2, x)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    return x + sigma * torch.randn(x.shape, generator=generator)


def _cover(x: Tensor, rng: np.random.Generator) -> None:
    """Lays a box or a disc of two tones over a window: a thing that lies about, seen from above."""
    height, width = x.shape[-2:]
    sides = np.exp(rng.uniform(np.log(0.05), np.log(0.25), 2)) * height
    turn, place = rng.uniform(0, 180), rng.random(2) * [width, height]
    mask = np.zeros((height, width), np.uint8)
    outline = (tuple(map(float, place)), tuple(map(float, sides)), float(turn))
    if rng.random() < 0.5:
        cv2.ellipse(mask, outline, 1, -1)
    else:
        cv2.fillPoly(mask, [cv2.boxPoints(outline).round().astype(np.int32)], 1)
    colour = rng.random(3)
    tones = np.linspace(1, rng.uniform(0.3, 1.0), width, dtype=np.float32)
    painted = torch.from_numpy((colour[:, None] * tones).astype(np.float32))[:, None]
    x[:] = torch.where(torch.from_numpy(mask).bool(), painted, x)


def _blurred(x: Tensor) -> Tensor:
    for _ in range(2):
        x = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    return x


def _depth_errors(
    x: Tensor, rng: np.random.Generator, config: AlterationConfig, rows: int
) -> Tensor:
    """As structured light and stereo err; no return is white, see `grey_depth`."""
    count, _, height, width = x.shape
    x = x[:, :1]
    if config.edges > 0:
        step = torch.from_numpy(rng.integers(-1, 2, (count, 2, height, width))).float()
        often = torch.from_numpy(rng.random((count, 1, height, width)) < 0.5 * config.edges)
        v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        at = torch.stack([u, v]).float() + step * often
        at = (at + 0.5) * 2 / torch.tensor([width, height])[:, None, None] - 1
        x = F.grid_sample(
            x, at.permute(0, 2, 3, 1), "nearest", padding_mode="border", align_corners=False
        )
    if config.quantisation > 0:
        step = _each(config.quantisation * rng.uniform(0.002, 0.03, (rows, 1, 1, 1)), x)
        step = step * (0.2 + x)
        x = (x / step).round() * step
    if config.holes > 0:
        coarse = torch.from_numpy(rng.random((count, 1, 12, 20)).astype(np.float32))
        blobs = F.interpolate(coarse, (height, width), mode="bilinear")
        share = _each(0.2 * config.holes * rng.random((rows, 1, 1, 1)), x)
        rise = F.max_pool2d(x, 3, 1, 1) + F.max_pool2d(-x, 3, 1, 1)
        torn = torch.from_numpy(rng.random(x.shape)) < 0.3 * config.holes
        x = torch.where((blobs > 1 - share) | ((rise > 0.08) & torn), 1.0, x)
    return x.expand(-1, 3, -1, -1)


def _to_uint8(x: Tensor, rows: int) -> np.ndarray:
    frames = (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    return frames.unflatten(0, (rows, -1)).contiguous().numpy()


def _compress(frames: np.ndarray, rng: np.random.Generator, config: AlterationConfig) -> np.ndarray:
    """A fifth of the windows as JPEG and back."""
    for row in np.flatnonzero(rng.random(len(frames)) < 0.2 * min(config.jpeg, 1.0)):
        quality = int(rng.integers(30, 95))
        for i, frame in enumerate(frames[row]):
            packed = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            frames[row, i] = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    return frames
