"""Franka Panda in simulation: tasks, a fast renderer, scripted experts, collection.

MuJoCo picks its OpenGL backend when it is first imported, so the choice is made here: software
rendering (OSMesa) where it is installed, since it needs neither a display nor a GPU and exits
without noise, EGL otherwise. An existing `MUJOCO_GL` is respected.
"""

import ctypes.util
import os
import pkgutil

TASKS = tuple(sorted(m.name for m in pkgutil.iter_modules([f"{__path__[0]}/tasks"])))

if "MUJOCO_GL" not in os.environ:
    os.environ["MUJOCO_GL"] = "osmesa" if ctypes.util.find_library("OSMesa") else "egl"
