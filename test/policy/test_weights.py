"""Weights that are not what was written are refused."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from vilp_ros.errors import VilpError
from vilp_ros.policy.bundle import load_policy, save_untrained
from vilp_ros.policy.weights import save_whole


def test_a_flipped_bit_is_found_and_files_without_a_checksum_load_as_before(tmp_path):
    save_untrained(tmp_path / "a", views={"agentview": (32, 32)})
    file = tmp_path / "a/weights.safetensors"
    data = bytearray(file.read_bytes())
    save_file(load_file(file), file)
    load_policy(tmp_path / "a", device="cpu", engine="torch")
    data[-1000] ^= 1
    file.write_bytes(data)
    with pytest.raises(VilpError, match="is not what its checksum says: fetch it anew"):
        load_policy(tmp_path / "a", device="cpu", engine="torch")
    file.write_bytes(data[:300])
    with pytest.raises(VilpError, match="cannot be read"):
        load_policy(tmp_path / "a", device="cpu", engine="torch")


def test_a_disk_that_does_not_let_it_is_a_sentence(tmp_path):
    with pytest.raises(VilpError, match=r"cannot be written .*: make room on the disk"):
        save_whole({"a": torch.zeros(9)}, tmp_path / "absent/a", {})


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("depth: 4", "depth: 99999999999999999999", "policy.planner.depth is 99999999999999999999"),
        ("latent_dim: 8", "latent_dim: 200000", "policy.autoencoder.latent_dim is 200000"),
        ("    - 8\n    - 8\n    - 8\n", "    - 8\n    - 8\n", "no light autoencoder has channels"),
        ("    - 8\n    - 8\n    - 8\n", "    - 8\n    - a: 3\n", "policy"),
    ],
)
def test_networks_that_cannot_be_are_a_sentence(tmp_path, before, after, words):
    save_untrained(tmp_path / "a", views={"agentview": (32, 32)})
    file = tmp_path / "a/policy.yaml"
    text = file.read_text().replace("depth: 1", "depth: 4")
    assert before in text
    file.write_text(text.replace(before, after, 1))
    with pytest.raises(VilpError) as refusal:
        load_policy(tmp_path / "a", device="cpu", engine="torch")
    assert words in str(refusal.value)
