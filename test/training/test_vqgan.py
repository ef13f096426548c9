import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from synthetic import write_file

from vilp_ros.data.table import Source, load_table, write_frames
from vilp_ros.errors import VilpError
from vilp_ros.policy.vqgan import VQGAN
from vilp_ros.training.config import OptimConfig, VqganTraining
from vilp_ros.training.features import split
from vilp_ros.training.loop import fit
from vilp_ros.training.perceptual import STAGES, VggDistance
from vilp_ros.training.vqgan import VqganObjective

VIEW = "agentview"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = write_file(tmp_path_factory.mktemp("data") / "expert.hdf5", length=6)
    source = [Source(str(path), "expert")]
    write_frames(source, VIEW, path.with_suffix(".npy"))
    frames = np.load(path.with_suffix(".npy"))[:, :24, :24]  # cheaper
    return load_table(source), np.ascontiguousarray(frames)


def make(data, **config):
    table, frames = data
    torch.manual_seed(0)
    vae = VQGAN((24, 24), codebook=64, channels=(32, 32, 32, 32))
    return VqganObjective(vae, table, frames, *split(table, 0.1, 0), VqganTraining(**config))


OPTIM = OptimConfig(steps=20, batch_size=4, lr=3e-3, warmup=2, validate_every=20, ema=0.9)


def test_fit_rebuilds_held_out_frames(data, tmp_path):
    objective = make(data, disc_start=None)
    with torch.inference_mode():
        before = objective.eval().validate()["psnr_db"]
    after = fit("vqgan", objective.train(), OPTIM, tmp_path, seed=0)["last"]
    assert after["psnr_db"] > before + 8.0
    assert after["codes_used"] >= 4
    assert objective.pictures()["truth above reconstruction"].shape[1] == 2 * 24


def test_each_player_learns_from_its_own_loss_only(data):
    objective = make(data, disc_start=0)
    frames = torch.rand(4, 3, 24, 24) * 2 - 1

    def gradients(adversarial):
        objective._config.adversarial = adversarial
        rebuilt = objective.vae.train_losses(frames)[0]
        objective.zero_grad()
        objective._adversarial(frames, rebuilt, (rebuilt - frames).abs().mean(), {}).backward()
        return [
            sum(p.grad.abs().sum() for p in part.parameters() if p.grad is not None)
            for part in (objective.vae, objective.discriminator)
        ]

    without, judge = gradients(0.0)  # the discriminator's loss alone
    assert without == 0.0
    assert judge > 0
    by_verdict, unmoved = gradients(100.0)
    assert by_verdict > 0
    torch.testing.assert_close(unmoved, judge)


def test_balance_makes_both_gradients_alike_at_the_last_layer(data):
    objective = make(data, disc_start=0, adversarial=1.0)
    frames = torch.rand(4, 3, 24, 24) * 2 - 1
    rebuilt = objective.vae.train_losses(frames)[0]
    likeness = (rebuilt - frames).abs().mean()
    term = objective._adversarial(frames, rebuilt, likeness, {})
    size = [
        torch.autograd.grad(part, objective.vae.last_layer, retain_graph=True)[0].norm()
        for part in (likeness, term)
    ]
    torch.testing.assert_close(*size, rtol=0.02, atol=0)


def test_discriminator_starts_when_told_also_after_a_resume(data, tmp_path):
    short = OptimConfig(**{**vars(OPTIM), "steps": 3, "batch_size": 2, "warmup": 0})

    def run(name, stop=None):
        (tmp_path / name).mkdir(exist_ok=True)
        objective = make(data, disc_start=1)
        before = objective.discriminator.net[0].weight.detach().clone()
        fit("vqgan", objective, short, tmp_path / name, seed=0, stop_after=stop)
        return objective, (objective.discriminator.net[0].weight.detach() - before).abs().max()

    assert run("cut", stop=1)[1] < 1e-5  # weight decay at most
    cut, moved = run("cut")
    assert moved > 1e-4
    whole, _ = run("whole")
    assert int(whole.steps) == 3
    for key, value in whole.state_dict().items():
        assert torch.equal(value, cut.state_dict()[key]), key
    assert make(data, disc_start=None).discriminator is None


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """A narrow stand-in under VGG-16's names."""
    torch.manual_seed(0)
    weights, inputs = {}, 3
    for layer in (layer for stage in STAGES for layer in stage):
        weights[f"features.{layer}.weight"] = torch.randn(8, inputs, 3, 3) / (9 * inputs) ** 0.5
        weights[f"features.{layer}.bias"] = torch.zeros(8)
        inputs = 8
    path = tmp_path_factory.mktemp("vgg") / "vgg16.safetensors"
    save_file(weights, path)
    return path


def test_perceptual_distance_grows_with_damage_and_is_frozen(vgg, data):
    distance = VggDistance(vgg)
    frames = torch.rand(2, 3, 32, 32) * 2 - 1
    damage = torch.randn(frames.shape)
    near, far = (distance(frames, frames + amount * damage) for amount in (0.05, 0.5))
    assert distance(frames, frames) == 0
    assert 0 < near < far
    guess = (frames + 0.1 * damage).requires_grad_()
    assert torch.autograd.grad(distance(guess, frames), guess)[0].abs().max() > 0
    objective = make(data, perceptual=str(vgg))
    assert not [k for k, _ in objective.named_parameters() if "vgg" in k]
    assert not [k for k in objective.state_dict() if "vgg" in k]


def test_perceptual_term_counts_in_the_score(vgg, data):
    plain, judged = (make(data, perceptual=p).eval() for p in (None, str(vgg)))
    with torch.inference_mode():
        assert judged.validate()["score"] > plain.validate()["score"] + 1e-3


def test_what_is_no_vgg_is_named(tmp_path):
    save_file({"features.0.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "weights.pth").write_bytes(b"\x80\x02not safetensors")
    for name in ("other.safetensors", "weights.pth", "absent"):
        with pytest.raises(VilpError, match=r"features\.0\.weight to features\.28\.bias"):
            VggDistance(tmp_path / name)
