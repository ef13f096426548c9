"""`vilp convert`: bags to a dataset, and datasets from one format to another."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from vilp_ros.cli.on_cluster import add_cluster, on_cluster
from vilp_ros.figures import write_figures

if TYPE_CHECKING:
    from vilp_ros.data.convert import Outcome

HELP = "bags to a training dataset; datasets to and from other formats"
SOURCES = ("hdf5", "robomimic", "lerobot", "zarr", "videos")
FORMATS = SOURCES[:4]
DESCRIPTION = """\
Turns bags into the dataset that `vilp train` reads. The code that joins cameras and arm is that of
the observation node, so training sees what the robot will see, to the bit. A bag is an episode; one
without commands becomes action_free, a failure suboptimal, one in which a human took over from a
policy a correction. Bags that the audit marked broken are left out unless --broken is given.

  vilp convert demonstrations --out datasets/lift_bags.hdf5
  vilp convert cam_run_1 cam_run_2 --out free.hdf5 --task lift --contract my_arm.yaml
  vilp convert demonstrations --out datasets/lift_bags.hdf5 --cluster auto
  vilp convert demonstrations --out d.hdf5 --topic agentview/image_raw:=/cam0/image_raw

Memory stays constant; a conversion that was cut off goes on when the same command is given again.
By another contract, role or --rest, a bag that OUT holds is refused: it goes to another --out. A
bag that cannot be used is named with its reason, the others are converted, and the exit code is 1.
Beside OUT lie OUT_sheets/ (a contact sheet for each episode) and OUT.stats.json.

Other formats come in and go out by --from and --to: robomimic HDF5, LeRobot (v2.0, v2.1 and v3.0
in, v3.0 out), the zarr layout of diffusion_policy; folders of videos come in. A LeRobot dataset
whose columns bear other names than ours, and that is every one that we did not write, needs a map,
which `vilp data FOLDER --map` drafts. An episode that cannot be had is named with its reason, the
others are converted, and the exit code is 1. Episodes that OUT holds already are not written again.
  vilp convert datasets/lift_bags.hdf5 --out lift_lerobot --to lerobot
  vilp convert demo_v15.hdf5 --from robomimic --out theirs.hdf5 --task lift
  vilp convert their_folder --from lerobot --map my_map.yaml --out theirs.hdf5
  vilp convert movies --from videos --out movies.hdf5 --task fold"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    from vilp_ros.data.plausible import ROLES

    parser.add_argument("sources", nargs="+", type=Path, help="bags, folders of bags, or a dataset")
    parser.add_argument("--out", type=Path, required=True, help="dataset, made or continued")
    parser.add_argument("--from", dest="source", choices=SOURCES, help="format of a dataset")
    parser.add_argument("--to", choices=FORMATS, default="hdf5", help="format of OUT")
    parser.add_argument(
        "--map", help="what the columns of a dataset are: a YAML file, or a name in config/maps"
    )
    parser.add_argument(
        "--episodes", metavar="LIST", help="only these of a dataset, such as 0-31,35 (--from)"
    )
    parser.add_argument("--task", default="", help="instead of the one noted in the bags")
    parser.add_argument("--role", choices=ROLES, default="", help="instead of the one found")
    parser.add_argument("--contract", help="robot, instead of the one noted: a file or a name")
    parser.add_argument(
        "--topic",
        action="append",
        default=[],
        metavar="NAME:=TOPIC",
        help="where a topic of the contract has another name in the bag; may be repeated",
    )
    parser.add_argument("--broken", action="store_true", help="also bags that the audit marked")
    parser.add_argument(
        "--rest", action="store_true", help="keep the arm's standing still before it first moves"
    )
    parser.add_argument(
        "--no-joints",
        action="store_true",
        help="of --to lerobot: observation.state is pose and gripper width alone, which is what a "
        "policy is shown here",
    )
    add_cluster(parser, "a bag")
    parser.add_argument("--no-sheets", action="store_true", help="write no contact sheets")


def run(args: argparse.Namespace) -> int:
    """Converts; prints a line for each bag that needs one."""
    _check(args)
    if args.source or args.to != "hdf5" or args.no_joints:
        return _translate(args)
    return _bags(args)


def _translate(args: argparse.Namespace) -> int:
    from vilp_ros.data.formats import translate
    from vilp_ros.data.mapping.column_map import load_map
    from vilp_ros.ros.files import find

    column_map = load_map(find(args.map, "config/maps", ".yaml")) if args.map else None
    only = _numbers(args.episodes) if args.episodes else None
    source = args.source or "hdf5"
    how = (args.task, column_map, only, args.rest, not args.no_joints)
    done = translate(args.sources, source, args.out, args.to, *how)
    for note in done.notes:
        print(note)
    for error in done.errors:
        print(f"not converted: {error}")
    missing = f", {len(done.errors)} could not be" if done.errors else ""
    there = f", {done.there} were there" if done.there else ""
    print(f"{args.out}: {done.count} episodes written as {args.to}{there}{missing}")
    if args.to == "hdf5" and args.source != "hdf5" and args.out.is_file():
        _beside(args.out, sheets=not args.no_sheets)
        _name_outliers(args.out)
    return int(bool(done.errors) or not done.count + done.there)


def _numbers(text: str) -> set[int]:
    """Whole numbers of a list such as `0-31,35`."""
    from vilp_ros.errors import VilpError

    chosen: set[int] = set()
    for one in text.split(","):
        low, dash, high = one.strip().partition("-")
        if not low.isdigit() or (dash and not high.isdigit()):
            raise VilpError(f"--episodes {text}: expected numbers and spans such as 0-31,35")
        chosen |= set(range(int(low), int(high or low) + 1))
    return chosen


def _name_outliers(out: Path) -> None:
    import json

    found = json.loads(out.with_suffix(".stats.json").read_text())["outliers"]
    for episode, text in found.items():
        print(f"episode {episode} stands out: {text}")


def _check(args: argparse.Namespace) -> None:
    """Raises VilpError where bags and datasets are confused, once and not for each bag."""
    import h5py

    from vilp_ros.data.bag_storage import bags_at
    from vilp_ros.errors import VilpError

    if args.cluster and (args.source or args.to != "hdf5"):
        raise VilpError("--cluster shares the work on bags: a dataset is converted without it")
    files = [path for path in args.sources if path.is_file() and not bags_at(path)]
    if not args.source and files:
        if args.to == "hdf5":
            raise VilpError(
                f"{files[0]} is no bag: say the format of a dataset by --from, one of "
                f"{', '.join(SOURCES)}"
            )
    elif not args.source and args.to != "hdf5":
        raise VilpError(
            f"bags become a dataset first: `vilp convert {args.sources[0]} --out bags.hdf5`, then "
            f"`vilp convert bags.hdf5 --out {args.out} --to {args.to}`"
        )
    if args.to == "hdf5" and args.out.is_dir():
        raise VilpError(f"{args.out} is a folder: name a file, such as {args.out / 'mine.hdf5'}")
    if args.to == "hdf5" and args.out.is_file() and not h5py.is_hdf5(args.out):
        raise VilpError(
            f"{args.out} exists and is no HDF5 file, or is open elsewhere: choose another --out"
        )


def _bags(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from vilp_ros.contract import Contract
    from vilp_ros.data.bag import find_bags, message_count
    from vilp_ros.data.bag_reader import Choice
    from vilp_ros.data.convert import convert_bag
    from vilp_ros.data.convert_apart import convert_apart
    from vilp_ros.errors import VilpError
    from vilp_ros.ros.files import find_contract

    pairs = [words.partition(":=") for words in args.topic]
    if wrong := [a for a, sign, b in pairs if not (a and sign and b)]:
        raise VilpError(f"--topic {wrong[0]}: expected NAME:=TOPIC, such as ee_pose:=/arm/pose")
    contract = Contract.load(find_contract(args.contract)) if args.contract else None
    topics = {name: topic for name, _, topic in pairs}
    choice = Choice(contract, args.task, args.role, topics, args.broken, args.rest)
    bags = find_bags(args.sources)
    with on_cluster(args, "bags") as cluster:
        if cluster is not None:
            apart = convert_apart(bags, args.out, choice, cluster)
            return _tell(args, list(tqdm(apart, total=len(bags), unit=" bags")))
    outcomes = []
    total = sum(map(message_count, bags))
    with tqdm(total=total, unit=" messages", unit_scale=True, mininterval=0.5) as bar:
        for path in bags:
            bar.set_description(path.name)
            outcomes.append(convert_bag(path, args.out, choice, bar.update))
    return _tell(args, outcomes)


def _tell(args: argparse.Namespace, outcomes: list[Outcome]) -> int:
    """Says what became of the bags; writes what lies beside the dataset."""
    for outcome in outcomes:
        if outcome.error:
            print(f"not converted: {outcome.error}")
        for note in outcome.notes:
            print(f"{outcome.path}: {note}")
    if args.out.is_file():
        _beside(args.out, sheets=not args.no_sheets)
    made = [o for o in outcomes if o.steps]
    roles = Counter(o.role for o in made)
    words = ", ".join(f"{count} {role}" for role, count in sorted(roles.items())) or "none"
    there = sum(o.there for o in outcomes)
    print(
        f"{args.out}: {len(made)} bags converted ({words}; {sum(o.steps for o in made)} steps), "
        f"{there} were there, {sum(bool(o.error) for o in outcomes)} could not be"
    )
    return int(any(o.error for o in outcomes))


def _beside(out: Path, sheets: bool) -> None:
    from vilp_ros.data.episodes import EpisodeFile
    from vilp_ros.data.outliers import statistics
    from vilp_ros.data.sheet import save_sheet

    file = EpisodeFile(out)
    write_figures(out.with_suffix(".stats.json"), statistics(file))
    for index in range(len(file) if sheets else 0):
        path = out.with_name(f"{out.stem}_sheets") / f"{index:04}.png"
        if not path.exists():
            save_sheet(file, index, path)
    file.close()
