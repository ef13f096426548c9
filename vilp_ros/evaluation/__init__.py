"""What a policy is worth, in figures and pictures. Knows the simulator and the policy, and no ROS.

`closed_loop` is success in lock-step, `imagination` whether what is imagined comes true, `demo`
what a demo leaves. Beside them: time (`bench`), bags (`replay`, `shadow`, `latency`), held-out
episodes (`recordings`), and what all use (`statistics`, `tables`).
"""
