"""Camera pictures of a running MuJoCo model, fast enough for 20 Hz on one core."""

from __future__ import annotations

import mujoco
import numpy as np

from vilp_ros.sim.scene import VISIBLE_GROUP


class ViewRenderer:
    """Renders named cameras of one model without shadows or reflections.

    Pictures are drawn at twice the size and averaged: smooth edges carry an object's yaw below a
    pixel, and in software this costs less than OpenGL's multisampling.

    Args:
        model: the MuJoCo model.
        size: (height, width) in pixels.
    """

    def __init__(self, model: mujoco.MjModel, size: tuple[int, int]) -> None:
        self._model = model
        model.vis.quality.offsamples = 0
        height, width = (2 * n for n in size)
        model.vis.global_.offheight = max(height, model.vis.global_.offheight)
        model.vis.global_.offwidth = max(width, model.vis.global_.offwidth)
        self._renderer = mujoco.Renderer(model, height, width)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = 0
        self._option.geomgroup[VISIBLE_GROUP] = 1
        self._option.sitegroup[:] = 0
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self._renderer.scene.flags[flag] = False

    def upload(self, textures: list[int]) -> None:
        """Shows the model's `tex_data` of these textures from now on."""
        assert self._renderer._gl_context is not None, "closed"
        self._renderer._gl_context.make_current()
        for texture in textures:
            mujoco.mjr_uploadTexture(self._model, self._renderer._mjr_context, texture)

    def render(self, data: mujoco.MjData, camera: str) -> np.ndarray:
        """Picture of `camera`: (height, width, 3) uint8 rgb, the upper row first."""
        self._renderer.update_scene(data, camera, self._option)
        large = self._renderer.render()
        rows = np.add(large[::2], large[1::2], dtype=np.uint16)  # `sum` takes 20 times as long
        return ((rows[:, ::2] + rows[:, 1::2]) // 4).astype(np.uint8)

    def depth(self, data: mujoco.MjData, camera: str) -> np.ndarray:
        """Metres along the optical axis of `camera`: (height, width) float32.

        A pixel has the nearest of its samples: their mean would put an edge where nothing is.
        """
        self._renderer.update_scene(data, camera, self._option)
        self._renderer.enable_depth_rendering()
        large = self._renderer.render()  # without colours: a third of the cost of a picture
        self._renderer.disable_depth_rendering()
        rows = np.minimum(large[::2], large[1::2])
        return np.minimum(rows[:, ::2], rows[:, 1::2])

    def close(self) -> None:
        """Frees the OpenGL context."""
        self._renderer.close()
