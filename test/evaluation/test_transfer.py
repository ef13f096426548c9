"""Which scenes are run, which would show nothing, and where success falls under one half."""

import pytest

from vilp_ros.evaluation.closed_loop.transfer import Cell, choose_cells, falls_below_half, unseen
from vilp_ros.sim.look import FAMILIES
from vilp_ros.sim.scene import VARIATIONS
from vilp_ros.sim.task import load_task

COLOUR = ("agentview", "agentview_depth"), ("agentview_depth",)
DEPTH = ("agentview_depth",), ("agentview_depth",)


def test_who_sees_nothing_sees_no_scene():
    task = load_task("lift")
    scenes = {name for name in VARIATIONS if not unseen(Cell(name), task, (), ())}
    assert scenes == {"none"}
    assert unseen(Cell("camera@1", "camera"), task, (), ())


def test_what_is_named_twice_is_run_once():
    cells = choose_cells("green,green,none", "light", [1.0, 1.0000001, 0.5])
    assert [cell.name for cell in cells] == ["green", "none", "light@1", "light@0.5"]


@pytest.mark.parametrize(
    ("strengths", "rates", "usual", "falls"),
    [
        ([1, 2], [0.8, 0.2], None, 1.5),
        ([1, 2], [0.4, 0.2], 0.6, 0.5),
        ([1, 2], [0.4, 0.2], None, 1.0),  # where it falls was not measured
        ([1, 2], [0.4, 0.9], 0.1, 0.0),
        ([1, 2], [0.9, 0.5], 1.0, None),
    ],
)
def test_it_falls_between_two_that_were_measured(strengths, rates, usual, falls):
    found = falls_below_half(strengths, rates, usual)
    assert found == (falls if falls is None else pytest.approx(falls))


def test_a_depth_camera_sees_no_colours():
    task = load_task("lift")
    scenes = {name for name in VARIATIONS if unseen(Cell(name), task, *DEPTH)}
    assert scenes == {"green", "blue", "yellow", "dim", "bright", "other_side", "jpeg_80"}
    families = [name for name in FAMILIES if unseen(Cell(f"{name}@1", name), task, *DEPTH)]
    assert set(families) == {"object", "table", "light", "sensor"}


def test_a_task_of_its_own_colours_is_not_repainted_by_name():
    task = load_task("lift")
    own = {"looks": {"cube_g0": "0.2 0.2 0.9 1"}, "tops": {}}
    assert not any(unseen(Cell(name), task, *COLOUR) for name in VARIATIONS)
    other = type("Own", (), own)
    scenes = {name for name in VARIATIONS if unseen(Cell(name), other, *COLOUR)}
    assert scenes == {"green", "blue", "yellow"}
