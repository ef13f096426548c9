"""What speaks to a Franka: libfranka's arm, its gripper and the words of their errors."""
