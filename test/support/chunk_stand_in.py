"""A policy server without LeRobot, which serves as the example's does: moves aside, to and fro.

    python chunk_stand_in.py SOCKET [TERM=JSON ...]     terms that are not those of `lift`

Every action has the width that a pixel of each view tells, so that a test sees them arrive.
"""

import json
import logging
import sys
from pathlib import Path

import numpy as np
from chunk_server import serve
from chunk_wire import Terms

NAMES = ("ee.x", "ee.y", "ee.z", "ee.qx", "ee.qy", "ee.qz", "ee.qw", "gripper.width")
LIFT = {
    "views": {"agentview": [96, 160], "eye_in_hand": [96, 160]},
    "state": NAMES,
    "action": NAMES,
    "fps": 20.0,
    "actions": 16,
}
STEP_M = 0.002


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    others = {key: json.loads(value) for key, _, value in (w.partition("=") for w in sys.argv[2:])}
    terms = Terms(**(LIFT | others))
    way = STEP_M

    def answer(arrays: dict[str, np.ndarray]) -> np.ndarray:
        nonlocal way
        state = arrays["state"]
        if state[0] < 0:
            raise ValueError("behind the robot")
        if abs(state[1]) > 0.05:
            way = -STEP_M if state[1] > 0 else STEP_M
        actions = np.tile(state, (terms.actions, 1))
        actions[:, 1] += way * np.arange(1, terms.actions + 1)
        first, second = (float(arrays[view][1, 2, 0]) for view in ("agentview", "eye_in_hand"))
        actions[:, 7] = 1e-4 * first + 1e-5 * second
        return actions

    serve(Path(sys.argv[1]), terms, answer)


if __name__ == "__main__":
    main()
