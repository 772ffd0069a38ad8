"""Percentiles from the histogram, compared with the exact ones."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_core.histogram import bucket_of, middle_of, percentile

FIFTEEN_MINUTES = 900_000
FRACTIONS = (0.01, 0.5, 0.95, 0.99, 1.0)


@given(st.lists(st.integers(1, FIFTEEN_MINUTES), min_size=1, max_size=200))
def test_a_percentile_is_within_four_and_a_half_percent_of_the_exact_one(times: list[int]) -> None:
    histogram = Counter(bucket_of(time) for time in times)
    for fraction in FRACTIONS:
        exact = sorted(times)[math.ceil(fraction * len(times)) - 1]
        assert percentile(histogram, fraction) == pytest.approx(exact, rel=0.045)


@given(st.integers(1, FIFTEEN_MINUTES), st.integers(1, FIFTEEN_MINUTES))
def test_longer_times_are_never_in_lower_buckets(one: int, other: int) -> None:
    assert (bucket_of(one) <= bucket_of(other)) or one > other


def test_fifteen_minutes_need_no_more_than_159_counters() -> None:
    assert [bucket_of(0), bucket_of(1), bucket_of(2), bucket_of(FIFTEEN_MINUTES)] == [0, 0, 8, 158]


def test_the_middle_of_a_bucket_is_inside_the_bucket() -> None:
    assert all(bucket_of(math.ceil(middle_of(bucket))) in (bucket, bucket + 1) for bucket in range(24, 159))
    assert all(middle_of(bucket) < middle_of(bucket + 1) for bucket in range(159))


@pytest.mark.parametrize("histogram", [{}, {5: 0}])
def test_an_empty_histogram_has_no_percentile(histogram: dict[int, int]) -> None:
    assert percentile(histogram, 0.5) is None


def test_a_few_slow_values_do_not_move_the_median() -> None:
    histogram = {bucket_of(100): 95, bucket_of(60_000): 5}
    assert percentile(histogram, 0.5) == pytest.approx(100, rel=0.045)
    assert percentile(histogram, 0.95) == pytest.approx(100, rel=0.045)
    assert percentile(histogram, 0.99) == pytest.approx(60_000, rel=0.045)
