"""Serves an ACT policy of LeRobot (0.4.4) to `lerobot_chunks`. Run by the python that has LeRobot.

    python serve.py --policy TRAINED/checkpoints/last/pretrained_model --dataset EXPORTED

The dataset is the one that the policy was trained on, as `vilp convert --to lerobot --no-joints`
wrote it: it alone says what the numbers of state and action are, and how fast they follow.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from chunk_server import serve
from chunk_wire import Terms, WireError
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.factory import make_pre_post_processors

STATE, ACTION, IMAGES = "observation.state", "action", "observation.images."
NAMES = ("ee.x", "ee.y", "ee.z", "ee.qx", "ee.qy", "ee.qz", "ee.qw", "gripper.width")
QUATERNION = slice(3, 7)


def main() -> None:
    """Loads the policy and serves it until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policy", type=Path, required=True, help="folder `pretrained_model`")
    parser.add_argument("--dataset", type=Path, required=True, help="what it was trained on")
    parser.add_argument("--socket", type=Path, default=Path("~/.lerobot_chunks"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(args.threads)
    try:
        policy = Act(args.policy, args.dataset, args.device)
        policy(policy.terms.nothing())  # the first one takes its time
        serve(args.socket.expanduser(), policy.terms, policy)
    except WireError as error:
        raise SystemExit(f"serve.py: {error}") from error
    except KeyboardInterrupt:
        logging.info("ends")


class Act:
    """A trained policy with its normalisation: an observation to a chunk of actions.

    Args:
        folder: its config, weights and processors.
        dataset: that it was trained on.
        device: of torch.

    Raises:
        WireError: it is another kind of policy, or was trained on other numbers than ours.
    """

    def __init__(self, folder: Path, dataset: Path, device: str) -> None:
        config = PreTrainedConfig.from_pretrained(folder)
        if config.type != "act":
            raise WireError(f"{folder} is {config.type}; only `act` neither draws nor looks back")
        config.device = device
        config.pretrained_backbone_weights = None  # or they are downloaded, and then overwritten
        self.terms = _terms(config, json.loads((dataset / "meta/info.json").read_text()), dataset)
        self._policy = ACTPolicy.from_pretrained(folder, config=config)
        self._before, self._after = make_pre_post_processors(
            config, folder, preprocessor_overrides={"device_processor": {"device": device}}
        )
        stats = json.loads((dataset / "meta/stats.json").read_text())
        self._side = np.array(stats[STATE]["mean"][QUATERNION])
        if np.linalg.norm(self._side) < 0.5:
            raise WireError(
                f"{dataset} holds rotations with both signs (mean quaternion {self._side}), which "
                "the policy has learnt as two: export it anew with `vilp convert`, and train"
            )

    def __call__(self, arrays: dict[str, np.ndarray]) -> np.ndarray:
        """Absolute actions `(n, 8)`: m, unit quaternion xyzw, m; of `Terms.asked`'s arrays."""
        state = arrays["state"].copy()
        if (
            state[QUATERNION] @ self._side < 0
        ):  # q and -q are one rotation; the data have one of them
            state[QUATERNION] *= -1
        seen: dict[str, Any] = {STATE: torch.from_numpy(state).float()}
        for view in self.terms.views:
            picture = torch.from_numpy(arrays[view].copy()).permute(2, 0, 1)
            seen[IMAGES + view] = picture.float() / 255
        with torch.inference_mode():
            told = self._after(self._policy.predict_action_chunk(self._before(seen)))
        actions = told[0].double().cpu().numpy()
        actions[:, QUATERNION] /= np.linalg.norm(actions[:, QUATERNION], axis=1, keepdims=True)
        return actions


def _terms(config: Any, info: dict[str, Any], dataset: Path) -> Terms:
    for key in (STATE, ACTION):
        if tuple(info["features"][key]["names"] or ()) != NAMES:
            raise WireError(
                f"{dataset}: {key} is {info['features'][key]['names']}, a bundle gives and takes "
                f"{NAMES}: export with `vilp convert --to lerobot --no-joints`"
            )
    shapes = {key: tuple(f.shape) for key, f in config.input_features.items()}
    shapes[ACTION] = tuple(config.output_features[ACTION].shape)
    views = {key.removeprefix(IMAGES): shape for key, shape in shapes.items() if IMAGES in key}
    given = {STATE: (8,), ACTION: (8,)} | {
        key: (feature["shape"][2], *feature["shape"][:2])
        for key, feature in info["features"].items()
        if key.startswith(IMAGES)
    }
    if any(given.get(key) != shape for key, shape in shapes.items()):
        raise WireError(f"the policy takes {shapes}, {dataset} has {given}: another dataset's?")
    sizes = {view: (height, width) for view, (_, height, width) in views.items()}
    return Terms(sizes, NAMES, NAMES, float(info["fps"]), config.chunk_size)


if __name__ == "__main__":
    main()
