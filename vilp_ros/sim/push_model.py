"""How a T moves that a stick pushes, and how the stick gets round it: no simulator, numpy.

The T slides on its table so slowly that friction alone resists. The forces that friction can bear
are taken as an ellipsoid (the limit surface: Goyal, Ruina and Papadopoulos 1991; Lee and Cutkosky
1991), whose ratio of torque to force is a length. Contact with the stick sticks or slides (Lynch,
Maekawa and Tanie 1992). All is in the frame of the T when a push begins, metres and radians.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vilp_ros.sim.tee import OUTLINE

STICK_RADIUS = 0.01
LENGTH = 0.045  # m, torque to force; the median miss of a push was 3 mm, and 12 with 0.03
FRICTION = 0.1  # stick on T
CLEAR = 0.016  # m from the T's sides to the stick's middle while it goes round
ENTRY = 0.018  # m from a side to where a push's way begins
REACHED = 0.005  # m from a corner of the way, or from its end
_SPACING = 0.007  # m between places of contact
_INSET = 0.004  # m from a corner
_ANGLES = np.deg2rad(np.arange(-50, 51, 10))  # of a push, to the side's inward normal
_LENGTHS = np.array([4, 6, 9, 12, 16, 20, 25, 30, 40, 50, 60, 80, 100, 120]) * 1e-3
_STEP = 0.001


def nearest(
    points: np.ndarray, outline: np.ndarray = OUTLINE
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nearest places on an outline.

    Args:
        points: (N, 2).
        outline: (M, 2) corners.

    Returns:
        distances (N,), places (N, 2), unit vectors from there to the points (N, 2).
    """
    start, along = outline, np.roll(outline, -1, 0) - outline
    share = ((points[:, None] - start) * along).sum(-1) / (along**2).sum(-1)
    places = start + np.clip(share, 0, 1)[..., None] * along
    off = points[:, None] - places
    squared = (off**2).sum(-1)
    side = squared.argmin(1)
    rows = np.arange(len(points))
    distance = np.sqrt(squared[rows, side])
    normal = off[rows, side] / np.maximum(distance, 1e-9)[:, None]
    return distance, places[rows, side], normal


@dataclass(frozen=True)
class Pushes:
    """Straight pushes and what they do; K of them from C places of contact.

    Attributes:
        entry: (C, 2) where the way of a push begins, free of the T.
        contact: (C, 2) where the stick's middle touches.
        place: (K,) index of the place of contact.
        direction: (K, 2) unit vector.
        length: (K,) metres, from `contact`.
        moved: (K, 3) where the T is afterwards: x, y, yaw in its frame before.
        exit: (K, 2) where the stick is free again, in the T's frame afterwards.
        round: (K, C) metres from there to the entry of a next push.
    """

    entry: np.ndarray
    contact: np.ndarray
    place: np.ndarray
    direction: np.ndarray
    length: np.ndarray
    moved: np.ndarray
    exit: np.ndarray
    round: np.ndarray


def make_pushes() -> Pushes:
    """Rolls out every push: takes about half a second."""
    entry, contact, normal = _places()
    angles = np.tile(_ANGLES, len(contact))
    place = np.repeat(np.arange(len(contact)), len(_ANGLES))
    inward = -normal[place]
    c, s = np.cos(angles), np.sin(angles)
    direction = np.stack(
        [c * inward[:, 0] - s * inward[:, 1], s * inward[:, 0] + c * inward[:, 1]], -1
    )
    moved, sticks = _roll_out(contact[place], direction)
    places = np.tile(place, len(_LENGTHS))
    directions = np.tile(direction, (len(_LENGTHS), 1))
    lengths = np.repeat(_LENGTHS, len(place))
    good = nearest(sticks)[0] < 1.5 * STICK_RADIUS  # it has not slipped off the T
    exits = escape(sticks[good])
    return Pushes(
        entry=entry,
        contact=contact,
        place=places[good],
        direction=directions[good],
        length=lengths[good],
        moved=moved[good],
        exit=exits,
        round=Ways().lengths(exits, entry).astype(np.float32),
    )


def _places() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    entries, contacts, normals = [], [], []
    for start, end in zip(OUTLINE, np.roll(OUTLINE, -1, 0), strict=True):
        length = float(np.linalg.norm(end - start))
        along = (end - start) / length
        normal = np.array([along[1], -along[0]])
        n = max(2, round((length - 2 * _INSET) / _SPACING) + 1)
        for t in np.linspace(_INSET, length - _INSET, n):
            entries.append(start + t * along + ENTRY * normal)
            contacts.append(start + t * along + STICK_RADIUS * normal)
            normals.append(normal)
    entry, contact, normal = (np.array(a) for a in (entries, contacts, normals))
    possible = free(entry)
    return entry[possible], contact[possible], normal[possible]


def _roll_out(stick: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The T's (x, y, yaw) and the stick in the T's frame after each of `_LENGTHS`, stacked."""
    n = len(stick)
    stick = stick.copy()
    middle, yaw = np.zeros((n, 2)), np.zeros(n)
    moved, sticks = [], []
    ends = set(np.rint(_LENGTHS / _STEP).astype(int).tolist())
    for step in range(1, max(ends) + 1):
        stick += _STEP * direction
        c, s = np.cos(yaw), np.sin(yaw)

        def into(v: np.ndarray, c: np.ndarray = c, s: np.ndarray = s) -> np.ndarray:
            return np.stack([c * v[:, 0] + s * v[:, 1], -s * v[:, 0] + c * v[:, 1]], -1)

        seen = into(stick - middle)
        distance, touched, normal = nearest(seen)
        depth = np.maximum(STICK_RADIUS - distance, 0.0)
        shift, turn = _respond(touched, normal, depth, _STEP * into(direction))
        middle += np.stack(
            [c * shift[:, 0] - s * shift[:, 1], s * shift[:, 0] + c * shift[:, 1]], -1
        )
        yaw += turn
        if step in ends:
            c, s = np.cos(yaw), np.sin(yaw)
            moved.append(np.concatenate([middle, yaw[:, None]], -1))
            sticks.append(into(stick - middle, c, s))
    return np.concatenate(moved), np.concatenate(sticks)


def _respond(
    touched: np.ndarray, normal: np.ndarray, depth: np.ndarray, step: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How the T yields, by a shift (N, 2) and a turn (N,), to a stick that is `depth` in it."""
    tangent = np.stack([-normal[:, 1], normal[:, 0]], -1)
    lever = np.stack([-touched[:, 1], touched[:, 0]], -1)
    # Motion of the touched place by a unit force there, along normal and tangent.
    ln, lt = (lever * normal).sum(-1) / LENGTH, (lever * tangent).sum(-1) / LENGTH
    nn, nt, tt = 1 + ln**2, ln * lt, 1 + lt**2
    un, ut = -depth, (step * tangent).sum(-1)
    det = nn * tt - nt**2
    fn, ft = (tt * un - nt * ut) / det, (nn * ut - nt * un) / det
    slides = np.abs(ft) > -FRICTION * fn
    edge = np.sign(ft) * FRICTION
    fn_slide = un / np.maximum(nn - nt * edge, 1e-3)
    fn = np.where(slides, fn_slide, fn)
    ft = np.where(slides, -edge * fn_slide, ft)
    force = fn[:, None] * normal + ft[:, None] * tangent
    force[depth == 0] = 0
    return force, (lever * force).sum(-1) / LENGTH**2


def _grown() -> np.ndarray:
    """The T's outline, `CLEAR` further out, with pointed corners."""
    along = np.roll(OUTLINE, -1, 0) - OUTLINE
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    normal = np.stack([along[:, 1], -along[:, 0]], -1)
    return OUTLINE + CLEAR * (normal + np.roll(normal, 1, 0))


_GROWN = _grown()


def free(points: np.ndarray) -> np.ndarray:
    """Whether the stick's middle may be there (N,) while it goes round."""
    x, y = points[:, 0, None], points[:, 1, None]
    (x0, y0), (x1, y1) = _GROWN.T, np.roll(_GROWN, -1, 0).T
    crosses = (y0 > y) != (y1 > y)
    at = x0 + (y - y0) / np.where(y1 == y0, 1.0, y1 - y0) * (x1 - x0)
    inside: np.ndarray = (crosses & (x < at)).sum(1) % 2 == 0
    return inside


def escape(points: np.ndarray) -> np.ndarray:
    """The nearest places (N, 2) that are free."""
    _, places, inward = nearest(points, _GROWN)
    out = places - (ENTRY - CLEAR) * inward
    return np.where(free(points)[:, None], points, out)


def _blocked(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Whether a straight way crosses the grown T; shapes (..., 2), broadcast."""
    start, end = np.broadcast_arrays(start, end)
    p, r = start[..., None, :], (end - start)[..., None, :]
    q, s = _GROWN, np.roll(_GROWN, -1, 0) - _GROWN
    cross = r[..., 0] * s[:, 1] - r[..., 1] * s[:, 0]
    off = q - p
    safe = np.where(cross == 0, 1.0, cross)
    t = (off[..., 0] * s[:, 1] - off[..., 1] * s[:, 0]) / safe
    u = (off[..., 0] * r[..., 1] - off[..., 1] * r[..., 0]) / safe
    hit = (cross != 0) & (t > 1e-6) & (t < 1 - 1e-6) & (u > 1e-6) & (u < 1 - 1e-6)
    found: np.ndarray = hit.any(-1)
    return found


class Ways:
    """Shortest ways round the T, over the corners of its grown outline."""

    def __init__(self) -> None:
        convex = [0, 1, 3, 4, 6, 7]
        # A hair further out, so that a way along a side does not touch it.
        self._corners = _GROWN[convex] + 1e-4 * np.sign(_GROWN[convex])
        between = np.linalg.norm(self._corners[:, None] - self._corners, axis=-1)
        between[_blocked(self._corners[:, None], self._corners)] = np.inf
        np.fill_diagonal(between, 0.0)
        for k in range(len(convex)):  # Floyd and Warshall
            between = np.minimum(between, between[:, k, None] + between[k])
        self._between = between

    def _to_corners(self, points: np.ndarray) -> np.ndarray:
        length = np.linalg.norm(points[:, None] - self._corners, axis=-1)
        return np.where(_blocked(points[:, None], self._corners), np.inf, length)

    def lengths(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Metres (S, E) from free points (S, 2) to free points (E, 2)."""
        out, back = self._to_corners(starts), self._to_corners(ends)
        over = (out[:, :, None] + self._between).min(1)
        best = np.full((len(starts), len(ends)), np.inf)
        for corner in range(len(self._corners)):
            best = np.minimum(best, over[:, corner, None] + back[:, corner])
        for n, end in enumerate(ends):
            straight = np.linalg.norm(starts - end, axis=1)
            shorter = straight < best[:, n]
            open_ = np.zeros(len(starts), bool)
            open_[shorter] = ~_blocked(starts[shorter], end)
            best[open_, n] = straight[open_]
        return best

    def turn(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """The next point (2,) on the way from a free point to another: a corner, or the end."""
        if not _blocked(start, end):
            return end
        out, back = self._to_corners(start[None])[0], self._to_corners(end[None])[0]
        total = out[:, None] + self._between + back
        total[np.linalg.norm(self._corners - start, axis=1) < REACHED] = np.inf
        first, _ = np.unravel_index(total.argmin(), total.shape)
        return self._corners[first] if np.isfinite(total[first]).any() else end
