"""Distance of pictures by what a network trained on photographs sees in them.

LPIPS needs weights that no package ships. This is its untrained form (Zhang et al. 2018): VGG-16
features, unit length at every place, all layers alike. The user brings the VGG.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vilp_ros.errors import VilpError

STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""Indices of VGG-16's convolutions in `features`; pooling in between, compared after each stage."""


class VggDistance(nn.Module):
    """Perceptual distance with a VGG-16 that is not trained any further.

    Its weights are buffers: they follow the objective to its device, and neither the optimiser
    nor a checkpoint takes them.

    Args:
        path: safetensors file with `features.<n>.weight` and `.bias`, the names of torchvision
            and timm (for example `model.safetensors` of timm/vgg16.tv_in1k).

    Raises:
        VilpError: no such file, or not a VGG-16.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        try:
            weights = load_file(path)
            for layer in (layer for stage in STAGES for layer in stage):
                for part in ("weight", "bias"):
                    tensor = weights[f"features.{layer}.{part}"].float()
                    self.register_buffer(f"{part}{layer}", tensor, persistent=False)
        except (OSError, SafetensorError, KeyError) as error:
            raise VilpError(
                f"perceptual {path} is no VGG-16: expected a safetensors file with "
                f"features.0.weight to features.28.bias ({error})"
            ) from error
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]), persistent=False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Mean distance of two batches of frames `(B, 3, H, W)` in [-1, 1], at least 16x16."""
        x = torch.cat([a, b])
        x = ((x + 1) / 2 - self.mean[:, None, None]) / self.std[:, None, None]
        total = x.new_zeros(())
        for number, stage in enumerate(STAGES):
            x = F.max_pool2d(x, 2) if number else x
            for layer in stage:
                weight, bias = getattr(self, f"weight{layer}"), getattr(self, f"bias{layer}")
                x = F.relu(F.conv2d(x, weight, bias, padding=1))
            first, second = F.normalize(x.float(), dim=1).chunk(2)
            total = total + (first - second).square().sum(1).mean()
        return total
