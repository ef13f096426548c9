"""What was heard of a graph, held against the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vilp_ros.contract import Contract, View
from vilp_ros.contract.limits import GRIPPER_SLACK_M
from vilp_ros.control.fit import Fit
from vilp_ros.data.drift import Drift, words
from vilp_ros.data.observe import MessageError, from_pose, joints_by_name, width_of
from vilp_ros.data.pixels import promised
from vilp_ros.errors import VilpError
from vilp_ros.kinematics import kinematics_of
from vilp_ros.nodes.checkup.finding import GREEN, RED, YELLOW, Finding

ENOUGH = 10  # messages of a channel, for its rate
RATE_OFF, RATE_WRONG = 0.05, 0.2  # of the rate that is promised, slower or faster
SLOW_SHARE = 0.8  # of the rate that is needed, below which the arm's state is too slow
SEEMS = 2e-3  # of the time, by which a clock seems to drift
LOOK_S, DRIFT_S = 6.0, 0.01  # then it is looked at for so long, and drifts if it is off by that
SKEW_S = 0.05
START_CAMERA = (
    "start the camera's driver (simulated: `vilp up`), or correct views.*.topic; same domain?"
)


@dataclass
class Heard:
    """One topic while listening: arrivals (steady s), stamp ages (s), what an image is like.

    Attributes:
        others: joints that messages named which were none of its own.
    """

    arrivals: list[float]
    ages: list[float]
    shapes: set[str]
    publishers: int = 0
    wrong_kind: str = ""
    last: Any = None
    others: set[str] = field(default_factory=set)

    def drift(self) -> Drift:
        """Of its stamps against reception."""
        drift = Drift(bin_s=0.1)
        for arrival_s, age_s in zip(self.arrivals, self.ages):
            drift.add(arrival_s, age_s)
        return drift

    @property
    def seems_to_drift(self) -> bool:
        """Whether a longer look is worth its time."""
        drift = self.drift()
        moved_s = drift.moved_s
        return moved_s is not None and abs(moved_s) > SEEMS * drift.span_s


def judge_view(view: View, heard: Heard) -> Finding:
    """Rate, size and age of a camera against the contract."""
    name = f"camera {view.name}"
    if heard.wrong_kind:
        return Finding(name, RED, heard.wrong_kind, f"correct views.{view.name}.type or its topic")
    if not heard.arrivals:
        why = f"nothing on {view.topic}"
        if heard.publishers:
            cure = (
                "its QoS: reliability in the contract must not ask for more than the driver gives"
            )
            return Finding(name, RED, f"{why}, though {heard.publishers} publish", cure)
        return Finding(name, RED, why, START_CAMERA)
    wanted = promised(view)
    if heard.shapes != {wanted}:
        found = f"{', '.join(sorted(heard.shapes))}; the contract says {wanted}"
        return Finding(name, RED, found, "set the driver, or camera_size in the contract")
    rate_hz = _rate(heard.arrivals)
    off = rate_hz / view.rate_hz - 1
    if abs(off) > RATE_OFF:
        state = RED if abs(off) > RATE_WRONG else YELLOW
        found = f"{rate_hz:.1f} Hz; the contract says {view.rate_hz:g} Hz"
        cure = "exposure, USB bandwidth, network; or correct rate_hz"
        if off > 0:
            cure = f"set its driver to {view.rate_hz:g} Hz, or correct rate_hz"
        return Finding(name, state, found, cure)
    return Finding(name, GREEN, f"{wanted} at {rate_hz:.1f} Hz, {view.rate_hz:g} Hz promised")


def judge_state(name: str, heard: Heard, period_s: float) -> Finding:
    """Rate of a part of the arm's state. No contract promises one; a step needs a fresh value."""
    if heard.wrong_kind:
        return Finding(name, RED, heard.wrong_kind, "name a topic of that type in proprio.*")
    if not heard.arrivals and heard.others:
        found = f"its joints were not named, only {', '.join(sorted(heard.others))}"
        return Finding(name, RED, found, "correct proprio.joint_names or proprio.gripper_joint")
    if not heard.arrivals:
        cure = "start the arm (simulated: `vilp up`), or correct proprio.* in the contract"
        return Finding(name, RED, "nothing received", cure)
    rate_hz, least = _rate(heard.arrivals), f"{1 / period_s:g} Hz, once a control period"
    if rate_hz < SLOW_SHARE / period_s:
        cure = "raise the rate of the arm's driver, or control_period_s with another model"
        return Finding(name, RED, f"{rate_hz:.1f} Hz; needed are {least}", cure)
    return Finding(name, GREEN, f"{rate_hz:.0f} Hz, at least {least}, are needed")


def judge_clock(channel: str, heard: Heard, limit_s: float) -> Finding | None:
    """Are stamps plausible? None without any."""
    if not heard.ages:
        return None
    age_s = sorted(heard.ages)[len(heard.ages) // 2]
    if age_s < -SKEW_S:
        cure = "chrony or ptp4l on both hosts"
        return Finding("clock", RED, f"{channel} is stamped {-age_s:.2f} s ahead of us", cure)
    if age_s > limit_s:
        cure = "chrony or ptp4l on both hosts; latency_s if the driver stamps late"
        return Finding("clock", RED, f"{channel} is stamped {age_s:.2f} s ago", cure)
    drift = heard.drift()
    moved_s = drift.moved_s
    if moved_s is not None and abs(moved_s) > DRIFT_S and drift.span_s > LOOK_S / 2:
        found, _, cure = words(moved_s, drift.span_s).partition(": ")
        return Finding("clock", RED, f"{channel}: {found}", cure)
    return None


def judge_tool(contract: Contract, joints: Any, pose: Any) -> list[Finding]:
    """Is the hand where the contract's arm and tool put it? Asked of contracts that name an arm.

    Args:
        contract: may name an arm.
        joints: JointState, or None.
        pose: PoseStamped, or None.
    """
    if contract.arm is None or joints is None or pose is None:
        return []
    try:
        at = joints_by_name(joints, joints.position, contract.proprio.joint_names)
        fit = Fit(contract, kinematics_of(contract))
    except (VilpError, MessageError) as error:
        return [Finding("tool", RED, str(error), "correct proprio.joint_names, or install it")]
    if misfit := fit.misfit(at, from_pose(pose.pose), 0.0):
        found, cure = misfit.split(": ", 1)
        return [Finding("tool", RED, found, cure)]
    return [Finding("tool", GREEN, f"{contract.ee_frame} is where the joints put it")]


def judge_hand(contract: Contract, heard: Mapping[str, Heard]) -> list[Finding]:
    """Does the gripper say a width that its limits allow? Half a centimetre beside them it may."""
    proprio = contract.proprio
    said = heard["gripper"].last
    if said is None:
        return []
    try:
        width = width_of(said, contract)
    except MessageError as error:
        return [Finding("gripper", RED, str(error), "correct proprio.gripper_joint")]
    low, high = contract.limits.gripper_width
    if not low - GRIPPER_SLACK_M <= width <= high + GRIPPER_SLACK_M:
        found = f"{width:.4f} m between the fingers, limits.gripper_width {low:g} to {high:g} m"
        scale = f"now {proprio.gripper_scale:g} and {proprio.gripper_offset:g} m"
        return [Finding("gripper", RED, found, f"gripper_scale, gripper_offset ({scale})")]
    return [Finding("gripper", GREEN, f"{width:.4f} m between the fingers")]


def _rate(arrivals: list[float]) -> float:
    if len(arrivals) < 2:
        return 0.0
    return (len(arrivals) - 1) / max(arrivals[-1] - arrivals[0], 1e-6)


def heard_enough(heard: Mapping[str, Heard]) -> bool:
    """Whether every channel has a rate that may be judged."""
    return all(len(note.arrivals) >= ENOUGH for note in heard.values())


def judge_graph(contract: Contract, heard: Mapping[str, Heard], commanders: int) -> list[Finding]:
    """Findings about what was heard."""
    findings = [judge_view(view, heard[view.name]) for view in contract.views.values()]
    period_s = contract.control_period_s
    for name in ("ee_pose", "joints", "gripper"):
        if name in heard:
            findings.append(judge_state(f"arm {name}", heard[name], period_s))
    findings += judge_hand(contract, heard)
    if "ee_pose" in heard:
        findings += judge_tool(contract, heard["joints"].last, heard["ee_pose"].last)
    clocks = [judge_clock(name, note, contract.staleness_s) for name, note in heard.items()]
    wrong = [clock for clock in clocks if clock is not None]
    if any(note.ages for note in heard.values()):
        findings += wrong or [Finding("clock", GREEN, "stamps are recent")]
    else:
        findings.append(Finding("clock", YELLOW, "no stamps to judge", "see above"))
    if commanders > 1:
        cure = "end all but one; crisp_controllers listen to nobody otherwise"
        findings.append(Finding("commanders", RED, f"{commanders} publish commands", cure))
    return findings
