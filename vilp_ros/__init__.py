"""Latent-planning imitation learning for ROS 2 (VILP and LDP)."""

__version__ = "0.1.0"
