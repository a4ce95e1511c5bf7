"""Intervals by split conformal prediction: the order statistic, and that they cover what is claimed."""

from __future__ import annotations

import math
from typing import Any

import naive_measures as naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rnnsim.data.intervals import half_width, half_widths, level_of
from rnnsim.errors import RnnsimError

DRAWS = 2000
errors = arrays(
    float, st.tuples(st.integers(0, 30), st.integers(1, 2), st.integers(1, 2)),
    elements=st.floats(-100, 100) | st.just(math.nan),
)  # fmt: skip


@given(errors, st.integers(1, 999))
def test_the_half_width_is_the_order_statistic(of: Any, thousandths: int) -> None:
    found = half_width(half_widths(of), thousandths / 1000)
    for at in np.ndindex(found.shape):
        wanted = naive.half_width(of[(slice(None), *at)], thousandths)
        assert np.isnan(found[at]) if wanted is None else found[at] == wanted


def test_nine_errors_are_just_enough_for_nine_tenths() -> None:
    """(9 + 1) 0.9 is 9, also where 0.9 is not quite that."""
    of = np.arange(1.0, 10).reshape(9, 1, 1)
    assert half_width(half_widths(of), 0.9) == 9
    assert np.isnan(half_width(half_widths(of[:8]), 0.9))
    assert np.isnan(half_width(half_widths(of), 0.901))
    assert half_width(half_widths(of), 0.5) == 5
    assert half_width(half_widths(of), 0.4005) == half_width(half_widths(of), 0.401)  # the next level


def share_covered(
    rng: np.random.Generator, level: float, widen: float = 1.0, drift: float = 1.0
) -> float:
    """Over many draws of 40 errors and one more: how often the last is in the interval."""
    noise = rng.standard_t(3, (41, DRAWS, 1))
    half = half_width(half_widths(noise[:40]), level)
    return float((abs(drift * noise[40]) <= widen * half).mean())


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_intervals_cover_what_is_claimed_of_exchangeable_noise(level: float) -> None:
    """At least the level, and at most 1 / (n + 1) more; four standard errors."""
    share, slack = share_covered(np.random.default_rng(0), level), 4 * math.sqrt(0.25 / DRAWS)
    assert level - slack <= share <= level + 1 / 41 + slack
    narrow = share_covered(np.random.default_rng(0), level, widen=0.5)  # the controls
    assert not level - slack <= narrow
    drifting = share_covered(np.random.default_rng(0), level, drift=3.0)
    assert not level - slack <= drifting


@pytest.mark.parametrize("level", [0, 1, -0.1, 0.9995, math.nan, "much", None])
def test_a_level_that_is_none_is_refused(level: Any) -> None:
    with pytest.raises(RnnsimError, match="level"):
        level_of(level)


def test_half_widths_of_another_form_are_refused() -> None:
    with pytest.raises(RnnsimError, match="999 levels, not 3"):
        half_width(np.zeros((3, 1, 1)))
