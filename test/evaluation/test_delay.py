"""What `vilp bench delay` counts: jerk where plans switch, and where they do not."""

import numpy as np
import pytest

from vilp_ros.control.horizon import PERIOD_S
from vilp_ros.control.resampler import Motion
from vilp_ros.evaluation.closed_loop.delay import _Trace


def motions(speeds):
    """Along x, with accelerations that are over at the end of each period."""
    zero = np.zeros(6)
    return [Motion(np.zeros(8), np.eye(6)[0] * speed, zero) for speed in speeds]


def test_a_change_of_speed_counts_where_it_happens():
    trace = _Trace()
    trace.add(motions([0, 0.1, 0.2, 0.3, 0.3, 0.3, 0.3]), {2, 5})  # kink at state 3, after a switch
    assert trace.switch == pytest.approx([0, 0], abs=1e-9)
    assert trace.within == pytest.approx([0.1 / PERIOD_S**2, 0], abs=1e-9)
    trace = _Trace()
    trace.add(motions([0.1, 0.1, 0.1, 0.2, 0.3]), {2})
    assert trace.switch == pytest.approx([0.1 / PERIOD_S**2])
    assert trace.within == pytest.approx([0], abs=1e-9)


def test_the_way_into_the_first_plan_is_no_switch():
    trace = _Trace()
    trace.add(motions([0, 0, 0.2, 0.2, 0.2]), set())
    assert not trace.switch
    assert not trace.within
    trace.add(motions([0, 0, 0.2, 0.2, 0.2, 0.2]), {3})
    assert trace.switch == trace.within == [0]
