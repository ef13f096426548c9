"""Two cameras of different sizes, from their pictures to a moving arm, between real processes."""

import pytest
from fault_log import Track
from ros_rig import Rig
from sensor_msgs.msg import Image

from vilp_ros.contract import Contract
from vilp_ros.policy.bundle import save_untrained
from vilp_ros.ros.files import find_contract
from vilp_ros.ros.graph import parse, processes
from vilp_ros.ros.images import to_array
from vilp_ros.ros.supervisor import Supervisor

SIZES = {"agentview": (96, 160), "eye_in_hand": (64, 96)}
NODES = ("observation", "planner", "controller")


@pytest.fixture
def contract_file(tmp_path):
    first, name, second = find_contract("sim_panda").read_text().partition("  eye_in_hand:")
    second = second.replace("height: 96", "height: 64").replace("width: 160", "width: 96")
    path = tmp_path / "two_sizes.yaml"
    path.write_text(first + name + second)
    return path


def test_the_arm_moves_and_the_strip_shows_both(contract_file, probe, tmp_path):
    save_untrained(tmp_path / "bundle", SIZES)
    contract = Contract.load(contract_file)
    assert {v.name: (v.height, v.width) for v in contract.views.values()} == SIZES
    words = ["sim:=false", f"contract:={contract_file}", f"model:={tmp_path / 'bundle'}"]
    table = [p for p in processes(parse(words)) if p.name in NODES]
    views = probe.listen(Image, "observation/views")
    strips = probe.listen(Image, "planner/predicted_frames")
    hand, rig, lines = Track(probe), Rig(probe, contract), []
    try:
        with Supervisor(table, write=lines.append):
            hand.moves()
            probe.spin_until(lambda: strips, f"a strip; {lines}")
    finally:
        rig.close()
    seen = to_array(views[-1])
    assert seen.shape == (2 * 96, 160, 3)
    assert seen[96 : 96 + 64, :96].std() > 5
    assert not seen[96 + 64 :].any()
    assert not seen[96:, 96:].any()
    rows, columns, _ = to_array(strips[-1]).shape
    assert (rows, columns % 160) == (2 * 96, 0)
