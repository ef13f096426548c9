"""Load the recorder: two views of 640x480 at 30 Hz and joint states at 1 kHz, and count.

    .venv/bin/python tools/soak.py --seconds 600 --out runs/soak

Publishes from a process for each camera and one for the arm, records in another, and compares what
was published with what lies in the bag. The second table says who fell silent: a gap between sends
is the publisher's; between receptions alone, the middleware's or the recorder's, and the recorder's
if its executor paused too; where the process that only sleeps stood still, the machine's. Needs
psutil (requirements-dev.lock) and 55 MB of disk a second. Exit code 1 if a message that reached the
recorder is not in the bag.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from numpy.typing import NDArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from soak_load import CAMERA_HZ, HEIGHT, WIDTH, Aside, drivers, publish, tick
from std_srvs.srv import Trigger

from vilp_ros.contract import Contract
from vilp_ros.data.bag import Bag, header_stamp_ns
from vilp_ros.ros import qos
from vilp_ros.ros.domain import keep_apart
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.graph import Process, processes
from vilp_ros.ros.supervisor import Supervisor

ENDS_NS = 5_000_000_000


def soak_contract(folder: Path) -> Path:
    """The simulated arm with larger and faster cameras."""
    text = find_contract("sim_panda").read_text()
    for old, new in (
        ("height: 96", f"height: {HEIGHT}"),
        ("width: 160", f"width: {WIDTH}"),
        ("rate_hz: 20.0", f"rate_hz: {CAMERA_HZ}"),
        ("reliability: best_effort", "reliability: reliable"),
    ):
        text = text.replace(old, new)
    path = folder / "soak_contract.yaml"
    path.write_text(text)
    return path


@dataclass
class Soaked:
    """What one recording under load left.

    Attributes:
        sent: by topic what `soak_load.publish` returned.
        began_s: `time.time()` when the start was answered.
        seconds: from then until the stop was asked for.
        busy: share of a core that the recorder used.
        memory: bytes of it at the end.
        statuses: of the recorder, with the `time.time()` of their arrival.
        still: what `soak_load.tick` returned.
    """

    sent: dict[str, NDArray[np.int64]]
    began_s: float
    seconds: float
    busy: float
    memory: int
    statuses: list[tuple[float, DiagnosticStatus]]
    still: list[tuple[float, float]]


def soak(entry: Process, contract: Contract, seconds: float) -> Soaked:
    """Records under load, which goes on until the episode is stopped."""
    ticker, *load = Aside(tick), *(Aside(publish, topics) for topics in drivers(contract))
    rclpy.init()
    node, statuses = Node("soak"), list[tuple[float, DiagnosticStatus]]()

    def on_status(status: DiagnosticStatus) -> None:
        statuses.append((time.time(), status))

    node.create_subscription(DiagnosticStatus, "recorder/status", on_status, qos.STATE_IN)
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def ask(name: str) -> str:
        client = node.create_client(Trigger, f"recorder/{name}")
        while not client.service_is_ready():
            executor.spin_once(0.1)
        future = client.call_async(Trigger.Request())
        while not future.done():
            executor.spin_once(0.1)
        return future.result().message

    def wait(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            executor.spin_once(0.2)

    with Supervisor([entry], write=sys.stderr.write) as supervisor:
        while not statuses:
            executor.spin_once(0.1)
        wait(3.0)  # every topic has been found
        process = psutil.Process(supervisor._children["recorder"].pid)
        say(ask("start"))
        began_s, cpu, begin = time.time(), process.cpu_times(), time.monotonic()
        wait(seconds)
        elapsed, used = time.monotonic() - begin, process.cpu_times()
        busy = (used.user + used.system - cpu.user - cpu.system) / elapsed
        memory, still = process.memory_info().rss, ticker.stop()
        say(ask("stop"))
        sent = {name: rows for driver in load for name, rows in driver.stop().items()}
    rclpy.shutdown()
    return Soaked(sent, began_s, elapsed, busy, memory, statuses, still)


def report(soaked: Soaked, bag_path: Path) -> bool:
    """Prints the tables; whether every message that was taken is in the bag."""
    counts = [f"{'topic':28}{'published':>10}{'taken':>10}{'in the bag':>12}{'lost':>6}"]
    times = [f"{'longest, ms (when, s)':28}{'between sends':>16}{'late':>16}{'in publish()':>16}"]
    times[0] += f"{'received':>16}"
    whole = True
    with Bag(bag_path) as bag:
        channels = json.loads(bag.labels["audit"])["channels"]
        for topic, rows in soaked.sent.items():
            first_ns, last_ns = stamped(bag, f"/{topic}")
            rows = rows[(rows[:, 0] >= first_ns) & (rows[:, 0] <= last_ns)]
            taken, written = channels[topic]["messages"], bag.counts[f"/{topic}"]
            whole = whole and taken == written
            row = f"{topic:28}{len(rows):>10}{taken:>10}{written:>12}"
            counts.append(row + f"{len(rows) - taken:>6}")
            at_s, late_s, inside_s = rows.T * 1e-9
            spans = zip(np.diff(at_s), at_s), zip(late_s, at_s), zip(inside_s, at_s)
            cells = [longest(each, soaked) for each in spans]
            silence_s, since_s = (
                channels[topic][key] for key in ("longest_silence_s", "silence_at_s")
            )
            cells.append(f"{1e3 * silence_s:.0f} ({since_s:.1f})")
            times.append(f"{topic:28}" + "".join(f"{cell:>16}" for cell in cells))
    say("\n".join([*counts, "", *times, ""]))
    heard = np.array([at_s for at_s, _ in soaked.statuses if at_s >= soaked.began_s])
    say(
        f"the process that only sleeps: {longest(soaked.still, soaked)}; the recorder's executor, "
        f"which says something every 250 ms: {longest(zip(np.diff(heard), heard), soaked)}"
    )
    size = sum(file.stat().st_size for file in bag_path.iterdir())
    values = [value for _, status in soaked.statuses for value in status.values]
    queued = max(float(v.value) for v in values if v.key == "waiting_peak_mb")
    say(
        f"{soaked.seconds:.0f} s, {size / 1e6 / soaked.seconds:.1f} MB/s, recorder "
        f"{soaked.busy:.0%} of a core, {soaked.memory / 1e6:.0f} MB of memory, at most "
        f"{queued:.1f} MB queued for the disk; published: between the first and last stamp in the "
        "bag"
    )
    return whole


def stamped(bag: Bag, topic: str) -> tuple[int, int]:
    """First and last stamp of a topic, nanoseconds."""
    head = bag.raw([topic], bag.start_ns, bag.start_ns + ENDS_NS)
    tail = bag.raw([topic], bag.end_ns - ENDS_NS, bag.end_ns + 1)
    stamps = [header_stamp_ns(data) for part in (head, tail) for _, _, data in part]
    return min(stamps), max(stamps)


def longest(spans: Iterable[tuple[float, float]], soaked: Soaked) -> str:
    """Of `(seconds, time.time())` while the recording ran: the longest, ms, and when, s."""
    span_s, at_s = max((x for x in spans if x[1] >= soaked.began_s), default=(0.0, soaked.began_s))
    return f"{1e3 * span_s:.0f} ({at_s - soaked.began_s:.1f})"


def say(text: str) -> None:
    """A line to the terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Runs the soak and prints its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path, default=Path("runs/soak"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    keep_apart()
    path = soak_contract(args.out)
    table = processes({"model": "", "record": str(args.out), "contract": str(path)})
    (entry,) = [process for process in table if process.name == "recorder"]
    soaked = soak(replace(entry, required=True), Contract.load(path), args.seconds)
    return int(not report(soaked, sorted(args.out.glob("episode_*"))[-1]))


if __name__ == "__main__":
    sys.exit(main())
