"""A bundle that cannot be right is refused when it is read, and never written."""

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from vilp_ros.cli.main import main
from vilp_ros.errors import VilpError
from vilp_ros.policy.bundle import load_policy, load_spec, save_bundle, save_untrained
from vilp_ros.policy.statistics import Statistics

VIEWS = {"agentview": (32, 32)}


@pytest.fixture
def bundle(tmp_path):
    save_untrained(tmp_path / "bundle", VIEWS)
    return tmp_path / "bundle"


def edit(bundle, key, value):
    path = bundle / "policy.yaml"
    body = entry = yaml.safe_load(path.read_text())
    *parents, last = key.split(".")
    for name in parents:
        entry = entry[name]
    entry[last] = value
    path.write_text(yaml.safe_dump(body))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("policy.n_action_steps", 0, r"policy\.n_action_steps is 0, expected 1 to 8"),
        ("policy.n_action_steps", -1, "is -1, expected 1 to 8"),
        ("policy.n_action_steps", 9, "is 9, expected 1 to 8"),
        ("policy.horizon", 0, r"policy\.horizon is 0"),
        ("policy.frame_interval", 0, r"policy\.frame_interval is 0"),
        ("policy.sampler.planner_steps", 0, "planner_steps is 0, expected 1 to 100"),
        ("policy.sampler.planner_steps", 101, "planner_steps is 101, expected 1 to 100"),
        ("policy.sampler.idm_steps", -4, "idm_steps is -4"),
        ("policy.sampler.warm_start", -1, "warm_start is -1"),
        ("policy.planner.shared_noise", float("nan"), "shared_noise is nan"),
        ("policy.planner.prediction", "velocity", "available: sample, epsilon"),
        ("control_period_s", float("nan"), "control_period_s is nan, expected 0.001 to 1 s"),
        ("control_period_s", "0.05", r"control_period_s is '0\.05'"),
        ("control_period_s", 0, "control_period_s is 0"),
        ("control_period_s", -0.05, r"control_period_s is -0\.05"),
        ("action_kind", "foo", "action_kind 'foo'; available: ee_pose, joint_position"),
        ("views.agentview", [0, 32], "agentview is 0x32"),
        ("depth_range_m", {"agentview": [2.0, 1.0]}, "agentview is 2 to 1 m"),
    ],
)
def test_an_entry_that_cannot_be_right_is_named(bundle, key, value, words, capsys):
    edit(bundle, key, value)
    with pytest.raises(VilpError, match=words):
        load_spec(bundle)
    assert main(["eval", "--bundle", str(bundle), "--episodes", "1"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("steps", [0, -1, 101])
def test_steps_beyond_the_schedule_are_refused(bundle, steps):
    with pytest.raises(VilpError, match=f"planner_steps is {steps}, expected 1 to 100"):
        load_policy(bundle, steps=steps)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("statistics/state_std", torch.nan, "state_std holds NaN"),
        ("statistics/delta_std", 0.0, "delta_std is 0, expected above 0"),
        ("statistics/action_mean", torch.inf, "action_mean holds NaN or Inf"),
        ("planner/head.bias", torch.nan, r"planner/head\.bias holds NaN"),
    ],
)
def test_weights_that_are_not_finite_are_refused(bundle, name, value, words):
    path = bundle / "weights.safetensors"
    tensors = load_file(path)
    tensors[name][0] = value
    save_file(tensors, path)
    with pytest.raises(VilpError, match=words):
        load_policy(bundle)


@pytest.mark.parametrize("value", [torch.nan, -torch.inf, 1e5])
def test_what_is_not_finite_is_never_written(bundle, value):
    before = {path: path.read_bytes() for path in bundle.iterdir()}
    spec = load_spec(bundle)
    modules, statistics = spec.method_class.load_modules(bundle, spec)
    with torch.no_grad():
        modules["idm"].net.head.bias[0] = value
    with pytest.raises(VilpError, match=r"no bundle is written: idm/net\.head\.bias holds NaN or"):
        save_bundle(bundle, spec, modules, statistics)
    assert {path: path.read_bytes() for path in bundle.iterdir()} == before


def test_statistics_say_which_of_them_is_wrong():
    good = {f: np.ones(3, np.float32) for f in Statistics.__dataclass_fields__}
    Statistics(**good).check()
    with pytest.raises(VilpError, match="action_std is -1, expected above 0"):
        Statistics(**good | {"action_std": np.array([1.0, -1.0], np.float32)}).check()


def test_a_bundle_of_another_arm_does_not_run_in_the_simulator(bundle, capsys):
    for key, value in (("control_period_s", 0.1), ("action_kind", "joint_position")):
        edit(bundle, key, value)
        assert main(["eval", "--bundle", str(bundle), "--episodes", "1", "--controls", "none"]) == 2
        said = capsys.readouterr().err
        assert f"{key} {value!r}" in said
        assert "the simulator" in said
        edit(bundle, "control_period_s", 0.05)
