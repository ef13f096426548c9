"""One episode while it is recorded, and the folder that episodes lie in. Knows no ROS."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rosbags.interfaces import Qos

from vilp_ros import __version__
from vilp_ros.contract import Contract
from vilp_ros.data.audit import Audit
from vilp_ros.data.bag import BagError, header_stamp_ns
from vilp_ros.data.bag_writer import BagWriter

OUTCOMES = ("success", "failure", "unlabelled")
TRASH = ".trash"
HEADED = {
    "geometry_msgs/msg/PoseStamped",
    "sensor_msgs/msg/CameraInfo",
    "sensor_msgs/msg/CompressedImage",
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/JointState",
    "std_msgs/msg/Header",
    "trajectory_msgs/msg/JointTrajectory",
}
"""Types that begin with a header (or are one)."""


class Offer(NamedTuple):
    """What a topic's publishers say about it: type, its hash, quality of service."""

    kind: str
    digest: str = ""
    qos: tuple[Qos, ...] = ()


class Library:
    """A folder of numbered episodes with a trash that gives back.

    Args:
        folder: made when the first episode is.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @property
    def episodes(self) -> list[Path]:
        """Kept ones, oldest first."""
        return self._numbered(self.folder)

    @property
    def next(self) -> Path:
        """Where the next one goes; no number comes twice, discarded ones included."""
        taken = self._numbered(self.folder) + self._numbered(self.folder / TRASH)
        last = max((int(path.name.removeprefix("episode_")) for path in taken), default=-1)
        return self.folder / f"episode_{last + 1:04}"

    def discard(self, path: Path) -> None:
        """Moves an episode to the trash."""
        (self.folder / TRASH).mkdir(exist_ok=True)
        path.rename(self.folder / TRASH / path.name)

    def undo(self) -> Path:
        """Brings back the episode that was discarded last.

        Raises:
            BagError: the trash is empty.
        """
        trash = self._numbered(self.folder / TRASH)
        if not trash:
            raise BagError(f"nothing in {self.folder / TRASH} to bring back")
        # Moving a folder changes the time of its own entry (ctime), not of its content.
        last = max(trash, key=lambda path: path.stat().st_ctime_ns)
        last.rename(self.folder / last.name)
        return self.folder / last.name

    @staticmethod
    def _numbered(folder: Path) -> list[Path]:
        if not folder.is_dir():
            return []
        return sorted(p for p in folder.iterdir() if re.fullmatch(r"episode_\d{4,}", p.name))


@dataclass(frozen=True)
class Ended:
    """How a recording ended.

    Attributes:
        path: the bag.
        message: one sentence.
        findings: what its audit found.
        failed: whether the bag could not be written.
    """

    path: Path
    message: str
    findings: list[str]
    failed: bool = False


class Recording:
    """An episode that is being recorded.

    Args:
        path: the bag to be.
        contract: of the robot.
        labels: what the recorder knows, as text.
        names: name in the contract by absolute topic, for the audit.
        compress: zstd.
    """

    def __init__(
        self,
        path: Path,
        contract: Contract,
        labels: Mapping[str, str],
        names: Mapping[str, str],
        compress: bool = False,
    ) -> None:
        self.path, self.audit, self.failure = path, Audit(contract), ""
        self._names, self._kinds = names, dict[str, str]()
        self._began_s, self._about_robot = time.monotonic(), False
        started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        ours = {"id": uuid.uuid4().hex, "started": started, "recorder": f"vilp_ros {__version__}"}
        self.writer = BagWriter(path, {**ours, **labels}, compress=compress)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began_s

    def announce(self, topic: str, offer: Offer) -> None:
        """A topic that has publishers; known ones may be announced again."""
        known = self._kinds.setdefault(topic, offer.kind)
        if known != offer.kind:
            self.audit.fail(self._name(topic), "type", f"its type became {offer.kind}, was {known}")
        elif topic not in self.writer and not self.failure:
            try:
                self.writer.add(topic, offer.kind, offer.digest, offer.qos)
            except BagError as error:
                self.audit.fail(self._name(topic), "type", str(error))

    def vanished(self, topic: str) -> None:
        """A topic whose publishers went."""
        if topic in self._kinds:
            text = f"its publisher went after {self.seconds:.1f} s"
            self.audit.fail(self._name(topic), "vanished", text)

    def take(self, topic: str, received_ns: int, data: bytes) -> None:
        """One serialized message."""
        if self.failure or topic not in self.writer:
            return
        stamp_ns = header_stamp_ns(data) if self._kinds[topic] in HEADED else 0
        # Nodes report, this one too, while no robot is switched on.
        self._about_robot |= topic.rpartition("/")[2] != "diagnostics"
        self.audit.add(self._name(topic), received_ns, stamp_ns, data)
        self._attempt(lambda: self.writer.write(topic, received_ns, data))

    def beat(self, now_ns: int) -> None:
        """To be called a few times a second: brings data to the disk, notices silence.

        Args:
            now_ns: on the clock of reception; 0 while messages from before now are still to come.
        """
        if not self.failure:
            self.audit.tick(now_ns)
            self._attempt(self.writer.beat)

    def fail(self, why: str) -> None:
        """Leaves the bag as a kill would; nothing more is written."""
        self.failure = why
        self.audit.fail("disk", "write", why)
        self.writer.abort()

    def stop(self, outcome: str) -> Ended:
        """Finishes the bag; the audit goes into its metadata."""
        report = self.audit.report()
        if not self._about_robot and not self.failure:
            self.writer.abort()
            shutil.rmtree(self.path)
            why = f"{self.path.name} failed: no message came in {self.seconds:.1f} s, nothing kept"
            return Ended(self.path, why, report["findings"], failed=True)
        verdict = "broken" if report["findings"] else "ok"
        labels = {"outcome": outcome, "verdict": verdict, "audit": json.dumps(report)}
        if not self.failure:
            self._attempt(lambda: self.writer.close(labels))
        if self.failure:
            cure = f"`vilp repair {self.path}` saves what was written"
            message = f"{self.path.name} failed: {self.failure}; {cure}"
            return Ended(self.path, message, report["findings"], failed=True)
        message = f"{self.path.name}: {outcome}, {self.seconds:.1f} s, {self.writer.messages}"
        message += f" messages, {self.writer.bytes / 1e6:.1f} MB"
        if report["findings"]:
            message += f"; marked broken: {'; '.join(report['findings'])}"
        if report["remarks"]:
            message += f"; {'; '.join(report['remarks'])}"
        return Ended(self.path, message, report["findings"])

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:
            self.fail(f"cannot write: {error.strerror or error}")

    def _name(self, topic: str) -> str:
        return self._names.get(topic, topic)


def bundle_hash(folder: str | Path) -> str:
    """SHA-256 over `policy.yaml` and `weights.safetensors` of a policy bundle."""
    digest = hashlib.sha256()
    for name in ("policy.yaml", "weights.safetensors"):
        digest.update((Path(folder) / name).read_bytes())
    return digest.hexdigest()


def git_commit(folder: Path) -> str:
    """Commit of the checkout that a folder belongs to, `+` if it was changed; empty if none."""
    try:
        words = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty=+"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
