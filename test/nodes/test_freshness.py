from vilp_ros.ros.freshness import Freshness


class FakeClock:
    now = 50.0

    def __call__(self):
        return self.now


def make():
    clock = FakeClock()
    return Freshness(["camera", "arm"], 0.3, clock), clock


def test_each_input_is_missed_by_name_until_it_comes():
    fresh, _ = make()
    assert fresh.complaints() == ["camera: nothing received yet", "arm: nothing received yet"]
    fresh.good("arm")
    assert fresh.complaints() == ["camera: nothing received yet"]
    fresh.good("camera")
    assert fresh.complaints() == []


def test_silence_is_told_after_the_limit_and_forgiven_at_once():
    fresh, clock = make()
    fresh.good("camera")
    fresh.good("arm")
    clock.now += 0.29
    assert fresh.complaints() == []
    fresh.good("arm")
    clock.now += 0.21
    assert fresh.complaints() == ["camera: nothing for 0.5 s"]
    fresh.good("camera")
    assert fresh.complaints() == []


def test_a_refusal_outranks_silence_until_a_good_message():
    fresh, clock = make()
    fresh.good("arm")
    fresh.good("camera")
    fresh.refused("camera", "found 1x1")
    clock.now += 0.1
    assert fresh.complaints() == ["camera refused: found 1x1"]
    fresh.good("camera")
    assert fresh.complaints() == []


def test_foreign_clocks_are_told_both_ways():
    fresh, _ = make()
    fresh.good("camera", stamp_age_s=1.0)
    fresh.good("arm", stamp_age_s=-2.0)
    assert fresh.complaints() == [
        "camera: stamps are 1.0 s old; compare the clocks",
        "arm: stamps are 2.0 s in the future; compare the clocks",
    ]


def test_a_clock_that_drifts_is_a_remark_long_before_its_stamps_are_too_old():
    clock = FakeClock()
    fresh = Freshness(["camera", "arm"], 0.3, clock, drift_s=0.025)
    for k in range(200):
        clock.now = 50.0 + 0.05 * k
        fresh.good("arm", 0.002)
        fresh.good("camera", 0.01 + 5e-3 * 0.05 * k)
    assert fresh.complaints() == []
    assert len(fresh.remarks()) == 1
    assert fresh.remarks()[0].startswith("camera: its stamps fell 4")
    assert "chrony" in fresh.remarks()[0]
    quiet = Freshness(["camera"], 0.3, clock)
    assert quiet.remarks() == []
