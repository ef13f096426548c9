"""`vilp repair`: a bag that was cut off, readable again."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "make a bag readable again whose recording was cut off"
DESCRIPTION = """\
Rewrites bags from their whole messages and says what was lost: of a recording of ours that was cut
off, at most the last chunk (1 MiB, or one second). Of a file that is rotten what precedes the first
rotten place is saved, and the file stays beside it as FILE.damaged. Bags that are whole are left
alone. Folders are searched for bags, one level deep.

  vilp repair demonstrations/episode_0012
  vilp repair demonstrations"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    parser.add_argument("bags", nargs="+", type=Path, help="bags, or folders of bags")


def run(args: argparse.Namespace) -> int:
    """Repairs; a line a bag."""
    from vilp_ros.data.bag import BagError, find_bags
    from vilp_ros.data.repair import repair

    failed = False
    for path in find_bags(args.bags):
        try:
            print(repair(path))
        except BagError as error:
            print(error)
            failed = True
    return int(failed)
