"""The methods, one a module: what it is made of, how its inputs look, how it is run.

How it is trained stands in the module of the same name in `vilp_ros.training.methods`.
"""
