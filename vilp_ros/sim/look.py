"""How a scene may look otherwise: drawn colours, textures, light, cameras and things lying about.

What is drawn for training and what for evaluation never meet: hues, bearings of the light and of
a camera's move lie on circles, of which some arcs (`HELD_OUT`) are evaluation's alone; textures and
shapes are divided by name.
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vilp_ros.errors import VilpError
from vilp_ros.sim.scene import SPARE_GEOMS
from vilp_ros.sim.sensor import Sensor, draw_sensor
from vilp_ros.sim.textures import KINDS, draw_texture

FAMILIES = ("object", "table", "light", "camera", "distractors", "sensor")
HELD_OUT = ((0.42, 0.54), (0.70, 0.84))
"""Arcs of every circle, in turns, that training leaves to evaluation: cyan and purple, of hues."""
SHAPES = {False: ("box", "cylinder", "sphere"), True: ("ellipsoid", "capsule")}
DISTRACTORS = SPARE_GEOMS - 1  # and a mat

# At strength 1. A hand's camera is screwed on: it moves less than one on a tripod.
_SHIFT_M, _TURN_DEG, _FOV = 0.04, 5.0, 0.02
_HAND_SHARE = 0.2
_DIMMER, _BRIGHTER = 0.45, 1.6
_TINT = 0.15
_LIGHT_TURN_DEG = 150.0

# Share of training's scenes in which a family takes part: the usual scene must stay known.
_TAKES_PART = {
    "object": 0.85,
    "table": 0.7,
    "arm": 0.4,
    "light": 0.8,
    "camera": 0.8,
    "distractors": 0.6,
    "sensor": 0.0,  # training alters pictures itself, without a simulator
}
_TEXTURED = 0.35
_TELLING = 0.25  # least distance of the colours of an object and the table
_STREAM = 16  # sets the draws of looks apart from those that place objects


@dataclass(frozen=True)
class Paint:
    """What a geom is painted with.

    Attributes:
        rgb: (3,) from 0 to 1.
        texture: (n, n, 3) uint8 that the colour is multiplied by, None of a plain one.
    """

    rgb: np.ndarray
    texture: np.ndarray | None = None


@dataclass(frozen=True)
class Light:
    """All lamps of a scene.

    Attributes:
        turn_deg: bearing from which they shine, from the usual one.
        brightness: (3,) factors on red, green and blue.
        ambient: factor on the light that has no direction.
    """

    turn_deg: float
    brightness: np.ndarray
    ambient: float


@dataclass(frozen=True)
class CameraMove:
    """How a camera was bumped, in its own frame (x right, y up, z back).

    Attributes:
        shift_m: (3,).
        turn_deg: (3,) rotation vector.
        fov: factor on the field of view.
    """

    shift_m: np.ndarray
    turn_deg: np.ndarray
    fov: float


@dataclass(frozen=True)
class Thing:
    """A thing that lies about and is no business of the task; nothing touches it.

    Attributes:
        shape: MuJoCo's name of a geom type.
        size: (3,) metres, as of a geom of that type.
        bearing_deg: of where it lies, seen from the middle of the picture.
        distance_m: from there.
        yaw_deg: how it is turned.
        paint: its colour.
    """

    shape: str
    size: np.ndarray
    bearing_deg: float
    distance_m: float
    yaw_deg: float
    paint: Paint


@dataclass(frozen=True)
class Look:
    """One appearance; what is empty or None is as in the usual scene.

    Attributes:
        paints: by name of the geom.
        light: the lamps.
        cameras: by name of the camera.
        things: distractors and mats.
        sensor: what the camera does to its pictures.
    """

    paints: Mapping[str, Paint] = field(default_factory=dict)
    light: Light | None = None
    cameras: Mapping[str, CameraMove] = field(default_factory=dict)
    things: Sequence[Thing] = ()
    sensor: Sensor | None = None


def training_look(
    rng: np.random.Generator, parts: Mapping[str, Mapping[str, np.ndarray]], strength: float = 1.0
) -> Look:
    """A look as training sees it; every family takes part in a share of them.

    Args:
        rng: draws.
        parts: of the scene, see `vilp_ros.sim.wardrobe.Wardrobe.parts`.
        strength: 1 draws from the whole ranges, 0 gives the usual scene.
    """
    chosen = [name for name, share in _TAKES_PART.items() if rng.random() < share]
    return _draw(rng, parts, chosen, strength, held_out=False)


def evaluation_look(
    rng: np.random.Generator,
    parts: Mapping[str, Mapping[str, np.ndarray]],
    family: str,
    strength: float = 1.0,
) -> Look:
    """A look that training cannot have drawn, at the edge of its ranges times `strength`.

    Args:
        rng: draws.
        parts: of the scene, see `vilp_ros.sim.wardrobe.Wardrobe.parts`.
        family: one of `FAMILIES`, or `all`.
        strength: 1 is how far training went; 0 gives the usual scene.
    """
    chosen = FAMILIES if family == "all" else (family,)
    return _draw(rng, parts, chosen, strength, held_out=True)


@dataclass(frozen=True)
class LookRule:
    """How the look of an episode follows from its seed.

    Attributes:
        family: one of `FAMILIES`, `all`, or `train`: what training sees.
        strength: see `training_look` and `evaluation_look`.
    """

    family: str
    strength: float

    @classmethod
    def parse(cls, text: str) -> LookRule:
        """Reads `FAMILY@STRENGTH`, such as `light@1.5`.

        Raises:
            VilpError: unknown family, or a strength that is no number from 0 on.
        """
        family, _, number = text.partition("@")
        known = (*FAMILIES, "all", "train")
        if family not in known:
            raise VilpError(
                f"unknown family {family!r} in {text!r}: choose from {', '.join(known)}"
            )
        try:
            strength = float(number)
        except ValueError:
            strength = -1.0
        if not 0 <= strength < float("inf"):
            raise VilpError(f"{text!r}: what follows the @ is a strength, a number from 0 on")
        return cls(family, strength)

    def look(self, seed: int, parts: Mapping[str, Mapping[str, np.ndarray]]) -> Look:
        """The look of the episode of `seed`."""
        rng = np.random.default_rng([seed, _STREAM])
        if self.family == "train":
            return training_look(rng, parts, self.strength)
        return evaluation_look(rng, parts, self.family, self.strength)


def _draw(
    rng: np.random.Generator,
    parts: Mapping[str, Mapping[str, np.ndarray]],
    chosen: Sequence[str],
    strength: float,
    held_out: bool,
) -> Look:
    if strength == 0:
        return Look()
    paints: dict[str, Paint] = {}
    table = next(iter(parts.get("table", {}).values()), np.zeros(3))
    for part in sorted(parts, key=lambda name: name.startswith("object")):  # objects last
        family = part.split(":")[0].replace("floor", "table")
        if family in chosen:
            drawn = _paints(rng, parts[part], strength, held_out)
            while family == "object" and _alike(drawn, table):
                drawn = _paints(rng, parts[part], strength, held_out)
            paints |= drawn
        if part == "table" and family in chosen:
            table = next(iter(drawn.values())).rgb
    return Look(
        paints,
        _light(rng, strength, held_out) if "light" in chosen else None,
        _moves(rng, strength, held_out) if "camera" in chosen else {},
        _things(rng, strength, held_out) if "distractors" in chosen else (),
        draw_sensor(rng, strength) if "sensor" in chosen else None,
    )


def _on_circle(rng: np.random.Generator, held_out: bool) -> float:
    """A place on a circle, in turns, inside the arcs of evaluation or outside."""
    while True:
        turns = float(rng.random())
        if any(low <= turns < high for low, high in HELD_OUT) == held_out:
            return turns


def _colour(rng: np.random.Generator, held_out: bool, hue: float | None = None) -> np.ndarray:
    hue = _on_circle(rng, held_out) if hue is None else hue
    saturation = rng.uniform(0.6, 1.0) if held_out else rng.random() ** 0.6
    return np.array(colorsys.hsv_to_rgb(hue, saturation, rng.uniform(0.15, 1.0)))


def _paints(
    rng: np.random.Generator, geoms: Mapping[str, np.ndarray], strength: float, held_out: bool
) -> dict[str, Paint]:
    """Of one part: mostly one hue in several tones, as things of one make have."""
    hue = _on_circle(rng, held_out)
    one_hue, textured = rng.random() < 0.6, rng.random() < _TEXTURED
    texture = draw_texture(rng, str(rng.choice(KINDS[held_out])), strength) if textured else None
    found = {}
    tones: dict[bytes, np.ndarray] = {}  # geoms of one colour keep one colour
    for name, usual in geoms.items():
        if usual.tobytes() not in tones:
            tones[usual.tobytes()] = _colour(rng, held_out, hue if one_hue else None)
        drawn = tones[usual.tobytes()]
        found[name] = Paint(usual + min(strength, 1.0) * (drawn - usual), texture)
    return found


def _alike(paints: Mapping[str, Paint], rgb: np.ndarray) -> bool:
    """Whether an object can hardly be told from what it lies on."""
    return min(float(np.linalg.norm(p.rgb - rgb)) for p in paints.values()) < _TELLING


def _light(rng: np.random.Generator, strength: float, held_out: bool) -> Light:
    bearing = _on_circle(rng, held_out)
    turn = (bearing if bearing < 0.5 else bearing - 1.0) * 2 * _LIGHT_TURN_DEG
    low, high = np.log(_DIMMER), np.log(_BRIGHTER)
    if held_out:  # at an end of the range
        level = low if rng.random() < 0.5 else high
    else:
        level = rng.uniform(low, high)
    tint = rng.uniform(-1, 1, 3) * _TINT * strength
    return Light(
        float(np.clip(turn * strength, -180, 180)),
        np.exp(level * strength) * (1 + tint),
        float(np.exp(rng.uniform(-0.3, 0.3) * strength)),
    )


def _moves(rng: np.random.Generator, strength: float, held_out: bool) -> dict[str, CameraMove]:
    def axis() -> np.ndarray:
        bearing = 2 * np.pi * _on_circle(rng, held_out)
        lift = rng.uniform(-0.5, 0.5)
        return np.array([np.cos(bearing), np.sin(bearing), lift]) / np.hypot(1, lift)

    def far() -> float:
        return strength if held_out else strength * rng.random()

    return {
        name: CameraMove(
            axis() * share * _SHIFT_M * far(),
            axis() * share * _TURN_DEG * far(),
            1 + _FOV * share * strength * float(rng.uniform(-1, 1)),
        )
        for name, share in (("agentview", 1.0), ("robot0_eye_in_hand", _HAND_SHARE))
    }


def _things(rng: np.random.Generator, strength: float, held_out: bool) -> tuple[Thing, ...]:
    def paint(share: float) -> Paint:
        kind = str(rng.choice(KINDS[held_out]))
        texture = draw_texture(rng, kind, strength) if rng.random() < share else None
        return Paint(_colour(rng, held_out), texture)

    things = []
    if rng.random() < 0.5:
        size = np.array([*rng.uniform(0.08, 0.25, 2), 0.001])
        place = rng.uniform(0, 360), rng.uniform(0, 0.15)
        things.append(Thing("box", size, *place, rng.uniform(0, 180), paint(0.5)))
    most = min(DISTRACTORS, max(1, round(3 * strength)))
    for _ in range(most if held_out else int(rng.integers(1, most + 1))):
        size = rng.uniform(0.012, 0.035, 3)
        place = rng.uniform(0, 360), rng.uniform(0.15, 0.34)
        shape = str(rng.choice(SHAPES[held_out]))
        things.append(Thing(shape, size, *place, rng.uniform(0, 180), paint(0.3)))
    return tuple(things)
