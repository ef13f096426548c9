"""A method for vilp_ros whose policy lives in another process: `serve.py`, in LeRobot's python.

No import of LeRobot, and none of torch: all that is shared with the server is a local socket.
"""

from __future__ import annotations

import socket
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from chunk_wire import Connection, Terms, WireError

from vilp_ros.canvas import views_on
from vilp_ros.data.lerobot.writer import ACTION_NAMES, state_names
from vilp_ros.errors import VilpError
from vilp_ros.geometry import proprio_to_ee
from vilp_ros.policy.chunk_policy import ChunkPolicy, Seen
from vilp_ros.policy.config import PolicyConfig


@dataclass
class Options:
    """What a bundle's `policy.options` may say.

    Attributes:
        socket: where the server listens.
        timeout_s: for a connection, and for a chunk. What comes later is not waited for.
    """

    socket: str = "~/.lerobot_chunks"
    timeout_s: float = 1.0


class LeRobotChunks(ChunkPolicy):
    """Asks for each chunk; connects when it is first asked for one, and again after each failure.

    The controller loads the bundle too, and asks nothing: only the planner connects.
    """

    versions = (1,)
    Options = Options

    @classmethod
    def small(cls) -> PolicyConfig:
        """The configuration that an untrained bundle gets: `horizon` is ACT's `chunk_size`."""
        return PolicyConfig(method="lerobot", horizon=16, n_action_steps=8, engine="torch")

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        spec, self._options = self.spec, self.options(self.spec.policy)
        if spec.action_kind != "ee_pose":
            raise VilpError(f"method 'lerobot' sends poses of the hand, not {spec.action_kind}")
        if not self._options.timeout_s > 0:
            raise VilpError(f"policy.options.timeout_s is {self._options.timeout_s}, expected > 0")
        rate = 1.0 / spec.control_period_s
        self._terms = Terms(spec.views, state_names(0), ACTION_NAMES, rate, spec.n_actions)
        self._path = Path(self._options.socket).expanduser()
        self._line: Connection | None = None
        self._number = 0

    def chunk(self, state: Seen, noise: np.ndarray) -> np.ndarray:
        """Absolute actions `(n_actions, 8)`. `noise` is not needed: ACT draws nothing.

        Raises:
            VilpError: the server is not there, too slow, serves something else, or its answer is
                none. Nothing is kept of what it said: the next call begins anew.
        """
        try:
            actions = self._ask(state)
        except WireError as error:
            self._hang_up()
            raise VilpError(f"policy server at {self._path} {error}") from error
        except BaseException:
            self._hang_up()  # half an answer may be under way
            raise
        return actions

    def _ask(self, state: Seen) -> np.ndarray:
        if self._line is None:
            self._line = self._connect()
        self._number += 1
        pose, width = proprio_to_ee(state.proprio)
        pictures = dict(zip(self.spec.views, views_on(state.images, self.spec.views.values())))
        arrays = {**pictures, "state": np.append(pose, width)}
        sent = {name: arrays[name] for name in self._terms.asked}
        timeout_s = self._options.timeout_s
        self._line.send("observe", timeout_s, sent, number=self._number)
        kinds = {"chunk": self._terms.answered, "failed": {}}
        header, found = self._line.receive(kinds, timeout_s)
        if header.get("number") != self._number:
            raise WireError(f"answered observation {header.get('number')}, not {self._number}")
        if header["kind"] == "failed":
            raise WireError(f"failed: {header.get('why')}")
        return _checked(found["actions"])

    def _connect(self) -> Connection:
        end, timeout_s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), self._options.timeout_s
        line = Connection(end)
        try:
            end.settimeout(timeout_s)
            end.connect(str(self._path))
            line.send("hello", timeout_s, **asdict(self._terms))
            told, _ = line.receive({"hello": {}}, timeout_s)
            self._terms.require(told, "the bundle", "the server")
        except OSError as error:
            line.close()
            why = f"is not there ({error.strerror or error}): start serve.py"
            raise WireError(f"{why} with --socket {self._path}") from error
        except WireError:
            line.close()
            raise
        return line

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
        self._line = None


def _checked(actions: np.ndarray) -> np.ndarray:
    if not np.isfinite(actions).all():
        raise WireError(
            f"sent actions that are not finite, first in row {_first(~np.isfinite(actions))}"
        )
    length = np.linalg.norm(actions[:, 3:7], axis=1)
    if (off := np.abs(length - 1) > 1e-3).any():
        row = int(np.argmax(off))
        raise WireError(f"sent a quaternion of length {length[row]:.4g} in row {row}, expected 1")
    return actions


def _first(wrong: np.ndarray) -> int:
    return int(np.argwhere(wrong)[0][0])
