"""Keyboard, gamepad and spacemouse, read as the kernel offers them: no driver, no library."""

from __future__ import annotations

import os
import select
import struct
import sys
import termios
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from vilp_ros.errors import VilpError

HELD_S = 0.15
"""A key counts as held for so long after it came: terminals tell no release."""
KEYS = {
    "w": (0, 1),
    "s": (0, -1),
    "a": (1, 1),
    "d": (1, -1),
    "r": (2, 1),
    "f": (2, -1),
    "i": (4, 1),
    "k": (4, -1),
    "j": (3, -1),
    "l": (3, 1),
    "q": (5, 1),
    "e": (5, -1),
}
WORDS = {
    "t": "takeover",
    " ": "gripper",
    "1": "start",
    "2": "success",
    "3": "failure",
    "4": "discard",
}
KEYBOARD_HELP = (
    "w s: x   a d: y   r f: z   j l, i k, q e: turn   space: gripper   t: take over, give back\n"
    "1 start, 2 success, 3 failure, 4 discard an episode   Ctrl-C: end"
)
_DEAD = 0.08


class Hand(NamedTuple):
    """What a person does: deflections (6,) from -1 to 1, and words that came since the last time.

    Words: `takeover` (toggle), `gripper` (toggle), and the recorder's services.
    """

    twist: np.ndarray
    words: list[str]


class Device(Protocol):
    """Something that a person steers with."""

    def read(self) -> Hand:
        """The hand now; never waits."""

    def close(self) -> None:
        """Gives the device back."""


class Keyboard:
    """The terminal that the node runs in.

    Raises:
        VilpError: there is none.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        if not sys.stdin.isatty():
            raise VilpError("the keyboard needs a terminal: run `vilp teleop` in one of its own")
        self._clock, self._number = clock, sys.stdin.fileno()
        self._before = termios.tcgetattr(self._number)
        self._held: dict[str, float] = {}
        tty.setcbreak(self._number)

    def read(self) -> Hand:
        """The hand now."""
        words = []
        while select.select([self._number], [], [], 0)[0]:
            key = os.read(self._number, 1).decode(errors="ignore").lower()
            if not key:
                break
            if key in KEYS:
                self._held[key] = self._clock() + HELD_S
            elif key in WORDS:
                words.append(WORDS[key])
        twist = np.zeros(6)
        for key, until in self._held.items():
            if self._clock() < until:
                axis, sign = KEYS[key]
                twist[axis] += sign
        return Hand(np.clip(twist, -1, 1), words)

    def close(self) -> None:
        """Restores the terminal."""
        termios.tcsetattr(self._number, termios.TCSADRAIN, self._before)


class _File:
    """A device file that is read without waiting."""

    def __init__(self, path: str, what: str) -> None:
        try:
            self.number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            raise VilpError(
                f"no {what} at {path}: plug it in, or name its file with --path"
            ) from None
        except PermissionError:
            raise VilpError(
                f"{path} may not be read: add your user to the group input (gamepad) or give it "
                "access by a udev rule (spacemouse)"
            ) from None

    def packets(self, size: int) -> list[bytes]:
        """Everything that came."""
        found = []
        while True:
            try:
                data = os.read(self.number, size)
            except BlockingIOError:
                return found
            except OSError as error:
                raise VilpError(f"the device went away: {error}") from None
            if not data:
                return found
            found.append(data)


class Gamepad:
    """A Linux joystick (`/dev/input/js0`): left stick x and y, right stick z and yaw.

    Buttons, as an Xbox pad numbers them: A gripper, B take over, X start, Y success, LB failure,
    RB discard. The directional pad tilts.
    """

    _BUTTONS = ("gripper", "takeover", "start", "success", "failure", "discard")
    _AXES = ((1, 0, -1), (0, 1, -1), (4, 2, -1), (3, 5, -1), (6, 3, 1), (7, 4, -1))

    def __init__(self, path: str = "/dev/input/js0") -> None:
        self._file = _File(path, "gamepad")
        self._axes = np.zeros(32)

    def read(self) -> Hand:
        """The hand now."""
        words = []
        for packet in self._file.packets(8):
            if len(packet) < 8:
                continue
            _, value, kind, number = struct.unpack("<IhBB", packet)
            if kind == 1 and value and number < len(self._BUTTONS):
                words.append(self._BUTTONS[number])
            elif kind & 0x7F == 2 and number < len(self._axes):
                self._axes[number] = value / 32767
        twist = np.zeros(6)
        for axis, component, sign in self._AXES:
            value = self._axes[axis]
            twist[component] = sign * value if abs(value) > _DEAD else 0.0
        return Hand(twist, words)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file.number)


class SpaceMouse:
    """A 3Dconnexion device by its HID reports; left button gripper, right button take over.

    Report 1 is the translation (on newer ones the rotation too), report 2 the rotation, report 3
    the buttons; full deflection is about 350.
    """

    _FULL = 350.0

    def __init__(self, path: str = "") -> None:
        self._file = _File(path or _find_spacemouse(), "spacemouse")
        self._raw = np.zeros(6)
        self._pressed = 0

    def read(self) -> Hand:
        """The hand now."""
        words = []
        for packet in self._file.packets(16):
            kind, body = packet[0], packet[1:]
            if kind == 1 and len(body) >= 12:
                self._raw[:] = struct.unpack_from("<6h", body)
            elif kind in (1, 2) and len(body) >= 6:
                self._raw[3 * (kind - 1) : 3 * kind] = struct.unpack_from("<3h", body)
            elif kind == 3 and body:
                words += [
                    word
                    for bit, word in enumerate(("gripper", "takeover"))
                    if body[0] & ~self._pressed & (1 << bit)
                ]
                self._pressed = body[0]
        x, y, z, roll, pitch, yaw = self._raw / self._FULL
        # Device: x right, y towards the person, z down. The person stands behind the robot.
        twist = np.array([-y, -x, -z, -pitch, -roll, -yaw])
        twist[np.abs(twist) < _DEAD] = 0.0
        return Hand(np.clip(twist, -1, 1), words)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file.number)


def _find_spacemouse(root: Path = Path("/sys/class/hidraw")) -> str:
    for entry in sorted(root.glob("hidraw*")):
        about = entry / "device/uevent"
        if about.is_file() and "3dconnexion" in about.read_text(errors="ignore").lower():
            return f"/dev/{entry.name}"
    return "/dev/hidraw0"


def open_device(name: str, path: str) -> Device:
    """The device of a name.

    Raises:
        VilpError: no such device, or it cannot be opened.
    """
    if name == "keyboard":
        return Keyboard()
    if name == "gamepad":
        return Gamepad(path or "/dev/input/js0")
    if name == "spacemouse":
        return SpaceMouse(path)
    raise VilpError(f"device is {name!r}: choose from keyboard, gamepad, spacemouse")
