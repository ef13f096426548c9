"""Every key of a contract, broken in turn, is refused by name, with what was found and allowed."""

from __future__ import annotations

import copy
import dataclasses
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vilp_ros.contract import Arm, Contract, ContractError
from vilp_ros.errors import VilpError

SHIPPED = Path(__file__).parents[1] / "config" / "robots" / "sim_panda.yaml"
GOOD = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
OPTIONAL = {"safe_action", "staleness_s", "action.joint_topic"}


def keys(value, path=()):
    """Paths of every key and list item, as tuples."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, item in items:
        yield (*path, name)
        if isinstance(item, (dict, list)):
            yield from keys(item, (*path, name))


def spelled(path) -> str:
    text = ""
    for name in path:
        text += f"[{name}]" if isinstance(name, int) else f".{name}" if text else name
    return text


ALL = list(keys(GOOD))
KEYS = [path for path in ALL if isinstance(path[-1], str)]
# A bound of an interval is reported as the interval.
ITEMS = [path for path in ALL if len(path) < 2 or path[-2] not in ("x", "y", "z", "gripper_width")]
ITEMS = [path for path in ITEMS if not (len(path) == 4 and path[1] == "joint_position")]


def at(data, path):
    for name in path:
        data = data[name]
    return data


def changed(path, value):
    data = copy.deepcopy(GOOD)
    at(data, path[:-1])[path[-1]] = value
    return data


def wrong_values(good):
    if isinstance(good, str):
        return st.sampled_from([None, "", "not a name!", "9", 3, 0.5, True, [], {}, ["agentview"]])
    if isinstance(good, (int, float)):
        return st.sampled_from(
            [None, "fast", True, math.nan, math.inf, -math.inf, -4e3, 1e6, [], {}]
        )
    if isinstance(good, list):
        return st.sampled_from(
            [
                None,
                "x",
                3,
                [],
                [1],
                [0.2, 0.1],
                [0, 0],
                ["a", "b"],
                [0, math.nan],
                [0, 1, 2],
                [[0, 1]],
            ]
        )
    return st.sampled_from([None, "x", 3, [], [1], {}])


def load(data, folder: Path) -> Contract:
    path = folder / "robot.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return Contract.load(path)


def refusal(data, folder: Path) -> str:
    with pytest.raises(ContractError) as error:
        load(data, folder)
    return str(error.value)


def test_the_shipped_contract_is_what_the_nodes_expect():
    contract = Contract.load(SHIPPED)
    assert contract.robot == SHIPPED.stem
    assert list(contract.views) == ["agentview", "eye_in_hand"]
    assert {(view.height, view.width) for view in contract.views.values()} == {(96, 160)}
    assert contract.views["eye_in_hand"].topic == "eye_in_hand/image_raw"
    assert contract.action.kind == "ee_pose"
    assert contract.control_period_s == 0.05
    assert contract.limits.workspace["z"] == (-0.11, 0.6)
    assert len(contract.limits.joint_position) == len(contract.proprio.joint_names) == 7
    assert (contract.safe_action, contract.staleness_s) == ("hold", 0.3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        contract.limits.ee_speed = 9.0


def test_joint_positions_are_the_other_action_space(tmp_path):
    data = changed(("action", "kind"), "joint_position")
    del data["action"]["pose_topic"]
    contract = load(data, tmp_path)
    assert (contract.action.kind, contract.action.pose_topic) == ("joint_position", None)
    del data["action"]["joint_topic"]
    message = refusal(data, tmp_path)
    assert "action.joint_topic: found nothing, allowed: a topic name, since" in message
    assert message.endswith("action.kind is 'joint_position'")


@pytest.mark.parametrize("path", ITEMS, ids=spelled)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_wrong_value_is_refused_by_its_key(path, data, tmp_path):
    value = data.draw(wrong_values(at(GOOD, path)))
    message = refusal(changed(path, value), tmp_path)
    assert message.startswith(f"robot.yaml: {spelled(path)}")
    assert ": found " in message
    assert ", allowed: " in message
    if isinstance(value, (str, int, float)) and value != "":
        assert repr(value) in message


@pytest.mark.parametrize("path", KEYS, ids=spelled)
def test_a_missing_key_is_named_or_has_its_default(path, tmp_path):
    data = copy.deepcopy(GOOD)
    del at(data, path[:-1])[path[-1]]
    if spelled(path) in OPTIONAL or (path[0] == "views" and len(path) == 2):
        load(data, tmp_path)
    else:
        message = refusal(data, tmp_path)
        assert f"{spelled(path)}: found nothing, allowed: " in message


@pytest.mark.parametrize(
    "path", [path for path in KEYS if path[-1] not in GOOD["views"]], ids=spelled
)
def test_a_misspelt_key_is_refused_with_what_was_meant(path, tmp_path):
    data = copy.deepcopy(GOOD)
    parent, name = at(data, path[:-1]), path[-1]
    misspelt = name[:-1] + name[-1] * 2
    parent[misspelt] = parent.pop(name)
    message = refusal(data, tmp_path)
    assert spelled((*path[:-1], misspelt)) in message
    if len(name) > 1:
        assert f"did you mean '{name}'?" in message


def test_defaults_are_safe(tmp_path):
    data = copy.deepcopy(GOOD)
    del data["safe_action"], data["staleness_s"]
    contract = load(data, tmp_path)
    assert (contract.safe_action, contract.staleness_s) == ("hold", 0.3)


def test_errors_name_what_is_allowed(tmp_path):
    cases = [
        (("limits", "ee_speed"), 500, "found 500, allowed: a number above 0 to 3 m/s"),
        (("limits", "ee_speed"), 0, "found 0, allowed: a number above 0 to 3 m/s"),
        (
            ("limits", "joint_velocity", 3),
            90,
            "limits.joint_velocity[3]: found 90, allowed: a number",
        ),
        (("limits", "joint_position", 5), [-1, 215], "limits.joint_position[5]: found [-1, 215]"),
        (
            ("limits", "workspace", "x"),
            [800, 150],
            "limits.workspace.x: found [800, 150], allowed: [lo",
        ),
        (("action", "kind"), "delta", "allowed: one of ['ee_pose', 'joint_position']"),
        (("safe_action",), "retract", "safe_action: found 'retract', allowed: one of ['hold']"),
        (("views", "agentview", "height"), 96.5, "allowed: a whole number from 16 to 4096"),
        (("views", "agentview", "encoding"), "rgb16", "allowed: one of ['rgb8', 'bgr8'"),
        (("views", "agentview", "reliability"), "best", "one of ['best_effort', 'reliable']"),
        (("views", "agentview", "topic"), "/a//b", "allowed: a topic name such as"),
        (("views",), {}, "views: found nothing, allowed: a mapping with at least one view"),
        (("views",), {"my view": {}}, "views: found 'my view', allowed: a name of letters"),
        (("proprio", "joint_names"), ["a"] * 7, "allowed: 7 different names"),
        (("proprio", "joint_names"), ["a"] * 6, "proprio.joint_names: found"),
    ]
    for path, value, says in cases:
        assert says in refusal(changed(path, value), tmp_path)


def test_parts_are_checked_together(tmp_path):
    slow = changed(("views", "agentview", "rate_hz"), 2.0)
    assert "rate_hz: found 2.0, allowed: above 1 / staleness_s = 3.33 Hz" in refusal(slow, tmp_path)
    copied = changed(("views", "eye_in_hand", "topic"), "agentview/image_raw")
    assert (
        "views.eye_in_hand.topic: found 'agentview/image_raw',"
        " allowed: a topic that views.agentview.topic does not name already"
    ) in refusal(copied, tmp_path)
    loop = changed(("action", "pose_topic"), "ee_pose")
    assert "action.pose_topic: found 'ee_pose'" in refusal(loop, tmp_path)


def test_depth_cameras_say_their_range_and_others_do_not(tmp_path):
    data = changed(("views", "agentview", "encoding"), "16UC1")
    says = "agentview.depth_range_m: found nothing, allowed: [near, far] in metres, and encoding is"
    assert says in refusal(data, tmp_path)
    data["views"]["agentview"]["depth_range_m"] = [0.4, 1.6]
    assert load(data, tmp_path).views["agentview"].depth_range_m == (0.4, 1.6)
    data["views"]["agentview"]["depth_range_m"] = [400, 1600]
    assert "found [400, 1600], allowed: [lo, hi] with lo < hi, from 0 to 65 m" in refusal(
        data, tmp_path
    )
    colour = changed(("views", "agentview", "depth_range_m"), [0.4, 1.6])
    assert "allowed: for depth cameras only, and encoding is rgb8" in refusal(colour, tmp_path)


@pytest.mark.parametrize("crop", [[0, 0, 97, 160], [1, 0, 96, 160], [0, 0, 95, 160]])
def test_a_rectangle_lies_within_the_picture_and_holds_the_view(tmp_path, crop):
    data = changed(("views", "agentview", "crop"), crop)
    assert "crop: found" in (said := refusal(data, tmp_path))
    assert "within [96, 160], at least the view's 96x160" in said


def test_files_that_are_no_contract(tmp_path):
    with pytest.raises(
        ContractError, match=r"no contract .*sim_pnada.yaml; .* has \[.*'sim_panda.yaml'"
    ):
        Contract.load(SHIPPED.with_name("sim_pnada.yaml"))
    path = tmp_path / "robot.yaml"
    texts = {
        "": "robot.yaml: the file: found nothing, allowed: a mapping",
        "- 1": r"robot.yaml: the file: found \[1\], allowed: a mapping",
        "a: [": "robot.yaml: not YAML: ",
        "views: {a: 1}\nviews: {}": "robot.yaml: not YAML: line 2: key 'views' is given twice",
        "1: x": "robot.yaml: not YAML: line 1: key 1 is not text",
        "robot: !!python/object/apply:os.getcwd []": "robot.yaml: not YAML: ",
    }
    for text, says in texts.items():
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ContractError, match=says):
            Contract.load(path)
    assert issubclass(ContractError, VilpError)


def spec(**changes):
    views = {"agentview": (96, 160), "eye_in_hand": [96, 160]}
    rest = {"depth_range_m": {}, "action_kind": "ee_pose", "control_period_s": 0.05}
    return {"views": views, **rest, **changes}


def test_a_bundle_for_this_robot_passes():
    contract = Contract.load(SHIPPED)
    contract.check_bundle(spec())
    contract.check_bundle(spec(views={"eye_in_hand": [96, 160]}))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"views": {"agentview": [96, 160], "wrist": [96, 160]}},
            "bundle expects views ['agentview', 'wrist'] at 96x160; contract sim_panda provides"
            " ['agentview', 'eye_in_hand'] - add 'wrist' or choose another model",
        ),
        (
            {"views": {"left": [96, 160], "wrist": [64, 64]}},
            "bundle expects views ['left', 'wrist'] at 64x64 and 96x160; contract sim_panda"
            " provides ['agentview', 'eye_in_hand'] - add 'left' and 'wrist' or choose another"
            " model",
        ),
        (
            {"views": {"agentview": [160, 96]}},
            "bundle expects view 'agentview' at 160x96; contract sim_panda provides 96x160"
            " - change views.agentview or choose another model",
        ),
        (
            {"depth_range_m": {"agentview": (0.4, 1.6)}},
            "bundle expects view 'agentview' 0.4 to 1.6 m deep; contract sim_panda provides colour"
            " - change views.agentview or choose another model",
        ),
        (
            {"action_kind": "joint_position"},
            "bundle expects action kind 'joint_position'; contract sim_panda provides 'ee_pose'"
            " - change action.kind or choose another model",
        ),
        (
            {"control_period_s": 0.1},
            "bundle expects a control period of 0.1 s; contract sim_panda provides 0.05 s"
            " - change control_period_s or choose another model",
        ),
    ],
)
def test_a_bundle_for_another_robot_is_refused_naming_both_sides(changes, says):
    with pytest.raises(ContractError) as error:
        Contract.load(SHIPPED).check_bundle(spec(**changes))
    assert str(error.value) == says


UR5E = SHIPPED.with_name("ur5e_ros2_control.yaml")


def six_joints(path=(), value=None):
    data = yaml.safe_load(UR5E.read_text(encoding="utf-8"))
    if path:
        at(data, path[:-1])[path[-1]] = value
    return data


def test_an_arm_may_have_any_number_of_joints(tmp_path):
    contract = Contract.load(UR5E)
    assert contract.arm == Arm("package://vilp_ros/config/urdf/ur5e.urdf", "base_link", "tool0")
    assert contract.proprio.ee_pose_topic is None
    assert len(contract.proprio.joint_names) == len(contract.limits.joint_position) == 6
    assert contract.action_size("joint_position") == 7
    assert contract.action_size("ee_pose") == 8
    slashes = [f"left/ur-{k}.joint" for k in range(6)]
    assert load(six_joints(("proprio", "joint_names"), slashes), tmp_path).proprio.joint_names == (
        *slashes,
    )


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("arm",), "ur5e", "arm: found 'ur5e', allowed: one of ['fr3', 'panda'], or a mapping of"),
        (("arm",), "fr3", "arm: found 'fr3', allowed: a URDF, since the contract has 6 joints"),
        (("arm", "urdf"), "my.urdf", "arm.urdf: found 'my.urdf', allowed: /absolute/path, ~/path"),
        (("arm", "tip"), None, "arm.tip: found nothing, allowed: a name of letters, digits"),
        (
            ("limits", "joint_jerk"),
            [1.0] * 7,
            "limits.joint_jerk: found [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], allowed: a list of 6,",
        ),
        (
            ("proprio", "joint_names"),
            ["a", "b"],
            "proprio.joint_names: found ['a', 'b'], allowed: a list of 6, as many as there are",
        ),
        (("proprio", "gripper_scale"), 0, "gripper_scale: found 0, allowed: a number from -10 to"),
        (
            ("proprio", "gripper_joint"),
            None,
            "proprio.gripper_joint: found nothing, allowed: a name of letters",
        ),
        (
            ("action", "gripper_offset"),
            0.1,
            "action.gripper_scale: found nothing, allowed: a number, since action.gripper_offset",
        ),
        (("action", "gripper"), "servo", "action.gripper: found 'servo', allowed: one of ['topic'"),
    ],
)
def test_what_is_wrong_about_an_arm_or_a_hand_is_named(path, value, says, tmp_path):
    assert says in refusal(six_joints(path, value), tmp_path)


def test_a_gripper_beside_the_joints_needs_its_name_and_a_pose_its_source(tmp_path):
    data = six_joints()
    del data["proprio"]["gripper_joint"]
    says = "gripper_joint: found nothing, allowed: the gripper's joint, since its topic is"
    assert says in refusal(data, tmp_path)
    data = copy.deepcopy(GOOD)
    del data["proprio"]["ee_pose_topic"]
    says = "proprio.ee_pose_topic: found nothing, allowed: a topic name, or beside `arm` none"
    assert says in refusal(data, tmp_path)
    assert load({**data, "arm": "panda"}, tmp_path).proprio.ee_pose_topic is None


FRANKA = sorted(SHIPPED.parent.glob("fr3_*.yaml"))


@pytest.mark.parametrize("path", FRANKA, ids=lambda path: path.stem)
def test_the_contracts_of_an_fr3(path):
    """Velocities are half of what Franka publishes, accelerations and jerks at most half."""
    contract = Contract.load(path)
    limits = contract.limits
    assert (contract.robot, contract.arm) == (path.stem, "fr3")
    assert limits.joint_velocity == (1.0, 0.5, 0.75, 0.625, 1.5, 0.75, 1.5)
    assert max(limits.joint_acceleration) <= 5
    assert max(limits.joint_jerk) <= 2500
    assert limits.dynamic("ee_pose")
    assert limits.dynamic("joint_position")
    assert limits.precheck == "slow"


def franka(tmp_path, name, *edits):
    text = (SHIPPED.parent / f"{name}.yaml").read_text(encoding="utf-8")
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "robot.yaml"
    path.write_text(text, encoding="utf-8")
    return Contract.load(path)


def test_what_leaves_follows_from_the_transport(tmp_path):
    assert franka(tmp_path, "fr3_ros2_control").action.sends == "joint_position"
    assert franka(tmp_path, "fr3_crisp").action.sends == "ee_pose"
    assert Contract.load(SHIPPED).action.sends == "ee_pose"


@pytest.mark.parametrize(
    ("name", "edit", "says"),
    [
        ("fr3_direct", ("arm: fr3 ", "# "), "arm: found nothing, allowed: one of ['fr3', 'panda']"),
        ("fr3_direct", ("  joint_jerk: [", "  # ["), "limits: found nothing, allowed: joint_accel"),
        ("fr3_crisp", ("  ee_jerk: 2250.0", "  #"), "allowed: ee_acceleration, ee_angular_accel"),
        (
            "fr3_crisp",
            ("  pose_topic: target_pose\n", ""),
            "action.pose_topic: found nothing, allowed: a topic name, since action.transport is"
            " 'crisp_pose'",
        ),
        (
            "fr3_crisp",
            ("kind: ee_pose ", "kind: joint_position "),
            "action.kind: found 'joint_position', allowed: 'ee_pose', since action.transport",
        ),
        (
            "fr3_crisp",
            ("crisp_pose ", "crisp_joint\n  joint_topic: target_joint "),
            "action.pose_topic: found 'target_pose', allowed: another, such as 'commanded_pose'",
        ),
        ("fr3_crisp", ("crisp_pose ", "crips_pose "), "allowed: one of ['target', 'joint_traj"),
    ],
)
def test_a_transport_without_what_it_needs_is_refused_by_name(tmp_path, name, edit, says):
    with pytest.raises(ContractError) as error:
        franka(tmp_path, name, edit)
    assert says in str(error.value)
