"""Pictures of one moment in two looks: a view, and beside it the same view as usual."""

from __future__ import annotations

_SUFFIX = "_usual"


def usual(view: str) -> str:
    """Name under which an episode holds `view` as it looks in the usual scene."""
    return view + _SUFFIX


def seen(views: tuple[str, ...]) -> tuple[str, ...]:
    """The views that are no such second picture."""
    return tuple(view for view in views if not view.endswith(_SUFFIX))
