import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from vilp_ros.errors import VilpError
from vilp_ros.geometry import ee_proprio, quat_angle, rotvec_to_quat
from vilp_ros.policy.actions import absolute_actions, relative_actions
from vilp_ros.policy.bundle import load_policy, load_spec, save_untrained
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.diffusion import Random, diffusion_loss, sample, schedule, share_noise
from vilp_ros.policy.engines import compile_network
from vilp_ros.policy.policy import Previous

HOME = ee_proprio(np.array([0.45, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0]), np.array(0.08))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "untrained"
    save_untrained(folder)
    return folder


def observe(seed: int, views: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (views, 96, 160, 3), dtype=np.uint8)


def replan(policy, images, previous=None):
    noise = policy.noise(0)
    plan = policy.plan(policy.encode(images, HOME, previous), noise)
    return plan, policy.act(plan, noise)


def test_relative_actions_invert():
    rng = np.random.default_rng(0)
    pose = np.concatenate([rng.normal(size=(50, 3)), rotvec_to_quat(rng.normal(size=(50, 3)))], 1)
    turn = rotvec_to_quat(rng.normal(size=(50, 3)))
    target = np.concatenate([rng.normal(size=(50, 3)), turn, rng.uniform(0, 0.08, (50, 1))], 1)
    back = absolute_actions(relative_actions(target, pose), pose)
    np.testing.assert_allclose(back[:, :3], target[:, :3], atol=1e-6)
    assert quat_angle(back[:, 3:7], target[:, 3:7]).max() < 1e-3
    np.testing.assert_allclose(back[:, 7], target[:, 7], atol=1e-7)


def test_relative_action_does_not_depend_on_where_the_arm_is():
    pose = np.array([0.4, 0.1, 0.3, 1.0, 0.0, 0.0, 0.0])
    target = np.array([0.42, 0.1, 0.3, 1.0, 0.0, 0.0, 0.0, 0.05])
    shift = np.array([0.1, -0.2, 0.05])
    moved_pose, moved_target = pose.copy(), target.copy()
    moved_pose[:3] += shift
    moved_target[:3] += shift
    np.testing.assert_allclose(
        relative_actions(target, pose), relative_actions(moved_target, moved_pose), atol=1e-6
    )


@pytest.mark.parametrize("prediction", ["sample", "epsilon"])
@pytest.mark.parametrize("steps", [1, 2, 4, 10])
def test_sampler_equals_diffusers_own_step(prediction, steps):
    net = torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.Tanh(), torch.nn.Linear(16, 5))

    def predict(x, t, _):
        return net(x) * (1.0 + t / 100.0)

    noise = torch.randn(3, 5)
    with torch.inference_mode():
        ours = sample(predict, noise, None, steps, prediction)
        scheduler = type(schedule(prediction)).from_config(schedule(prediction).config)
        scheduler.set_timesteps(steps)
        theirs = noise
        for t in scheduler.timesteps:
            theirs = scheduler.step(predict(theirs, int(t), None), t, theirs).prev_sample
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prediction", ["sample", "epsilon"])
def test_a_perfect_denoiser_has_no_loss_and_samples_the_truth(prediction):
    truth = torch.tensor([[0.3, -1.2, 0.8]])

    def perfect(x, t, _):
        if prediction == "sample":
            return truth.expand_as(x)
        alpha = schedule("sample").alphas_cumprod[torch.as_tensor(t)].reshape(-1, 1)
        return (x - alpha.sqrt() * truth) / (1 - alpha).sqrt()

    batch = truth.repeat(64, 1)
    loss = diffusion_loss(perfect, batch, truth, prediction, Random(0, torch.device("cpu")))
    assert loss < 1e-6
    result = sample(perfect, torch.randn(4, 3), truth, 8, prediction)
    torch.testing.assert_close(result, truth.expand(4, 3), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["transformer", "unet"])
def test_planners_read_condition_time_and_all_future_states(kind):
    from vilp_ros.policy.methods.ldp import LdpPolicy

    config = PolicyConfig()
    config.autoencoder.latent_dim = 4
    config.planner.kind, config.planner.width, config.planner.channels = kind, 32, [16, 16, 16]
    views = {"a": (96, 160), "b": (96, 160)}
    layout, net = LdpPolicy.layout(config, views), LdpPolicy.parts(config, views)["planner"]
    for parameter in net.parameters():  # zero-initialised layers would hide what they read
        torch.nn.init.normal_(parameter, std=0.2)
    torch.manual_seed(0)
    noisy = torch.randn(1, 8, layout.forecast_dim)
    condition = torch.randn(1, layout.row_dim)
    base = net(noisy, torch.tensor([50]), condition)
    assert base.shape == noisy.shape
    far = noisy.clone()
    far[:, -1] += 1.0
    assert not torch.allclose(net(far, torch.tensor([50]), condition)[:, 0], base[:, 0])
    assert not torch.allclose(net(noisy, torch.tensor([3]), condition), base)
    assert not torch.allclose(net(noisy, torch.tensor([50]), condition + 0.5), base)


def test_paper_networks_have_the_papers_sizes():
    """facts of the LDP code: U-Net 65.6 M, IDM 1.79 M, VAE 41.7 M parameters."""
    from vilp_ros.policy.autoencoder import PaperVAE
    from vilp_ros.policy.inverse_dynamics import InverseDynamics
    from vilp_ros.policy.unet1d import PlanUNet

    def millions(net):
        return sum(p.numel() for p in net.parameters()) / 1e6

    assert millions(PlanUNet(25, 25, 8)) == pytest.approx(65.6, rel=0.03)
    assert millions(InverseDynamics(7, 50)) == pytest.approx(1.79, rel=0.1)
    assert millions(PaperVAE((64, 64), 16)) == pytest.approx(41.7, rel=0.03)


def test_paper_vae_reaches_96x160_and_names_what_does_not_fit():
    from vilp_ros.policy.autoencoder import LightVAE, PaperVAE

    vae = PaperVAE((96, 160), 60, [32] * 6)
    mean, _ = vae.posterior(torch.zeros(1, 3, 96, 160))
    assert mean.shape == (1, 60)
    assert vae.decode(mean).shape == (1, 3, 96, 160)
    with pytest.raises(VilpError, match="multiple of 15, not 32"):
        PaperVAE((96, 160), 32, [32] * 6)
    with pytest.raises(VilpError, match="multiples of 16, not 100x160"):
        LightVAE((100, 160), 8)


def test_policy_is_deterministic_and_sees_every_view_and_the_change(bundle):
    policy = load_policy(bundle)
    images = observe(0)
    plan, actions = replan(policy, images)
    assert plan.shape == policy.spec.plan_shape[::2]
    np.testing.assert_array_equal(actions, replan(policy, images)[1])
    for view in range(2):
        other = images.copy()
        other[view] = 255 - other[view]
        assert np.abs(replan(policy, other)[0] - plan).max() > 1e-4
    moving = replan(policy, images, previous=HOME - 0.01)[0]
    assert np.abs(moving - plan).max() > 1e-4


def test_planned_rows_carry_the_change_of_their_own_proprio(bundle):
    policy = load_policy(bundle)
    plan, _ = replan(policy, observe(1))
    raw = plan * policy._stats.state_std + policy._stats.state_mean
    layout = policy.spec.layout
    proprio, change = raw[:, layout.proprio], raw[:, layout.change]
    np.testing.assert_allclose(change[1:], np.diff(proprio, axis=0), atol=1e-5)


def test_actions_start_from_the_observed_pose(bundle):
    policy = load_policy(bundle)
    _, actions = replan(policy, observe(2))
    assert np.linalg.norm(actions[0, :3] - [0.45, 0.0, 0.3]) < 0.05
    np.testing.assert_allclose(np.linalg.norm(actions[:, 3:7], axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("method", ["ldp", "vilp"])
def test_openvino_gives_what_torch_gives(method, tmp_path):
    bundle, images = tmp_path / method, observe(3)
    save_untrained(bundle, method=method)
    (plan, actions), (plan_ov, actions_ov) = (
        replan(load_policy(bundle, engine=engine), images) for engine in ("torch", "openvino")
    )
    np.testing.assert_allclose(plan_ov, plan, atol=0.05)
    np.testing.assert_allclose(actions_ov, actions, atol=2e-3)
    a, b = (load_policy(bundle, engine=e).decode(plan) for e in ("torch", "openvino"))
    assert np.abs(a.astype(int) - b.astype(int)).mean() < 2.0


@pytest.mark.slow
def test_a_compiled_network_computes_what_torch_does():
    """On the CPU, where it is refused to users: what runs on CUDA, but for the device."""
    net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.SiLU(), torch.nn.Linear(16, 4))
    example, x = (torch.zeros(3, 8),), np.linspace(-1, 1, 24, dtype=np.float32).reshape(3, 8)
    compiled, plain = (compile_network(net, example, e, "cpu", 1) for e in ("compile", "torch"))
    np.testing.assert_allclose(compiled(x), plain(x), atol=1e-5)


def test_an_engine_that_disagrees_with_torch_is_refused():
    class Doubled(torch.nn.Module):
        """What OpenVINO reads while it traces is not what torch runs."""

        def forward(self, x):
            return 2 * x if torch.jit.is_tracing() else x

    example = (torch.zeros(1, 8),)
    with pytest.raises(VilpError, match=r"Doubled differs from torch's by 100% .* engine 'torch'"):
        compile_network(Doubled(), example, "openvino", "cpu", 1)
    network = compile_network(torch.nn.Tanh(), example, "openvino", "cpu", 1)
    np.testing.assert_allclose(network(np.full((1, 8), 0.5, np.float32)), np.tanh(0.5), atol=5e-3)


def test_nothing_is_reported_home(bundle):
    code = (
        "import sys, psutil, numpy as np\n"
        "from vilp_ros.policy.bundle import load_policy\n"
        "policy = load_policy(sys.argv[1], engine='openvino')\n"
        "policy.encode(np.zeros((2, 96, 160, 3), np.uint8), np.zeros(10, np.float32))\n"
        "assert not sys.modules['openvino_telemetry']\n"
        "assert not psutil.Process().children(recursive=True)\n"
    )
    quiet = {k: v for k, v in os.environ.items() if k != "CI"}  # where OpenVINO is silent itself
    quiet["PYTHONPATH"] = os.pathsep.join(sys.path)
    subprocess.run([sys.executable, "-c", code, str(bundle)], env=quiet, check=True)


def test_bundle_errors_name_the_cure(bundle, tmp_path):
    with pytest.raises(VilpError, match="untrained"):
        load_spec(bundle.parent / "absent")
    with pytest.raises(VilpError, match="available: torch, openvino"):
        load_policy(bundle, engine="tensorrt")
    broken = tmp_path / "broken"
    save_untrained(broken)
    text = (broken / "policy.yaml").read_text()
    (broken / "policy.yaml").write_text(text.replace("width: 32", "width: 48"))
    with pytest.raises(VilpError, match=r"does not fit its policy\.yaml"):
        load_policy(broken)
    (broken / "policy.yaml").write_text(text.replace("horizon: 8", "horizont: 8"))
    with pytest.raises(VilpError, match="horizont"):
        load_spec(broken)
    (broken / "policy.yaml").write_text(text)
    weights = broken / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(VilpError, match="cannot be read"):
        load_policy(broken)


def test_a_video_plan_has_frames_and_two_actions_for_each(tmp_path):
    save_untrained(tmp_path / "video", method="vilp")
    policy = load_policy(tmp_path / "video")
    spec = policy.spec
    assert spec.row_period_s == pytest.approx(0.1)
    plan, actions = replan(policy, observe(4))
    assert plan.shape == (6, 2 * 4 * 12 * 20 + 20)
    assert actions.shape == (10, 8)
    assert policy.latents(plan).shape == (6, 2, 4, 12, 20)
    layout = spec.layout
    for part in (layout.proprio, layout.change):
        np.testing.assert_array_equal(plan[1:, part], plan[:-1, part])
    poses, widths = policy.ee_path(plan)
    np.testing.assert_allclose(poses[0, :3], [0.45, 0.0, 0.3], atol=1e-5)
    np.testing.assert_array_equal(poses[1:], actions[1::2, :7])
    np.testing.assert_array_equal(widths[1:], actions[1::2, 7])


@pytest.mark.parametrize("method", ["ldp", "vilp"])
def test_imaginations_are_drawn_in_one_batch_and_the_first_is_the_plan(method, tmp_path):
    save_untrained(tmp_path / method, method=method)
    one, three = (load_policy(tmp_path / method, samples=n) for n in (1, 3))
    state = one.encode(observe(5), HOME)
    plan = one.plan(state, one.noise(7))
    plans = three.imagine(state, three.noise(7))
    assert plans.shape == (3, *plan.shape)
    np.testing.assert_allclose(plans[0], plan, atol=1e-5)


@pytest.mark.parametrize("method", ["ldp", "vilp"])
def test_a_warm_start_goes_on_from_the_plan_before(method, tmp_path):
    """A planner that keeps what it is given returns the old plan, rolled to the present."""
    save_untrained(tmp_path / method, method=method)
    policy = load_policy(tmp_path / method)
    layout, sampler = policy.spec.layout, policy.spec.policy.sampler
    state = policy.encode(observe(6), HOME)
    noise = policy.noise(0)
    rng = np.random.default_rng(1)
    old = rng.normal(size=policy.spec.plan_shape[::2]).astype(np.float32)
    previous = Previous(old, 2 * policy.spec.row_period_s)
    cold = policy.plan(state, noise)
    np.testing.assert_array_equal(policy.plan(state, noise, previous), cold)  # off by default
    sampler.planner_steps, sampler.warm_start = 100, 99
    policy._net = {"planner": lambda x, t, c: x, "context": lambda state: state}
    future = policy.plan(state, noise, previous)[1:, : layout.forecast_dim]
    rolled = policy._rolled(previous)
    np.testing.assert_array_equal(rolled[:-2], old[3:, : layout.forecast_dim])
    np.testing.assert_array_equal(rolled[-2:], np.repeat(old[-1:, : layout.forecast_dim], 2, 0))
    halfway = policy._rolled(Previous(old, 0.5 * policy.spec.row_period_s))
    np.testing.assert_allclose(
        halfway[0], old[1:3, : layout.forecast_dim].mean(0), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(future, rolled, atol=0.02)  # noise of the last step is left


def test_the_sampler_starts_from_a_guess_noised_to_the_step_that_it_begins_at():
    guess, noise = torch.full((1, 4), 2.0), torch.randn(1, 4)
    seen = []

    def watch(x, t, _):
        seen.append((t, x))
        return torch.zeros_like(x)

    sample(watch, noise, None, 4, "sample", guess, 2)
    times = [t for t, _ in seen]
    assert times == [49, 24]
    alpha = schedule("sample").alphas_cumprod[49]
    torch.testing.assert_close(seen[0][1], alpha.sqrt() * guess + (1 - alpha).sqrt() * noise)


def test_noise_common_to_all_views_has_the_variance_and_correlation_asked_for():
    rng = np.random.default_rng(0)
    own, common = rng.standard_normal((20000, 2, 3)), rng.standard_normal((20000, 1, 3))
    for share in (0.0, 0.5, 1.0):
        noise = share_noise(own, common, share)
        assert noise.var() == pytest.approx(1.0, abs=0.03)
        between = np.corrcoef(noise[:, 0].ravel(), noise[:, 1].ravel())[0, 1]
        assert between == pytest.approx(share, abs=0.03)


def test_bundle_of_proprio_only_takes_no_images(tmp_path):
    save_untrained(tmp_path / "blind", views={})
    policy = load_policy(tmp_path / "blind")
    plan, actions = replan(policy, observe(0, views=0))
    assert plan.shape == (9, 20)
    assert actions.shape == (8, 8)


def test_untrained_bundle_depends_on_its_seed_only(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        save_untrained(tmp_path / name, seed=seed)
    a, b, c = ((tmp_path / name / "weights.safetensors").read_bytes() for name in "abc")
    assert a == b != c


_OPENED: list[str] | None = None


def _note_opening(event, arguments):
    if event == "open" and _OPENED is not None:
        _OPENED.append(str(arguments[0]))


sys.addaudithook(_note_opening)  # there is no taking it away


@pytest.mark.parametrize("method", ["ldp", "vilp", "diffusion_policy", "bc"])
def test_once_it_runs_it_opens_no_file(tmp_path, method):
    """Nodes ask these of a bundle at every message; a file of every package was read each time."""
    global _OPENED
    save_untrained(tmp_path, method=method)
    policy = load_policy(tmp_path, device="cpu")

    def message():
        plan, actions = replan(policy, observe(0), HOME)
        spec = policy.spec
        policy.decode(plan), policy.latents(plan), policy.ee_path(plan)
        return spec.plan_shape, spec.layout, spec.n_actions, spec.row_period_s, actions

    message()
    _OPENED = []
    try:
        message()
        assert _OPENED == []
    finally:
        _OPENED = None
