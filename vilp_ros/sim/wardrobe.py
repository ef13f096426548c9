"""Puts a look on a built model, and takes it off again: nothing is compiled anew."""

from __future__ import annotations

import mujoco
import numpy as np

from vilp_ros.errors import VilpError
from vilp_ros.sim.look import CameraMove, Look, Paint, Thing
from vilp_ros.sim.scene import SPARE, SPARE_GEOMS, SPARE_MATERIALS, TEXTURE_SIDE, VISIBLE_GROUP

_ARM = ("robot0", "gripper0")
_CLEAR_M = 0.12  # between a thing and the objects of the task
_KEPT = (
    "geom_rgba",
    "geom_matid",
    "geom_type",
    "geom_size",
    "geom_pos",
    "geom_quat",
    "cam_pos",
    "cam_quat",
    "cam_fovy",
    "light_dir",
    "light_diffuse",
)
_HEADLIGHT = ("ambient", "diffuse")


class Wardrobe:
    """Changes how a model looks.

    Args:
        model: built of a scene that `vilp_ros.sim.scene.dress` has dressed.
        data: of the model.
        objects: names of the bodies that the task is about.
        middle: (3,) where the fixed camera looks; things lie around it.

    Attributes:
        parts: what can be painted: `object:<body>`, `table` (with all that stands on it), `floor`
            and `arm`, each `{name of a geom: its usual (3,) colour}`.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        objects: tuple[str, ...],
        middle: tuple[float, float, float],
    ) -> None:
        self._model, self._data, self._middle = model, data, np.array(middle)
        names = {model.body(i).name: i for i in range(model.nbody)}
        if unknown := set(objects) - set(names):
            raise VilpError(
                f"the task names objects {', '.join(sorted(unknown))}; bodies of its scene are "
                f"{', '.join(sorted(filter(None, names)))}"
            )
        self._objects = [names[name] for name in objects]
        self._usual = {key: getattr(model, key).copy() for key in _KEPT}
        lamp = model.vis.headlight
        self._headlight = {key: np.array(getattr(lamp, key)) for key in _HEADLIGHT}
        self._textures = [model.material(f"{SPARE}_{i}").id for i in range(SPARE_MATERIALS)]
        self._spare = [model.geom(f"{SPARE}_{i}_seen").id for i in range(SPARE_GEOMS)]
        self._laid: tuple[Look | None, np.ndarray] = None, np.zeros((SPARE_GEOMS, 3))
        self.parts: dict[str, dict[str, np.ndarray]] = {}
        for geom in range(model.ngeom):
            if model.geom_group[geom] == VISIBLE_GROUP and geom not in self._spare:
                usual = model.geom_rgba[geom, :3].astype(float)
                self.parts.setdefault(self._part(geom), {})[model.geom(geom).name] = usual

    def _part(self, geom: int) -> str:
        body = self._model.geom_bodyid[geom]
        while body:
            name = self._model.body(body).name
            if body in self._objects:
                return f"object:{name}"
            if name.startswith(_ARM):
                return "arm"
            body = self._model.body_parentid[body]
        plane = self._model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_PLANE
        return "floor" if plane else "table"

    def wear(self, look: Look) -> list[int]:
        """Puts `look` on, instead of what was worn.

        Returns:
            Textures that have to be uploaded to the renderer.
        """
        model = self._model
        for key, usual in self._usual.items():
            getattr(model, key)[:] = usual
        for key, usual in self._headlight.items():
            getattr(model.vis.headlight, key)[:] = usual
        free = list(self._textures)
        written: dict[int, int] = {}
        for name, paint in look.paints.items():
            self._paint(model.geom(name).id, paint, free, written)
        if look.light is not None:
            self._shine(look)
        for name, move in look.cameras.items():
            self._move(model.camera(name).id, move)
        if look.things:
            mujoco.mj_kinematics(model, self._data)
            for geom, thing in zip(self._spare, look.things):
                self._lay(geom, thing)
                self._paint(geom, thing.paint, free, written)
            if look is self._laid[0]:  # put on again: nobody moved them when the objects moved
                model.geom_pos[self._spare] = self._laid[1]
            self._laid = look, model.geom_pos[self._spare].copy()
        mujoco.mj_kinematics(model, self._data)
        mujoco.mj_camlight(model, self._data)
        return sorted({int(model.mat_texid[m].max()) for m in written.values()})

    def _paint(self, geom: int, paint: Paint, free: list[int], written: dict[int, int]) -> None:
        model = self._model
        alpha = model.geom_rgba[geom, 3] or 1.0
        model.geom_rgba[geom] = [*np.clip(paint.rgb, 0, 1), alpha]
        if paint.texture is None:
            return
        key = id(paint.texture)
        if key not in written:
            if not free:
                return
            material = written[key] = free.pop()
            texture = model.mat_texid[material].max()
            start = model.tex_adr[texture]
            model.tex_data[start : start + TEXTURE_SIDE**2 * 3] = paint.texture.ravel()
        model.geom_matid[geom] = written[key]

    def _shine(self, look: Look) -> None:
        model, light = self._model, look.light
        assert light is not None
        c, s = np.cos(np.deg2rad(light.turn_deg)), np.sin(np.deg2rad(light.turn_deg))
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        model.light_dir[:] = model.light_dir @ turn.T
        model.light_diffuse[:] = model.light_diffuse * light.brightness
        headlight = model.vis.headlight
        headlight.diffuse[:] = self._headlight["diffuse"] * light.brightness
        headlight.ambient[:] = self._headlight["ambient"] * light.brightness * light.ambient

    def _move(self, camera: int, move: CameraMove) -> None:
        model = self._model
        quat, turn = model.cam_quat[camera].copy(), np.zeros(4)
        offset = np.zeros(3)
        mujoco.mju_rotVecQuat(offset, move.shift_m, quat)
        model.cam_pos[camera] += offset
        angle = np.deg2rad(move.turn_deg)
        size = float(np.linalg.norm(angle))
        mujoco.mju_axisAngle2Quat(turn, angle / max(size, 1e-9), size)
        mujoco.mju_mulQuat(model.cam_quat[camera], quat, turn)
        model.cam_fovy[camera] *= move.fov

    def _lay(self, geom: int, thing: Thing) -> None:
        """Puts a thing on what is beneath its place, out of the way of the task's objects."""
        model, bearing = self._model, np.deg2rad(thing.bearing_deg)
        away = np.array([np.cos(bearing), np.sin(bearing)])
        place = self._middle[:2] + thing.distance_m * away
        flat = thing.size[2] < 0.005
        if not flat:
            for body in self._objects:
                near = place - self._data.xpos[body, :2]
                if np.linalg.norm(near) < _CLEAR_M:
                    place = place + away * _CLEAR_M
        height = 0.0 if flat else thing.size[2]
        if thing.shape in ("cylinder", "capsule"):
            height = thing.size[1] + (thing.size[0] if thing.shape == "capsule" else 0)
        elif thing.shape == "sphere":
            height = thing.size[0]
        model.geom_type[geom] = getattr(mujoco.mjtGeom, f"mjGEOM_{thing.shape.upper()}")
        model.geom_size[geom] = thing.size
        model.geom_pos[geom] = [*place, self._surface(place) + height]
        yaw = np.deg2rad(thing.yaw_deg) / 2
        model.geom_quat[geom] = [np.cos(yaw), 0, 0, np.sin(yaw)]
        model.geom_rgba[geom, 3] = 1.0

    def _surface(self, place: np.ndarray) -> float:
        """Height of the table, a bin or the floor beneath `place`."""
        at = np.array([*place, self._middle[2] + 0.5])
        groups = np.zeros(mujoco.mjNGROUP, np.uint8)
        groups[VISIBLE_GROUP] = 1
        hit = np.full(1, -1, np.int32)
        down = np.array([0.0, 0.0, -1.0])
        for _ in range(20):  # through arm and objects
            gone = mujoco.mj_ray(self._model, self._data, at, down, groups, 1, -1, hit)
            if gone < 0:
                return 0.0
            at[2] -= gone
            part = self._part(int(hit[0]))
            if part in ("table", "floor") and hit[0] not in self._spare:
                return float(at[2])
            at[2] -= 1e-4
        return float(at[2])
