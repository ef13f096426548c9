"""The last stage of a training: an encoder that sees past paint, light and a bumped camera.

Distillation: the student sees an altered frame and gives the latent that the bundle's autoencoder
gives of the clean one. It then takes the encoder's place; planner, actions, statistics and decoder
stay as they are, so any bundle can be given one. What it imagines has the colours of the training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from vilp_ros.data.disk_array import DiskArray
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.pairs import usual
from vilp_ros.data.table import Frames, choose, lay_out
from vilp_ros.errors import VilpError
from vilp_ros.evaluation.imagination.gap import distance
from vilp_ros.evaluation.imagination.scene import QUANTILE
from vilp_ros.policy.diffusion import Random
from vilp_ros.policy.frame_codec import FrameDecoder, to_signed
from vilp_ros.policy.spec import BundleSpec
from vilp_ros.policy.statistics import floored_std
from vilp_ros.training.alterations import alter
from vilp_ros.training.config import Recipe, RobustTraining
from vilp_ros.training.features import FLOOR, MEASURED_STATES, encode_frames, write_latents
from vilp_ros.training.loop import Objective
from vilp_ros.training.processes import first

_HELD_OUT_EVERY = 25  # of the poses of a file of pairs


@dataclass
class Views:
    """Frames of one view, as usual, and some of them in another look too.

    Attributes:
        usual: `(F, H, W, 3)` uint8.
        seen: `(P, H, W, 3)` the last P of them in drawn looks; P = 0 without a simulator.
        target: `(F, latent_dim)` what the teacher gives of the usual ones, mapped from a file.
        held_out: `(F,)` bool, of poses that are not learnt from.
    """

    usual: DiskArray
    seen: DiskArray | np.ndarray
    target: np.ndarray
    held_out: np.ndarray

    def part(self, held_out: bool, drawn: bool) -> np.ndarray:
        """Indices of frames to learn from or to validate on, all or those drawn in a look."""
        chosen = self.held_out == held_out
        if drawn:
            chosen[: len(chosen) - len(self.seen)] = False
        return np.flatnonzero(chosen)

    def looks(self, index: np.ndarray) -> np.ndarray:
        """Frames of `part(..., drawn=True)` in their looks."""
        return self.seen[index - (len(self.usual) - len(self.seen))]


def alter_frames(
    frames: np.ndarray,
    rng: np.random.Generator,
    config: RobustTraining,
    drawn: bool,
    warp: float,
    depth: bool,
) -> np.ndarray:
    """Frames `(B, H, W, 3)`, each altered in its way.

    Args:
        frames: uint8.
        rng: draws.
        config: strengths.
        drawn: they are in drawn looks, and some are recoloured besides; usual ones mostly are.
        warp: factor on the geometric strengths.
        depth: they are of a depth view.
    """
    recolour, kinds = 0.4 if drawn else 0.92, config.alterations
    return alter(frames[:, None], rng, kinds, recolour=recolour, warp=warp, depth=depth)[:, 0]


class RobustObjective(Objective):
    """Mean squared error of standardised latents.

    Args:
        student: encoder to train.
        vae: the teacher; frozen.
        data: frames of the view.
        view: its name.
        config: of the stage.
        depth: it is a depth view.

    Attributes:
        scored: what the names of the figures begin with that make the score.
    """

    scored = ""

    def __init__(
        self,
        student: nn.Module,
        vae: nn.Module,
        data: Views,
        view: str,
        config: RobustTraining,
        depth: bool,
    ) -> None:
        super().__init__()
        self.student = student
        self._vae = self.freeze([vae])
        self._data, self._config, self._depth = data, config, depth
        self._warp = config.warp.get(view, config.warp_otherwise)
        self._train, self._train_drawn = (data.part(False, drawn) for drawn in (False, True))
        known = data.target[self._train[:: max(1, len(self._train) // MEASURED_STATES)]]
        std = floored_std(known, FLOOR, [(slice(0, known.shape[1]), 1e-6)])
        self.constant("std", std)
        self._variance = float(known.var(0).mean())
        held = (data.part(True, drawn) for drawn in (False, True))
        self._some, self._some_drawn = (x[:: max(1, len(x) // 192)][:192] for x in held)

    @override
    def batch(self, rng: np.random.Generator, size: int) -> dict[str, np.ndarray]:
        config = self._config
        clean = round(size * config.clean_share)
        drawn = round(size * config.drawn_share) if len(self._train_drawn) else 0
        looks = rng.choice(self._train_drawn, drawn) if drawn else np.zeros(0, np.int64)
        index = rng.choice(self._train, size - drawn)
        frames = [self._altered(index[clean:], rng), self._data.usual[index[:clean]]]
        if drawn:
            frames.append(self._drawn(looks, rng))
        rows = np.concatenate([index[clean:], index[:clean], looks])
        return {
            "frames": np.concatenate(frames),
            "target": self._data.target[rows],
            "rows": rows,
        }

    def _altered(self, index: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Usual frames, altered."""
        return alter_frames(
            self._data.usual[index], rng, self._config, False, self._warp, self._depth
        )

    def _drawn(self, index: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Frames in drawn looks, altered."""
        return alter_frames(self._data.looks(index), rng, self._config, True, 0.0, self._depth)

    @override
    def forward(self, batch: dict[str, Tensor], random: Random) -> dict[str, Tensor]:
        frames = to_signed(batch["frames"]).contiguous(memory_format=torch.channels_last)
        error = (self.student(frames) - batch["target"]) / self.std
        return {"loss": error.square().mean()}

    @override
    def validate(self) -> dict[str, float]:
        """Errors as shares of the latents' variance, and the teacher's on the same frames."""
        if not len(self._some):
            return {}
        kinds, figures = self.kinds(), dict[str, float]()
        for kind, (index, frames) in kinds.items():
            before = self._data.target[index]  # the teacher's, of usual frames
            if kind != "clean":
                before = np.concatenate(list(encode_frames(self._vae[0], frames)))
            for whose, latents in (("", self._latents(frames)), ("_before", before)):
                judged = self.judge(latents, index)
                figures |= {f"{prefix}{kind}{whose}": x for prefix, x in judged.items()}
        figures["score"] = float(np.mean([figures[f"{self.scored}{kind}"] for kind in kinds]))
        figures["unlike_above"] = self._unlike()
        return figures

    def judge(self, latents: np.ndarray, index: np.ndarray) -> dict[str, float]:
        """Errors of latents for usual frames, by what the name of the figure begins with."""
        return {"": float(np.square(latents - self._data.target[index]).mean()) / self._variance}

    def kinds(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Held-out frames to judge by: their indices, and what is seen instead of them."""
        kinds = {
            "clean": (self._some, self._data.usual[self._some]),
            "altered": (self._some, self._altered(self._some, np.random.default_rng(0))),
        }
        if len(self._some_drawn):
            kinds["drawn"] = self._some_drawn, self._data.looks(self._some_drawn)
        return kinds

    def _unlike(self) -> float:
        """Grey levels between a frame and itself decoded: few held-out frames are above."""
        frames = self._data.usual[self._some]
        decoder, apart = FrameDecoder(self._vae[0]), []
        for part in np.array_split(frames, max(1, len(frames) // 64)):
            latents = self.place({"latents": self._latents(part)})["latents"]
            decoded = decoder(latents).float().cpu().numpy()
            apart.append(distance(part, decoded))
        return float(np.quantile(np.concatenate(apart), QUANTILE))

    def _latents(self, frames: np.ndarray) -> np.ndarray:
        parts = np.array_split(frames, max(1, len(frames) // 64))
        return np.concatenate([self.student(self._signed(part)).cpu().numpy() for part in parts])

    def _signed(self, frames: np.ndarray) -> Tensor:
        return to_signed(self.place({"frames": frames})["frames"])

    @override
    def pictures(self) -> dict[str, Tensor]:
        rng, found = np.random.default_rng(0), {}
        for kind, some in (("altered", self._some), ("drawn", self._some_drawn)):
            index = some[:: max(1, len(some) // 8)][:8]
            if not len(index):
                continue
            seen = self._altered(index, rng) if kind == "altered" else self._drawn(index, rng)
            clean, altered = self._signed(self._data.usual[index]), self._signed(seen)
            gave = self._vae[0].decode(self.student(altered)).float().clamp(-1, 1)
            rows = [torch.cat(list(x), dim=-1) for x in (clean, altered, gave)]
            found[f"clean, {kind}, what the encoder saw in it"] = (torch.cat(rows, -2) + 1) / 2
        return found


def load_views(recipe: Recipe, work: Path, view: str, spec: BundleSpec, vae: nn.Module) -> Views:
    """Frames of the recipe's recordings and pairs, laid out as `Work.frames` does."""
    chosen = [choose(source, (view,)) for source in recipe.data.sources()]
    recorded = [Frames(file, index, view) for file, some in chosen for index in some]
    pairs = [frames for path in recipe.robust.pairs for frames in pairs_of(path, view)]
    usual_ones = recorded + [one for one, _ in pairs]
    if not usual_ones:
        raise VilpError("no frames: name files under data.expert or robust.pairs")
    height, width = spec.views[view]
    for found in {one.shape[1:3] for one in usual_ones} - {(height, width)}:
        raise VilpError(
            f"frames of {view} are {found[0]}x{found[1]}; the bundle takes {height}x{width}"
        )
    seen: DiskArray | np.ndarray = np.zeros((0, height, width, 3), np.uint8)
    if pairs:
        seen = _laid_out([look for _, look in pairs], work / f"frames.{view}.seen.npy")
    frames = _laid_out(usual_ones, work / f"frames.{view}.usual.npy")
    target = work / f"latents.{view}.usual.npy"
    if not first(target.is_file):
        write_latents(vae, frames, spec.layout.latent_dim, target)
    # Frames of one pose are held out together.
    seeds = [file.read(episode, ()).seed for file, episode, _ in usual_ones]
    seed = np.repeat(seeds, [one.shape[0] for one in usual_ones])
    for file in {one.file for one in usual_ones}:
        file.close()
    held_out = np.isin(seed, np.unique(seed)[_HELD_OUT_EVERY - 1 :: _HELD_OUT_EVERY])
    return Views(frames, seen, np.load(target, mmap_mode="r"), held_out)


def _laid_out(episodes: list[Frames], path: Path) -> DiskArray:
    if not first(path.is_file):
        first(lambda: lay_out(episodes, path))
    return DiskArray(path)


def pairs_of(path: str, view: str) -> list[tuple[Frames, Frames]]:
    """Of each episode the frames as usual, and in their looks.

    Raises:
        VilpError: there is no such file, or it holds no pairs of the view.
    """
    file = EpisodeFile(path)
    if missing := {view, usual(view)} - set(file.views):
        raise VilpError(
            f"{path} has views {', '.join(file.views)}, not {', '.join(sorted(missing))}: "
            "robust.pairs are files of `vilp redraw`, or of `vilp collect --vary --usual`"
        )
    return [(Frames(file, i, usual(view)), Frames(file, i, view)) for i in range(len(file))]
