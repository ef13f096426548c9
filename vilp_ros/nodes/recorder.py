"""Raw messages to bags, an episode each, audited while they come in."""

from __future__ import annotations

import queue
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from std_srvs.srv import Trigger

from vilp_ros.contract import Contract
from vilp_ros.data.bag import relabel, typestore
from vilp_ros.data.plausible import ROLES
from vilp_ros.data.recording import Ended, Library, Offer, Recording, bundle_hash, git_commit
from vilp_ros.errors import VilpError
from vilp_ros.nodes.record.backlog import Backlog, Message
from vilp_ros.nodes.record.raw_topics import RawTopics
from vilp_ros.ros import qos
from vilp_ros.ros.diagnostics import ERROR, OK, WARN, Report
from vilp_ros.ros.files import find_contract, find_model
from vilp_ros.ros.graph import topics
from vilp_ros.ros.lifecycle import ManagedNode
from vilp_ros.ros.parameters import RECORDER
from vilp_ros.ros.process import run
from vilp_ros.share import share_dir

POLL_S = 0.25
ANSWER_S = 30.0


class RecorderNode(ManagedNode):
    """Records whenever it is told to; topics are subscribed to all the time, so nothing is late.

    Callbacks only queue the serialized message and touch no file, so that a disk that stands still
    costs memory and no message. One thread writes and audits, and does what the services ask, in
    the same order. When more than `queue_mb` waits, the episode fails.
    """

    def __init__(self, **options: Any) -> None:
        self._entities: list = []
        super().__init__("recorder", RECORDER, **options)

    def _setup(self) -> None:
        path = find_contract(self._settings.contract)
        self._contract = Contract.load(path)
        namespace = self.get_namespace().strip("/")
        wanted = topics(self._contract, namespace)
        self._names = dict(zip(wanted, topics(self._contract)))
        self._names = {absolute: name.lstrip("/") for absolute, name in self._names.items()}
        self._further = [t if t.startswith("/") else f"/{t}" for t in self._further_topics()]
        self._labels = {
            "contract": path.read_text(),
            "robot": self._contract.robot,
            "namespace": namespace,
            "commit": git_commit(share_dir()),
            **self._bundle(),
        }
        self._library = Library(Path(self._settings.record).expanduser())
        self._kept = len(self._library.episodes)
        self._backlog, self._overflown = Backlog(self._settings.queue_mb * 1_000_000), False
        self._ring: deque[Message] = deque()
        self._recording: Recording | None = None
        self._last: Path | None = None
        self._failed, self._said, self._rate_mb_s = False, "ready", 0.0
        self._topics = RawTopics(
            self,
            [*wanted, *self._further],
            message=self._on_message,
            offered=lambda *offer: self._backlog.do(partial(self._announce, *offer)),
            vanished=lambda topic: self._backlog.do(partial(self._vanished, topic)),
        )
        typestore()  # takes a while, so not when an episode begins
        self._status = self.create_publisher(DiagnosticStatus, "~/status", qos.STATE_OUT)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(POLL_S, self._poll, clock=steady)
        services = {
            "~/start": self._start_episode,
            "~/stop": partial(self._stop_episode, "unlabelled"),
            "~/success": partial(self._stop_episode, "success"),
            "~/failure": partial(self._stop_episode, "failure"),
            "~/discard": self._discard,
            "~/undo": self._undo,
            "~/save": self._save,
        }
        self._entities = [
            (self.destroy_publisher, self._status),
            (self.destroy_timer, self._timer),
            *(
                (self.destroy_service, self.create_service(Trigger, name, partial(self._do, what)))
                for name, what in services.items()
            ),
        ]

    def _further_topics(self) -> list[str]:
        return str(self._settings.further_topics).split()

    def _bundle(self) -> dict[str, str]:
        if not self._settings.model:
            return {}
        folder = find_model(self._settings.model)
        return {"bundle": folder.name, "bundle_sha256": bundle_hash(folder)}

    def _start(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recorder")
        self._thread.start()

    def _hold(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _teardown(self) -> None:
        for destroy, entity in self._entities:
            destroy(entity)
        if self._entities:
            self._topics.destroy()
        self._entities = []

    # In the executor.

    def _poll(self) -> None:
        self._topics.poll()
        self._publish_status()

    def _on_message(self, topic: str, data: bytes) -> None:
        if self._overflown or not (self._recording or self._settings.ring_s):
            return
        if not self._backlog.put(Message(topic, time.time_ns(), data)):
            self._overflown = True
            self._backlog.do(self._overflow)

    def _do(
        self, what: Callable[[], str], _: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        """Has the thread do it, behind all that came before the request."""
        answer: queue.SimpleQueue[tuple[bool, str]] = queue.SimpleQueue()

        def job() -> None:
            try:
                done = (True, what())
            except (VilpError, OSError) as error:
                done = (False, str(error))
            self._count()
            answer.put(done)

        if self._phase != "active":
            response.success, response.message = False, f"the recorder is {self._phase}"
            return response
        if self._recording and what in (self._start_episode, self._save):
            # Not through the thread: while an episode runs, nothing here may wait for the disk.
            name = self._recording.path.name
            response.success, response.message = False, f"{name} is being recorded: stop it first"
            return response
        self._backlog.do(job)
        try:
            response.success, response.message = answer.get(timeout=ANSWER_S)
        except queue.Empty:
            why = f"not within {ANSWER_S:.0f} s, but as soon as the disk lets us; {self._full()}"
            response.success, response.message = False, why
        return response

    # In the thread.

    def _work(self) -> None:
        beat_s, written = time.monotonic(), 0
        while not (self._stopping.is_set() and not self._backlog):
            item = self._backlog.get(POLL_S)
            if isinstance(item, Message):
                self._take(item)
            elif item is not None:
                item()
            elapsed_s = time.monotonic() - beat_s
            if elapsed_s < POLL_S:
                continue
            beat_s += elapsed_s
            if recording := self._recording:
                # While messages wait, their own times are the time: late is not silent.
                recording.beat(0 if self._backlog else time.time_ns())
                total = recording.writer.bytes
                self._rate_mb_s, written = max(total - written, 0) / 1e6 / elapsed_s, total
                self._check(recording)
        if self._recording:
            self._log(self._finish("unlabelled"))

    def _overflow(self) -> None:
        """Runs where the first message is missing."""
        why = f"the disk did not keep up: {self._settings.queue_mb} MB waited for it (queue_mb)"
        if self._recording is not None:
            self._recording.fail(f"{why}; what came then is lost")
            self._log(self._finish("failure"))
        else:
            self._ring.clear()
            self.get_logger().error(f"{why}; the last {self._settings.ring_s:g} s are lost")
        self._overflown = False  # last: a report between would be of an episode that goes on

    def _take(self, message: Message) -> None:
        if self._recording is not None:
            self._recording.take(*message)
        elif self._settings.ring_s:
            self._ring.append(message)
            oldest_ns = message.received_ns - self._settings.ring_s * 1e9
            while self._ring[0].received_ns < oldest_ns:
                self._ring.popleft()

    def _check(self, recording: Recording) -> None:
        if recording.failure:
            self._finish("failure")
        elif (left_mb := self._free_mb()) < self._settings.min_free_mb:
            text = f"{left_mb:.0f} MB left, {self._settings.min_free_mb} are kept free: stopped"
            recording.audit.fail("disk", "space", text)
            self._finish("unlabelled")

    def _count(self) -> None:
        self._kept = len(self._library.episodes) - bool(self._recording)

    def _free_mb(self) -> float:
        folder = self._library.folder
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        return shutil.disk_usage(there).free / 1e6

    def _begin(self) -> Recording:
        if (left_mb := self._free_mb()) < self._settings.min_free_mb:
            raise VilpError(
                f"{left_mb:.0f} MB left on the disk of {self._library.folder}, "
                f"{self._settings.min_free_mb} are kept free: make room or lower min_free_mb"
            )
        noted = {name: str(self.get_parameter(name).value) for name in ("task", "role", "seed")}
        if noted["role"] not in ROLES:
            raise VilpError(f"role is {noted['role']!r}: choose from {', '.join(ROLES)}")
        labels = {**self._labels, **noted, "note": str(self.get_parameter("note").value)}
        path, compress = self._library.next, self._settings.compress
        recording = Recording(path, self._contract, labels, self._names, compress)
        for topic, offer in self._topics.offered.items():
            recording.announce(topic, offer)
        self._failed, self._last, self._backlog.peak = False, path, self._backlog.bytes
        return recording

    def _start_episode(self) -> str:
        self._ring.clear()
        self._recording = self._begin()
        self._said = f"recording {self._recording.path.name}"
        return self._said

    def _stop_episode(self, outcome: str) -> str:
        if self._recording is not None:
            ended = self._finish(outcome)
            if ended.failed:
                raise VilpError(ended.message)
            return ended.message
        if self._failed or self._last is None or not self._last.is_dir():
            raise VilpError("nothing is being recorded")
        relabel(self._last, {"outcome": outcome})  # second thoughts
        self._said = f"{self._last.name}: now {outcome}"
        return self._said

    def _finish(self, outcome: str) -> Ended:
        assert self._recording is not None
        ended = self._recording.stop(outcome)
        self._recording, self._rate_mb_s = None, 0.0
        self._failed, self._said = ended.failed, ended.message
        self._count()
        return ended

    def _log(self, ended: Ended) -> None:
        """Where the diagnostics do not: they have ended, or have said another error already."""
        if ended.failed:
            self.get_logger().error(ended.message)

    def _discard(self) -> str:
        if self._recording is not None:
            self._finish("unlabelled")
        if self._last is None or not self._last.is_dir():
            raise VilpError("nothing to discard: no episode was recorded since the last one")
        self._library.discard(self._last)
        self._said = f"{self._last.name} discarded; undo brings it back"
        return self._said

    def _undo(self) -> str:
        self._last = self._library.undo()
        self._said = f"{self._last.name} is back"
        return self._said

    def _save(self) -> str:
        """The last seconds, after the fact."""
        if not self._ring:
            raise VilpError("nothing is kept while idle: set ring_s above 0")
        self._recording = self._begin()
        for message in self._ring:
            self._recording.take(*message)
        self._ring.clear()
        return self._stop_episode("unlabelled")

    def _announce(self, topic: str, offer: Offer) -> None:
        if self._recording is not None:
            self._recording.announce(topic, offer)

    def _vanished(self, topic: str) -> None:
        if self._recording is not None:
            self._recording.vanished(topic)

    # For whoever watches.

    def _publish_status(self) -> None:
        self._status.publish(self._report_state().to_message("recorder", self._contract.robot))

    def _report(self) -> Report:
        recording = self._recording
        values: dict[str, object] = {
            "state": "recording" if recording else "failed" if self._failed else "idle",
            "folder": self._library.folder,
            "episodes": self._kept,
            "waiting": len(self._backlog),
            "waiting_mb": self._backlog.bytes / 1e6,
            "waiting_peak_mb": self._backlog.peak / 1e6,
        }
        if self._overflown and (recording or not self._failed):
            text = f"the disk does not keep up: {self._full()}, messages are lost"
            return Report(ERROR, text, values)
        if recording is None:
            return Report(ERROR if self._failed else OK, self._said, values)
        values |= {
            "episode": recording.path.name,
            "seconds": recording.seconds,
            "messages": recording.writer.messages,
            "mb": recording.writer.bytes / 1e6,
            "mb_per_s": self._rate_mb_s,
            **{f"{n} hz": c.rate_hz for n, c in list(recording.audit.channels.items())},
        }
        findings = [str(finding) for finding in recording.audit.findings()]
        if self._backlog.bytes > self._settings.queue_mb * 1e6 / 2:
            findings.append(f"disk: {self._full()}")
        return Report(WARN if findings else OK, "; ".join(findings) or self._said, values)

    def _full(self) -> str:
        return f"{self._backlog.bytes / 1e6:.0f} of {self._settings.queue_mb} MB wait for it"


def main() -> None:
    """Entry point of the executable `recorder_node`."""
    run(RecorderNode)


if __name__ == "__main__":
    main()
