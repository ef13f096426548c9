"""What a demo run recorded, and what is made of it: summary.json, tables, videos, the strip.

Times are float seconds of one clock, the one that stamps the camera images.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from vilp_ros.evaluation.demo.figures import (
    Foreseen,
    Pair,
    Plan,
    strip,
    video_frame,
    write_png,
    write_video,
)
from vilp_ros.evaluation.statistics import percentiles, proportion, wilson

FPS = 20.0
STRIP_COLUMNS = 8
KEEPS_UP = 0.9
"""Of real time: below, what fails may be the machine's doing and not the policy's."""


@dataclass
class EpisodeLog:
    """One episode as it was seen on the topics.

    Attributes:
        seed: seed that placed the objects.
        began_s: when the controller was enabled.
        ended_s: when the episode was declared over.
        success_s: when the task was first reported done; None: never.
        images: per view `(stamp, (H, W, 3) uint8)`, in order of arrival.
        decoded: `(stamp of the observation, frames)` per decoded plan; of each view as many as
            `offsets_s`.
        offsets_s: seconds from the observation to each frame in `decoded`.
        gaps: `(stamp, imagination gap by name)`, see `vilp_ros.evaluation.imagination.gap`.
        joints: `(stamp, rad)`, of the arm.
        arm: `(stamp, xyz in metres)`, where the grip site was.
        paths: `(stamp of the observation, (T + 1, 3) metres)`, where it was planned to go.
        plans: `(stamp of the observation, published at)` per plan.
        commands: `(stamp of the image it came from, sent at)` per command.
        targets: `(stamp, xyz in metres)` per pose command.
        strips: decoded plans that came.
        real_time_factor: as the simulator reported it, one per report.
        measured: the most that the task's measure came to, such as coverage; None without one.
        holds: times the watchdog made the arm hold.
        failure: why the episode was cut off; None: it ran to its end.
    """

    seed: int
    began_s: float = 0.0
    ended_s: float = 0.0
    success_s: float | None = None
    images: dict[str, list[tuple[float, np.ndarray]]] = field(default_factory=dict)
    decoded: list[tuple[float, dict[str, np.ndarray]]] = field(default_factory=list)
    offsets_s: tuple[float, ...] = ()
    gaps: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    joints: list[tuple[float, np.ndarray]] = field(default_factory=list)
    arm: list[tuple[float, np.ndarray]] = field(default_factory=list)
    paths: list[tuple[float, np.ndarray]] = field(default_factory=list)
    plans: list[tuple[float, float]] = field(default_factory=list)
    commands: list[tuple[float, float]] = field(default_factory=list)
    targets: list[tuple[float, np.ndarray]] = field(default_factory=list)
    strips: int = 0
    real_time_factor: list[float] = field(default_factory=list)
    measured: float | None = None
    holds: int = 0
    failure: str | None = None

    @property
    def duration_s(self) -> float:
        """Seconds for which the controller was enabled."""
        return max(self.ended_s - self.began_s, 0.0)

    def ages(self) -> dict[str, list[float]]:
        """Seconds from the image stamp to the plan's publication and to the command."""
        return {
            "plan": [at - stamp for stamp, at in self.plans],
            "command": [at - stamp for stamp, at in self.commands],
        }

    def steps(self) -> tuple[np.ndarray, np.ndarray]:
        """Distance (m) between consecutive commanded positions, and its speed (m/s).

        The speed counts an interval shorter than the usual one as the usual one: two sends that a
        busy machine pushed together are not a fast command.
        """
        if len(self.targets) < 2:
            return np.zeros(1), np.zeros(1)
        distance = np.linalg.norm(np.diff([xyz for _, xyz in self.targets], axis=0), axis=-1)
        interval = np.diff([stamp for stamp, _ in self.targets])
        return distance, distance / np.maximum(interval, np.median(interval))


def figures(logs: Sequence[EpisodeLog]) -> dict[str, Any]:
    """The figures of one or more episodes, ready for JSON."""
    duration = sum(log.duration_s for log in logs)
    plans = sum(len(log.plans) for log in logs)
    strips = sum(log.strips for log in logs)
    factors = [f for log in logs for f in log.real_time_factor]
    gaps: dict[str, list[float]] = {}
    for _, values in (gap for log in logs for gap in log.gaps):
        for name, value in values.items():
            gaps.setdefault(name, []).append(value)
    return {
        "plan_rate_hz": plans / duration if duration else 0.0,
        "strip_rate_hz": strips / duration if duration else 0.0,
        # The median: while the first plan fades in, nothing that was imagined can come true.
        "imagination_gap": {name: float(np.median(found)) for name, found in gaps.items()},
        "plan_age_ms": percentiles((a for log in logs for a in log.ages()["plan"]), 1e3),
        "command_age_ms": percentiles((a for log in logs for a in log.ages()["command"]), 1e3),
        "replans": plans,
        "commands": sum(len(log.commands) for log in logs),
        "real_time_factor": float(np.mean(factors)) if factors else None,
        "holds": sum(log.holds for log in logs),
        "largest_step_mm": max((float(log.steps()[0].max()) for log in logs), default=0.0) * 1e3,
        "largest_speed_m_s": max((float(log.steps()[1].max()) for log in logs), default=0.0),
        "duration_s": duration,
    }


def summary(logs: Sequence[EpisodeLog], **facts: Any) -> dict[str, Any]:
    """summary.json: the counts, the pooled figures, `facts` and each episode.

    Args:
        logs: finished episodes.
        facts: anything else; `table` needs `task`, `bundle`, `speed` and `speed_limit_m_s`.
    """
    successes = sum(log.success_s is not None for log in logs)
    return {
        "episodes": len(logs),
        "successes": successes,
        "wilson_95": list(wilson(successes, len(logs))),
        **figures(logs),
        **facts,
        "per_episode": [
            {
                "seed": log.seed,
                "success": log.success_s is not None,
                "seconds": (log.success_s or log.ended_s) - log.began_s,
                "failure": log.failure,
                "measured": log.measured,
                **figures([log]),
            }
            for log in logs
        ],
    }


def episode_line(log: EpisodeLog, index: int) -> str:
    """One line, in rich markup, about a finished episode."""
    if log.failure:
        outcome = f"[red]failed[/]  {log.failure}"
    elif log.success_s is not None:
        outcome = f"[green]success[/] in {log.success_s - log.began_s:5.1f} s"
    else:
        outcome = f"[yellow]time out[/] after {log.duration_s:.1f} s"
    if log.measured is not None:
        outcome += f"  {100 * log.measured:.0f} % done"
    f = figures([log])
    return (
        f"episode {index + 1:>2}  seed {log.seed}  {outcome}  "
        f"[dim]{f['plan_rate_hz']:.1f} plans/s  command age p99 {_ms(f['command_age_ms']['p99'])}  "
        f"holds {log.holds}[/]"
    )


def table(report: dict[str, Any]) -> Table:
    """The final table of a run, from its summary."""
    t = Table(title=f"{report['task']} with {report['bundle']}", show_header=False)
    t.add_column(style="dim")
    t.add_column()
    step = (
        f"{report['largest_step_mm']:.1f} mm, {report['largest_speed_m_s']:.2f} m/s "
        f"(limit {report['speed_limit_m_s']:.2f})"
    )
    factor = report["real_time_factor"]
    for name, value in (
        ("success", proportion(report["successes"], report["episodes"])),
        ("plan rate", f"{report['plan_rate_hz']:.1f} Hz"),
        ("strip rate", f"{report['strip_rate_hz']:.1f} Hz"),
        ("plan age p50 / p99", _pair(report["plan_age_ms"])),
        ("command age p50 / p99", _pair(report["command_age_ms"])),
        ("replans", str(report["replans"])),
        ("simulator real-time factor", _pace(factor, report["speed"])),
        ("imagination gap, median", _gap(report["imagination_gap"])),
        *_scene(report["imagination_gap"]),
        ("watchdog holds", str(report["holds"])),
        ("largest command step", step),
    ):
        t.add_row(name, value)
    return t


def _pace(factor: float | None, speed: float) -> str:
    """The simulator's pace, and what follows from a slow one."""
    if factor is None:
        return "unknown"
    if factor >= KEEPS_UP * speed:
        slowed = f": slowed to {speed:g}; all seconds are simulated" if speed < 1.0 else ""
        return f"{factor:.2f}{slowed}"
    return f"[yellow]{factor:.2f}: this machine is too slow, or busy; plans come late[/]"


def save_video(log: EpisodeLog, path: Path, title: str) -> None:
    """Writes the episode as mp4 in real time: cameras above what was imagined for that moment."""
    write_video(path, _video_frames(log, title), FPS)


def save_strip(log: EpisodeLog, path: Path, title: str) -> None:
    """Writes the episode's strip; an episode without decoded plans writes none."""
    pairs = matched(log, STRIP_COLUMNS)
    if pairs:
        write_png(path, strip(pairs, title=title, ahead_s=log.offsets_s[-1]))


def matched(log: EpisodeLog, columns: int) -> list[Pair]:
    """Imagined frames beside the real ones of the same stamp, spread evenly over the episode."""
    if not log.decoded or not log.images:
        return []
    ahead = log.offsets_s[-1]
    stamps = {view: np.array([s for s, _ in frames]) for view, frames in log.images.items()}
    pairs = []
    for stamp, frames in log.decoded:
        due = stamp + ahead
        nearest = {view: int(np.abs(s - due).argmin()) for view, s in stamps.items()}
        if all(abs(stamps[view][i] - due) < 0.5 / FPS for view, i in nearest.items()):
            real = {view: log.images[view][i][1] for view, i in nearest.items()}
            imagined = {view: frames[view][-1] for view in real}
            pairs.append(Pair(due - log.began_s, real, imagined))
    if not pairs:
        return []
    times = np.array([pair.time_s for pair in pairs])
    wanted = np.linspace(times[0], times[-1], columns)
    chosen = np.unique(np.abs(times - wanted[:, None]).argmin(axis=1))
    return [pairs[i] for i in chosen]


def _video_frames(log: EpisodeLog, title: str) -> Iterator[np.ndarray]:
    if not log.images or not all(log.images.values()):
        return
    stamps = {view: [s for s, _ in frames] for view, frames in log.images.items()}
    planned = [s for s, _ in log.decoded]
    began = max(log.began_s, *(s[0] for s in stamps.values()))
    moments = []
    for n in range(int((log.ended_s - began) * FPS)):
        now = began + n / FPS
        at = {view: max(bisect_right(s, now) - 1, 0) for view, s in stamps.items()}
        seen = max(stamps[view][i] for view, i in at.items())
        moments.append((now, at, seen, _foreseen(log, planned, seen)))
    # Until the first plan looks as far ahead as the next image, its row would be empty.
    first = next((k for k, (*_, foreseen) in enumerate(moments) if foreseen is not None), 0)
    for now, at, seen, foreseen in moments[first:]:
        newest = bisect_right(planned, seen) - 1
        plan = Plan(log.offsets_s, log.decoded[newest][1]) if newest >= 0 else None
        yield video_frame(
            {view: log.images[view][i][1] for view, i in at.items()},
            foreseen,
            plan,
            title=title,
            time_s=now - log.began_s,
            notes=_notes(log, now),
            success=log.success_s is not None and now >= log.success_s,
        )


def _foreseen(log: EpisodeLog, planned: Sequence[float], seen: float) -> Foreseen | None:
    """What was imagined for the image of stamp `seen`, as long before as there is.

    That is the last frame of a plan, and while the first plan is younger than it looks ahead, an
    earlier one.
    """
    for k, ahead in reversed(list(enumerate(log.offsets_s))):
        apart = np.abs(np.add(planned, ahead) - seen)
        if len(apart) and apart.min() <= 1.0 / FPS:
            _, frames = log.decoded[int(apart.argmin())]
            return Foreseen(ahead, {view: rows[k] for view, rows in frames.items()})
    return None


def _notes(log: EpisodeLog, now: float) -> str:
    recent = [p for p in log.plans if now - 1.0 < p[1] <= now]
    sent = bisect_right(log.commands, now, key=lambda c: c[1])
    parts = [f"{len(recent)} plans in the last second"]
    if recent:
        parts.append(f"newest plan {1e3 * (recent[-1][1] - recent[-1][0]):.0f} ms after its image")
    if sent:
        stamp, at = log.commands[sent - 1]
        parts.append(f"arm follows an image {1e3 * (at - stamp):.0f} ms old")
    return "    ".join(parts)


def _gap(medians: dict[str, float]) -> str:
    latent = {name.removesuffix(".latent"): x for name, x in medians.items() if "latent" in name}
    each = ", ".join(f"{view} {median:.2f}" for view, median in latent.items())
    return f"{each} (1: no change expected)" if each else "none"


def _scene(medians: dict[str, float]) -> list[tuple[str, str]]:
    """A row on how unlike the training data the scene was, of bundles that know."""
    found = {n.removesuffix(".unlike"): x for n, x in medians.items() if n.endswith(".unlike")}
    if not found:
        return []
    each = ", ".join(f"{view} {median:.1f}" for view, median in found.items())
    verdict = "unlike the training data" if max(found.values()) > 1 else "as in training"
    return [("scene, over the limit", f"{each}: {verdict}")]


def _ms(value: float | None) -> str:
    return "none" if value is None else f"{value:.0f} ms"


def _pair(ages: dict[str, float | None]) -> str:
    return f"{_ms(ages['p50'])} / {_ms(ages['p99'])}"
