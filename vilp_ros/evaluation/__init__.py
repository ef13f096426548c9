"""Rollouts with confidence intervals, controls, probes, the speed table and report pictures.

Knows the simulator and the policy, and no ROS.
"""
