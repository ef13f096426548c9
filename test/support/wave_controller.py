"""The controller's process with a policy that needs no weights: arguments as of the node."""

from waves import WavePolicy

from vilp_ros.nodes import bundle, controller

bundle.load = lambda *_: WavePolicy()
controller.main()
