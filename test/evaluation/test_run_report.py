"""A recorded run to figures and pictures, on a made-up episode whose numbers are known."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from rich.console import Console

from vilp_ros.errors import VilpError
from vilp_ros.evaluation.demo.run_file import load_episode, save_episode
from vilp_ros.evaluation.demo.run_report import (
    EpisodeLog,
    episode_line,
    figures,
    matched,
    save_strip,
    save_video,
    summary,
    table,
)

BEGAN = 1_790_000_000.0
VIEWS = ("agentview", "eye_in_hand")


def frame(n):
    return np.full((96, 160, 3), 4 * n, np.uint8)


def made_up(success=True, seed=700_000) -> EpisodeLog:
    """3 s: 20 images, 10 plans and 50 commands a second; image n is of brightness 4 n."""
    log = EpisodeLog(seed, began_s=BEGAN, ended_s=BEGAN + 3.0, offsets_s=(0.1, 0.2, 0.3, 0.4))
    times = [BEGAN + n * 0.05 for n in range(60)]
    log.images = {v: [(t, frame(n)) for n, t in enumerate(times)] for v in VIEWS}
    for n in range(0, 52, 2):  # the plan made from image n foresees images n + 2, + 4, + 6, + 8
        ahead = np.stack([frame(n + k) for k in (2, 4, 6, 8)])
        log.decoded.append((times[n], dict.fromkeys(VIEWS, ahead)))
    log.plans = [(times[n], times[n] + 0.030) for n in range(0, 60, 2)]
    log.commands = [(BEGAN + 0.02 * n - 0.070, BEGAN + 0.02 * n) for n in range(150)]
    log.targets = [(BEGAN + 0.02 * n, np.array([0.004 * n, 0.0, 0.0])) for n in range(150)]
    log.strips = 26
    log.gaps = [
        (t, {"agentview.latent": 0.5, "eye_in_hand.latent": 0.02 * n}) for n, t in enumerate(times)
    ]
    log.joints = [(t, np.full(7, 0.01 * n)) for n, t in enumerate(times)]
    log.arm = [(t, np.array([0.01 * n, 0.0, 0.3])) for n, t in enumerate(times)]
    log.paths = [(t, np.full((5, 3), 0.01 * n)) for n, t in enumerate(times)]
    log.real_time_factor = [1.0, 0.98]
    log.success_s = BEGAN + 2.5 if success else None
    log.holds = 1
    return log


def test_figures_of_a_known_episode():
    f = figures([made_up()])
    assert f["plan_rate_hz"] == pytest.approx(10.0)
    assert f["strip_rate_hz"] == pytest.approx(26 / 3)
    assert f["imagination_gap"] == pytest.approx(
        {"agentview.latent": 0.5, "eye_in_hand.latent": 0.59}
    )
    assert f["plan_age_ms"] == pytest.approx({"p50": 30.0, "p99": 30.0}, abs=0.01)
    assert f["command_age_ms"] == pytest.approx({"p50": 70.0, "p99": 70.0}, abs=0.01)
    assert f["real_time_factor"] == pytest.approx(0.99)
    assert f["largest_step_mm"] == pytest.approx(4.0)
    assert f["largest_speed_m_s"] == pytest.approx(0.2, rel=1e-3)
    assert (f["replans"], f["commands"], f["holds"]) == (30, 150, 1)


def test_two_sends_pushed_together_are_not_a_fast_command():
    log = made_up()
    stamp, xyz = log.targets[70]
    log.targets[70] = (stamp - 0.015, xyz)
    assert figures([log])["largest_speed_m_s"] == pytest.approx(0.2, rel=1e-3)
    log.targets[70] = (stamp, xyz + np.array([0.02, 0, 0]))
    assert figures([log])["largest_speed_m_s"] == pytest.approx(1.2, rel=1e-3)


def test_figures_pool_episodes_instead_of_averaging_averages():
    short = made_up()
    short.ended_s, short.plans = BEGAN + 1.0, short.plans[:1]
    assert figures([made_up(), short])["plan_rate_hz"] == pytest.approx(31 / 4)


def test_summary_has_the_promised_keys_and_is_json():
    logs = [made_up(), made_up(success=False, seed=700_001)]
    report = summary(logs, task="lift", bundle="b", speed=1.0, speed_limit_m_s=1.0)
    promised = "episodes successes wilson_95 plan_rate_hz plan_age_ms command_age_ms holds"
    assert set(promised.split()) | {"real_time_factor"} <= set(report)
    assert set(report["plan_age_ms"]) == set(report["command_age_ms"]) == {"p50", "p99"}
    assert (report["episodes"], report["successes"], report["holds"]) == (2, 1, 2)
    assert [e["seconds"] for e in report["per_episode"]] == pytest.approx([2.5, 3.0])
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_an_episode_in_which_nothing_flowed_still_makes_a_report():
    report = summary([EpisodeLog(1)], task="lift", bundle="b", speed=1.0, speed_limit_m_s=1.0)
    assert report["plan_age_ms"] == {"p50": None, "p99": None}
    assert report["plan_rate_hz"] == 0.0
    text = _printed(table(report))
    assert "none / none" in text
    assert "0/1" in text


@pytest.mark.parametrize(
    ("factor", "speed", "slow"),
    [
        (0.99, 1.0, False),
        (0.9, 1.0, False),
        (0.3, 1.0, True),
        (0.25, 0.25, False),
        (0.2, 0.25, True),
    ],
)
def test_a_machine_that_cannot_keep_up_is_told(factor, speed, slow):
    log = made_up()
    log.real_time_factor = [factor]
    facts = {"task": "lift", "bundle": "b", "speed": speed, "speed_limit_m_s": 1.0}
    text = _printed(table(summary([log], **facts)))
    assert ("all seconds are simulated" in text) == (speed < 1 and not slow)
    assert f"{factor:.2f}" in text
    assert ("this machine is too slow, or busy" in text) == slow


def test_table_and_line_tell_the_truth():
    report = summary(
        [made_up(), made_up(False)], task="lift", bundle="b", speed=1.0, speed_limit_m_s=1.0
    )
    text = _printed(table(report))
    for expected in ("1/2", "10.0 Hz", "30 ms / 30 ms", "70 ms / 70 ms", "4.0 mm", "limit 1.00"):
        assert expected in text
    assert "success in   2.5 s" in _printed(episode_line(made_up(), 0))
    assert "time out after 3.0 s" in _printed(episode_line(made_up(False), 0))
    broken = made_up()
    broken.failure = "planner: gone"
    assert "failed  planner: gone" in _printed(episode_line(broken, 0))


def _printed(what) -> str:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(what)
    return capture.get()


def test_strip_shows_what_was_imagined_for_the_very_frame_above_it():
    pairs = matched(made_up(), 8)
    assert len(pairs) == 8
    for pair in pairs:
        for view in VIEWS:
            assert pair.real[view][0, 0, 0] == pair.imagined[view][0, 0, 0]
        assert pair.time_s == pytest.approx(pair.real["agentview"][0, 0, 0] / 80, abs=1e-3)
    times = [pair.time_s for pair in pairs]
    assert times == sorted(times)
    assert times[-1] - times[0] > 2.0


def test_a_frame_that_was_lost_is_left_out_of_the_strip():
    log = made_up()
    log.images["eye_in_hand"] = log.images["eye_in_hand"][:20]
    assert max(pair.time_s for pair in matched(log, 8)) < 1.0


def test_pictures_of_an_episode(tmp_path):
    log = made_up()
    save_strip(log, tmp_path / "strip.png", "title")
    assert cv2.imread(str(tmp_path / "strip.png")) is not None
    save_video(log, tmp_path / "e.mp4", "title")
    video = cv2.VideoCapture(str(tmp_path / "e.mp4"))
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1])
    # In real time, from image 1 on: nothing was foreseen that is near image 0.
    assert len(frames) == 59
    # Down the front camera: reality, what was foreseen for that moment, frames of the new plan.
    # Until image 8 no plan is old enough for its last frame, but one for an earlier one.
    for n, foreseen in ((1, 2), (4, 4), (40, 40)):
        column = frames[n - 1][:, 140].mean(axis=-1)
        assert np.isclose(column, 4 * n, atol=3).sum() > 250, n
        both = np.isclose(column, 4 * n, atol=3) | np.isclose(column, 4 * foreseen, atol=3)
        assert both.sum() > 2 * 250, n
        newest = n - n % 2
        assert np.isclose(column, 4 * (newest + 2), atol=3).sum() > 70, n


def test_a_film_without_imagination_shows_what_there_is(tmp_path):
    log = made_up()
    log.decoded = []
    save_video(log, tmp_path / "e.mp4", "title")
    assert cv2.VideoCapture(str(tmp_path / "e.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 60


def test_an_episode_comes_back_from_its_file(tmp_path):
    log = made_up()
    save_episode(log, tmp_path / "e.npz")
    assert (tmp_path / "e.npz").stat().st_size < 2_000_000
    back = load_episode(tmp_path / "e.npz")
    assert (back.seed, back.success_s, back.offsets_s) == (log.seed, log.success_s, log.offsets_s)
    assert (back.began_s, back.ended_s) == (log.began_s, log.ended_s)
    assert (back.plans, back.commands) == (log.plans, log.commands)
    for (stamp, gap), (wanted_stamp, wanted) in zip(back.gaps, log.gaps, strict=True):
        assert stamp == wanted_stamp
        assert gap == pytest.approx(wanted)
    for name in ("joints", "arm", "targets", "paths"):
        found, wanted = getattr(back, name), getattr(log, name)
        assert [stamp for stamp, _ in found] == [stamp for stamp, _ in wanted]
        np.testing.assert_allclose([x for _, x in found], [x for _, x in wanted], atol=1e-6)
    for view in VIEWS:
        assert [stamp for stamp, _ in back.images[view]] == [s for s, _ in log.images[view]]
        for (_, image), (_, wanted) in zip(back.images[view], log.images[view], strict=True):
            np.testing.assert_allclose(image.astype(int), wanted, atol=2)
    for (stamp, rows), (wanted_stamp, wanted) in zip(back.decoded, log.decoded, strict=True):
        assert stamp == wanted_stamp
        for view in VIEWS:
            np.testing.assert_allclose(rows[view].astype(int), wanted[view], atol=2)


def test_an_empty_episode_comes_back_and_another_file_is_refused(tmp_path):
    save_episode(EpisodeLog(3, images={view: [] for view in VIEWS}), tmp_path / "e.npz")
    back = load_episode(tmp_path / "e.npz")
    assert (back.seed, back.decoded, back.gaps) == (3, [], [])
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for name in ("other.npz", "missing.npz"):
        with pytest.raises(VilpError, match="no episode of a demo"):
            load_episode(tmp_path / name)


def test_nothing_recorded_draws_nothing(tmp_path):
    log = EpisodeLog(1, began_s=BEGAN, ended_s=BEGAN + 1)
    save_video(log, tmp_path / "e.mp4", "title")
    save_strip(log, tmp_path / "strip.png", "title")
    assert not list(tmp_path.iterdir())
