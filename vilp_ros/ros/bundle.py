"""Load the policy bundle that a node's parameters name. Imports torch."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from vilp_ros.contract import Contract
from vilp_ros.policy.bundle import load_policy, load_spec
from vilp_ros.policy.policy import Policy
from vilp_ros.ros.files import find_model


def load(
    settings: SimpleNamespace, contract: Contract, steps: int | None = None, samples: int = 1
) -> Policy:
    """Policy of `settings.model`, checked against the contract before any weight is read.

    Args:
        settings: Parameters `model device engine threads`.
        contract: Of the robot.
        steps: Denoising steps; None for the bundle's.
        samples: Imaginations per plan.

    Raises:
        VilpError: The bundle is missing, made for another robot, or cannot run as asked.
    """
    folder = find_model(settings.model)
    contract.check_bundle(vars(load_spec(folder)))
    torch.set_num_threads(settings.threads)
    return load_policy(
        folder,
        device=settings.device,
        engine=settings.engine or None,
        threads=settings.threads,
        steps=steps,
        samples=samples,
    )
