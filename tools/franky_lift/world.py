"""franky-sim's cube as a task: where it lies, by seed; when it counts as lifted; its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
TASK = "franky_lift"
LOW, HIGH = np.array([0.48, -0.08]), np.array([0.60, 0.08])  # m: where the middle of the cube lies
READY = np.array([0.45, 0.0, 0.30, 1, 0, 0, 0])  # the hand as an episode begins
CUBE_M, LIFTED_M = 0.04, 0.05


def place(seed: int) -> np.ndarray:
    """(2,) metres: where the cube of an episode is put."""
    return np.random.default_rng([seed, 0]).uniform(LOW, HIGH)


def lifted(cube: np.ndarray) -> bool:
    """Whether a cube (3 or more,) is `LIFTED_M` above where it stood."""
    return bool(cube[2] > CUBE_M / 2 + LIFTED_M)


class World:
    """franky-sim and its cameras as processes; where the cube is.

    Args:
        folder: theirs: scene, state, logs.
        host: a loopback address that no other arm serves; libfranka's port is fixed.
    """

    def __init__(self, folder: Path, host: str) -> None:
        self.folder, self.host = folder, host
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "scene.xml").unlink(missing_ok=True)
        self._processes = [self._start(HERE / "serve.sh", folder, host)]
        self._place = np.zeros(3)

    def __enter__(self) -> World:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends its processes."""
        self.close()

    def _start(self, *command: object) -> subprocess.Popen:
        name = next(Path(str(word)).name for word in command if str(word).startswith(str(HERE)))
        with (self.folder / f"{name}.log").open("a") as log:
            return subprocess.Popen(
                [str(word) for word in command], stdout=log, stderr=log, start_new_session=True
            )

    def start_cameras(self, contract: str = "fr3_direct", sim_time: bool = False) -> None:
        """To be called when it is ready; with `sim_time` its clock is published too."""
        words: list[object] = [HERE / "cameras.py", self.folder, "--contract", contract]
        if sim_time:
            words.append("--sim-time")
            self._processes.append(self._start(sys.executable, HERE / "clock.py", self.folder))
        self._processes.append(self._start(sys.executable, *words))

    def ready(self) -> bool:
        """Whether the arm can be reached."""
        if self._processes[0].poll() is not None:
            raise RuntimeError((self.folder / "serve.sh.log").read_text())
        return (self.folder / "scene.xml").exists()

    def cube(self) -> np.ndarray:
        """(7,) xyz metres and quaternion xyzw: its joint is the last of the scene."""
        pose = np.fromfile(self.folder / "state")[-7:]
        return np.concatenate([pose[:3], np.roll(pose[3:], -1)])

    def time(self) -> float:
        """Seconds of the simulator."""
        return float(np.fromfile(self.folder / "state", count=1)[0])

    def put(self, where: np.ndarray) -> None:
        """Puts the cube at (2,) metres, at rest, soon; see `lies`."""
        self._place = np.array([self._place[0] + 1, *where])
        there = np.memmap(self.folder / "place", np.float64, "r+", shape=(3,))
        there[1:] = where
        there[0] = self._place[0]  # what the simulator waits for comes last

    def lies(self) -> bool:
        """Whether it is where it was put."""
        off = self.cube()[:3] - [*self._place[1:], CUBE_M / 2]
        return bool(np.abs(off).max() < 0.003)

    def close(self) -> None:
        """Ends its processes."""
        for process in reversed(self._processes):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
