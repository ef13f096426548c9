"""Methods are found by name; bundles say who made them; the shipped ones plan what they planned."""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from vilp_ros.errors import VilpError
from vilp_ros.policy.bundle import load_policy, load_spec, save_untrained
from vilp_ros.policy.registry import METHODS, Registry
from vilp_ros.policy.spec import BundleSpec
from vilp_ros.share import share_dir
from vilp_ros.training.registry import TRAININGS

FIGURES = Path(__file__).with_name("shipped_actions.json")
PROPRIO = np.array([0.45, 0, 0.3, 1, 0, 0, 0, -1, 0, 0.08])


def edited(folder, **changes):
    path = folder / "policy.yaml"
    body = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        (body["policy"] if key == "method" else body)[key] = value
    path.write_text(yaml.safe_dump(body))
    return folder


def test_a_bundle_says_which_package_and_version_made_it(tmp_path):
    save_untrained(tmp_path)
    spec = load_spec(tmp_path)
    assert (spec.package, spec.method_version) == (f"vilp_ros {version('vilp_ros')}", 1)
    assert (
        load_spec(share_dir() / "models/ldp_lift").method_version == 1
    )  # made before any was told


def test_what_is_not_installed_is_refused_with_what_is(tmp_path):
    save_untrained(tmp_path)
    with pytest.raises(VilpError, match=r"method 'act' is not installed; there are: ldp, vilp, "):
        load_spec(edited(tmp_path, method="act"))
    newer = edited(tmp_path, method="ldp", method_version=7, package="vilp_ros 9.9")
    with pytest.raises(VilpError, match=r"version 7 of method 'ldp' \(vilp_ros 9\.9\)"):
        load_policy(newer)


def test_what_is_trained_is_what_is_built():
    assert set(TRAININGS.names()) >= {"ldp", "vilp", "bc"}
    for name in TRAININGS.names():
        method, training = METHODS.find(name), TRAININGS.find(name)
        views = {"a": (96, 160), "b": (96, 160)}
        trained = [part for stage in training.stages for part in stage]
        assert trained == list(method.parts(method.small(), views))


def observe(seed, views=2, size=(96, 160)):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 255, (views, *size, 3), dtype=np.uint8)
    return images, PROPRIO + 0.01 * rng.standard_normal(10), PROPRIO


@pytest.mark.parametrize("name", METHODS.names())
def test_every_method_runs_alike_and_repeats_itself(name, tmp_path):
    """What planner, controller, replay and bench rely on, whatever the method."""
    save_untrained(tmp_path, method=name)
    policy = load_policy(tmp_path, device="cpu", engine="torch", samples=2)
    spec, noise = policy.spec, policy.noise(5)
    plans = policy.imagine(policy.encode(*observe(0)), noise)
    rows, tokens, channels = spec.plan_shape
    assert (plans.shape, plans.dtype, tokens) == ((2, rows, channels), np.float32, 1)
    again = load_policy(tmp_path, device="cpu", engine="torch", samples=2)
    np.testing.assert_array_equal(again.imagine(again.encode(*observe(0)), again.noise(5)), plans)
    assert not np.array_equal(policy.imagine(policy.encode(*observe(1)), noise), plans)
    actions = policy.act(plans[0], noise)
    assert actions.shape == (spec.n_actions, 8)
    np.testing.assert_allclose(np.linalg.norm(actions[:, 3:7], axis=1), 1.0, atol=1e-4)
    policy.act(np.zeros((rows, channels), np.float32), noise)  # as the controller warms up
    frames, (poses, widths) = policy.decode(plans[0]), policy.ee_path(plans[0])
    assert (poses.shape, widths.shape) == ((rows, 7), (rows,))
    assert frames.shape[1:] == (2, 96, 160, 3)
    assert len(frames) == (rows if policy.plans_states or policy.autoencodes else 0)
    assert spec.n_action_steps <= spec.n_actions


def test_diffusion_policy_sees_proprio_and_every_view(tmp_path):
    save_untrained(tmp_path, method="diffusion_policy")
    policy = load_policy(tmp_path, device="cpu", engine="torch")
    images, proprio, before = observe(0)
    noise = policy.noise(0)
    base = policy.plan(policy.encode(images, proprio, before), noise)
    for view in (0, 1):
        other = images.copy()
        other[view, 30:60, 40:100] = 0
        plan = policy.plan(policy.encode(other, proprio, before), noise)
        assert np.abs(plan - base).max() > 1e-6
    moved = policy.plan(policy.encode(images, proprio, proprio), noise)
    assert np.abs(moved - base).max() > 1e-6
    # Actions are relative to the present pose: they follow a shift of it, but for what is seen.
    shift = np.zeros(10)
    shift[1] = 0.2
    far = policy.plan(policy.encode(images, proprio + shift, before + shift), noise)
    np.testing.assert_allclose((far - base)[:, 1], 0.2, atol=0.05)


def test_unipi_plans_pixels_that_begin_with_the_present_ones(tmp_path):
    save_untrained(tmp_path, method="unipi")
    policy = load_policy(tmp_path, device="cpu", engine="torch")
    images, proprio, before = observe(0)
    images = np.repeat(
        np.repeat(images[:, ::32, ::32], 32, axis=1), 32, axis=2
    )  # coarser than it sees
    plan = policy.plan(policy.encode(images, proprio, before), policy.noise(0))
    assert policy.latents(plan).shape == (6, 2, 3, 24, 40)
    off = np.abs(policy.decode(plan)[0].astype(int) - images)
    assert np.median(off) <= 1  # but for where squares meet
    torch.manual_seed(0)
    planner = METHODS.find("unipi").parts(policy.spec.policy, {"a": (96, 160)})["planner"]
    for parameter in planner.parameters():  # zero-initialised layers would hide what it reads
        torch.nn.init.normal_(parameter, std=0.1)
    noisy, first = torch.randn(1, 5, 3 * 24 * 40), torch.randn(2, 3 * 24 * 40)
    with torch.inference_mode():
        one, other = (planner(noisy, torch.tensor([50]), f[None]) for f in first)
    assert (one - other).abs().amax(dim=(0, 2)).min() > 1e-3  # every frame is drawn under the first


def test_options_and_sizes_that_do_not_fit_are_named():
    views = {"a": (96, 160)}
    for name, options, match in (
        ("diffusion_policy", {"widht": 16}, "Key 'widht' not in 'Options'"),
        ("diffusion_policy", {"shrink": 4}, "sees 22x36 of frames of 96x160"),
        ("unipi", {"shrink": 8}, "multiples of 32 and at least 192"),
        ("ldp", {"width": 64}, "Key 'width' not in 'NoOptions'"),
    ):
        method, config = METHODS.find(name), METHODS.find(name).small()
        config.options = options
        with pytest.raises(VilpError, match=match):
            method.modules(BundleSpec("b", "lift", views, "ee_pose", 0.05, config))
    config = METHODS.find("diffusion_policy").small()
    config.sampler.warm_start = 1
    with pytest.raises(VilpError, match=r"no sampler\.warm_start"):
        METHODS.find("diffusion_policy").parts(config, views)


def other_package(folder, name, target):
    """Metadata of an installed package that adds a method."""
    info = folder / f"{name}-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text(f"[test.methods]\n{target}\n")


def test_packages_that_clash_or_do_not_import_are_named(tmp_path, monkeypatch):
    other_package(tmp_path, "labs", "theirs = labs_that_are_not_there:Policy")
    other_package(tmp_path, "copycat", "ours = json:JSONDecoder")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("test.methods", {"ours": "json:JSONEncoder"}, "is not installed")
    assert registry.names() == ["ours", "theirs"]
    assert registry.package("theirs") == "labs 2.0"
    with pytest.raises(VilpError, match=r"'theirs' of labs 2\.0 cannot be imported \(ModuleNot"):
        registry.find("theirs")
    with pytest.raises(VilpError, match=r"'ours' is in vilp_ros and in copycat 2\.0"):
        registry.find("ours")


@pytest.mark.parametrize("name", json.loads(FIGURES.read_text()))
def test_shipped_bundles_act_as_they_did(name):
    """First, middle and last action for one noisy picture: half a millimetre is another bundle."""
    policy = load_policy(share_dir() / "models" / name, device="cpu", engine="torch")
    views = policy.spec.views
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (len(views), *next(iter(views.values())), 3), dtype=np.uint8)
    noise = policy.noise(0)
    actions = policy.act(policy.plan(policy.encode(images, PROPRIO), noise), noise)
    known = json.loads(FIGURES.read_text())[name]
    np.testing.assert_allclose(actions[[0, len(actions) // 2, -1]], known, atol=2e-4)
