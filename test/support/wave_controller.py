"""The controller's process with a policy that needs no weights: arguments as of the node."""

from robots import home_pose
from waves import WavePolicy

from vilp_ros.nodes import controller
from vilp_ros.ros import bundle

bundle.load = lambda settings, contract: WavePolicy(home_pose(contract))
controller.main()
