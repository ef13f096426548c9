"""What the cameras see: a robosuite model dressed for a renderer on one CPU core.

The cost of a picture in software is its mesh faces, not its pixels, and the Panda's visual meshes
have 170,000. So the cameras see a geom group of their own: copies of the collision geoms, a few
hundred faces a link, coloured so that a person tells arm, fingers, table and objects apart.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from vilp_ros.errors import VilpError

VISIBLE_GROUP = 4
SPARE = "spare"
SPARE_GEOMS, SPARE_MATERIALS, TEXTURE_SIDE = 5, 8, 64
"""Unseen geoms, and white materials, that a `Look` may use; see `vilp_ros.sim.wardrobe`."""
_SHAPE = {"type", "size", "pos", "quat", "fromto", "mesh"}

_WHITE, _DARK = "0.93 0.94 0.95 1", "0.30 0.32 0.36 1"
_TABLE, _FLOOR = "0.62 0.66 0.66 1", "0.32 0.33 0.36 1"
_LEFT_FINGER, _RIGHT_FINGER = "0.98 0.78 0.10 1", "0.10 0.55 0.95 1"
# Of what a task's files name: the object to handle, its top, a picture of it where it belongs.
OBJECT, OBJECT_TOP = "0.72 0.10 0.08 1", "0.98 0.42 0.25 1"
GOAL = "0.95 0.60 0.55 0.35"

# On the hand, 8.5 cm in front of the fingers and tilted 14 degrees back to them: robosuite's camera
# (5 cm, straight) has the hand in a fifth of the picture and loses the object while it is grasped.
_WRIST_CAMERA = {"pos": "0.085 0 0", "xyaxes": "0 1 0 0.970296 0 0.241922", "fovy": "75"}

# geom name -> colour of its copy, beside what the task names; other geoms stay out of the pictures.
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
        jpeg: quality at which every picture is compressed, 1 to 95; 0 leaves it as it is.
    """

    colours: tuple[str, str] = (OBJECT, OBJECT_TOP)
    light: str = "-0.35 -0.75 -0.75"
    brightness: float = 1.0
    right_m: float = 0.0
    left_deg: float = 0.0
    jpeg: int = 0


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
    "jpeg_80": Variation(jpeg=80),
}
"""What a camera may see that no demonstration showed: is the policy still good?"""


def dress(
    xml: str,
    agentview: Camera,
    variation: Variation,
    looks: Mapping[str, str],
    tops: Mapping[str, str],
) -> str:
    """Rewrites a robosuite task so that its cameras see cheap, coloured geoms.

    Args:
        xml: MJCF as robosuite hands it to MuJoCo.
        agentview: where the camera `agentview` stands.
        variation: how the scene looks different.
        looks: colours of the task's geoms, and of all that collides of its bodies.
        tops: boxes with a top of another colour.

    Returns:
        MJCF with the same bodies, joints, contacts and masses; what is to be seen is in the geom
        group `VISIBLE_GROUP`.

    Raises:
        VilpError: a name that the scene does not have.
    """
    root = ET.fromstring(xml)
    world = root.find("worldbody")
    assert world is not None, "robosuite gave a model without a worldbody"
    other = dict(zip((OBJECT, OBJECT_TOP), variation.colours, strict=True))
    geoms = {geom.get("name", "") for geom in root.iter("geom")}
    bodies = {body.get("name", "") for body in root.iter("body")}
    if unknown := (set(looks) - geoms - bodies) | (set(tops) - geoms):
        # It would stay out of the pictures, and nobody would be told.
        raise VilpError(
            f"the task names looks of {', '.join(sorted(unknown))}, which its scene does not have; "
            f"bodies are {', '.join(sorted(bodies - {''}))}"
        )
    for body in [world, *world.iter("body")]:
        for n, geom in enumerate(body.findall("geom")):
            name = geom.get("name", "")
            colour = {**_LOOKS, **looks}.get(name)
            if colour is None and geom.get("group") == "0":
                colour = looks.get(body.get("name", ""))
            if colour is not None:
                body.append(_seen(geom, f"{body.get('name')}_{n}", other.get(colour, colour)))
            if name in tops:
                body.append(_top(geom, name.split("_")[0], other.get(tops[name], tops[name])))
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
    _add_spares(root, world)
    return ET.tostring(root, encoding="unicode")


def _seen(geom: ET.Element, name: str, colour: str) -> ET.Element:
    """A copy that is seen and touches nothing; robosuite's masses count geoms of group 0 only."""
    shape = {key: value for key, value in geom.attrib.items() if key in _SHAPE}
    return _visual(name, rgba=colour, **shape)


def _top(block: ET.Element, name: str, colour: str) -> ET.Element:
    """A brighter top with a dark rim left around it, so that a block's yaw is seen from above."""
    x, y, z = (float(v) for v in block.get("size", "").split())
    rim = 0.22 * min(x, y)
    size, pos = _text([x - rim, y - rim, 0.0005]), _text([0, 0, z])
    return _visual(f"{name}_top", type="box", size=size, pos=pos, rgba=colour)


def _visual(name: str, **attributes: str) -> ET.Element:
    free = {"contype": "0", "conaffinity": "0", "group": str(VISIBLE_GROUP)}
    return ET.Element("geom", {"name": f"{name}_seen", **attributes, **free})


def _add_spares(root: ET.Element, world: ET.Element) -> None:
    asset = root.find("asset")
    assert asset is not None, "robosuite gave a model without assets"
    side = str(TEXTURE_SIDE)
    for n in range(SPARE_MATERIALS):
        name = f"{SPARE}_{n}"
        plain = {"name": name, "type": "2d", "builtin": "flat", "rgb1": "1 1 1"}
        ET.SubElement(asset, "texture", {**plain, "width": side, "height": side})
        ET.SubElement(asset, "material", {"name": name, "texture": name, "specular": "0"})
    for n in range(SPARE_GEOMS):
        # Off the world's frame: else MuJoCo would take it for good that they stand there.
        place = {"pos": "0.1 0.2 -1", "quat": "0.8 0 0 0.6"}
        world.append(_visual(f"{SPARE}_{n}", type="sphere", size="0.01", rgba="1 1 1 0", **place))


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
