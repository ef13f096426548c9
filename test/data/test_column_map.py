"""Numbers as others write them, and maps that cannot be meant."""

import numpy as np
import pytest

from vilp_ros.data.mapping import units
from vilp_ros.data.mapping.column_map import GripperMap, JointMap, UrdfMap, load_map, parse_map
from vilp_ros.data.mapping.draft import Column, foretell, spell
from vilp_ros.data.mapping.rows import Rows, split_column
from vilp_ros.errors import VilpError
from vilp_ros.geometry import quat_angle, quat_to_matrix, quat_to_rot6d, quat_to_rotvec, rpy_to_quat
from vilp_ros.share import share_dir

RPY = np.array([[0.1, -0.2, 0.3], [0.2, 0.4, -2.0], [3.0, 0.1, 0.2]])
QUATS = rpy_to_quat(RPY)
MAP = """
control_period_s: 0.1
views:
  top:
    key: observation.images.top
    size: [96, 128]
pose:
  columns: observation.state[0:7]
  rotation: quaternion_xyzw
gripper:
  columns: observation.state[7]
  open: 0.08
  closed: 0
  width_m: 0.08
action:
  kind: absolute
  columns: action[0:7]
"""


@pytest.mark.parametrize(
    ("rotation", "rows"),
    [
        ("quaternion_xyzw", -QUATS),
        ("quaternion_wxyz", QUATS[:, [3, 0, 1, 2]]),
        ("rotation_vector", quat_to_rotvec(QUATS)),
        ("rpy", RPY),
        ("rot6d", quat_to_rot6d(QUATS)),
        ("rot6d_rows", quat_to_matrix(QUATS)[:, :2].reshape(-1, 6)),
    ],
)
def test_rotations(rotation, rows):
    found = units.quats(rows, rotation, "rad", "here")
    np.testing.assert_allclose(quat_angle(found, QUATS), 0, atol=1e-6)
    with pytest.raises(VilpError, match=f"here: a rotation as {rotation} has"):
        units.quats(rows[:, 1:], rotation, "rad", "here")


def test_degrees_and_quaternions_that_are_none():
    found = units.quats(np.degrees(RPY), "rpy", "deg", "here")
    np.testing.assert_allclose(quat_angle(found, QUATS), 0, atol=1e-6)
    with pytest.raises(VilpError, match="row 1 is no unit quaternion, its length is 2"):
        units.quats(QUATS * np.array([[1], [2], [1]]), "quaternion_xyzw", "rad", "here")


def test_joints_in_ticks_turned_about():
    joints = JointMap(("state",), "ticks", sign=(1, -1))
    found = units.radians(np.array([[2048.0, 2048 + 1024]]), joints, "here")
    np.testing.assert_allclose(found, [[0, -np.pi / 2]])
    zeroed = JointMap(("state",), "deg", zero=(90, 0))
    np.testing.assert_allclose(
        units.radians(np.array([[180.0, 180]]), zeroed, "here"), [[np.pi / 2, np.pi]]
    )
    with pytest.raises(VilpError, match=r"joints.sign has 2 entries for 3 columns"):
        units.radians(np.zeros((1, 3)), joints, "here")


def test_openings_of_any_range_and_direction():
    closes = GripperMap(("g",), open=0, closed=100, width_m=0.085)
    found = units.widths(np.array([[0.0], [50], [100], [104]]), closes, "here")
    np.testing.assert_allclose(found, [0.085, 0.0425, 0, 0])


def test_columns_by_place_and_by_name():
    rows = Rows(
        "here",
        np.arange(2.0),
        {"state": np.arange(8.0).reshape(2, 4)},
        {"state": ["a", "b.pos", "2", "d"]},
        lambda *_: np.zeros(0),
        "",
    )
    np.testing.assert_array_equal(rows.pick(("state[1:3]",))[0], [1, 2])
    np.testing.assert_array_equal(rows.pick(("state[d, b.pos]", "state[0]"))[0], [3, 1, 0])
    np.testing.assert_array_equal(rows.pick(("state",))[0], [0, 1, 2, 3])
    assert split_column("a.b/c [1:]") == ("a.b/c", slice(1, None))
    for wrong in ("", "state[", "[0]", "state[]"):
        with pytest.raises(VilpError, match="is no column"):
            split_column(wrong)


def test_drafts_name_columns_shortly():
    columns = [Column("s", k, "") for k in (0, 1, 2, 5)]
    assert spell(columns[:3]) == "s[0:3]"
    assert spell(columns) == '["s[0:3]", "s[5]"]'


def test_what_numbers_say_of_an_action():
    stamps = np.arange(50) / 10
    state = np.sin(stamps[:, None] + np.arange(3))
    step = np.diff(state, axis=0, append=state[-1:])
    for kind, told in (("absolute", state + step), ("delta", step), ("velocity", step * 10)):
        assert foretell(state, told, stamps)[0] == kind


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("control_period_s: 0.1", "control_period_s: 0", "control_period_s: found 0"),
        ("rotation: quaternion_xyzw", "rotation: quaternion", "pose.rotation: found 'quaternion'"),
        ("kind: absolute", "kind: relative", "action.kind: found 'relative'"),
        ("closed: 0", "closed: 0.08", "another value than that of `closed`"),
        ("pose:", "poses:", "did you mean 'pose'"),
        ("  kind: absolute", "  kind: absolute\n  space: joints", "`joints.urdf` beside it"),
        ("  kind: absolute", "  kind: next", "none, since kind is `next`"),
        ("  kind: absolute", "  kind: absolute\n  unit: deg", "one of ['m', 'mm']"),
        ("columns: action[0:7]", "columns: action[0:7", "is no column"),
    ],
)
def test_maps_that_cannot_be_meant(tmp_path, old, new, words):
    assert old in MAP
    with pytest.raises(VilpError) as error:
        parse_map(MAP.replace(old, new), tmp_path / "map.yaml")
    assert words in str(error.value)


def test_an_opening_that_is_its_own_action_is_refused(tmp_path):
    same = "\n  gripper: {columns: 'observation.state[7]', open: 1, closed: 0, width_m: 0.1}\n"
    with pytest.raises(VilpError, match="a policy would read its own action"):
        parse_map(MAP.rstrip() + same, tmp_path / "map.yaml")


def test_an_action_without_a_pose_is_refused(tmp_path):
    head, tail = MAP.split("pose:")
    text = head + "gripper:" + tail.split("gripper:")[1]
    with pytest.raises(VilpError, match=r"no action without `pose` or `joints.urdf`"):
        parse_map(text, tmp_path / "map.yaml")


def test_shipped_maps_are_whole(tmp_path):
    for path in (share_dir() / "config/maps").glob("*.yaml"):
        found = load_map(path)
        if found.joints and isinstance(found.joints.urdf, UrdfMap):
            assert (path.parent / found.joints.urdf.path).is_file()
    with pytest.raises(VilpError, match="prints one of a dataset as a draft"):
        load_map(tmp_path / "none.yaml")


def test_the_map_of_the_documentation_is_one(tmp_path):
    text = (share_dir() / "docs/recordings.md").read_text()
    block = text.split("```yaml\n")[1].split("```")[0]
    found = parse_map(block, tmp_path / "map.yaml")
    assert (found.gripper.closed, found.action.scale) == (255, (0.05,))
