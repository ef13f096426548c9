"""Methods by name: ours, and those of other packages, which name theirs as entry points.

Nothing is imported before it is asked for: a bundle's description is read without torch.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, EntryPoints, entry_points, version
from typing import TYPE_CHECKING, Generic, TypeVar

from vilp_ros.errors import VilpError

if TYPE_CHECKING:
    from vilp_ros.policy.policy import Policy

T = TypeVar("T")


class Registry(Generic[T]):
    """Classes by the name of their method.

    Args:
        group: of the entry points.
        ours: `module:class` by name.
        missing: what is wrong with a method that is not here.
    """

    def __init__(self, group: str, ours: dict[str, str], missing: str) -> None:
        self.group = group
        self._ours = ours
        self._missing = missing

    def names(self) -> list[str]:
        """All methods, ours first."""
        outside = _installed(self.group, tuple(sys.path)).names
        return [*self._ours, *sorted(outside - set(self._ours))]

    def require(self, method: str) -> None:
        """Checks that a method is there, once, without importing it.

        Raises:
            VilpError: it is not, or two packages have one of this name.
        """
        found = [_package(point) for point in self._outside(method)]
        owners = ["vilp_ros"] * (method in self._ours) + found
        if not owners:
            raise VilpError(
                f"method {method!r} {self._missing}; there are: {', '.join(self.names())} (other "
                f"packages add theirs by entry points of the group {self.group!r})"
            )
        if len(owners) > 1:
            raise VilpError(
                f"method {method!r} is in {' and in '.join(owners)}: uninstall one of them"
            )

    def find(self, method: str) -> type[T]:
        """The class of a method.

        Raises:
            VilpError: it is not there, or its module cannot be imported.
        """
        self.require(method)
        if method in self._ours:
            module, _, name = self._ours[method].partition(":")
            return getattr(import_module(module), name)
        (point,) = self._outside(method)
        try:
            return point.load()
        except Exception as error:  # whatever another package does when it is imported
            raise VilpError(
                f"method {method!r} of {_package(point)} cannot be imported "
                f"({type(error).__name__}: {error}): mend or uninstall that package"
            ) from error

    def package(self, method: str) -> str:
        """Name and version of the package that a method comes from.

        Raises:
            VilpError: it is not there.
        """
        self.require(method)
        points = self._outside(method)
        return _package(points[0]) if points else f"vilp_ros {version('vilp_ros')}"

    def _outside(self, method: str) -> list[EntryPoint]:
        return list(_installed(self.group, tuple(sys.path)).select(name=method))


@lru_cache
def _installed(group: str, path: tuple[str, ...]) -> EntryPoints:
    """Entry points on a path: found once, since that reads a file of every installed package."""
    return entry_points(group=group)


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"


HERE = "vilp_ros.policy.methods"
METHODS: Registry[Policy] = Registry(
    "vilp_ros.methods",
    {
        "ldp": f"{HERE}.ldp:LdpPolicy",
        "vilp": f"{HERE}.vilp:VilpPolicy",
        "diffusion_policy": f"{HERE}.diffusion_policy:DiffusionPolicy",
        "unipi": f"{HERE}.unipi:UnipiPolicy",
        "bc": f"{HERE}.bc:BcPolicy",
    },
    "is not installed",
)
