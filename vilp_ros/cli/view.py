"""`vilp view`: reality, imagination and figures in a viewer that needs no ROS tools."""

from __future__ import annotations

import argparse
import signal
import threading
from contextlib import ExitStack, closing
from pathlib import Path

HELP = "watch a live graph, or a run of the demo, in the viewer of rerun"
DESCRIPTION = """\
Shows the cameras, the imagined strip, the imagination gap, the age of commands, the joints and the
planned path in the viewer of rerun, in a browser on this machine (127.0.0.1 only). Without a folder
it listens to the nodes that run in this ROS domain; with one it shows the episodes recorded there.
With --save nothing is opened: a file is written that `rerun FILE` shows anywhere.

  vilp view
  vilp view runs/latest
  vilp view runs/latest --save run.rrd

Needs the packages of the extra `view`: pip install 'rerun-sdk==0.23.1' 'pyarrow<24'."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    parser.add_argument("run", nargs="?", type=Path, help="run folder; none: live")
    parser.add_argument("--save", type=Path, metavar="PATH", help="write this .rrd file instead")
    parser.add_argument(
        "--port", type=int, default=9090, help="of the page (9090); data goes through the next one"
    )
    parser.add_argument(
        "--contract", default="sim_panda", help="robot: a file or a name in config/robots/"
    )
    parser.add_argument("--namespace", default="", help="of the live nodes")


def run(args: argparse.Namespace) -> int:
    """Shows or saves until Ctrl-C; a saved run ends by itself."""
    from vilp_ros.contract import Contract
    from vilp_ros.evaluation.demo.rerun_view import View, server
    from vilp_ros.evaluation.demo.run_file import load_episode
    from vilp_ros.ros.files import find_contract

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    contract = Contract.load(find_contract(args.contract))
    episodes = _episodes(args.run) if args.run is not None else []
    with ExitStack() as stack:
        view = View(list(contract.views), contract.proprio.joint_names)
        if args.save:
            args.save.parent.mkdir(parents=True, exist_ok=True)
            view.save(args.save)
        else:
            page = stack.enter_context(server(args.port, args.port + 1))
            print(f"open {page}\nCtrl-C ends it", flush=True)
            view.connect(args.port + 1)
        stack.enter_context(closing(view))
        for path in episodes:
            view.replay(load_episode(path))
        if args.run is None:
            from vilp_ros.nodes.viewer import watch

            watch(view, contract, args.namespace, stop)
        elif not args.save:
            stop.wait()
    return 0


def _episodes(folder: Path) -> list[Path]:
    from vilp_ros.errors import VilpError

    found = sorted(folder.glob("episode_*.npz"))
    if not found:
        raise VilpError(f"no episode_*.npz in {folder}: give the folder of a `vilp demo`")
    return found
