"""Each way in which an episode can be bad is found, and a good one is not accused."""

import numpy as np
import pytest
from bags import contract, serialized, traffic

from vilp_ros.data.audit import Audit
from vilp_ros.data.bag import header_stamp_ns, typestore

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

    assert found(audited(edited(freeze)))[AGENT, "frozen"] == "the same picture for 1.2 s"


def test_a_scene_at_rest_is_not_a_frozen_camera():
    def still(messages):
        for name, body in messages:
            if name in (AGENT, HAND):
                body.data = np.full_like(body.data, 7)
            yield name, body

    assert found(audited(still(traffic(ROBOT, 40)))) == {}
    assert (AGENT, "frozen") in found(audited(still(traffic(ROBOT, 80))))


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
