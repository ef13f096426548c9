"""Two runs of the tests at once do not hear each other."""

import os
import subprocess
import sys
from pathlib import Path

from ros_fixtures import own_domain

ASK = "import ros_fixtures\nwith ros_fixtures.own_domain() as n: print(n)"


def test_no_two_processes_have_one_domain():
    support = Path(__file__).parents[1] / "support"
    with own_domain() as mine, own_domain() as another:
        environment = {**os.environ, "PYTHONPATH": str(support)}
        asked = f"import os\nos.getpid = lambda: {mine - 1}\n{ASK}"  # it begins with ours
        told = subprocess.run(
            [sys.executable, "-c", asked], capture_output=True, env=environment, check=True
        )
        assert len({mine, another, int(told.stdout)}) == 3
