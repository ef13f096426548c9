"""`vilp demo`: the whole graph on this machine, some episodes, figures, videos."""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vilp_ros.errors import VilpError

if TYPE_CHECKING:
    from rich.console import Console

    from vilp_ros.evaluation.run_report import EpisodeLog
    from vilp_ros.nodes.demo_recorder import DemoRecorder

HELP = "watch a bundle do its task over real ROS 2 nodes, and measure it"
DESCRIPTION = """\
Starts the nodes of `vilp up` as separate processes on a private ROS domain, runs episodes on seeds
that no training set holds, and measures from outside, on the topics. Prints a line an episode and a
table, and writes runs/<time>/ (linked as runs/latest): summary.json, one mp4 an episode (cameras
above, decoded plan below), strip.png (camera frames above the frames that were imagined for them)
and the log of every node.

  vilp demo
  vilp demo --episodes 10 --model ldp_lift_wide
  vilp demo --model models/mine --task can engine:=torch

An episode is over at success, or after as many control periods as the task allows in `vilp eval`,
counted from the first command. Ages are now minus the stamp of the camera image: plan age when the
plan is published, command age when a command is. The exit code is 0 if plans and commands flowed in
every episode, whatever the success; 1 says which node failed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    from vilp_ros.sim import TASKS

    parser.add_argument("--episodes", type=int, metavar="N", default=5, help="how many")
    parser.add_argument("--model", default="ldp_lift", help="bundle: a folder or a name in models/")
    parser.add_argument("--task", choices=TASKS, help="instead of the one that the bundle names")
    parser.add_argument(
        "--seed-start", type=int, metavar="SEED", default=700_000, help="seed of the first episode"
    )
    parser.add_argument(
        "--timeout", type=float, metavar="S", help="seconds, instead of what the task allows"
    )
    parser.add_argument(
        "--runs", type=Path, metavar="FOLDER", default=Path("runs"), help="where run folders go"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write summary.json here too")
    parser.add_argument(
        "words", nargs="*", metavar="NAME:=VALUE", help="further arguments of `vilp up`"
    )


def run(args: argparse.Namespace) -> int:
    """Starts the nodes, runs the episodes, writes the report."""
    if args.episodes < 1:
        raise VilpError("--episodes is at least 1")
    from rich.console import Console

    from vilp_ros.nodes.demo_recorder import PipelineError, free_domain
    from vilp_ros.nodes.graph import parse, processes
    from vilp_ros.nodes.supervisor import Supervisor

    given = parse(args.words) | {
        "model": args.model,
        "task": args.task or "",
        "seed": str(args.seed_start),
        "enabled": "false",
        "autostart": "true",
        "use_sim_time": "false",  # ages are measured against the system clock
    }
    started = processes(given)
    os.environ |= {
        "ROS_DOMAIN_ID": str(free_domain()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    console, stop, folder = Console(), threading.Event(), RunFolder(args.runs)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    ended = threading.Event()
    try:
        with Supervisor(started, write=folder.log) as supervisor:
            # ends all nodes when one ends by itself, and tells the folder which
            watcher = threading.Thread(target=supervisor.wait, args=(ended,))
            watcher.start()
            try:
                _episodes(args, console, folder, stop, str(started[0].parameters["model"]))
            finally:
                ended.set()
                watcher.join()
    except PipelineError as error:
        _say(console, f"failed: {error}", "red")
        log = folder.path / "logs" / f"{error.node}.log"
        if log.is_file():
            _say(console, "\n".join(log.read_text().splitlines()[-5:]), "dim")
            _say(console, f"its log: {log}")
        return 1
    return 0


class RunFolder:
    """runs/<time>/, linked as runs/latest, with a log file per node."""

    def __init__(self, runs: Path) -> None:
        self.path = runs / time.strftime("%Y%m%d_%H%M%S")
        (self.path / "logs").mkdir(parents=True, exist_ok=True)
        fresh = runs / f".latest_{os.getpid()}"
        fresh.symlink_to(self.path.name)
        fresh.replace(runs / "latest")
        self.death: tuple[str, str] | None = None

    def log(self, line: str) -> None:
        """Takes a supervisor's line `[node] text`."""
        node, _, text = line.removeprefix("[").partition("] ")
        if text.startswith("ended by itself") and self.death is None:
            self.death = (node, text.strip())
        with (self.path / "logs" / f"{node}.log").open("a") as file:
            file.write(text)


def _say(console: Console, text: str, style: str = "none") -> None:
    """Prints text that others wrote (logs, paths) as it is."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _episodes(
    args: argparse.Namespace,
    console: Console,
    folder: RunFolder,
    stop: threading.Event,
    model: str,
) -> None:
    import rclpy
    import yaml
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    from vilp_ros.contract import Contract
    from vilp_ros.nodes.demo_recorder import DemoRecorder
    from vilp_ros.nodes.files import find_contract
    from vilp_ros.sim.tasks import SPECS

    spec = yaml.safe_load((Path(model) / "policy.yaml").read_text())  # torch is for the nodes
    task = args.task or spec["task"]
    words = dict(word.split(":=", 1) for word in args.words)
    contract = Contract.load(find_contract(words.get("contract", "sim_panda")))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor()
    recorder = DemoRecorder(contract, spec["views"], lambda: folder.death, stop)
    executor.add_node(recorder)
    try:
        limit_s = args.timeout or SPECS[task].max_steps * contract.control_period_s
        facts = {
            "task": task,
            "bundle": spec["name"],
            "speed_limit_m_s": contract.limits.ee_speed,
            "timeout_s": limit_s,
        }
        _run_all(args, console, folder, recorder, facts)
    finally:
        executor.remove_node(recorder)
        recorder.destroy_node()
        executor.shutdown()
        rclpy.shutdown()


def _run_all(
    args: argparse.Namespace,
    console: Console,
    folder: RunFolder,
    recorder: DemoRecorder,
    facts: dict[str, Any],
) -> None:
    from vilp_ros.evaluation.run_report import EpisodeLog, episode_line, summary, table
    from vilp_ros.nodes.demo_recorder import PipelineError

    logs: list[EpisodeLog] = []
    log: EpisodeLog | None = None
    with console.status("starting the nodes", refresh_per_second=4) as line:
        try:
            recorder.wait_ready(lambda node: line.update(f"starting the nodes: {node}"))
            for index in range(args.episodes):
                log = EpisodeLog(args.seed_start + index)
                recorder.on_tick = _ticker(line, log, f"episode {index + 1} of {args.episodes}")
                recorder.run_episode(log, facts["timeout_s"])
                logs.append(log)
                console.print(episode_line(log, index), highlight=False, soft_wrap=True)
                line.update(f"writing the video of episode {index + 1}")
                _write_pictures(folder.path, log, index, logs, facts["task"])
                _write_summary(args, folder.path, summary(logs, **facts))
        except PipelineError as error:
            if log is not None and log not in logs and log.began_s:
                log.failure = str(error)
                logs.append(log)
                console.print(episode_line(log, len(logs) - 1), highlight=False, soft_wrap=True)
            raise
        finally:
            if logs:
                report = summary(logs, **facts)
                _write_summary(args, folder.path, report)
                console.print(table(report))
            latest = folder.path.parent / "latest"
            _say(console, f"written to {folder.path}, linked as {latest}")


def _ticker(line: Any, log: EpisodeLog, name: str) -> Any:
    """Updates the live line four times a second."""
    due = 0.0

    def tick() -> None:
        nonlocal due
        if time.monotonic() < due:
            return
        due = time.monotonic() + 0.25
        if not log.began_s:
            line.update(f"{name}  seed {log.seed}  resetting")
            return
        seconds = time.time() - log.began_s
        age = f"{1e3 * (log.commands[-1][1] - log.commands[-1][0]):.0f} ms" if log.commands else "-"
        line.update(
            f"{name}  seed {log.seed}  {seconds:4.1f} s  "
            f"{len(log.plans) / seconds:.1f} plans/s  command age {age}"
        )

    return tick


def _write_pictures(
    path: Path, log: EpisodeLog, index: int, logs: list[EpisodeLog], task: str
) -> None:
    """The video of an episode, and the strip of the first one that succeeds (or of the first)."""
    from vilp_ros.evaluation.run_report import save_strip, save_video

    name = f"{task}  episode {index + 1}  seed {log.seed}"
    save_video(log, path / f"episode_{index + 1:02}.mp4", name)
    better = log.success_s is not None and all(x.success_s is None for x in logs[:-1])
    if better or not (path / "strip.png").exists():
        about = "what the cameras saw, above what a latent plan had imagined for that moment"
        save_strip(log, path / "strip.png", f"{name}: {about}")
    log.images.clear()
    log.decoded.clear()


def _write_summary(args: argparse.Namespace, path: Path, report: dict[str, Any]) -> None:
    text = json.dumps(report, indent=2) + "\n"
    (path / "summary.json").write_text(text)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(text)
