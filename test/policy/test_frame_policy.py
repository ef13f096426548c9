import pytest
import torch

from vilp_ros.policy.frame_policy import FramePolicy
from vilp_ros.policy.resnet import ResNet18


def millions(net):
    return sum(p.numel() for p in net.parameters()) / 1e6


def frames(*shape):
    torch.manual_seed(0)
    return torch.randint(0, 255, (*shape, 64, 96, 3), dtype=torch.uint8)


def test_papers_parameters():
    """facts of the VILP code: ResNet-18 11.18 M, low-level policy of two views 22.95 M."""
    with torch.device("meta"):
        assert millions(ResNet18()) == pytest.approx(11.18, abs=5e-3)
        assert millions(FramePolicy(views=2, interval=2)) == pytest.approx(22.95, abs=5e-3)
        tokens = ResNet18()(torch.zeros(1, 96, 160, 3))
    assert tokens.shape == (1, 15, 512)


@torch.inference_mode()
def test_tokens_are_places_and_pooling_forgets_them():
    torch.manual_seed(0)
    net = ResNet18(width=16).eval()
    seen = frames(1)
    tokens = net(seen)
    assert tokens.shape == (1, 6, net.token_dim)
    changed = seen.clone()
    changed[:, :8, :8] = 255
    moved = (net(changed) - tokens).abs().amax(-1)[0]
    assert moved[0] == moved.max()  # row-major: the first token is the top left corner
    torch.testing.assert_close(net(seen.float()), tokens)
    net.pooled = True
    torch.testing.assert_close(net(seen), tokens.mean(1, keepdim=True))


@torch.inference_mode()
def test_actions_follow_from_both_frames_of_every_view_and_their_order():
    torch.manual_seed(0)
    net = FramePolicy(views=2, interval=2, proprio_dim=20, width=16).eval()
    first, second, proprio = frames(3, 2), frames(3, 2).flip(0), torch.randn(3, 20)
    base = net(first, second, proprio)
    assert base.shape == (3, 2, 7)
    for view in range(2):
        for which in range(2):
            pair = [first.clone(), second.clone()]
            pair[which][:, view] = 255 - pair[which][:, view]
            assert not torch.allclose(net(*pair, proprio), base, atol=1e-4)
    assert not torch.allclose(net(second, first, proprio), base, atol=1e-4)
    assert not torch.allclose(net(first, second, proprio + 1), base, atol=1e-4)
    torch.testing.assert_close(net(first[1:2], second[1:2], proprio[1:2]), base[1:2])


@torch.inference_mode()
def test_without_proprio_pictures_alone_decide():
    net = FramePolicy(views=1, interval=1, width=16).eval()
    pair = frames(2, 1), frames(2, 1)
    assert torch.equal(net(*pair, torch.zeros(2, 20)), net(*pair, torch.ones(2, 20)))
