"""How the methods are trained, each in the module of the same name as in `vilp_ros.policy`."""
