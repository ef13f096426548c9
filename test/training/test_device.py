"""Everything trains, and every method runs, on a device that is not the CPU."""

import numpy as np
import pretend_device
import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import save_file
from synthetic import write_file

from vilp_ros.cli.main import main
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.policy.bundle import load_policy
from vilp_ros.policy.frame_codec import FrameEncoder
from vilp_ros.policy.spatial_autoencoder import SpatialVAE
from vilp_ros.training import adapt, checkpoint, method, robust_stage, run
from vilp_ros.training.features import write_latents
from vilp_ros.training.loop import fit
from vilp_ros.training.perceptual import STAGES
from vilp_ros.training.registry import TRAININGS

PARTS = ("autoencoder", "planner", "idm", "low_level", "robust")
GRID = [
    "policy.horizon=3", "policy.frame_interval=2",
    "policy.autoencoder.kind=spatial", "policy.autoencoder.channels=[8,8]",
    "policy.low_level.channels=[8,8,8]", "policy.low_level.width=16",
]  # fmt: skip
VIDEO = [
    *GRID, "policy.method=vilp", "policy.planner.kind=video", "policy.planner.channels=[8,64]",
]  # fmt: skip
ROBUST = ["robust.enabled=true", "robust.adapt_steps=3"]
METHODS = {
    "light": [],
    "epsilon": ["policy.planner.prediction=epsilon", "policy.idm.prediction=epsilon"],
    "unet": ["policy.planner.kind=unet", "policy.planner.channels=[16,16,16]"],
    "paper": ["policy.autoencoder.kind=paper", "policy.autoencoder.channels=[32,32,32,32,64,64]"],
    "robust": [*ROBUST, "robust.encoder={blocks: 1, reduced: 8, width: 32}"],
    "robust_video": [*VIDEO, *ROBUST, "robust.encoder={blocks: 1, context: 8}"],
    "blind": ["views=[]"],
    "bc": ["policy.method=bc"],
    "bc_grid": [*GRID, "policy.method=bc"],
    "video": VIDEO,
    "video_both": [
        *VIDEO, "policy.planner.conditioning=both", "policy.planner.encoder=resnet",
        "policy.planner.joint=false",
    ],
    "diffusion_policy": [
        "policy.method=diffusion_policy", "policy.planner={kind: unet, channels: [16, 16, 16]}",
        "policy.options={width: 16, keypoints: 4, features: 8}",
    ],
    "unipi": [
        "policy.method=unipi", "policy.horizon=1", "policy.n_action_steps=1",
        "policy.planner={kind: video3d, channels: [32]}", "policy.options={width: 16}",
        "planner.optim.batch_size=1",
    ],
    "video_paper": [
        *VIDEO, "policy.autoencoder.kind=vqgan", "policy.autoencoder.channels=[32,32,32,32]",
        "policy.autoencoder.codebook=16", "autoencoder.vqgan.disc_start=1",
        "policy.planner.kind=video3d", "policy.planner.channels=[32]",
        "policy.planner.encoder=resnet", "policy.planner.conditioning=single",
        "policy.planner.prediction=epsilon", "policy.low_level.kind=frames",
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def device(monkeypatch):
    """The name of the make-believe device, which training takes for the machine's own."""
    name = pretend_device.device()
    monkeypatch.setenv("ACCELERATE_TORCH_DEVICE", name)
    AcceleratorState._reset_state(True)
    with torch.autograd.set_multithreading_enabled(False):  # an error of a pass back arrives here
        yield name
    AcceleratorState._reset_state(True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("device")
    for role in ("expert", "suboptimal"):
        write_file(folder / f"{role}.hdf5", role, count=26, length=8)
    torch.manual_seed(0)
    weights, inputs = {}, 3
    for layer in (layer for stage in STAGES for layer in stage):
        weights[f"features.{layer}.weight"] = torch.randn(4, inputs, 3, 3)
        weights[f"features.{layer}.bias"] = torch.zeros(4)
        inputs = 4
    save_file(weights, folder / "vgg16.safetensors")
    (folder / "recipe.yaml").write_text(f"""
views: [agentview]
data:
  expert: [{{path: {folder}/expert.hdf5}}]
  suboptimal: [{{path: {folder}/suboptimal.hdf5}}]
policy:
  autoencoder: {{latent_dim: 4, channels: [8, 8, 8]}}
  planner: {{width: 32, depth: 1}}
  idm: {{width: 32}}
autoencoder: {{vqgan: {{perceptual: {folder}/vgg16.safetensors}}}}
""")
    return folder


@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_stops_goes_on_plans_and_acts(name, folder, tmp_path, device, monkeypatch):
    seen = {}

    def in_two_goes(part, objective, optim, work, seed):
        if not checkpoint.saved(work, part):
            fit(part, objective, optim, work, seed, stop_after=2)
            raise KeyboardInterrupt
        notes = fit(part, objective, optim, work, seed)
        seen[part] = objective.device.type, *notes["last"].values(), notes["best"]["score"]
        return notes

    for module in (run, method, robust_stage, adapt):
        monkeypatch.setattr(module, "fit", in_two_goes)
    optim = "{steps: 3, batch_size: 6, validate_every: 2, keep_best: true}"
    short = [f"bc={optim}", *(f"{part}.optim={optim}" for part in PARTS)]
    train = ["train", "--config", str(folder / "recipe.yaml"), "--out", str(tmp_path / "bundle")]
    where = ["--work", str(tmp_path / "work"), "--jobs", "1"]
    while (code := main([*train, *where, *short, *METHODS[name]])) == 130:
        pass  # interrupted once a part; the same command goes on
    assert code == 0
    assert seen
    for part, (where, *figures) in seen.items():
        assert where == device, part
        assert np.isfinite(figures).all(), part

    def act(on):
        policy = load_policy(tmp_path / "bundle", device=on, engine="torch", samples=2)
        noise, proprio = policy.noise(0), np.linspace(0, 1, 10, dtype=np.float32)
        views = len(policy.spec.views)
        images = np.full((views, 32, 32, 3), 120, np.uint8)
        images[:, 10:16, 10:16] = (220, 60, 30)
        plans = policy.imagine(policy.encode(images, proprio), noise)
        frames = policy.decode(plans[0]) if policy.plans_states and views else np.zeros(0)
        return plans, policy.act(plans[0], noise), frames

    for there, here in zip(act(device), act("cpu"), strict=True):
        np.testing.assert_array_equal(there, here)


def test_no_method_is_left_out():
    asked = {o.split("=")[1] for options in METHODS.values() for o in options if "method=" in o}
    assert asked | {"ldp"} >= set(TRAININGS.names())


def test_latents_are_encoded_on_the_device(folder, tmp_path, device):
    frames = EpisodeFile(f"{folder}/expert.hdf5").read(0).images["agentview"]
    vae = SpatialVAE((32, 32), channels=(8, 8))
    with torch.inference_mode():
        expected = FrameEncoder(vae)(torch.from_numpy(frames)).numpy()
    write_latents(vae, frames, expected.shape[1], tmp_path / "latents.npy")
    np.testing.assert_allclose(np.load(tmp_path / "latents.npy"), expected, atol=1e-5)
    assert next(vae.parameters()).device.type == device


@pytest.mark.parametrize(
    "mix",
    [
        lambda x: x + torch.ones(4),
        lambda x: torch.ones(4).add_(x[0]),
        lambda x: torch.tensor(1.0).add_(x.sum()),
        lambda x: torch.cat([x, torch.ones(3, 4)]),
        lambda x: torch.nn.functional.linear(x, torch.ones(2, 4)),
        lambda x: torch.nn.functional.embedding(torch.tensor([0]), x),
        lambda x: x.normal_(generator=torch.Generator()),
        lambda x: torch.randn(3, device=x.device, generator=torch.Generator()),
        lambda x: x.index_put_((torch.tensor([0]),), torch.ones(4)),
        lambda x: np.asarray(x),
    ],
)
def test_the_device_refuses_what_cuda_does(mix, device):
    with pytest.raises((RuntimeError, TypeError), match=r"pretend|numpy"):
        mix(torch.zeros(3, 4).to(device))


def test_the_device_computes(device):
    x = torch.arange(12.0).view(3, 4)
    there = x.to(device).requires_grad_()
    assert there.device == torch.device(device, 0)
    ((there * torch.tensor(2.0)).square().sum() + there[torch.tensor([0])].sum()).backward()
    expected = 8 * x
    expected[0] += 1
    torch.testing.assert_close(there.grad.cpu(), expected)
    assert torch.zeros(2, device=device).add_(1).device == there.device
    assert float(there.detach().sum()) == 66
