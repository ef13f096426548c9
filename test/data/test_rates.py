"""Cameras of any rate, states at any rate, late pictures: durations, speeds, states."""

import json

import numpy as np
import pytest
from bags import SMALL, START_S, contract, header, image, joints, pose, write_bag
from hypothesis import given, settings
from hypothesis import strategies as st

from vilp_ros.cli import main as cli
from vilp_ros.data.bag import relabel
from vilp_ros.data.bag_reader import Choice
from vilp_ros.data.convert import convert_bag
from vilp_ros.data.episodes import EpisodeFile
from vilp_ros.data.frames import Frames
from vilp_ros.data.observe import Observation
from vilp_ros.data.pace import Pace
from vilp_ros.data.robot_state import RobotState

ROBOT = contract()
PERIOD_S = ROBOT.control_period_s
SPEED = 0.05


def hand(seconds):
    """Where it is: on a line, with a swing."""
    return np.array([0.4 + SPEED * seconds, 0.1 + 0.02 * np.sin(2 * seconds), 0.3])


def width(seconds):
    return float(np.clip(0.08 - 0.02 * (seconds - 1), 0.03, 0.08))


def recorded(
    camera_hz,
    seconds=3.0,
    state_hz=100.0,
    late_s=0.0,
    jitter_s=0.0,
    grips=True,
    scale=1.0,
    moves=hand,
    fingers=width,
):
    """(topic, message) in the order of reception; pictures come late by `late_s`."""
    rng = np.random.default_rng(0)
    proprio, action = ROBOT.proprio, ROBOT.action
    order = []
    for k in range(round(seconds * state_hz)):
        t = k / state_hz
        at, stamp_s = moves(t), START_S + t
        angles = 0.1 * np.arange(7) + 0.2 * (at[0] - 0.4)
        order += [
            (t, proprio.ee_pose_topic, pose(stamp_s, at)),
            (t, proprio.gripper_topic, joints(stamp_s, ["w"], [fingers(t) / scale])),
            (t, proprio.joint_state_topic, joints(stamp_s, proprio.joint_names, angles)),
        ]
    for k in range(round(seconds / PERIOD_S)):
        t = k * PERIOD_S
        stamp_s = START_S + t
        order.append((t, "commander", header(stamp_s, "expert")))
        order.append((t, action.pose_topic, pose(stamp_s, moves(t + PERIOD_S))))
        if grips:
            order.append((t, action.gripper_topic, joints(stamp_s, ["w"], [0.03 / scale])))
    for k in range(round((seconds - late_s) * camera_hz)):
        t = k / camera_hz + float(np.clip(rng.normal(0, 1), -2, 2)) * jitter_s
        for view in ROBOT.views.values():
            pixels = rng.integers(0, 255, (view.height, view.width, 3), dtype=np.uint8)
            order.append((t + late_s, view.topic, image(START_S + t, pixels)))
    for _, topic, message in sorted(order, key=lambda row: round(row[0], 6)):
        yield topic, message


def converted(tmp_path, messages, choice=None, **bag):
    bag = write_bag(tmp_path / "bag", messages, **bag)
    outcome = convert_bag(bag, tmp_path / "d.hdf5", choice or Choice())
    assert not outcome.error, outcome.error
    return EpisodeFile(tmp_path / "d.hdf5")[0], outcome


def taken_s(body):
    return body.header.stamp.sec + 1e-9 * body.header.stamp.nanosec - START_S


def at_rate(hz):
    return SMALL.replace("rate_hz: 20.0", f"rate_hz: {hz}")


@pytest.mark.parametrize(
    ("hz", "jitter_s"),
    [(10, 0), (15, 0), (18.2, 0), (20, 0), (21.9, 0), (30, 0), (60, 0), (15, 0.002), (30, 0.002)],
)
def test_durations_and_speeds_are_right_whatever_the_camera(tmp_path, hz, jitter_s):
    messages = recorded(hz, jitter_s=jitter_s)
    episode, _ = converted(tmp_path, messages, text=at_rate(hz))
    slower = min(1.0, hz * PERIOD_S)
    # From the first command to the last picture.
    assert len(episode) * PERIOD_S == pytest.approx(3.0 - 1 / hz - PERIOD_S, abs=PERIOD_S + 0.005)
    assert len(episode) * PERIOD_S == pytest.approx(episode.info["seconds"], rel=0.01)
    step = np.diff(episode.ee_pose[:, 0])
    assert step.mean() == pytest.approx(SPEED * PERIOD_S, rel=0.01)
    if hz != 20.0 or not jitter_s:  # then each picture has the state of its own, early or late
        np.testing.assert_allclose(step, SPEED * PERIOD_S, rtol=0.01)
        np.testing.assert_allclose(episode.joint_velocity, 0.2 * SPEED, rtol=0.01)
    # The state is the arm's own, and no line between pictures.
    seconds = (episode.ee_pose[:, 0] - 0.4) / SPEED
    np.testing.assert_allclose(episode.ee_pose[:, 1], [hand(t)[1] for t in seconds], atol=2e-5)
    # And what it was told is what was in force: at the next period, with one of delay.
    np.testing.assert_allclose(
        episode.actions[:, 0] - episode.ee_pose[:-1, 0],
        SPEED * PERIOD_S / 2,
        atol=SPEED * (PERIOD_S / 2 + 2 * jitter_s) + 1e-6,
    )
    fresh = 1.0 if episode.repeated is None else 1 - episode.repeated.mean()
    assert fresh == pytest.approx(slower, abs=0.04)
    assert not episode.disturbed.any()
    for view in ROBOT.views:
        again = (np.diff(episode.images[view].astype(int), axis=0) == 0).all(axis=(1, 2, 3))
        known = np.zeros(len(episode), bool) if fresh == 1 else episode.repeated[1:]
        np.testing.assert_array_equal(again, known)


def test_a_camera_at_the_control_rate_gives_every_picture_with_its_own_state(tmp_path):
    episode, outcome = converted(tmp_path, recorded(20.0, jitter_s=0.004))
    assert outcome.notes == []
    assert episode.repeated is None
    seconds = (episode.ee_pose[:, 0] - 0.4) / SPEED
    off = seconds - seconds[0] - PERIOD_S * np.arange(len(seconds))
    assert np.abs(off).max() > 0.003  # the stamps' own, and no grid's


def test_lost_pictures_of_a_slow_camera_are_lost_and_its_repeated_ones_are_not(tmp_path):
    def lossy():
        for topic, body in recorded(10.0):
            if not topic.endswith("image_raw") or round(10 * taken_s(body)) != 12:
                yield topic, body

    episode, outcome = converted(tmp_path, lossy(), Choice(broken=True), text=at_rate(10.0))
    assert outcome.notes[0] == "2 frames stand in for lost ones"
    assert outcome.notes[1].startswith("28 of 58 frames repeat a picture: cameras gave 10.0 Hz,")
    # The first frame is that of 0.05 s: the picture of 1.2 s is missing there and at 1.25 s.
    np.testing.assert_array_equal(np.flatnonzero(episode.disturbed), [22, 23, 24])
    np.testing.assert_array_equal(episode.repeated[:6], [True, False, True, False, True, False])


def test_two_slow_cameras_that_run_free_belong_together(tmp_path):
    """Of 10 Hz: up to half their period apart, and the observation is that of the older."""

    def apart():
        for topic, body in recorded(10.0):
            if topic == "eye_in_hand/image_raw":
                body.header.stamp = header(START_S + taken_s(body) + 0.045, "").stamp
            yield topic, body

    episode, outcome = converted(tmp_path, apart(), text=at_rate(10.0))
    assert len(outcome.notes) == 1
    assert "repeat a picture: cameras gave 10.0 Hz" in outcome.notes[0]
    assert len(episode) * PERIOD_S == pytest.approx(2.85, abs=0.06)


@pytest.mark.parametrize("late_s", [0.0, 0.07, 0.1, 0.15])
def test_the_state_at_a_kilohertz_is_that_of_pictures_that_come_late(tmp_path, late_s):
    messages = recorded(20.0, seconds=1.5, state_hz=1000.0, late_s=late_s)
    episode, outcome = converted(tmp_path, messages)
    assert outcome.notes == []
    assert len(episode) >= (1.5 - late_s) / PERIOD_S - 3
    t = PERIOD_S * (1 + np.arange(len(episode) + 1))
    np.testing.assert_allclose(episode.ee_pose[:, :3], [hand(s) for s in t], atol=1e-9)


def test_a_gripper_that_was_told_nothing_follows_its_measured_width(tmp_path):
    episode, outcome = converted(tmp_path, recorded(20.0, grips=False))
    np.testing.assert_allclose(episode.actions[:, 7], episode.gripper_width[1:], atol=1e-6)
    assert episode.actions[:, 7].max() - episode.actions[:, 7].min() > 0.03
    assert outcome.notes == [
        f"the gripper was told nothing in {len(episode)} of {len(episode)} steps: their action is "
        "the width measured a period later"
    ]
    assert episode.info["width_measured_steps"] == len(episode)


def test_a_gripper_follows_its_measured_width_until_it_is_told_something(tmp_path):
    """And where its first command moves it at once, that is not foreseen."""

    def later():
        for topic, body in recorded(20.0, fingers=lambda t: 0.08 - 0.01 * t if t <= 1.5 else 0.0):
            if topic != ROBOT.action.gripper_topic or taken_s(body) >= 1.5:
                yield topic, body

    episode, outcome = converted(tmp_path, later())
    told = episode.actions[:, 7]
    silent = episode.info["width_measured_steps"]
    assert outcome.notes[0].startswith(f"the gripper was told nothing in {silent} of ")
    measured = episode.gripper_width[1 : silent + 1].copy()
    measured[-1] = episode.gripper_width[silent - 1]
    np.testing.assert_allclose(told[:silent], measured, atol=1e-6)
    np.testing.assert_allclose(told[silent:], 0.03, atol=1e-6)
    assert told[:silent].min() > 0.06


def test_the_scale_of_the_gripper_holds_for_what_it_says_and_what_it_is_told(tmp_path):
    text = SMALL.replace("proprio:\n", "proprio:\n  gripper_scale: 2.0\n")
    assert text != SMALL
    plain, _ = converted(tmp_path / "plain", recorded(20.0))
    scaled, _ = converted(tmp_path / "scaled", recorded(20.0, scale=2.0), text=text)
    np.testing.assert_allclose(scaled.gripper_width, plain.gripper_width)
    np.testing.assert_allclose(scaled.actions, plain.actions)


def resting(t):
    """Still for 1 s, moving, a pause of 1 s, moving."""
    return hand(max(0.0, min(t, 2.0) - 1.0) + max(0.0, t - 3.0))


def test_rest_at_the_start_is_left_out_and_a_pause_is_named(tmp_path, capsys):
    def recording():
        return recorded(20.0, 4.0, grips=False, moves=resting, fingers=lambda t: 0.04)

    kept, outcome = converted(tmp_path / "kept", recording(), Choice(rest=True))
    assert "stand" not in str(outcome.notes)
    episode, outcome = converted(tmp_path / "left", recording())
    assert outcome.notes[0].endswith(" of standing still at its start left out; --rest keeps them")
    left_out = len(kept) - len(episode)
    assert 17 <= left_out <= 20
    assert episode.info["rest_s"] == pytest.approx(left_out * PERIOD_S)
    np.testing.assert_array_equal(episode.actions, kept.actions[left_out:])
    np.testing.assert_array_equal(episode.images["agentview"], kept.images["agentview"][left_out:])
    np.testing.assert_array_equal(episode.before, kept.before[left_out:])
    moved = np.abs(np.diff(episode.ee_pose[:, 0])) > 1e-6
    assert moved[:3].any()
    assert cli.main(["data", str(tmp_path / "kept/d.hdf5")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "1 of 1 episodes stand still for a while; " in printed
    assert "episode 0: stands still in 50%" in printed
    assert "of its periods: 1.0 s at its start and 1.0 s in pauses" in printed


def test_a_demonstration_without_any_movement_is_none(tmp_path):
    still = recorded(20.0, moves=lambda t: hand(0.0), fingers=lambda t: 0.08)
    outcome = convert_bag(write_bag(tmp_path / "bag", still), tmp_path / "d.hdf5", Choice())
    assert "the arm stands still from its beginning to its end; --rest takes it" in outcome.error
    outcome = convert_bag(tmp_path / "bag", tmp_path / "d.hdf5", Choice(rest=True))
    assert outcome.steps > 50


def test_pictures_that_end_before_the_commands_are_told(tmp_path):
    def cut():
        for topic, body in recorded(20.0):
            if not topic.endswith("image_raw") or taken_s(body) <= 2:
                yield topic, body

    _, outcome = converted(tmp_path, cut(), Choice(broken=True))
    assert outcome.notes == ["no observation in the last 1.0 s of its commands: left out"]


def drifting(share):
    for topic, body in recorded(20.0, seconds=8.0):
        if topic.endswith("image_raw"):
            drifted_s = taken_s(body) * (1 - share)
            body.header.stamp = header(START_S + drifted_s, "").stamp
        yield topic, body


def received_as_sent(path, messages):
    """A bag of another program, which judged nothing: its log times are those of the states."""
    from bags import serialized

    from vilp_ros.data.bag_writer import BagWriter

    labels = {"contract": SMALL, "task": "lift", "role": "expert"}
    writer, last_ns = BagWriter(path, labels), 0
    for topic, body in messages:
        if f"/{topic}" not in writer:
            writer.add(f"/{topic}", body.__msgtype__)
        if topic == ROBOT.proprio.ee_pose_topic:
            last_ns = body.header.stamp.sec * 10**9 + body.header.stamp.nanosec
        writer.write(f"/{topic}", max(last_ns, 1), serialized(body))
    writer.close({})
    return path


def test_a_bag_whose_camera_drifts_is_not_converted_without_a_word(tmp_path):
    bag = received_as_sent(tmp_path / "bag", drifting(5e-3))
    outcome = convert_bag(bag, tmp_path / "d.hdf5", Choice())
    assert "agentview: its stamps fell 3" in outcome.error
    assert "--broken" in outcome.error
    outcome = convert_bag(bag, tmp_path / "d.hdf5", Choice(broken=True))
    assert outcome.steps > 100
    assert "agentview: its stamps fell 3" in outcome.notes[0]
    sound = received_as_sent(tmp_path / "sound", drifting(0.0))
    assert convert_bag(sound, tmp_path / "s.hdf5", Choice()).notes == []


def test_a_frozen_camera_of_a_bag_that_nobody_audited_is_named(tmp_path):
    def frozen():
        for topic, body in recorded(20.0):
            if topic == "agentview/image_raw":
                body.data = np.full_like(body.data, 7)
            yield topic, body

    outcome = convert_bag(
        received_as_sent(tmp_path / "bag", frozen()), tmp_path / "d.hdf5", Choice()
    )
    assert "agentview: the same picture for 3.0 s while the hand moved by 1" in outcome.error


def test_old_verdicts_are_judged_again(tmp_path, capsys):
    """The audit took a scene that stood still for a frozen camera, and saw no drift."""

    def at_rest():
        for topic, body in recorded(20.0, 5.0, moves=resting, fingers=lambda t: 0.04):
            if topic.endswith("image_raw") and (taken_s(body) <= 1 or 2 <= taken_s(body) <= 3):
                body.data = np.full_like(body.data, 7)
            yield topic, body

    still = write_bag(tmp_path / "bags/still", at_rest())
    old = "agentview/image_raw: the same picture for 4.9 s"
    relabel(still, {"verdict": "broken", "audit": json.dumps({"findings": [old]})})
    assert not convert_bag(still, tmp_path / "d.hdf5", Choice()).error
    relabel(still, {"audit": json.dumps({"findings": [old, "disk: it was full"]})})
    outcome = convert_bag(still, tmp_path / "e.hdf5", Choice())
    assert "was marked broken (disk: it was full)" in outcome.error
    received_as_sent(tmp_path / "bags/drift", drifting(5e-3))
    received_as_sent(tmp_path / "bags/fast", recorded(30.0))
    found = tmp_path / "found.json"
    assert cli.main(["data", str(tmp_path / "bags"), "--json", str(found)]) == 0
    capsys.readouterr()
    judged = {
        name.rsplit("/", 1)[-1]: " ".join(bag["judged"])
        for name, bag in json.loads(found.read_text())["bags"].items()
    }
    rests = "stands still in 40% of its periods: 1.0 s at its start and 1.0 s in pauses"
    assert judged["still"] == f"disk: it was full {rests}"
    assert "agentview/image_raw: its stamps fell 3" in judged["drift"]
    assert "agentview/image_raw: 30.0 Hz, promised 20 Hz" in judged["fast"]


# The resampler itself.

RATES = st.floats(4.0, 70.0)


def observations(hz, seconds, jitter, lost):
    rng = np.random.default_rng(round(1e3 * hz))
    for k in range(int(seconds * hz)):
        t = (k + rng.uniform(-jitter, jitter)) / hz
        if k in lost:
            continue
        state = RobotState(np.array([SPEED * t, 0, 0.3, 1, 0, 0, 0]), 0.04, np.full(7, t))
        yield Observation(round(START_S + t, 6), {"one": np.zeros(1)}, state)


def resampled(seen):
    pace = Pace.of([o.stamp_s for o in seen], PERIOD_S)
    frames = Frames(ROBOT, "bag", pace, lambda stamp_s: None)
    return pace, [frame for o in seen for frame in frames.add(o)]


@settings(deadline=None, max_examples=40)
@given(hz=RATES, jitter=st.floats(0, 0.1), lost=st.sets(st.integers(1, 400), max_size=5))
def test_frames_lie_a_period_apart_and_show_the_nearest_picture(hz, jitter, lost):
    seen = list(observations(hz, 4.0, jitter, lost))
    if max(np.diff([o.stamp_s for o in seen])) > ROBOT.staleness_s:
        return  # refused, as a test of bags shows
    pace, frames = resampled(seen)
    stamps = np.array([frame.stamp_s for frame in frames])
    span_s = seen[-1].stamp_s - seen[0].stamp_s
    assert (len(frames) - 1) * PERIOD_S == pytest.approx(span_s, abs=PERIOD_S + 0.01 * span_s)
    taken = {id(o.images["one"]): o.stamp_s for o in seen}
    times = np.array([o.stamp_s for o in seen])
    for before, frame in zip([None, *frames], frames):
        picture_s = taken[id(frame.images["one"])]
        again = before is not None and frame.images["one"] is before.images["one"]
        assert frame.repeated == again
        if not pace.steady:
            off_s = abs(picture_s - frame.stamp_s)
            half_s, newest_s = PERIOD_S / 2, times[times <= frame.stamp_s].max()
            nearest_s = np.abs(times - frame.stamp_s).min()
            assert abs(off_s - nearest_s) < 3e-6 if nearest_s < half_s else picture_s == newest_s
            assert frame.state.ee_pose[0] == pytest.approx(
                SPEED * (frame.stamp_s - START_S), abs=1e-6
            )
    if not pace.steady:
        np.testing.assert_allclose(np.diff(stamps), PERIOD_S, atol=2e-6)
    if not lost:
        assert not any(frame.lost for frame in frames)


@settings(deadline=None, max_examples=40)
@given(
    jitter=st.floats(0, 0.08),
    lost=st.sets(st.integers(1, 70), max_size=3),
    off=st.floats(-8e-3, 8e-3),
)
def test_a_camera_about_at_the_control_rate_gives_every_observation(jitter, lost, off):
    """As it is: what is trained on is what is seen live."""
    seen = list(observations((1 + off) / PERIOD_S, 4.0, jitter, lost))
    pace, frames = resampled(seen)
    assert pace.steady
    kept = [frame for frame in frames if not frame.lost]
    assert [f.stamp_s for f in kept] == [o.stamp_s for o in seen]
    assert all(f.state is o.state for f, o in zip(kept, seen, strict=True))


@given(st.lists(st.floats(0.001, 10.0), min_size=0, max_size=40))
def test_a_pace_is_found_in_any_stamps(intervals):
    pace = Pace.of(np.cumsum(intervals), PERIOD_S)
    assert np.isfinite(pace.period_s)
    assert pace.period_s > 0
