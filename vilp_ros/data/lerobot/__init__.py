"""LeRobot datasets: their folders (v2.x, v3.0), and ours written as one.

The lerobot package (Python >= 3.12) is not needed; pyarrow is, and PyAV to read videos.
"""
