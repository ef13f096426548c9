"""Pictures: what is shown where, and that a browser's codec gets it back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vilp_ros.evaluation.demo.figures import (
    IMAGINED,
    INK,
    MARGIN,
    REAL,
    SUCCESS,
    Foreseen,
    Pair,
    Plan,
    strip,
    video_frame,
    write_video,
)

VIEWS = ("agentview", "eye_in_hand")
OFFSETS = (0.1, 0.2, 0.3, 0.4, 0.5)


def flat(value):
    return np.full((96, 160, 3), value, np.uint8)


def holds(image, value, at_least):
    """Whether `value` fills at least that many pixels."""
    return int((image == value).all(axis=-1).sum()) >= at_least


@pytest.fixture
def frame_parts():
    """Cameras 40 and 80, foreseen as 45 and 85; plans from 100 and 150 on, in steps of 10."""
    real = {"agentview": flat(40), "eye_in_hand": flat(80)}
    foreseen = Foreseen(0.5, {"agentview": flat(45), "eye_in_hand": flat(85)})
    frames = {
        v: np.stack([flat(100 + 50 * i + 10 * k) for k in range(5)]) for i, v in enumerate(VIEWS)
    }
    return real, foreseen, Plan(OFFSETS, frames)


def test_cameras_and_what_was_imagined_for_them_are_shown_large(frame_parts):
    image = video_frame(*frame_parts, title="t", time_s=1.0)
    for value in (40, 45, 80, 85):
        assert holds(image, value, 100_000)


def test_of_a_plan_the_first_some_and_the_last_frame_are_shown(frame_parts):
    image = video_frame(*frame_parts, title="t", time_s=1.0)
    for i in range(2):
        shown = [k for k in range(5) if holds(image, 100 + 50 * i + 10 * k, 8_000)]
        assert len(shown) == 3
        assert shown[-1] == 4


def test_reality_is_straight_above_imagination_and_the_plan_below(frame_parts):
    image = video_frame(*frame_parts, title="t", time_s=1.0)

    def centre(value):
        rows, columns = np.nonzero((image == value).all(axis=-1))
        return rows.mean(), columns.mean()

    for camera, imagined, last in ((40, 45, 140), (80, 85, 190)):
        assert centre(camera)[0] < centre(imagined)[0] < centre(last)[0]
        assert abs(centre(camera)[1] - centre(imagined)[1]) < 6
    assert centre(40)[1] < centre(80)[1]
    assert centre(100)[1] < centre(140)[1]  # time runs to the right


def test_all_frames_of_a_video_have_one_even_size(frame_parts):
    real, foreseen, plan = frame_parts
    shapes = {
        video_frame(real, f, p, title="t", time_s=s, success=done).shape
        for f, p, s, done in (
            (None, None, 0.0, False),
            (None, plan, 0.2, False),
            (foreseen, plan, 123.4, True),
        )
    }
    assert len(shapes) == 1
    height, width, _ = shapes.pop()
    assert height % 2 == width % 2 == 0


def test_success_changes_the_frame_of_the_cameras(frame_parts):
    before = video_frame(*frame_parts, title="t", time_s=1.0)
    after = video_frame(*frame_parts, title="t", time_s=1.0, success=True)
    assert holds(before, REAL, 1000)
    assert not holds(before, SUCCESS, 1000)
    assert holds(after, SUCCESS, 1000)
    assert holds(after, IMAGINED, 1000)


def test_strip_puts_reality_directly_above_imagination():
    pairs = [
        Pair(float(k), {v: flat(10 + k) for v in VIEWS}, {v: flat(110 + k) for v in VIEWS})
        for k in range(5)
    ]
    image = strip(pairs, title="t", ahead_s=0.4)
    for k in range(5):
        rows, columns = np.nonzero((image == 10 + k).all(axis=-1))
        below_rows, below_columns = np.nonzero((image == 110 + k).all(axis=-1))
        assert columns.min() == below_columns.min()
        assert columns.max() == below_columns.max()
        assert rows.min() < below_rows.min()


def test_a_short_strip_is_wide_enough_for_its_title():
    pair = Pair(0.0, {"agentview": flat(10)}, {"agentview": flat(110)})
    image = strip([pair], title="a title that says what is to be seen " * 2, ahead_s=0.4)
    ink = np.flatnonzero((image[:40] == INK).all(axis=-1).any(axis=0))
    assert ink.max() < image.shape[1] - MARGIN


def test_video_comes_back_as_h264_with_every_frame_in_order(tmp_path):
    path = tmp_path / "v.mp4"
    write_video(path, (np.full((64, 96, 3), 20 * k, np.uint8) for k in range(12)), fps=20)
    video = cv2.VideoCapture(str(path))
    fourcc = int(video.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little")
    assert fourcc in (b"h264", b"avc1")
    assert video.get(cv2.CAP_PROP_FPS) == 20
    means = []
    while (read := video.read())[0]:
        means.append(read[1].mean())
    assert means == pytest.approx([20 * k for k in range(12)], abs=4)


def test_no_frames_make_no_file(tmp_path):
    write_video(tmp_path / "v.mp4", iter(()), fps=20)
    assert not (tmp_path / "v.mp4").exists()
