"""Intervals and percentiles against an independent implementation and their own laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from vilp_ros.evaluation.statistics import percentiles, proportion, wilson


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipy(case):
    successes, n = case
    expected = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert wilson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_ends_are_exact():
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError, match=f"found {successes} of {n}"):
        wilson(successes, n)


def test_percentiles_scale_and_survive_nothing():
    assert percentiles([0.01] * 99 + [1.0], 1e3) == pytest.approx({"p50": 10.0, "p99": 19.9})
    assert percentiles([]) == {"p50": None, "p99": None}


def test_proportion_reads_as_a_sentence():
    assert proportion(50, 100) == "50/100  .50 [.40, .60]"
    assert proportion(3, 3).startswith("3/3  1.00 [.44")
