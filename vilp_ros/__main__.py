"""`python -m vilp_ros`, for a machine whose scripts are not on the PATH."""

import sys

from vilp_ros.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
