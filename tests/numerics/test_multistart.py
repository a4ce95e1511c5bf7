"""States that are merged: none that are far from each other, and in whatever order they come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rnnsim.numerics.multistart import merged

DISTANCE = 0.3
near = arrays(float, st.tuples(st.integers(0, 12), st.just(2)), elements=st.floats(-1, 1, width=16))


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(((x[:, None] - y[None]) ** 2).sum(-1))


@given(near, st.randoms(use_true_random=False))
def test_states_stand_for_those_near_them_in_any_order(states: np.ndarray, random: object) -> None:
    residuals = np.round(np.abs(states[:, 0]), 1)  # with ties
    chosen, counts = merged(states, residuals, DISTANCE)
    assert counts.sum() == len(states)
    if not len(states):
        return
    between = distances(states[chosen], states[chosen])
    assert (between[~np.eye(len(chosen), dtype=bool)] > DISTANCE).all()
    within = distances(states[chosen], states) <= DISTANCE
    assert within.any(0).all()  # each state is within the distance of one that stands for it
    assert (counts <= within.sum(1)).all()
    for k, state in enumerate(chosen):  # of those near it that no earlier one stands for, it is the best
        free = within[k] & ~within[:k].any(0)
        assert counts[k] == free.sum()
        assert residuals[state] == residuals[free].min()
    order = np.array(random.sample(range(len(states)), len(states)))
    again, counts_again = merged(states[order], residuals[order], DISTANCE)
    np.testing.assert_array_equal(states[order][again], states[chosen])
    np.testing.assert_array_equal(counts_again, counts)


def test_a_chain_of_near_states_is_not_one() -> None:
    """What would be one, if whatever is near to one of several belonged to them."""
    chain = np.linspace(0, 1, 11)[:, None]
    chosen, counts = merged(chain, np.zeros(11), 0.15)
    np.testing.assert_allclose(chain[chosen, 0], [0, 0.2, 0.4, 0.6, 0.8, 1])
    assert counts.tolist() == [2, 2, 2, 2, 2, 1]


@pytest.mark.parametrize("distance", [0.0, 1e300])
def test_extreme_distances(distance: float) -> None:
    states = np.array([[1.0], [1.0], [2.0]])
    _, counts = merged(states, np.zeros(3), distance)
    assert counts.tolist() == ([2, 1] if distance == 0 else [3])
