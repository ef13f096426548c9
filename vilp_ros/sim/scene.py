"""What the cameras see: a robosuite model dressed for a renderer on one CPU core.

The cost of a picture in software is its mesh faces, not its pixels, and the Panda's visual meshes
have 170,000. So the cameras see a geom group of their own: copies of the collision geoms, a few
hundred faces a link, coloured so that a person tells arm, fingers, table and objects apart.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace

import numpy as np

VISIBLE_GROUP = 4
_SHAPE = {"type", "size", "pos", "quat", "mesh"}

_WHITE, _DARK = "0.93 0.94 0.95 1", "0.30 0.32 0.36 1"
_TABLE, _FLOOR = "0.62 0.66 0.66 1", "0.32 0.33 0.36 1"
_SOURCE_BIN, _GOAL_BIN = "0.74 0.62 0.46 1", "0.50 0.40 0.33 1"
_GOAL_PEG, _OTHER_PEG = "0.20 0.45 0.30 1", "0.45 0.45 0.50 1"
_LEFT_FINGER, _RIGHT_FINGER = "0.98 0.78 0.10 1", "0.10 0.55 0.95 1"
_OBJECT, _OBJECT_TOP = "0.72 0.10 0.08 1", "0.98 0.42 0.25 1"
_GOAL = "0.95 0.60 0.55 0.35"

# On the hand, 8.5 cm in front of the fingers and tilted 14 degrees back to them: robosuite's camera
# (5 cm, straight) has the hand in a fifth of the picture and loses the object while it is grasped.
_WRIST_CAMERA = {"pos": "0.085 0 0", "xyaxes": "0 1 0 0.970296 0 0.241922", "fovy": "75"}

# geom name -> colour of its copy; every other geom stays out of the pictures.
_LOOKS = {
    "floor": _FLOOR,
    "table_collision": _TABLE,
    "robot0_link0_collision": _WHITE,
    "robot0_link1_collision": _WHITE,
    "robot0_link2_collision": _WHITE,
    "robot0_link3_collision": _WHITE,
    "robot0_link4_collision": _WHITE,
    "robot0_link5_collision": _WHITE,
    "robot0_link6_collision": _WHITE,
    "robot0_link7_collision": _DARK,
    "gripper0_right_hand_collision": _WHITE,
    "gripper0_right_finger1_visual": _LEFT_FINGER,
    "gripper0_right_finger2_visual": _RIGHT_FINGER,
    "cube_g0": _OBJECT,
    "Can_g0": _OBJECT,
    "VisualCan_g0": _GOAL,
}
# Bodies whose geoms have no names of their own: colour of all that collides.
_BODY_LOOKS = {
    "bin1": _SOURCE_BIN,
    "bin2": _GOAL_BIN,
    "peg1": _GOAL_PEG,
    "peg2": _OTHER_PEG,
    "SquareNut_main": _OBJECT_TOP,
}


@dataclass(frozen=True)
class Camera:
    """A fixed camera by where it stands and what it looks at.

    Attributes:
        position: (x, y, z) metres, world frame.
        target: (x, y, z) metres, world frame: the middle of the picture.
        fovy: vertical field of view, degrees.
    """

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    fovy: float

    def attributes(self) -> dict[str, str]:
        """Attributes of the MJCF `camera` element; the picture's upper side is up."""
        back = np.subtract(self.position, self.target)
        back /= np.linalg.norm(back)
        right = np.cross([0.0, 0.0, 1.0], back)
        right /= np.linalg.norm(right)
        up = np.cross(back, right)
        return {
            "pos": _text(self.position),
            "xyaxes": _text([*right, *up]),
            "fovy": f"{self.fovy:g}",
        }

    def moved(self, right_m: float, left_deg: float) -> Camera:
        """The same camera, first shifted to its right, then turned to its left on the spot."""
        ahead = np.subtract(self.target, self.position)
        aside = np.cross(ahead, [0.0, 0.0, 1.0])
        position = self.position + right_m * aside / np.linalg.norm(aside)
        c, s = np.cos(np.deg2rad(left_deg)), np.sin(np.deg2rad(left_deg))
        x, y, z = ahead
        target = position + [c * x - s * y, s * x + c * y, z]
        return replace(self, position=tuple(position.tolist()), target=tuple(target.tolist()))


@dataclass(frozen=True)
class Variation:
    """How a scene differs from the one that demonstrations are recorded in; by default not at all.

    Attributes:
        colours: of the object to handle, and of a block's top; rgba from 0 to 1.
        light: direction in which the lamps shine, world frame.
        brightness: factor on all light.
        right_m: agentview shifted to its right.
        left_deg: agentview turned to its left.
    """

    colours: tuple[str, str] = (_OBJECT, _OBJECT_TOP)
    light: str = "-0.35 -0.75 -0.75"
    brightness: float = 1.0
    right_m: float = 0.0
    left_deg: float = 0.0


VARIATIONS = {
    "none": Variation(),
    "green": Variation(colours=("0.10 0.55 0.14 1", "0.42 0.90 0.36 1")),
    "blue": Variation(colours=("0.10 0.16 0.70 1", "0.36 0.48 0.98 1")),
    "yellow": Variation(colours=("0.74 0.58 0.08 1", "0.98 0.88 0.30 1")),
    "dim": Variation(brightness=0.6),
    "bright": Variation(brightness=1.4),
    "other_side": Variation(light="-0.35 0.75 -0.75"),
    "camera_+2cm": Variation(right_m=0.02),
    "camera_-2cm": Variation(right_m=-0.02),
    "camera_+3deg": Variation(left_deg=3.0),
    "camera_-3deg": Variation(left_deg=-3.0),
}
"""Other colours, lights and places of the camera: is a policy that never saw them still good?"""


def dress(xml: str, agentview: Camera, variation: Variation) -> str:
    """Rewrites a robosuite task so that its cameras see cheap, coloured geoms.

    Args:
        xml: MJCF as robosuite hands it to MuJoCo.
        agentview: where the camera `agentview` stands.
        variation: how the scene looks different.

    Returns:
        MJCF with the same bodies, joints, contacts and masses; what is to be seen is in the geom
        group `VISIBLE_GROUP`.
    """
    root = ET.fromstring(xml)
    world = root.find("worldbody")
    assert world is not None, "robosuite gave a model without a worldbody"
    looks = dict(zip((_OBJECT, _OBJECT_TOP), variation.colours, strict=True))
    for body in [world, *world.iter("body")]:
        for n, geom in enumerate(body.findall("geom")):
            colour = _colour(body, geom)
            if colour is not None:
                body.append(_seen(geom, f"{body.get('name')}_{n}", looks.get(colour, colour)))
            if geom.get("name") == "cube_g0":
                body.append(_top(geom, variation.colours[1]))
    fixed = agentview.moved(variation.right_m, variation.left_deg)
    places = {"agentview": fixed.attributes(), "robot0_eye_in_hand": _WRIST_CAMERA}
    for camera in root.iter("camera"):
        if camera.get("name") in places:
            camera.attrib.pop("quat", None)
            camera.attrib.update(places[camera.get("name", "")])
    for light in root.iter("light"):
        # Low and from the side: a box's faces then differ in brightness, which shows its yaw.
        light.attrib.update(
            {
                "dir": variation.light,
                "diffuse": _grey(0.55 * variation.brightness),
                "specular": "0 0 0",
            }
        )
    _headlight(root, variation.brightness)
    return ET.tostring(root, encoding="unicode")


def _colour(body: ET.Element, geom: ET.Element) -> str | None:
    if geom.get("name") in _LOOKS:
        return _LOOKS[geom.get("name", "")]
    return _BODY_LOOKS.get(body.get("name", "")) if geom.get("group") == "0" else None


def _seen(geom: ET.Element, name: str, colour: str) -> ET.Element:
    """A copy that is seen and touches nothing; robosuite's masses count geoms of group 0 only."""
    shape = {key: value for key, value in geom.attrib.items() if key in _SHAPE}
    return _visual(name, rgba=colour, **shape)


def _top(block: ET.Element, colour: str) -> ET.Element:
    """A brighter top with a dark rim left around it, so that a block's yaw is seen from above."""
    x, y, z = (float(v) for v in block.get("size", "").split())
    rim = 0.22 * min(x, y)
    size, pos = _text([x - rim, y - rim, 0.0005]), _text([0, 0, z])
    return _visual("cube_top", type="box", size=size, pos=pos, rgba=colour)


def _visual(name: str, **attributes: str) -> ET.Element:
    free = {"contype": "0", "conaffinity": "0", "group": str(VISIBLE_GROUP)}
    return ET.Element("geom", {"name": f"{name}_seen", **attributes, **free})


def _headlight(root: ET.Element, brightness: float) -> None:
    visual = root.find("visual")
    if visual is None:
        visual = ET.SubElement(root, "visual")
    for old in visual.findall("headlight"):
        visual.remove(old)
    light = {
        "ambient": _grey(0.38 * brightness),
        "diffuse": _grey(0.25 * brightness),
        "specular": "0 0 0",
    }
    ET.SubElement(visual, "headlight", light)


def _grey(value: float) -> str:
    return _text([value] * 3)


def _text(values: object) -> str:
    return " ".join(f"{v:.6g}" for v in np.asarray(values, float))
