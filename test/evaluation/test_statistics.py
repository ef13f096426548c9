"""Intervals and percentiles against an independent implementation and their own laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, mannwhitneyu

from vilp_ros.evaluation.statistics import (
    auroc,
    auroc_interval,
    percentiles,
    proportion,
    wilson,
)


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


SCORES = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=12)


@given(SCORES, SCORES)
def test_auroc_is_the_rank_sum_statistic(high, low):
    scores = np.array(high + low)
    positive = np.arange(len(scores)) < len(high)
    expected = mannwhitneyu(high, low).statistic / (len(high) * len(low))
    assert auroc(scores, positive) == pytest.approx(expected)
    assert auroc(-scores, positive) == pytest.approx(1 - expected)


def test_auroc_needs_both_outcomes_and_its_interval_some_of_each():
    scores = np.arange(10.0)
    assert auroc(scores, np.zeros(10, bool)) is None
    assert auroc_interval(scores, scores > 6) is None
    assert auroc_interval(scores, scores > 4) == (1.0, 1.0)


def test_auroc_interval_covers_the_truth_about_as_often_as_it_says():
    """Normal scores one standard deviation apart: the area is Phi(1 / sqrt 2) = .760."""
    rng = np.random.default_rng(0)
    positive = np.arange(60) < 20
    covered = 0
    for _ in range(100):
        low, high = auroc_interval(rng.normal(size=60) + positive, positive, draws=200)
        covered += low <= 0.760 <= high
    assert 85 <= covered <= 99
