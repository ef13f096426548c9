"""`vilp` on a disk that takes half a second a file: `python slow_disk.py VERB ...`.

For that long a file is there, and not whole.
"""

import sys
import time
from pathlib import Path

SECONDS = 0.5


def slowly(write):
    """Writes nothing to a path for a while, then all of it."""

    def slow(path, *args, **kwargs):
        Path(path).write_bytes(b"")
        time.sleep(SECONDS)
        return write(path, *args, **kwargs)

    return slow


if __name__ == "__main__":
    import numpy as np

    from vilp_ros.cli.main import main
    from vilp_ros.training import checkpoint

    header, save_whole = np.lib.format.write_array_header_1_0, checkpoint.save_whole

    def write_array_header(file, *args, **kwargs):
        header(file, *args, **kwargs)
        time.sleep(SECONDS)

    def save(tensors, path, metadata):
        slowly(lambda path: save_whole(tensors, path, metadata))(path)

    np.lib.format.write_array_header_1_0, checkpoint.save_whole = write_array_header, save
    Path.write_text = slowly(Path.write_text)
    sys.exit(main(sys.argv[1:]))
