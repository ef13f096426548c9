"""A policy of another package drives the simulated arm: the example of the documentation."""

import numpy as np
import pytest
from examples import install
from geometry_msgs.msg import PoseStamped

from vilp_ros.errors import VilpError
from vilp_ros.policy.bundle import load_policy, load_spec, save_untrained
from vilp_ros.policy.registry import METHODS
from vilp_ros.ros.files import find_contract


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installed where only this test, and what it starts, looks."""
    install("example_method", tmp_path / "site", monkeypatch)
    return tmp_path


def test_it_sees_the_block_and_drives_the_arm_to_it(installed, start, probe):
    bundle = installed / "bundle"
    spec = save_untrained(bundle, method="seek_red", task="lift")
    assert "seek_red" in METHODS.names()
    assert load_spec(bundle).package == "seek-red 0.1"

    moved = probe.listen(PoseStamped, "ee_pose")
    patient = installed / "patient.yaml"  # a machine that also does other things plans late
    text = find_contract("sim_panda").read_text()
    patient.write_text(text.replace("staleness_s: 0.3", "staleness_s: 1.9"))
    supervisor, lines = start(f"model:={bundle}", f"contract:={patient}", "seed:=700000")
    with supervisor:
        probe.spin_until(lambda: moved, "the arm's pose")
        home = np.array([moved[0].pose.position.x, moved[0].pose.position.y])

        def ahead():
            here = moved[-1].pose.position
            return here.x - home[0]

        # The block of this seed lies 12 cm ahead and 1 cm aside.
        probe.spin_until(lambda: ahead() > 0.04, "the hand to go where the block is", 120)
        assert abs(moved[-1].pose.position.y - home[1]) < 0.03
        assert not [line for line in lines if "Traceback" in line], lines
    assert spec.plan_shape == (40, 1, 8)


def test_what_it_does_not_know_is_refused(installed):
    bundle = installed / "bundle"
    save_untrained(bundle, method="seek_red")
    text = (bundle / "policy.yaml").read_text()
    (bundle / "policy.yaml").write_text(text.replace("options: {}", "options: {sped: 1.0}"))
    with pytest.raises(VilpError, match="Key 'sped' not in 'Options'"):
        load_policy(bundle)
