"""Episodes: on disk, in memory, and cut into windows."""
