"""What moves the arm: numpy only, no torch, no ROS, every time given by the caller."""
