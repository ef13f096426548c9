"""Robust encoders start as the autoencoder's own, and a bundle carries them beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vilp_ros.errors import VilpError
from vilp_ros.policy.autoencoder import LightVAE
from vilp_ros.policy.bundle import load_policy, save_bundle, save_untrained
from vilp_ros.policy.config import AutoencoderConfig, PolicyConfig, RobustEncoderConfig
from vilp_ros.policy.robust_encoder import build_encoder
from vilp_ros.policy.spatial_autoencoder import SpatialVAE
from vilp_ros.policy.spec import load_spec

SMALL = RobustEncoderConfig(blocks=1, reduced=4, width=16, context=8)


@pytest.mark.parametrize(
    ("vae", "config"),
    [
        (LightVAE((32, 48), 6, (8, 8, 8)), AutoencoderConfig("light", 6, channels=[8, 8, 8])),
        (SpatialVAE((32, 48), 3, (8, 8)), AutoencoderConfig("spatial", 6, 3, [8, 8])),
    ],
    ids=["light", "spatial"],
)
def test_it_starts_as_the_autoencoders_own_encoder(vae, config):
    student = build_encoder(config, SMALL, (32, 48))
    student.start_from(vae)
    frames = torch.rand(2, 3, 32, 48) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(student(frames), vae.posterior(frames)[0])


def test_an_autoencoder_without_a_robust_encoder_is_named():
    with pytest.raises(VilpError, match=r"autoencoder\.kind 'vqgan'"):
        build_encoder(AutoencoderConfig("vqgan"), SMALL, (32, 32))


@pytest.mark.parametrize("method", ["ldp", "vilp"])
def test_a_bundle_sees_with_its_robust_encoder_and_is_else_the_same(tmp_path, method):
    spec = save_untrained(tmp_path / "plain", {"front": (32, 32)}, method=method)
    modules, statistics = spec.method_class.load_modules(tmp_path / "plain", spec)
    spec.policy.robust_encoder = SMALL
    torch.manual_seed(0)
    encoder = build_encoder(spec.policy.autoencoder, SMALL, (32, 32))
    encoder.start_from(modules["autoencoder.front"])
    modules["encoder.front"] = encoder
    save_bundle(tmp_path / "same", spec, modules, statistics)
    for parameter in encoder.parameters():
        parameter.data += 0.05
    save_bundle(tmp_path / "other", spec, modules, statistics)

    assert load_spec(tmp_path / "other").policy.robust_encoder == SMALL
    frame = np.random.default_rng(0).integers(0, 255, (1, 32, 32, 3), np.uint8)
    plain, same, other = (load_policy(tmp_path / n) for n in ("plain", "same", "other"))
    states = [p.encode(frame, np.zeros(10, np.float32)) for p in (plain, same, other)]
    np.testing.assert_allclose(states[1], states[0], atol=2e-2)  # weights are halves
    assert np.abs(states[2] - states[0]).max() > 0.1
    noise = plain.noise(0)
    np.testing.assert_array_equal(plain.plan(states[0], noise), other.plan(states[0], noise))
    plan = plain.plan(states[0], noise)
    np.testing.assert_array_equal(plain.decode(plan), other.decode(plan))


def test_bundles_of_before_have_none():
    assert PolicyConfig().robust_encoder is None
