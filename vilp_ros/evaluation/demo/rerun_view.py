"""Reality, imagination and figures in the viewer of Rerun: on 127.0.0.1, or into a file."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from vilp_ros.errors import VilpError
from vilp_ros.evaluation.demo.run_report import EpisodeLog

HOST = "127.0.0.1"
JPEG_QUALITY = 85
TRAIL = 400  # positions of the arm that stay visible
START_TIMEOUT_S = 30.0


def import_rerun() -> ModuleType:
    """The module `rerun`.

    Raises:
        VilpError: it is not installed; says how to get it.
    """
    try:
        import rerun
    except ImportError as error:
        raise VilpError(
            f"the viewer needs rerun ({error}): `pip install 'rerun-sdk==0.23.1' 'pyarrow<24'` "
            "(later ones want numpy 2, which cv-bridge and robosuite cannot use)"
        ) from error
    return rerun


class View:
    """Logs what happens, each thing at its own stamp (seconds, the clock of the camera images).

    Args:
        cameras: names of the views.
        joints: names of the arm's joints.
    """

    def __init__(self, cameras: Sequence[str], joints: Sequence[str]) -> None:
        self._rr = rr = import_rerun()
        self._joints = tuple(joints)
        self._record = rr.RecordingStream("vilp_ros")
        self._trail: deque[np.ndarray] = deque(maxlen=TRAIL)
        self._blueprint = _blueprint(cameras)
        self._record.log("arm", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)

    def save(self, path: Path) -> None:
        """Everything from now on goes to a .rrd file."""
        self._record.save(str(path), default_blueprint=self._blueprint)

    def connect(self, port: int) -> None:
        """Everything from now on goes to the server at `port`."""
        url = f"rerun+http://{HOST}:{port}/proxy"
        self._record.connect_grpc(url, default_blueprint=self._blueprint)

    def camera(self, view: str, stamp_s: float, image: np.ndarray) -> None:
        """What a camera saw: `(H, W, 3)` uint8 rgb."""
        self._picture(f"cameras/{view}", stamp_s, image)

    def strip(self, stamp_s: float, strip: np.ndarray) -> None:
        """What was imagined: `(V H, T W, 3)` uint8 rgb, at the stamp of the observation."""
        self._picture("imagined", stamp_s, strip)

    def gap(self, stamp_s: float, values: Mapping[str, float]) -> None:
        """Imagination gap by name."""
        for name, value in values.items():
            if name != "ahead_s":
                self._number(f"gap/{name}", stamp_s, value)

    def age(self, stamp_s: float, age_s: float) -> None:
        """Age of the image that the command sent at `stamp_s` came from."""
        self._number("age/command_ms", stamp_s, 1e3 * age_s)

    def joints(self, stamp_s: float, angles: Sequence[float] | np.ndarray) -> None:
        """Joint angles, rad."""
        for name, angle in zip(self._joints, angles, strict=True):
            self._number(f"joints/{name}", stamp_s, float(angle))

    def arm(self, stamp_s: float, position: np.ndarray) -> None:
        """Where the grip site is, (3,) metres, base frame; its way here is drawn too."""
        self._trail.append(np.asarray(position))
        self._at(stamp_s)
        rr = self._rr
        point = rr.Points3D([position], radii=0.008, colors=[94, 176, 255])
        self._record.log("arm/here", point)
        trail = rr.LineStrips3D([np.stack(self._trail)], radii=0.002, colors=[94, 176, 255])
        self._record.log("arm/went", trail)

    def path(self, stamp_s: float, points: np.ndarray) -> None:
        """Where it is planned to go, (T + 1, 3) metres, base frame."""
        self._at(stamp_s)
        line = self._rr.LineStrips3D([points], radii=0.003, colors=[255, 176, 64])
        self._record.log("arm/planned", line)

    def replay(self, log: EpisodeLog) -> None:
        """All of a recorded episode."""
        self._trail.clear()
        for view, frames in log.images.items():
            for stamp, image in frames:
                self.camera(view, stamp, image)
        for stamp, rows in log.decoded:
            strips = [np.concatenate(list(frames), axis=1) for frames in rows.values()]
            self.strip(stamp, np.concatenate(strips))
        for name, track in (("joints", log.joints), ("arm", log.arm), ("path", log.paths)):
            for stamp, value in track:
                getattr(self, name)(stamp, value)
        for stamp, values in log.gaps:
            self.gap(stamp, values)
        for stamp, sent in log.commands:
            self.age(sent, sent - stamp)

    def close(self) -> None:
        """Hands over what is still on its way."""
        self._record.flush(blocking=True)
        self._record.disconnect()

    def _picture(self, path: str, stamp_s: float, image: np.ndarray) -> None:
        self._at(stamp_s)
        self._record.log(path, self._rr.Image(image).compress(jpeg_quality=JPEG_QUALITY))

    def _number(self, path: str, stamp_s: float, value: float) -> None:
        self._at(stamp_s)
        self._record.log(path, self._rr.Scalars(value))

    def _at(self, stamp_s: float) -> None:
        self._record.set_time("time", timestamp=stamp_s)


def _blueprint(cameras: Sequence[str]) -> Any:
    import rerun.blueprint as rrb

    pictures = [rrb.Spatial2DView(origin=f"cameras/{name}", name=name) for name in cameras]
    return rrb.Blueprint(
        rrb.Horizontal(
            rrb.Vertical(
                rrb.Horizontal(*pictures),
                rrb.Spatial2DView(origin="imagined", name="imagined"),
                rrb.Spatial3DView(origin="arm", name="arm: went (blue), planned (orange)"),
                row_shares=[3, 2, 3],
            ),
            rrb.Vertical(
                rrb.TimeSeriesView(origin="gap", name="imagination gap (1: no better than a copy)"),
                rrb.TimeSeriesView(origin="age", name="command age, ms"),
                rrb.TimeSeriesView(origin="joints", name="joints, rad"),
            ),
            column_shares=[3, 2],
        ),
        collapse_panels=True,
    )


@contextmanager
def server(web_port: int, data_port: int) -> Iterator[str]:
    """The viewer for a browser, on this machine only, while the context lasts.

    It is told not to report to its makers, in a configuration of its own; the user's is not read.

    Args:
        web_port: of the page.
        data_port: where a `View` connects.

    Yields:
        Address of the page.

    Raises:
        VilpError: a port is taken, or it does not start.
    """
    import_rerun()
    for port in (web_port, data_port):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                raise VilpError(f"port {port} is in use: choose another with --port")
    import rerun_cli

    rerun = Path(rerun_cli.__file__).with_name("rerun")  # its wrapper would outlive a signal
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home}
        quiet: dict[str, Any] = {
            "env": environment,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
        }
        subprocess.run([rerun, "analytics", "disable"], check=False, **quiet)
        words = ["--serve-web", "--bind", HOST, "--port", str(data_port)]
        words += ["--web-viewer-port", str(web_port)]
        process = subprocess.Popen([rerun, *words], start_new_session=True, **quiet)
        try:
            _wait_for(process, (web_port, data_port))
            yield f"http://{HOST}:{web_port}/?url=rerun%2Bhttp://{HOST}:{data_port}/proxy"
        finally:
            process.terminate()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], ports: Sequence[int]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    for port in ports:
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((HOST, port)) == 0:
                    break
            if process.poll() is not None or time.monotonic() > deadline:
                raise VilpError(f"the viewer's server does not come up on port {port}")
            time.sleep(0.05)
