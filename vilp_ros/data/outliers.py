"""Figures of a dataset, and the episodes that stand out in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from vilp_ros.data.episode import Episode
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.rest import still, words

_FAR = 3.5
"""Robust standard deviations from the median."""


class Figures(NamedTuple):
    """Of one episode.

    Attributes:
        seconds: its duration.
        jerk: root mean square of the third difference of the hand's position, m/s^3.
        idle: share of the periods in which neither hand nor fingers moved.
        path: metres that the hand went.
        rest: how long nothing moves at a time, in words; empty where that is little.
    """

    seconds: float
    jerk: float
    idle: float
    path: float
    rest: str = ""


class Oddity(NamedTuple):
    """An episode that stands out."""

    episode: int
    text: str


def figures(episode: Episode, period_s: float) -> Figures:
    """Figures of one episode; images are not needed."""
    position = episode.ee_pose[:, :3]
    steps = np.linalg.norm(np.diff(position, axis=0), axis=1)
    idle = still(position, episode.gripper_width, episode.joint_position, period_s)
    third = np.diff(position, n=3, axis=0) / period_s**3
    jerk = float(np.sqrt((third**2).sum(axis=1).mean())) if len(third) else 0.0
    return Figures(
        seconds=len(episode) * period_s,
        jerk=jerk,
        idle=float(idle.mean()),
        path=float(steps.sum()),
        rest=words(idle, period_s),
    )


def outliers(values: Mapping[int, Figures]) -> list[Oddity]:
    """Episodes far from the others in duration, jerk or idle time.

    Args:
        values: figures by index of the episode.
    """
    found = []
    units = {"seconds": "s", "jerk": "m/s^3", "idle": "of its periods"}
    for name, unit in units.items():
        column = np.array([getattr(f, name) for f in values.values()])
        middle = float(np.median(column)) if len(column) else 0.0
        # Median absolute deviation; episodes of a script are so alike that it needs a floor.
        spread = 1.4826 * float(np.median(np.abs(column - middle))) if len(column) else 0.0
        spread = max(spread, 0.05 * abs(middle), 0.02)
        for index, value in zip(values, column):
            if abs(value - middle) > _FAR * spread:
                what = {"seconds": "lasts", "jerk": "jerks with", "idle": "stands still in"}[name]
                text = f"{what} {value:.2f} {unit}, the others {middle:.2f}"
                found.append(Oddity(index, text))
    return sorted(found)


def unlike(file: EpisodeFile) -> list[Oddity]:
    """Episodes with other views, or views of another size, than most; experts that failed."""
    sizes = [file.sizes(index) for index in range(len(file))]
    told = [
        ", ".join(f"{view} {size[0]}x{size[1]}" for view, size in sorted(of.items())) or "no view"
        for of in sizes
    ]
    most = Counter(told).most_common(1)[0][0] if told else ""
    found = [
        Oddity(index, f"has {text}, the others {most}")
        for index, text in enumerate(told)
        if text != most
    ]
    labels = zip(file.roles, file.successes, strict=True)
    found += [
        Oddity(index, f"is called {role} and says that it failed")
        for index, (role, success) in enumerate(labels)
        if role in ("expert", "action_free") and not success
    ]
    return found


def statistics(file: EpisodeFile) -> dict[str, Any]:
    """Of a whole dataset, read an episode at a time and without its images."""
    every: dict[int, Figures] = {}
    roles: Counter[str] = Counter()
    success = disturbed = repeated = steps = 0
    sums: dict[str, list[np.ndarray]] = {}
    for index in range(len(file)):
        episode = file.read(index, ())
        every[index] = figures(episode, file.control_period_s)
        roles[episode.role] += 1
        success += episode.success
        steps += len(episode)
        disturbed += int(episode.disturbed.sum())
        repeated += 0 if episode.repeated is None else int(episode.repeated.sum())
        channels = {
            "ee_position": episode.ee_pose[:, :3],
            "gripper_width": episode.gripper_width[:, None],
            "joint_position": episode.joint_position,
        }
        if episode.actions is not None:
            channels["actions"] = episode.actions
        for name, rows in channels.items():
            now = np.stack([rows.min(0), rows.max(0), rows.sum(0), (rows**2).sum(0)])
            count = np.full((1, rows.shape[1]), len(rows))
            sums.setdefault(name, []).append(np.concatenate([now, count]))
    return {
        "task": file.task,
        "views": list(file.views),
        "control_period_s": file.control_period_s,
        "episodes": len(file),
        "steps": steps,
        "hours": steps * file.control_period_s / 3600,
        "roles": dict(roles),
        "success": success,
        "disturbed": disturbed,
        "seconds": _spread([f.seconds for f in every.values()]),
        "jerk": _spread([f.jerk for f in every.values()]),
        "idle": _spread([f.idle for f in every.values()]),
        "channels": {name: _channel(np.stack(rows)) for name, rows in sums.items()},
        "rests": {str(index): f.rest for index, f in every.items() if f.rest},
        "repeated": repeated,
        "outliers": _by_episode(outliers(every) + unlike(file)),
    }


def _by_episode(oddities: list[Oddity]) -> dict[str, str]:
    """All that is odd about each episode."""
    found: dict[str, list[str]] = {}
    for episode, text in sorted(oddities):
        found.setdefault(str(episode), []).append(text)
    return {episode: "; ".join(texts) for episode, texts in found.items()}


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    low, middle, high = np.percentile(values, [0, 50, 100])
    return {"min": float(low), "median": float(middle), "max": float(high)}


def _channel(rows: np.ndarray) -> dict[str, list[float]]:
    """Of (episodes, 5, C): min, max, sum, sum of squares, count."""
    count = rows[:, 4].sum(0)
    mean = rows[:, 2].sum(0) / count
    variance = np.maximum(rows[:, 3].sum(0) / count - mean**2, 0)
    return {
        "min": rows[:, 0].min(0).tolist(),
        "max": rows[:, 1].max(0).tolist(),
        "mean": mean.tolist(),
        "std": np.sqrt(variance).tolist(),
    }
