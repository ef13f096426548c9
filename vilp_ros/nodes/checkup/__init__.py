"""The doctor: what is wrong with a set-up before anything runs, each finding with its cure.

Nothing here loads a weight or moves an arm.
"""
