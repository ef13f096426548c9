"""The room that speaks ROS: thin nodes over what the other rooms know."""

import os

# Before numpy or torch are imported. On a small machine the nodes are the parallelism: OpenMP
# threads that wait for each other across processes stall the arm.
os.environ.setdefault("OMP_NUM_THREADS", "1")
