"""The program `vilp`; `python -m vilp_ros` for a machine whose scripts are not on the PATH."""

import signal
import sys


def main() -> int:
    """Runs the verb of the command line; Ctrl-C is quiet from here on, imports included."""
    try:
        from vilp_ros.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        # What is left is the interpreter's end, which takes torch a while.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
