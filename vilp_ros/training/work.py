"""What the parts of one training share: its recipe, its episodes, what is already trained."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from vilp_ros.data.disk_array import DiskArray
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.table import Table, load_table, write_frames
from vilp_ros.policy.frame_codec import FrameDecoder, build_autoencoder
from vilp_ros.policy.layout import Layout
from vilp_ros.policy.policy import Policy
from vilp_ros.policy.registry import METHODS
from vilp_ros.training import checkpoint
from vilp_ros.training.config import Recipe
from vilp_ros.training.features import split
from vilp_ros.training.processes import first


class Work:
    """A recipe and its work folder, which holds a file of every part that is done.

    Args:
        recipe: what is trained.
        folder: for checkpoints, latents and tensorboard files.
    """

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder

    @property
    def method(self) -> type[Policy]:
        """What is trained."""
        return METHODS.find(self.recipe.policy.method)

    @cached_property
    def views(self) -> Mapping[str, tuple[int, int]]:
        """Height and width of the frames of each view."""
        return {view: self._frame_size(view) for view in self.recipe.views}

    @property
    def layout(self) -> Layout:
        """What the numbers of a state are."""
        return self.method.layout(self.recipe.policy, self.views)

    @property
    def first_file(self) -> EpisodeFile:
        """The file of the first episodes."""
        return EpisodeFile(self.recipe.data.sources()[0].path)

    def table(self) -> tuple[Table, np.ndarray, np.ndarray]:
        """Episodes, those to learn from, those to hold out."""
        table = load_table(self.recipe.data.sources(), tuple(self.recipe.views))
        return table, *split(table, self.recipe.data.validation, seed=0)

    def frames(self, view: str, shrink: int = 1) -> DiskArray:
        """Frames of a view, `(F, H, W, 3)` uint8, laid out once for the whole training.

        Args:
            view: of the recipe.
            shrink: what both sides are divided by.
        """
        path = self.folder / f"frames.{view}.{shrink}.npy"
        if not first(path.is_file):
            first(lambda: write_frames(self.recipe.data.sources(), view, path, shrink))
        return DiskArray(path)

    def images(self, shrink: int = 1) -> list[DiskArray]:
        """`frames` of each view."""
        return [self.frames(view, shrink) for view in self.recipe.views]

    def drop_frames(self) -> None:
        """Gives back their disk; they are made anew from the datasets where they are asked for."""
        for path in self.folder.glob("frames.*.npy"):
            path.unlink()

    def latents(self, view: str) -> Path:
        """File of a view's latents."""
        return self.folder / f"latents.{view}.npy"

    def part(self, name: str) -> Path:
        """File of a part that is done."""
        return self.folder / f"{name}.safetensors"

    def load(self, module: torch.nn.Module, name: str) -> bool:
        """Gives an objective the weights of a part that is done; False if it is not."""
        if not self.part(name).is_file():
            return False
        module.load_state_dict(checkpoint.read(self.part(name))[0]["model"])
        return True

    def autoencoder(self, view: str) -> torch.nn.Module:
        """The trained autoencoder of a view."""
        vae = build_autoencoder(self.recipe.policy.autoencoder, self._frame_size(view))
        weights = checkpoint.read(self.part(f"autoencoder.{view}"))[0]["model"]
        vae.load_state_dict(
            {k.removeprefix("vae."): x for k, x in weights.items() if k.startswith("vae.")}
        )
        return vae

    def keep_autoencoder(self, view: str, vae: torch.nn.Module, bundle: str | Path) -> None:
        """Takes a bundle's autoencoder for that of a view, as a part that is done."""
        weights = {f"vae.{key}": value for key, value in vae.state_dict().items()}
        notes = {"step": 0, "seconds": 0.0, "last": f"frozen, of {bundle}"}
        part = self.part(f"autoencoder.{view}")
        first(lambda: checkpoint.write(part, {"model": weights}, notes))

    def decoders(self) -> list[FrameDecoder]:
        """Of each view, latents to frames."""
        return [FrameDecoder(self.autoencoder(view)) for view in self.recipe.views]

    def _frame_size(self, view: str) -> tuple[int, int]:
        start = self.recipe.data.sources()[0].start
        height, width = self.first_file.shape(start, view)[1:3]
        return height, width
