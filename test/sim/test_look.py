"""Looks: what is put on comes off; training and evaluation draw apart; any task wears them."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.pairs import usual
from vilp_ros.errors import VilpError
from vilp_ros.sim.collect import collect, record
from vilp_ros.sim.demonstrator import Job
from vilp_ros.sim.env import SimEnv
from vilp_ros.sim.look import (
    FAMILIES,
    HELD_OUT,
    SHAPES,
    Look,
    LookRule,
    Paint,
    Thing,
    evaluation_look,
    training_look,
)
from vilp_ros.sim.redraw import redraw
from vilp_ros.sim.textures import KINDS, draw_texture

VIEWS = ("agentview", "eye_in_hand")
RED = np.array([0.72, 0.10, 0.08])
PARTS = {
    "table": {"table": np.full(3, 0.6)},
    "floor": {"floor": np.full(3, 0.3)},
    "arm": {"link": np.ones(3)},
    "object:cube": {"side": RED, "top": np.array([0.98, 0.42, 0.25])},
}


def distance(a, b):
    return float(np.abs(a.astype(int) - b).mean())


@pytest.fixture(scope="module")
def env():
    with SimEnv("lift_wide") as env:
        yield env


@pytest.mark.parametrize("family", [*FAMILIES, "all"])
def test_a_look_changes_the_pictures_only_and_comes_off_again(env, family):
    before = env.reset(600_001)
    truth = env.truth()["cube"]
    for seed in range(3):
        env.wear(evaluation_look(np.random.default_rng(seed), env.parts, family))
        seen = env.observe()
        assert distance(seen.images["agentview"], before.images["agentview"]) > 0.5
        np.testing.assert_array_equal(env.truth()["cube"], truth)
        np.testing.assert_array_equal(seen.ee_pose, before.ee_pose)
    env.wear(Look())
    for view in VIEWS:
        np.testing.assert_array_equal(env.observe().images[view], before.images[view])


def test_strength_grows_from_nothing(env):
    before = env.reset(600_002).images["agentview"]
    apart = []
    for strength in (0.0, 0.3, 1.0):
        seen = []
        for seed in range(6):
            look = evaluation_look(np.random.default_rng(seed), env.parts, "camera", strength)
            env.wear(look)
            seen.append(distance(env.observe().images["agentview"], before))
        apart.append(np.mean(seen))
    assert apart[0] == 0.0 < apart[1] < apart[2]


def test_a_mat_hides_no_mark():
    with SimEnv("push_t", views=("agentview",)) as env:
        before = env.reset(600_003).images["agentview"].astype(int)
        mat = Thing("box", np.array([0.25, 0.25, 0.001]), 0.0, 0.0, 0.0, Paint(np.ones(3), None))
        env.wear(Look(things=[mat]))
        seen = env.observe().images["agentview"].astype(int)

    def marked(image):  # the outline is green
        red, green, blue = np.moveaxis(image, -1, 0)
        return (green > 1.5 * red) & (green > 1.5 * blue)

    assert distance(seen, before) > 5  # it lies there
    assert marked(before).sum() > 50
    assert (marked(before) & marked(seen)).sum() > 0.9 * marked(before).sum()


def test_things_stay_where_they_lie_when_the_objects_move(env):
    env.reset(600_004)
    env.wear(evaluation_look(np.random.default_rng(1), env.parts, "distractors"))
    look, lain = env.look, env.model.geom_pos.copy()
    moved = env.data.qpos.copy()
    cube = env.model.jnt_qposadr[env.model.body_jntadr[env._bodies["cube"]]]
    moved[cube : cube + 2] = env.model.geom_pos[env._wardrobe._spare[-1], :2]
    env.place(moved)
    env.wear(Look())
    env.wear(look)
    np.testing.assert_array_equal(env.model.geom_pos, lain)
    env.wear(replace(look))  # another look, laid out of the way
    assert not np.array_equal(env.model.geom_pos, lain)


@pytest.mark.parametrize(("task", "objects"), [("can", 2), ("square", 2)])
def test_every_object_of_a_task_can_be_painted(task, objects):
    with SimEnv(task, variation="object@1") as env:
        painted = {part for part in env.parts if part.startswith("object:")}
        assert len(painted) == objects
        first, again, other = (env.reset(seed).images["agentview"] for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)  # the look follows from the seed
        assert set(env.look.paints) == {name for part in painted for name in env.parts[part]}
        env.wear(Look())
        assert distance(env.observe().images["agentview"], other) > 0.1


def test_recorded_states_are_drawn_again_exactly_and_in_other_looks(env, tmp_path):
    from vilp_ros.data.episode_writer import EpisodeWriter

    episode = record(env, Job(3, "nearest", "suboptimal", 0.0))
    with EpisodeWriter(tmp_path / "e.hdf5", task="lift_wide") as writer:
        writer.add(episode)
    env.place(episode.states[20])
    for view, image in env.observe().images.items():
        np.testing.assert_array_equal(image, episode.images[view][20])

    assert redraw([tmp_path / "e.hdf5"], tmp_path / "p.hdf5") == len(episode) + 1
    assert redraw([tmp_path / "e.hdf5"], tmp_path / "p.hdf5") == 0  # goes on where it was
    pair = EpisodeFile(tmp_path / "p.hdf5")[0]
    for view in VIEWS:
        np.testing.assert_array_equal(pair.images[usual(view)], episode.images[view])
    first, second = (
        distance(pair.images["agentview"][t], episode.images["agentview"][t]) for t in (10, 11)
    )
    assert first != second  # a look for each frame
    with pytest.raises(VilpError, match=r"looks of strength 1\.0, seed 0.* not of strength 2"):
        redraw([tmp_path / "e.hdf5"], tmp_path / "p.hdf5", strength=2.0)
    # Another file of the same name holds other episodes.
    (tmp_path / "day2").mkdir()
    with EpisodeWriter(tmp_path / "day2/e.hdf5", task="lift_wide") as writer:
        writer.add(replace(episode, ee_pose=episode.ee_pose + np.float32(1e-4)))
    assert redraw([tmp_path / "day2/e.hdf5"], tmp_path / "p.hdf5", stride=1) == len(episode) + 1
    with EpisodeWriter(tmp_path / "far.hdf5", task="lift_wide", control_period_s=0.1) as writer:
        writer.add(episode)
    with pytest.raises(VilpError, match=r"far\.hdf5 has control_period_s 0\.1, .*e\.hdf5 0\.05"):
        redraw([tmp_path / "e.hdf5", tmp_path / "far.hdf5"], tmp_path / "q.hdf5")
    with EpisodeWriter(tmp_path / "varied.hdf5", task="lift_wide") as writer:
        writer.add(replace(episode, info=episode.info | {"vary": 1.0}))
    with pytest.raises(VilpError, match=r"recorded in varied looks \(--vary 1\.0\)"):
        redraw([tmp_path / "varied.hdf5"], tmp_path / "q.hdf5")
    with pytest.raises(VilpError, match="has been drawn"):
        redraw([tmp_path / "p.hdf5"], tmp_path / "q.hdf5")


def test_a_recording_without_states_says_what_to_do_instead(tmp_path):
    from synthetic import write_file

    with pytest.raises(VilpError, match="alter the pictures alone"):
        redraw([write_file(tmp_path / "real.hdf5")], tmp_path / "out.hdf5")


def test_varied_collections_keep_the_usual_picture_beside_and_are_not_mixed(tmp_path):
    path = tmp_path / "v.hdf5"
    collect("lift", path, 1, 0, noise=0.0, vary=1.0, beside=True)
    episode = EpisodeFile(path)[0]
    assert set(episode.images) == {*VIEWS, *map(usual, VIEWS)}
    assert episode.info["vary"] == 1.0
    with SimEnv("lift") as env:
        env.place(episode.states[-1])
        seen = env.observe().images["agentview"]
    np.testing.assert_array_equal(episode.images[usual("agentview")][-1], seen)
    with pytest.raises(VilpError, match=r"varied by 1\.0, not 0\.5: choose another --out"):
        collect("lift", path, 2, 0, noise=0.0, vary=0.5, beside=True)
    with pytest.raises(VilpError, match=r"noise 0\.0, not 0\.3: choose another --out"):
        collect("lift", path, 2, 0, noise=0.3, vary=1.0, beside=True)
    with pytest.raises(VilpError, match="choose another --out"):
        collect("lift", path, 2, 0, noise=0.0)


def hue(rgb):
    return colorsys.rgb_to_hsv(*rgb)[0]


def held_out(turns):
    return any(low - 1e-9 <= turns <= high + 1e-9 for low, high in HELD_OUT)


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_training_and_evaluation_never_draw_the_same(seed):
    rng = np.random.default_rng(seed)
    for look, reserved in (
        (training_look(rng, PARTS), False),
        (evaluation_look(rng, PARTS, "all"), True),
    ):
        for paint in [*look.paints.values(), *(thing.paint for thing in look.things)]:
            assert reserved or not held_out(hue(paint.rgb)) or np.ptp(paint.rgb) < 1e-3
            assert not reserved or held_out(hue(paint.rgb))
        if look.light is not None:
            assert held_out(look.light.turn_deg / 300 % 1) == reserved
        for move in look.cameras.values():
            bearing = np.arctan2(move.shift_m[1], move.shift_m[0]) / (2 * np.pi) % 1
            assert held_out(bearing) == reserved
        shapes = {thing.shape for thing in look.things if thing.size[2] > 0.005}
        assert shapes <= set(SHAPES[reserved])
    assert not set(KINDS[True]) & set(KINDS[False])


@given(st.integers(0, 2**32))
def test_an_object_is_never_painted_like_what_it_lies_on(seed):
    look = training_look(np.random.default_rng(seed), PARTS)
    table = look.paints["table"].rgb if "table" in look.paints else PARTS["table"]["table"]
    if "side" in look.paints:
        assert np.linalg.norm(look.paints["side"].rgb - table) >= 0.25


@pytest.mark.parametrize("kind", [*KINDS[False], *KINDS[True]])
def test_textures_have_a_pattern_and_fade_with_the_strength(kind):
    full, faint, none = (draw_texture(np.random.default_rng(3), kind, s) for s in (1, 0.2, 0))
    assert full.std() > 5 * faint.std() / 2 > 0
    assert (none == 255).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [("lamp@1", "unknown family 'lamp'"), ("light@much", "a strength"), ("light@-1", "a strength")],
)
def test_a_rule_that_means_nothing_is_refused(text, words):
    with pytest.raises(VilpError, match=words):
        LookRule.parse(text)
