"""Scalars of contracts, recipes and bundles are those of YAML 1.2: no number becomes another."""

import pytest

from vilp_ros.contract.readers import ContractError, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("-7", -7),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("1e-3", 1e-3),
        ("1.0e-05", 1e-5),
        (".5", 0.5),
        ("-.inf", -float("inf")),
        ("no", "no"),
        ("true", True),
        ("2024-01-01", "2024-01-01"),
        ("~", None),
        ("", None),
        ("'3'", "3"),
    ],
)
def test_a_scalar_is_what_it_says(text, value):
    found = parse_yaml(f"key: {text}", "file")["key"]
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    "text",
    ["!!int x", "!!float 1:30", "!!timestamp x", "!!python/object:os.system x", "*x", "[" * 5000],
)
def test_what_is_none_is_a_sentence(text):
    with pytest.raises(ContractError, match="file: not YAML"):
        parse_yaml(f"key: {text}", "file")
