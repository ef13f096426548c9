"""`vilp teleop`: steer the arm by hand."""

from __future__ import annotations

import argparse
import os
import sys

HELP = "steer the arm with a keyboard, a gamepad or a spacemouse"
DESCRIPTION = """\
Publishes the absolute targets that a policy would, within the limits of the contract. Where a
controller runs, `t` (B on a gamepad, the right button of a spacemouse) takes the arm from it and
gives it back; what was steered meanwhile is recorded as a correction. The keyboard is meant for the
simulator. The devices are read from the kernel; no driver is needed.

  vilp teleop
  vilp teleop --device gamepad --path /dev/input/js1
  vilp teleop --device spacemouse --contract my_arm.yaml

A demonstration by hand takes three terminals:
  vilp up enabled:=false
  vilp record --out demonstrations --task lift
  vilp teleop"""
DEVICES = ("keyboard", "gamepad", "spacemouse")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of the verb."""
    parser.add_argument("--device", choices=DEVICES, default="keyboard", help="what to steer with")
    parser.add_argument("--path", default="", help="device file, such as /dev/input/js0")
    parser.add_argument("--contract", default="sim_panda", help="robot: a file or a name")
    parser.add_argument("--speed", type=float, default=0.2, help="m/s at full deflection")
    parser.add_argument("--namespace", default="", help="of the robot's nodes")


def run(args: argparse.Namespace) -> int:
    """Becomes the node, which keeps the terminal."""
    from vilp_ros.ros.files import find_contract

    parameters = {
        "contract": find_contract(args.contract),
        "device": args.device,
        "device_path": args.path,
        "linear_speed": float(args.speed),
    }
    words = ["--ros-args", "-r", "__node:=teleop"]
    words += ["-r", f"__ns:=/{args.namespace.strip('/')}"] if args.namespace else []
    for name, value in parameters.items():
        if value != "":
            words += ["-p", f"{name}:={value}"]
    os.execv(sys.executable, [sys.executable, "-m", "vilp_ros.nodes", "teleop", *words])
