import pytest
import torch

from vilp_ros.errors import VilpError
from vilp_ros.policy.vqgan import VQGAN, PatchDiscriminator

SMALL = (32, 32, 32, 32)


def millions(net):
    return sum(p.numel() for p in net.parameters()) / 1e6


def test_papers_size_and_parameters():
    """facts of the VILP code: encoder 23.08 M, decoder 34.00 M, in all 57.07 M; PatchGAN 2.77 M."""
    with torch.device("meta"):
        vae = VQGAN((96, 160))
        assert millions(PatchDiscriminator()) == pytest.approx(2.77, abs=5e-3)
    assert vae.latent_shape == (3, 12, 20)
    assert millions(vae.net.encoder) == pytest.approx(23.08, abs=5e-3)
    assert millions(vae.net.decoder) == pytest.approx(34.00, abs=5e-3)
    assert millions(vae) == pytest.approx(57.07, abs=5e-3)


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    net = VQGAN((32, 64), codebook=16, channels=SMALL)
    net.seed_codebook(torch.rand(4, 3, 32, 64) * 2 - 1)
    return net.eval()


def test_decode_snaps_to_the_nearest_code(vae):
    codes = vae.net.quantize.embedding.weight.detach()
    index = torch.randint(len(codes), (2, 4 * 8))
    exact = codes[index].transpose(1, 2).flatten(1)
    apart = torch.cdist(codes, codes).fill_diagonal_(torch.inf).min()
    with torch.inference_mode():
        base = vae.decode(exact)
        inside = 0.45 * apart / 3**0.5 * (2 * torch.rand(exact.shape) - 1)
        torch.testing.assert_close(vae.decode(exact + inside), base, rtol=0, atol=0)
        assert (vae.decode(exact.roll(1, dims=0)) - base).abs().max() > 1e-3


def test_posterior_is_what_is_before_the_codebook_and_samples_nothing(vae):
    frames = torch.rand(2, 3, 32, 64) * 2 - 1
    with torch.inference_mode():
        mean, logvar = vae.posterior(frames)
        assert mean.shape == logvar.shape == (2, vae.latent_dim)
        rebuilt, _, index = vae.train_losses(frames)
        torch.testing.assert_close(vae.decode(mean), rebuilt, rtol=1e-4, atol=1e-5)
        codes = vae.net.quantize.embedding(index).unflatten(0, (2, -1)).transpose(1, 2).flatten(1)
    assert (codes - mean).abs().max() > 1e-3
    assert (0.5 * logvar).exp().max() < 0.01


def test_straight_through_gradient_reaches_the_encoder(vae):
    rebuilt, codebook, _ = vae.train_losses(torch.rand(1, 3, 32, 64) * 2 - 1)
    encoder = vae.net.encoder.conv_in.weight
    codes = vae.net.quantize.embedding.weight
    seen, drawn = torch.autograd.grad(
        rebuilt.square().mean(), (encoder, codes), retain_graph=True, allow_unused=True
    )
    assert seen.abs().max() > 0
    assert drawn is None  # pixels do not move the codes, the codebook loss does
    assert torch.autograd.grad(codebook, codes)[0].abs().max() > 0


def test_seeded_codebook_is_used_where_a_uniform_one_is_not():
    torch.manual_seed(0)
    net = VQGAN((32, 64), codebook=256, channels=SMALL)
    frames = torch.rand(8, 3, 32, 64) * 2 - 1

    def used():
        with torch.inference_mode():
            return len(net.train_losses(frames)[2].unique())

    before = used()
    net.seed_codebook(frames)
    assert used() > max(64, 3 * before)


def test_discriminator_judges_each_frame_alone():
    torch.manual_seed(0)
    net = PatchDiscriminator(width=16)
    frames = torch.randn(3, 3, 32, 64)
    alone = net(frames[:1])
    assert alone.shape == (1, 1, 2, 6)
    torch.testing.assert_close(net(frames)[:1], alone, rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_named():
    with pytest.raises(VilpError, match="multiples of 8, not 100x160"):
        VQGAN((100, 160))
    with pytest.raises(VilpError, match="four widths, multiples of 32"):
        VQGAN((96, 160), channels=(32, 32, 48, 64))
