"""The serving side of `chunk_wire`: answers observations with chunks of actions.

Whatever makes the actions is a function; `serve.py` brings one that runs a LeRobot policy.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import numpy as np
from chunk_wire import Connection, Terms, WireError

Answer = Callable[[dict[str, np.ndarray]], np.ndarray]
"""Views (H, W, 3) uint8 and `state` (S,) float64 to actions (n, A)."""

TIMEOUT_S = 5.0
"""For a message once it has begun; a client may think as long as it likes in between."""


def serve(path: Path, terms: Terms, answer: Answer) -> None:
    """Answers until the process ends; several clients, one observation at a time.

    Args:
        path: of the socket, made for this user alone. What a dead server left there is replaced.
        terms: what is served; a client of others is refused.
        answer: makes the actions; what it raises goes to the client in words.

    Raises:
        WireError: somebody serves there, or no socket can be made there.
    """
    turn = threading.Lock()
    with _listen(path) as door:
        logging.info("serving at %s", path)
        while True:
            end, _ = door.accept()
            work = (Connection(end), terms, answer, turn)
            threading.Thread(target=_attend, args=work, daemon=True).start()


def _listen(path: Path) -> socket.socket:
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
            if path.is_socket() and visitor.connect_ex(str(path)) == 0:
                raise WireError(f"somebody serves at {path} already: end it, or choose another one")
        if path.is_socket():
            path.unlink()
        door.bind(str(path))
        door.listen()
    except OSError as error:
        raise WireError(f"no socket can be made at {path}: {error.strerror or error}") from error
    finally:
        os.umask(before)
    return door


def _attend(line: Connection, terms: Terms, answer: Answer, turn: threading.Lock) -> None:
    with closing(line):
        try:
            line.send("hello", TIMEOUT_S, **asdict(terms))
            told, _ = line.receive({"hello": {}}, TIMEOUT_S)
            terms.require(told, "the server", "the client")
            while True:
                asked, arrays = line.receive({"observe": terms.asked}, TIMEOUT_S, idle=True)
                number = asked.get("number")
                try:
                    with turn:
                        actions = np.asarray(answer(arrays), np.float64)
                except Exception as error:  # whatever a network does when it is run
                    logging.exception("no answer to observation %s", number)
                    why = f"{type(error).__name__}: {error}"[:1000]
                    line.send("failed", TIMEOUT_S, number=number, why=why)
                else:
                    line.send("chunk", TIMEOUT_S, {"actions": actions}, number=number)
        except WireError as error:
            logging.info("a client left: %s", error)
