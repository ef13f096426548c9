"""Each way in which an episode can be bad is found, and a good one is not accused."""

import copy

import numpy as np
import pytest
from bags import START_S, contract, header, pose, serialized, traffic

from vilp_ros.data.audit import Audit
from vilp_ros.data.bag import header_stamp_ns, pose_position, typestore

ROBOT = contract()
AGENT, HAND = (view.topic for view in ROBOT.views.values())
SECOND = 10**9


def audited(messages, late_s: float = 0.0) -> Audit:
    audit, last_ns = Audit(ROBOT), 0
    for name, body in messages:
        data = serialized(body)
        stamp_ns = header_stamp_ns(data)
        last_ns = max(last_ns, stamp_ns)
        audit.add(name, last_ns, stamp_ns, data)
    audit.tick(last_ns + round(late_s * SECOND))
    return audit


def found(audit: Audit) -> dict[tuple[str, str], str]:
    return {(f.channel, f.what): f.text for f in audit.findings()}


def test_a_good_episode_is_not_accused():
    audit = audited(traffic(ROBOT, 60))
    assert audit.findings() == []
    report = audit.report()
    assert report["channels"][AGENT]["messages"] == 61
    assert report["channels"][AGENT]["rate_hz"] == pytest.approx(20, abs=0.1)
    assert report["skew_ms"] == {f"{AGENT} {HAND}": 0.0}


def test_an_episode_without_commands_is_a_demonstration_too():
    assert audited(traffic(ROBOT, 60, commands=False)).findings() == []


def edited(edit, periods=60):
    """Traffic in which `edit(k, stamp)` gives a new stamp for AGENT's frame k, or None to drop."""
    k = 0
    for name, body in traffic(ROBOT, periods):
        if name == AGENT:
            body = edit(k, body)
            k += 1
        if body is not None:
            yield name, body


def shifted(body, nanosec: int):
    total = body.header.stamp.sec * SECOND + body.header.stamp.nanosec + nanosec
    body.header.stamp.sec, body.header.stamp.nanosec = divmod(total, SECOND)
    return body


@pytest.mark.parametrize(
    ("edit", "what", "text"),
    [
        (lambda k, m: m if k % 2 else None, "rate", "10.0 Hz, promised 20 Hz"),
        (lambda k, m: None if 20 < k < 30 else m, "gap", "a gap of 0.50 s at 1.0 s"),
        (lambda k, m: shifted(m, -50_000_000) if k == 30 else m, "duplicates", "1 stamps came"),
        (lambda k, m: shifted(m, -90_000_000) if k == 30 else m, "backwards", "1 stamps lie"),
        (lambda k, m: None, "missing", "nothing came"),
    ],
)
def test_what_is_wrong_with_a_camera_is_named(edit, what, text):
    assert text in found(audited(edited(edit)))[AGENT, what]


def test_a_message_without_stamp_is_counted():
    def unstamp(k, body):
        if k == 5:
            body.header.stamp.sec = body.header.stamp.nanosec = 0
        return body

    assert found(audited(edited(unstamp)))[AGENT, "unstamped"] == "1 of 61 messages bear no stamp"


def test_a_frozen_camera_is_found_while_the_other_moves():
    still = np.full_like(next(m for n, m in traffic(ROBOT, 1) if n == AGENT).data, 7)

    def freeze(k, body):
        if 10 <= k < 35:
            body.data = still
        return body

    text = found(audited(edited(freeze)))[AGENT, "frozen"]
    assert text == "the same picture for 1.2 s while the hand moved by 120 mm"


def at_rest(messages, still=lambda k: True, hand=True):
    """Pictures that show the same in periods of which `still` is true, and a hand that rests."""
    k, pose = 0, None
    for name, body in messages:
        if name == "ee_pose":
            pose = pose if pose is not None and still(k) and hand else body.pose
            body.pose, k = pose, k + 1
        if name in (AGENT, HAND) and still(k):
            body.data = np.full_like(body.data, 7)
        yield name, body


def test_a_scene_at_rest_is_not_a_frozen_camera():
    """What tells them apart is the hand: a camera that sees the same while it moves is frozen."""
    assert found(audited(at_rest(traffic(ROBOT, 300)))) == {}
    both = found(audited(at_rest(traffic(ROBOT, 80), hand=False)))
    assert {(AGENT, "frozen"), (HAND, "frozen")} == set(both)
    assert both[AGENT, "frozen"] == "the same picture for 4.0 s while the hand moved by 400 mm"


def at_rate(hz, seconds=8.0, drift=0.0, behind_s=0.0):
    """Traffic of a camera at `hz`, whose stamps drift by a share of the time."""
    period_s, sent = ROBOT.control_period_s, 0
    for name, body in traffic(ROBOT, round(seconds / period_s)):
        if name == AGENT:
            now_s = body.header.stamp.sec + 1e-9 * body.header.stamp.nanosec
            while sent / hz <= now_s - START_S + 1e-6:
                again, stamp_s = copy.deepcopy(body), START_S + sent / hz
                again.data = (again.data + sent).astype(np.uint8)
                late_s = drift * (stamp_s - START_S) + behind_s
                again.header.stamp = header(stamp_s - late_s, "").stamp
                yield name, again, stamp_s
                sent += 1
        else:
            yield name, body, None


def judged(messages):
    """Of messages that come 2 ms after they were taken."""
    audit = Audit(ROBOT)
    for name, body, taken_s in messages:
        data = serialized(body)
        stamp_ns = header_stamp_ns(data)
        taken_ns = stamp_ns if taken_s is None else round(taken_s * SECOND)
        audit.add(name, taken_ns + 2_000_000, stamp_ns, data)
    return audit


@pytest.mark.parametrize(
    ("hz", "breaks"),
    [(10, True), (17, True), (18.2, False), (20, None), (20.2, None), (21.9, False), (30, True)],
)
def test_a_camera_is_named_that_is_slower_or_faster_than_promised(hz, breaks):
    audit = judged(at_rate(hz))
    rates = [f for f in audit.findings() if (f.channel, f.what) == (AGENT, "rate")]
    assert [f.breaks for f in rates] == ([] if breaks is None else [breaks])
    if breaks is not None:
        assert rates[0].text == f"{hz:.1f} Hz, promised 20 Hz"
        text = f"{AGENT}: {rates[0].text}"
        assert (text in audit.report()["findings"]) == breaks
        assert (text in audit.report()["remarks"]) == (not breaks)


@pytest.mark.parametrize("drift", [5e-3, -5e-3])
def test_a_clock_that_drifts_is_named(drift):
    words = found(judged(at_rate(20, drift=drift)))[AGENT, "drift"]
    way = "fell" if drift > 0 else "ran"
    assert words.startswith(f"its stamps {way} ")
    assert float(words.split()[3]) == pytest.approx(8 * 5, abs=6)  # ms; a bin is a second long
    assert (AGENT, "drift") not in found(judged(at_rate(20, drift=drift / 10)))


def test_a_clock_that_is_not_the_others_is_named():
    audit = found(judged(at_rate(20, behind_s=0.5)))
    assert audit[AGENT, "clock"].startswith("its stamps lie 0.50 s behind those of most channels")


def test_clocks_of_simulated_seconds_are_no_fault():
    """They stand still beside the clock of reception, and all of them do."""
    audit = Audit(ROBOT)
    for name, body in traffic(ROBOT, 200):
        data = serialized(body)
        stamp_ns = header_stamp_ns(data)
        slow_ns = round((stamp_ns - START_S * SECOND) * 1.3)
        audit.add(name, slow_ns + 2 * round(START_S * SECOND), stamp_ns, data)
    assert not [f for f in audit.findings() if f.what in ("drift", "clock")]


def test_the_hand_is_found_in_the_bytes():
    types = typestore()
    for frame in ("", "a", "panda_link0", "abcd", "a_frame_of_17_char"):
        body = pose(START_S, [0.1, -0.2, 0.3], frame)
        for order in (True, False):
            data = bytes(types.serialize_cdr(body, body.__msgtype__, little_endian=order))
            np.testing.assert_array_equal(pose_position(data), [0.1, -0.2, 0.3])
            assert pose_position(data[:40]) is None or len(data) < 40


def test_a_channel_that_stops_is_found_before_it_comes_back():
    assert found(audited(traffic(ROBOT, 40), late_s=0.5)) == {}
    silent = found(audited(edited(lambda k, m: m if k < 20 else None)))
    assert silent[AGENT, "silent"] == "nothing for the last 2.1 s"


def test_skew_between_views_is_measured():
    shift = 35_000_000  # 35 ms; allowed: half a period, 25 ms. The next frame is 15 ms away
    assert (HAND, "skew") not in found(audited(edited(lambda k, m: shifted(m, 20_000_000))))
    alone = edited(lambda k, m: shifted(m, shift) if k % 2 == 0 else None)
    text = found(audited(alone))[HAND, "skew"]
    assert "35 ms off" in text


@pytest.mark.parametrize("at_once", [20, 100])
def test_a_view_that_is_handed_over_late_is_not_skewed(at_once):
    messages = list(traffic(ROBOT, 3 * at_once))
    late = [m for m in messages if m[0] == HAND]
    order = [m for m in messages if m[0] != HAND]
    for k in range(0, 3 * at_once, at_once):  # seconds of the one view, then of the other
        order[(k + at_once) * 7 + k : (k + at_once) * 7 + k] = late[k : k + at_once]
    audit = audited(order)
    assert (HAND, "skew") not in found(audit)
    report = audit.report()["channels"]
    # Its sender was on time, its reception was not: frames at once, then none.
    assert report[HAND]["longest_gap_s"] == 0.05
    assert report[HAND]["longest_silence_s"] == pytest.approx(0.05 * at_once, abs=0.051)
    assert report[AGENT]["longest_silence_s"] < 0.5


def test_stamps_are_read_without_decoding():
    for _, body in traffic(ROBOT, 1):
        stamp = getattr(body, "header", body).stamp
        assert header_stamp_ns(serialized(body)) == stamp.sec * SECOND + stamp.nanosec
    big = typestore().serialize_cdr(body, body.__msgtype__, little_endian=False)
    assert header_stamp_ns(bytes(big)) == stamp.sec * SECOND + stamp.nanosec
