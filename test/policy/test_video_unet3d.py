import pytest
import torch

from vilp_ros.errors import VilpError
from vilp_ros.policy.video_planner import PerView
from vilp_ros.policy.video_unet3d import TransformerBlock, UNet3D

TIMES = torch.tensor([70])


def awake(net):
    """Zero-initialised layers would hide what a network reads."""
    torch.manual_seed(1)
    for parameter in net.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return net.eval()


def inputs(views=2, frames=3, tokens=4, dim=8):
    torch.manual_seed(0)
    return torch.randn(1, views, frames, 3, 4, 8), torch.randn(1, tokens, dim)


@pytest.mark.parametrize(("width", "token_dim", "papers"), [(64, 1024, 50.78), (128, 512, 193.53)])
def test_papers_parameters(width, token_dim, papers):
    """Equal to 0.01 M without the 128 - width more features of our sinusoid of time."""
    with torch.device("meta"):
        net = UNet3D(1, 3, token_dim, width)
    ours = sum(p.numel() for p in net.parameters())
    assert (ours - (128 - width) * 4 * width) / 1e6 == pytest.approx(papers, abs=5e-3)
    assert sum(isinstance(m, TransformerBlock) for m in net.modules()) == 6


@pytest.fixture(scope="module")
def joint():
    return awake(UNet3D(2, 3, 8, 32))


@torch.inference_mode()
def test_reads_all_frames_views_places_times_and_tokens(joint):
    noisy, tokens = inputs()
    base = joint(noisy, TIMES, tokens)
    assert base.shape == noisy.shape
    changed = noisy.clone()
    changed[:, 1, 2, :, 3, 7] += 5.0
    assert (joint(changed, TIMES, tokens) - base)[0, 0, 0, :, 0, 0].abs().max() > 1e-5
    assert not torch.allclose(joint(noisy, TIMES - 50, tokens), base, atol=1e-4)
    assert not torch.allclose(joint(noisy, TIMES, tokens + 0.5), base, atol=1e-4)
    assert joint(noisy[:, :, :2], TIMES, tokens).shape[2] == 2


@torch.inference_mode()
def test_views_and_channels_find_back_to_their_places():
    net = UNet3D(2, 3, 8, 32)
    noisy, tokens = inputs()
    seen = []
    net.stem.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    net.head.register_forward_hook(lambda *_: seen[0])
    assert torch.equal(net(noisy, TIMES, tokens), noisy)
    assert torch.equal(seen[0][0, 3 + 2, 1], noisy[0, 1, 1, 2])  # view 1, frame 1, channel 2


@torch.inference_mode()
def test_with_one_token_attention_is_a_bias_and_with_several_it_is_not(joint):
    """What the paper's code calls cross-attention does not depend on its queries."""
    noisy, tokens = inputs()
    several, single = joint(noisy, TIMES, tokens), joint(noisy, TIMES, tokens[:, :1])
    kept = {k: v.clone() for k, v in joint.state_dict().items()}
    for module in joint.modules():
        if isinstance(module, TransformerBlock):
            torch.nn.init.normal_(module.cross.query.weight)
            torch.nn.init.normal_(module.cross.key.weight)
    torch.testing.assert_close(joint(noisy, TIMES, tokens[:, :1]), single)
    assert (joint(noisy, TIMES, tokens) - several).abs().max() > 1e-3
    joint.load_state_dict(kept)


@torch.inference_mode()
def test_per_view_networks_share_tokens_and_not_noise(joint):
    net = awake(PerView(UNet3D(1, 3, 8, 32) for _ in range(2)))
    noisy, tokens = inputs()
    base = net(noisy, TIMES, tokens)
    other = noisy.clone()
    other[:, 1] = torch.randn_like(other[:, 1])
    assert torch.equal(net(other, TIMES, tokens)[:, 0], base[:, 0])
    assert not torch.allclose(net(other, TIMES, tokens)[:, 1], base[:, 1])
    assert not torch.allclose(
        joint(other, TIMES, tokens)[:, 0], joint(noisy, TIMES, tokens)[:, 0], atol=1e-4
    )
    told = (net(noisy, TIMES, tokens + 0.5) - base).abs().amax((0, 2, 3, 4, 5))
    assert told.min() > 1e-4


def test_untrained_network_is_silent_and_names_a_grid_that_does_not_fit():
    net = UNet3D(1, 3, 8, 32)
    noisy, tokens = inputs(views=1)
    with torch.inference_mode():
        assert not net(noisy, TIMES, tokens).any()
        with pytest.raises(VilpError, match="4x6 must be multiples of 4"):
            net(noisy[..., :6], TIMES, tokens)
