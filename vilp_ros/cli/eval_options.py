"""Which options of `vilp eval` belong to which probe: one that would change nothing is refused."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from vilp_ros.errors import VilpError

HELD_OUT = ("reconstruction", "video", "idm", "actions")  # and the oracle, which runs on them
PROBES = (*HELD_OUT, "oracle", "gap", "transfer")
SUCCESS = ""
"""No probe: whole episodes and their controls."""
_USED_BY = {
    "seed_start": (SUCCESS, "gap", "transfer"),
    "workers": (SUCCESS, "oracle", "gap", "transfer"),
    "cluster": (SUCCESS, "oracle", "gap", "transfer"),
    "controls": (SUCCESS,),
    "control_bundles": (SUCCESS, "actions"),
    "data": (SUCCESS, *HELD_OUT, "oracle"),
    "variation": (SUCCESS, "oracle", "gap"),
    "alarm": ("gap",),
    "scenes": ("transfer",),
    "families": ("transfer",),
    "strengths": ("transfer",),
    "plot": ("transfer", "video"),
}


def require_used(args: Namespace, parser: ArgumentParser) -> None:
    """Checks that every option that was given does something.

    Args:
        args: of the verb.
        parser: that knows the defaults.

    Raises:
        VilpError: one would be ignored, and stand in the figures as if it had not been.
    """
    probe = args.probe or SUCCESS
    for name, probes in _USED_BY.items():
        asked = getattr(args, name) != parser.get_default(name)
        if asked and probe not in probes and not (name == "controls" and args.controls == "none"):
            raise VilpError(
                f"--{name.replace('_', '-')} changes nothing in {_command(probe)}: it is for "
                f"{', '.join(map(_command, probes))}; leave it out"
            )


def _command(probe: str) -> str:
    return f"`vilp eval {probe}`" if probe else "`vilp eval`"
