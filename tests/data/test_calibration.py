"""How far a network beside a linear path is followed: not where it helps by no more than chance."""

from __future__ import annotations

import numpy as np
import pytest

from rnnsim.data.calibration import shrinking


def test_noise_is_left_out_and_what_helps_is_followed() -> None:
    rng = np.random.default_rng(0)
    rest = rng.standard_normal((50, 400))
    chance = shrinking(rest, rng.standard_normal(rest.shape))
    assert (chance == 0).mean() > 0.75  # half are of the wrong sign, and most of the others uncertain
    assert chance.mean() < 0.05
    np.testing.assert_allclose(shrinking(rest, 0.5 * rest), 1.0, atol=0.03)
    np.testing.assert_allclose(shrinking(rest, 4 * rest), 0.25)
    assert (shrinking(rest, -rest) == 0).all()
    assert (shrinking(rest, 0 * rest) == 0).all()


def test_it_is_the_slope_of_least_squares_times_one_less_the_inverse_of_f() -> None:
    rng = np.random.default_rng(1)
    said = rng.standard_normal((30, 1))
    rest = 0.6 * said + 0.5 * rng.standard_normal((30, 1))
    rest[25:] = np.nan  # is not known
    slope = np.linalg.lstsq(said[:25], rest[:25, 0], rcond=None)[0][0]
    variance = np.mean((rest - slope * said)[:25] ** 2) / np.sum(said[:25] ** 2)
    assert shrinking(rest, said)[0] == pytest.approx(slope * (1 - variance / slope**2))


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_rows_give_a_number(rows: int) -> None:
    found = shrinking(np.ones((rows, 2)), np.ones((rows, 2)))
    assert ((found >= 0) & (found <= 1)).all()
