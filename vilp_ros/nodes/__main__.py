"""One node as a process: `python -m vilp_ros.nodes NAME`, or a script called NAME_node.

A node is imported here and not by whoever starts it, so that a signal meanwhile ends the process as
one later does, and not in the middle of an import with its traceback.
"""

import os
import signal
import sys
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Entry point of every executable; from `vilp_ros.ros.process.run` on, signals are its."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    program = Path(sys.argv[0]).stem
    name = sys.argv.pop(1) if program == "__main__" else program.removesuffix("_node")
    import_module(f"vilp_ros.nodes.{name}").main()


if __name__ == "__main__":
    main()
