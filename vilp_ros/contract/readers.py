"""Checked reading of a YAML file into dataclasses whose fields carry their own readers.

A reader takes a value and the key where it stands; it returns what the field holds or raises
`ContractError` with the key path, what was found and what is allowed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import yaml

from vilp_ros.errors import VilpError


class ContractError(VilpError):
    """A contract that cannot be used: names the key path, what was found and what is allowed."""


class Key(NamedTuple):
    """Which file, and where in it."""

    source: str
    path: str = ""

    def child(self, name: object) -> Key:
        """The key `name` of this mapping."""
        return Key(self.source, f"{self.path}.{name}" if self.path else str(name))

    def item(self, index: int) -> Key:
        """The item `index` of this list."""
        return Key(self.source, f"{self.path}[{index}]")

    def refuse(self, found: object, allowed: str) -> NoReturn:
        """Raise the error that names this key; None counts as nothing found."""
        shown = "nothing" if found is None else repr(found)
        path = self.path or "the file"
        raise ContractError(f"{self.source}: {path}: found {shown}, allowed: {allowed}")


Reader = Callable[[Key, Any], Any]


def by(reader: Reader) -> dict[str, Reader]:
    """Metadata of a dataclass field that `reader` reads."""
    return {"reader": reader}


def number(low: float, high: float, unit: str, above: bool = False) -> Reader:
    """A float from `low` (or `above` it) to `high`; never NaN."""

    def read(key: Key, value: Any) -> float:
        if not _is_number(value) or not low <= value <= high or (above and value == low):
            least = f"above {low:g}" if above else f"from {low:g}"
            key.refuse(value, f"a number {least} to {high:g} {unit}")
        return float(value)

    return read


def factor(most: float) -> Reader:
    """A float other than 0, of either sign, no larger than `most`."""

    def read(key: Key, value: Any) -> float:
        if not _is_number(value) or value == 0 or not abs(value) <= most:
            key.refuse(value, f"a number from -{most:g} to {most:g}, not 0")
        return float(value)

    return read


def whole(low: int, high: int) -> Reader:
    """An int from `low` to `high`."""

    def read(key: Key, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            key.refuse(value, f"a whole number from {low} to {high}")
        return value

    return read


def interval(low: float, high: float, unit: str) -> Reader:
    """A pair of floats in rising order."""

    def read(key: Key, value: Any) -> tuple[float, float]:
        pair = isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
        if not pair or not low <= value[0] < value[1] <= high:
            key.refuse(value, f"[lo, hi] with lo < hi, from {low:g} to {high:g} {unit}")
        return float(value[0]), float(value[1])

    return read


def text(pattern: str, allowed: str) -> Reader:
    """A string that matches a regular expression, which `allowed` says in words."""

    def read(key: Key, value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
            key.refuse(value, allowed)
        return value

    return read


def choice(*allowed: str) -> Reader:
    """One of some strings."""

    def read(key: Key, value: Any) -> str:
        if value not in allowed:
            key.refuse(value, f"one of {list(allowed)}")
        return value

    return read


def many(reader: Reader, count: int) -> Reader:
    """A list of `count` items, as a tuple."""

    def read(key: Key, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != count:
            key.refuse(value, f"a list of {count}")
        return tuple(reader(key.item(index), item) for index, item in enumerate(value))

    return read


def some(reader: Reader) -> Reader:
    """A list of at least one item, as a tuple."""

    def read(key: Key, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not value:
            key.refuse(value, "a list of at least one")
        return tuple(reader(key.item(index), item) for index, item in enumerate(value))

    return read


def named(reader: Reader, *names: str) -> Reader:
    """A mapping with exactly these keys."""

    def read(key: Key, value: Any) -> dict[str, Any]:
        value = _mapping(key, value, names, names)
        return {name: reader(key.child(name), value[name]) for name in names}

    return read


def part(cls: type, **given: Any) -> Reader:
    """A dataclass; its fields without a reader are `given`."""

    def read(key: Key, value: Any) -> Any:
        known = {f.name: f for f in fields(cls) if "reader" in f.metadata}
        value = _mapping(key, value, known, [n for n, f in known.items() if f.default is MISSING])
        found = {n: known[n].metadata["reader"](key.child(n), value[n]) for n in value}
        return cls(**given, **found)

    return read


def read(path: Path) -> str:
    """Text of a file.

    Raises:
        ContractError: if it is missing or not text.
    """
    if not path.is_file():
        there = sorted(other.name for other in path.parent.glob("*.yaml"))
        raise ContractError(f"no contract {path}; {path.parent} has {there}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ContractError(f"{path.name}: not YAML: {error}") from None


def parse_yaml(text: str, name: str) -> Any:
    """Plain YAML values.

    Args:
        text: YAML.
        name: what errors call it.

    Raises:
        ContractError: if it is not YAML, or gives a key twice.
    """
    try:
        return yaml.load(text, _StrictLoader)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ContractError(f"{name}: not YAML: {' '.join(str(error).split())}") from None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _mapping(
    key: Key, value: Any, allowed: Iterable[str], required: Iterable[str]
) -> dict[str, Any]:
    if not isinstance(value, dict):
        key.refuse(value, "a mapping")
    for name in value:
        if name not in allowed:
            close = difflib.get_close_matches(name, allowed, n=1)
            meant = f"; did you mean '{close[0]}'?" if close else ""
            key.child(name).refuse(name, f"the keys {list(allowed)}{meant}")
    for name in required:
        if name not in value:
            key.child(name).refuse(None, "this key is required")
    return value


class Yaml12Loader(yaml.CSafeLoader):
    """Reads scalars as YAML 1.2 does (yaml.org/spec/1.2.2, core schema).

    PyYAML reads those of 1.1, by which 010 is 8, 1:30 is 90, 1_000 is 1000 and `no` is false; here
    the first is 10 and the others are texts, which no number can be.
    """


def _number_of(kind: type, pattern: str) -> Callable[[Yaml12Loader, yaml.ScalarNode], Any]:
    def construct(loader: Yaml12Loader, node: yaml.ScalarNode) -> Any:
        text = str(loader.construct_scalar(node))
        if not re.fullmatch(pattern, text):  # tagged by hand
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: {text!r} is no number")
        return kind(text.replace(".inf", "inf").replace(".nan", "nan"))

    return construct


Yaml12Loader.yaml_implicit_resolvers = {}
_BOOL, _NULL = r"true|True|TRUE|false|False|FALSE", r"~|null|Null|NULL|"
_INT = r"[-+]?[0-9]+"
_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan"
for _name, _pattern in (("bool", _BOOL), ("null", _NULL), ("int", _INT), ("float", _FLOAT)):
    Yaml12Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_pattern})\Z"), None
    )
Yaml12Loader.add_constructor("tag:yaml.org,2002:int", _number_of(int, _INT))
Yaml12Loader.add_constructor("tag:yaml.org,2002:float", _number_of(float, _FLOAT))


class _StrictLoader(Yaml12Loader):
    """Refuses a key given twice, where plain YAML lets the last one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for index, key in enumerate(keys):
            if not isinstance(key, str) or key in keys[:index]:
                line = node.value[index][0].start_mark.line + 1
                problem = "given twice" if isinstance(key, str) else "not text"
                raise yaml.YAMLError(f"line {line}: key {key!r} is {problem}")
        return super().construct_mapping(node, deep)
