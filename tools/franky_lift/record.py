"""Record demonstrations of franky-sim's cube being lifted, by a script that knows where it lies.

    .venv/bin/python -m tools.franky_lift.record --out runs/franky_demos --episodes 60
    vilp convert runs/franky_demos --out datasets/franky.hdf5

The script leads the arm through franka_driver and says on the topics of the contract what it wants,
as a policy's commands are read from a bag. Episodes that the folder holds count; the same command
goes on after the last one. Failures are kept beside those that were asked for.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import deque
from pathlib import Path

from geometry_msgs.msg import PoseStamped
from rich.console import Console
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from tools.franky_lift.arm import PATIENCE_S, Arm, session
from tools.franky_lift.expert import Demonstration
from tools.franky_lift.world import TASK, lifted
from vilp_ros.data.bag import Bag
from vilp_ros.data.commands import NOISE
from vilp_ros.data.observe import seconds
from vilp_ros.data.recording import Library
from vilp_ros.data.seeds import VALIDATION_SEEDS
from vilp_ros.errors import VilpError
from vilp_ros.nodes.record.expert import drop_unfinished
from vilp_ros.nodes.record.remote import live, say
from vilp_ros.ros import qos
from vilp_ros.ros.expert import EXPERT
from vilp_ros.ros.messages import to_pose, to_stamp

# Control periods from a frame to where it leads: the driver looks 0.1 s ahead. The fingers, which
# nothing looks ahead for, are told when the hand is about to be there.
DUE, FINGERS = 4, 2
BROKEN_IN_A_ROW = 5


class Demonstrator:
    """Answers every frame of the first view while an episode lasts.

    What is said on `pose_topic` of one frame is where the hand is to be at the next.

    Args:
        arm: is led.
    """

    def __init__(self, arm: Arm) -> None:
        self._arm, self._contract = arm, arm.contract
        self._view = next(iter(arm.contract.views.values()))
        self._demonstration: Demonstration | None = None
        self._widths: deque[float] = deque()
        assert arm.contract.action.pose_topic is not None, "asked for before"
        pose_topic = arm.contract.action.pose_topic
        self._pose = arm.create_publisher(PoseStamped, pose_topic, qos.LATEST)
        self._commander = arm.create_publisher(Header, "commander", qos.LATEST)
        # It bears the stamp of the picture, which is larger.
        arm.create_subscription(CameraInfo, self._view.info_topic, self._on_frame, qos.SENSOR)

    def begin(self, seed: int, noise: float) -> None:
        """An episode from where the arm stands."""
        self._widths.clear()
        self._demonstration = Demonstration(self._contract, self._arm.joints, seed, noise)

    def done(self) -> bool:
        """Whether it is over."""
        return self._demonstration is None

    def _on_frame(self, message: CameraInfo) -> None:
        demonstration, arm, contract = self._demonstration, self._arm, self._contract
        if demonstration is None:
            return
        if demonstration.done:
            self._demonstration = None
            return
        frame_s = seconds(message.header.stamp) - self._view.latency_s
        period_s = contract.control_period_s
        step = demonstration.step(arm.joints, arm.width, arm.world.cube())
        arm.lead(frame_s, [DUE * period_s], [step.motion])
        # In force from the frame before the one at which the hand is there.
        ahead_s = (DUE - 1.4) * period_s - contract.action.latency_s
        stamp = to_stamp(frame_s + ahead_s)
        self._commander.publish(Header(stamp=stamp, frame_id=NOISE if step.pushed else EXPERT))
        header = Header(stamp=stamp, frame_id=contract.base_frame)
        self._pose.publish(PoseStamped(header=header, pose=to_pose(step.pose)))
        self._widths.append(step.width)
        if len(self._widths) > FINGERS:
            arm.grip(self._widths.popleft(), frame_s)


def successes(library: Library) -> tuple[int, int]:
    """How many of the folder's episodes lifted the cube, and the seed after the last one."""
    done, seed = 0, 0
    for path in library.episodes:
        with Bag(path) as bag:
            done += bag.labels.get("outcome") == "success"
            seed = max(seed, int(bag.labels.get("seed", -1)) + 1)
    return done, seed


def record(arm: Arm, library: Library, args: argparse.Namespace, console: Console) -> None:
    """Until the folder holds enough."""
    demonstrator = Demonstrator(arm)
    arm.wait(lambda: arm.recorder is not None, "the recorder")
    arm.set("recorder", task=TASK, role="expert")
    done, seed = successes(library)
    broken, began_s = 0, time.monotonic()
    with console.status("starting", refresh_per_second=4) as line:
        while done < args.episodes:
            if seed >= VALIDATION_SEEDS:
                raise VilpError(f"seeds from {VALIDATION_SEEDS} on are for evaluation")
            head = f"episode {done + 1}/{args.episodes}  seed {seed}  "
            arm.on_tick = lambda head=head: line.update(head + live(arm))
            arm.prepare(seed)
            arm.set("recorder", seed=seed)
            arm.demand("recorder/start")
            demonstrator.begin(seed, args.noise)
            arm.wait(demonstrator.done, "the expert", PATIENCE_S)
            success = lifted(arm.world.cube())
            message = arm.demand(f"recorder/{'success' if success else 'failure'}")
            marked = "marked broken" in message
            if marked and not args.broken:
                arm.demand("recorder/discard")
                message += "; discarded"
            say(console, not marked, message)
            broken = broken + 1 if marked and not args.broken else 0
            if broken == BROKEN_IN_A_ROW:
                raise VilpError(
                    f"{broken} episodes in a row broke a bound of the contract: give the machine "
                    "less to do, or keep them with --broken"
                )
            done, seed = done + (success and broken == 0), seed + 1
    took_s = time.monotonic() - began_s
    console.print(
        f"{library.folder}: {done} demonstrations, {took_s:.0f} s; {arm.reflexes} reflexes"
    )


def main() -> None:
    """Records."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the bags")
    parser.add_argument("--episodes", type=int, default=60, help="successes it shall hold")
    parser.add_argument("--noise", type=float, default=0.25, help="share of disturbed steps")
    parser.add_argument("--contract", default="fr3_direct")
    parser.add_argument("--broken", action="store_true", help="keep episodes with bad audits")
    args = parser.parse_args()
    library, console = Library(args.out), Console()
    drop_unfinished(library)
    words = [f"contract:={args.contract}", f"record:={args.out}", "model:="]
    with tempfile.TemporaryDirectory(prefix="franky_") as folder:
        try:
            with session(Path(folder), words, ("franka_driver", "recorder")) as arm:
                record(arm, library, args, console)
        except KeyboardInterrupt:
            console.print(f"{args.out}: goes on with the same command")
        except VilpError as error:
            console.print((Path(folder) / "nodes.log").read_text()[-3000:], markup=False)
            raise SystemExit(f"{type(error).__name__}: {error}") from None
    drop_unfinished(library)


if __name__ == "__main__":
    main()
