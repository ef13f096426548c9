"""VILP's networks: what they read, and that the spatial autoencoder learns pictures."""

import pytest
import torch

from vilp_ros.errors import VilpError
from vilp_ros.policy.config import PolicyConfig
from vilp_ros.policy.methods.vilp import VilpPolicy
from vilp_ros.policy.spatial_autoencoder import SpatialVAE

VIEWS = {"a": (32, 48), "b": (32, 48)}


def video_policy(conditioning="tokens", **changes):
    policy = PolicyConfig(method="vilp", horizon=3, frame_interval=2)
    policy.autoencoder.kind = "spatial"
    policy.planner.kind, policy.planner.channels = "video", [16, 64]
    policy.planner.conditioning = conditioning
    for key, value in changes.items():
        setattr(policy.planner, key, value)
    return policy


def woken(net):
    """Zero-initialised layers would hide what a fresh network reads."""
    torch.manual_seed(0)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return net.eval()


@pytest.mark.parametrize("conditioning", ["tokens", "single", "concatenation", "both"])
def test_each_view_is_drawn_from_all_views_proprio_time_and_noise(conditioning):
    policy = video_policy(conditioning)
    layout = VilpPolicy.layout(policy, VIEWS)
    planner = woken(VilpPolicy.parts(policy, VIEWS)["planner"])
    state = torch.randn(1, layout.row_dim)
    noisy = torch.randn(1, 3, layout.forecast_dim)
    half = layout.latent_dim

    def draw(state=state, noisy=noisy, time=50):
        with torch.no_grad():
            return planner(noisy, torch.tensor([time]), planner.context(state))[..., :half]

    base = draw()
    other_view, proprio, other_noise = state.clone(), state.clone(), noisy.clone()
    other_view[:, half : 2 * half] += 1.0
    proprio[:, layout.proprio] += 1.0
    other_noise[..., half:] += 1.0
    assert not torch.allclose(draw(state=other_view), base, atol=1e-4)
    assert not torch.allclose(draw(state=proprio), base, atol=1e-4)
    assert not torch.allclose(draw(noisy=other_noise), base, atol=1e-4)
    assert not torch.allclose(draw(time=3), base, atol=1e-4)


def test_a_single_token_forgets_where_things_are_and_spatial_tokens_do_not():
    """Swapping two cells of the present frame is seen through tokens that have places."""
    moved = {}
    for conditioning in ("tokens", "single"):
        policy = video_policy(conditioning)
        layout = VilpPolicy.layout(policy, VIEWS)
        planner = woken(VilpPolicy.parts(policy, VIEWS)["planner"])
        block = planner.net.blocks[0]
        context = planner.net.context(
            planner.context(torch.randn(1, layout.row_dim)).view(1, planner.encoder.tokens, -1)
        )
        weights = (block.query(torch.randn(1, 5, 64)) @ block.keys(context)[..., :64].mT).softmax(
            -1
        )
        moved[conditioning] = float(weights.detach().std(dim=1).max())
    assert moved["single"] == 0.0  # one key: every place attends to the same, all of it
    assert moved["tokens"] > 1e-3


def test_unknown_conditioning_and_vector_latents_are_refused():
    policy = video_policy("film")
    with pytest.raises(VilpError, match="'film'; available: tokens, single, concatenation, both"):
        VilpPolicy.parts(policy, VIEWS)
    policy = video_policy()
    policy.autoencoder.kind = "light"
    with pytest.raises(VilpError, match="'spatial' or 'vqgan'"):
        VilpPolicy.parts(policy, VIEWS)
    with pytest.raises(VilpError, match="latents of one shape"):
        VilpPolicy.layout(video_policy(), {"a": (32, 48), "b": (64, 48)})


def test_spatial_autoencoder_learns_pictures_and_keeps_places():
    torch.manual_seed(0)
    vae = SpatialVAE((32, 48), 4, (16, 24))
    frames = torch.full((8, 3, 32, 48), -0.5)
    for n in range(8):
        frames[n, n % 3, 4 * (n % 6) : 4 * (n % 6) + 8, 5 * n : 5 * n + 8] = 0.9
    optimizer = torch.optim.AdamW(vae.parameters(), lr=3e-3)
    errors = []
    for _ in range(120):
        error = (vae.decode(vae.posterior(frames)[0]) - frames).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.15 * errors[0]
    changed = frames.clone()
    changed[:, :, :8, :8] = 0.0
    latents = [vae.posterior(x)[0].unflatten(1, vae.latent_shape) for x in (frames, changed)]
    difference = (latents[0] - latents[1]).abs().amax((0, 1))
    assert difference[0, 0] > 10 * difference[-1, -1]  # a change stays where it is
    with pytest.raises(VilpError, match="multiples of 8, not 30x48"):
        SpatialVAE((30, 48))
