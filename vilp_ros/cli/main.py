"""`vilp VERB`: finds the verb, parses its arguments, turns its errors into sentences.

A verb is a module of this room with `HELP` (one line), `DESCRIPTION`, `add_arguments(parser)` and
`run(args) -> int` (the exit code). It imports torch, rclpy or a simulator inside `run`, so that
help is instant.
"""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from vilp_ros import __version__
from vilp_ros.errors import VilpError

VERBS = (
    "demo",
    "up",
    "doctor",
    "latency",
    "collect",
    "redraw",
    "teleop",
    "record",
    "repair",
    "convert",
    "data",
    "label",
    "replay",
    "train",
    "eval",
    "study",
    "bench",
    "view",
)

REFUSED_BY_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
"""What a user can mend about a disk."""

EXAMPLES = """\
examples:
  vilp demo --episodes 3
  vilp up
  vilp doctor --contract fr3_direct --robot-ip 172.16.0.2
  vilp latency --contract my_fr3.yaml --write
  vilp collect --task lift --episodes 200 --out datasets/lift.hdf5
  vilp redraw --data datasets/lift.hdf5 --out datasets/lift_pairs.hdf5
  vilp teleop --device gamepad
  vilp record --out demonstrations --task lift --expert --episodes 100
  vilp repair demonstrations
  vilp convert demonstrations --out datasets/lift_bags.hdf5
  vilp data datasets/lift_bags.hdf5
  vilp label --bundle models/watched --data datasets/lift.hdf5 --out datasets/labelled.hdf5
  vilp replay demonstrations/episode_0000 --execute
  vilp train --config config/training/ldp_lift.yaml --out models/my_lift
  vilp eval --bundle models/ldp_lift --episodes 100 --json lift.json
  vilp study config/studies/labels.yaml
  vilp bench --bundle models/ldp_lift
  vilp view runs/latest

`vilp VERB --help` says more. Files of a run land in runs/ below the current folder.
Exit codes: 0 done, 1 the verb ran and failed, 2 wrong use, 130 interrupted.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        argv: Arguments after the program's name; those of the process by default.

    Returns:
        The exit code of the process.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        verb = _verb_of(argv)
        args = _parser(verb).parse_args(argv)
        return _load(args.verb).run(args)
    except VilpError as error:
        print(f"vilp: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in REFUSED_BY_DISK:
            raise
        print(
            f"vilp: {error.filename or 'a file'} cannot be written: {error.strerror}",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader (`vilp ... | head`) left; the interpreter must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _verb_of(argv: Sequence[str]) -> str | None:
    """The verb that the user typed, None when the general help or an option was asked for.

    Raises:
        VilpError: There is no such verb.
    """
    if not argv or argv[0].startswith("-"):
        return None
    if argv[0] not in VERBS:
        raise VilpError(f"unknown verb {argv[0]!r}, available: {', '.join(VERBS)}")
    return argv[0]


def _parser(verb: str | None) -> argparse.ArgumentParser:
    """The parser of one verb; without one, of the general help, which needs no verb's arguments."""
    parser = argparse.ArgumentParser(
        prog="vilp",
        description="Train, run and measure latent planners for a robot arm on ROS 2.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vilp_ros {__version__}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name in VERBS if verb is None else (verb,):
        module = _load(name)
        subparser = subparsers.add_parser(
            name,
            help=module.HELP,
            description=module.DESCRIPTION,
            formatter_class=_VerbHelp,
        )
        if verb is not None:
            module.add_arguments(subparser)
    return parser


class _VerbHelp(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of a verb's description and shows defaults that the help does not."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        default = action.default
        several = default if isinstance(default, (list, tuple)) else [default]
        written = " ".join(map(str, several))
        said = default in (None, False) or written in text
        return text if said else super()._get_help_string(action)


def _load(verb: str) -> ModuleType:
    return import_module(f"vilp_ros.cli.{verb}")
