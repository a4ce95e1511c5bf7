"""Trajectories in the plane, read back; states are computed again in plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn_runs import legend, states_again, train
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import rnnsim
from rnnsim.errors import RnnsimError
from rnnsim.numerics.principal_components import principal_plane

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("uncompiled", "few_held_out")


@pytest.mark.parametrize(
    ("rule", "task", "choices"),
    [
        ("rtrl", "delayed-xor", {}),
        ("bptt", "n-bit-memory", {"network": "gru"}),
        ("bptt", "reber", {}),
        ("bptt", "delayed-xor", {"leak": 0.5}),
    ],
)
def test_trajectories_are_states_in_the_plane_of_two_principal_components(
    rule: str, task: str, choices: dict[str, Any]
) -> None:
    run = train(rule, task, **choices)
    states, begins = states_again(run, 50)
    figure = run.plot(what="trajectories", steps=50)
    axes, bar = figure.axes
    path, points, rings = axes.collections
    variances, directions = np.linalg.eigh(np.cov(states.T))
    largest = directions[:, [-1, -2]]
    largest = largest * np.sign(largest[abs(largest).argmax(axis=0), [0, 1]])
    plane = (states - states.mean(axis=0)) @ largest
    np.testing.assert_allclose(points.get_offsets(), plane, atol=1e-9)
    np.testing.assert_allclose(rings.get_offsets(), plane[begins], atol=1e-9)
    expected = [plane[t - 1 : t + 1] for t in range(50) if not begins[t]]
    np.testing.assert_allclose(path.get_segments(), expected, atol=1e-9)
    shares = variances[::-1] / variances.sum()
    assert axes.get_xlabel() == f"principal component 1\n({shares[0]:.0%} of the variance)"
    assert axes.get_ylabel() == f"principal component 2\n({shares[1]:.0%})"
    age, ages = 0, []
    for anew in begins:
        age = 0 if anew else age + 1
        ages.append(age)
    np.testing.assert_array_equal(points.get_array(), ages)
    several = begins.sum() > 1
    assert several == (task == "reber")
    assert bar.get_ylabel() == ("time step since the state began anew" if several else "time step")
    assert legend(figure) == ["beginnings" if several else "first step"]


def test_the_trajectory_of_a_fast_weight_network_is_that_of_its_fast_weights() -> None:
    run = rnnsim.run("fast-weights-1", "variable-binding", steps=60, stop=False)
    image = np.asarray(run.plot_behaviour(steps=40).axes[1].images[0].get_array()).T
    points = run.plot(what="trajectories", steps=40).axes[0].collections[1].get_offsets()
    found = points - points.mean(axis=0)
    variances = np.linalg.eigvalsh(np.cov(image.T))[::-1][:2]
    np.testing.assert_allclose(np.cov(found.T), np.diag(variances), atol=1e-12)
    assert variances[0] > 0


def test_steady_states_are_points_without_lines() -> None:
    run = rnnsim.run("recurrent-backprop", "steady-state-xor", steps=8)
    figure = run.plot(what="trajectories", steps=12)
    (axes,) = figure.axes
    (points,) = axes.collections
    assert points.get_offsets().shape == (12, 2)


@given(arrays(float, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=st.floats(-9, 9)))
def test_the_principal_plane_keeps_as_much_of_the_variance_as_a_plane_can(states: np.ndarray) -> None:
    plane = principal_plane(states)
    total, N = states.var(axis=0).sum(), states.shape[1]
    covariance = np.cov(states.T, bias=True).reshape(N, N)
    most = np.append(np.sort(np.linalg.eigvalsh(covariance))[::-1], 0)[:2]
    np.testing.assert_allclose(plane.of(states).var(axis=0), most, atol=1e-9 * max(1, total))
    np.testing.assert_allclose(plane.of(states).mean(axis=0), 0, atol=1e-9)
    if total > 1e-6:
        np.testing.assert_allclose(plane.shares, most / total, atol=1e-9)
    found = [direction for direction in plane.directions.T if direction.any()]
    assert len(found) == min(2, *states.shape)
    np.testing.assert_allclose(np.array(found) @ np.array(found).T, np.eye(len(found)), atol=1e-9)
    assert all(direction[abs(direction).argmax()] > 0 for direction in found)


def test_trajectories_of_several_runs_share_the_plane_of_all_their_states() -> None:
    """On the same held-out data, which are those of the first."""
    runs = [train("rtrl"), train("bptt", seed=3), train("rtrl", leak=0.5)]
    figure = runs[0].plot(what="trajectories", beside=runs[1:], steps=50)
    states = [states_again(run, 50, seed=0)[0] for run in runs]
    every = np.concatenate(states)
    variances, directions = np.linalg.eigh(np.cov(every.T))
    largest = directions[:, [-1, -2]]
    largest = largest * np.sign(largest[abs(largest).argmax(axis=0), [0, 1]])
    *panels, bar = figure.axes
    for axes, own in zip(panels, states):
        plane = (own - every.mean(axis=0)) @ largest
        np.testing.assert_allclose(axes.collections[1].get_offsets(), plane, atol=1e-9)
        assert axes.get_xlim() == panels[0].get_xlim()
        assert axes.get_ylim() == panels[0].get_ylim()
    assert not np.allclose(states_again(runs[1], 50)[0], states[1])  # the control: data of its seed
    names = ["rtrl, leak=1, seed 0", "bptt, seed 3", "rtrl, leak=0.5, seed 0"]
    assert [axes.get_title() for axes in panels] == names
    share = variances[-1] / variances.sum()
    assert panels[1].get_xlabel() == f"principal component 1\n({share:.0%} of the variance)"
    assert [axes.get_ylabel() for axes in panels[1:]] == ["", ""]
    assert bar.get_ylabel() == "time step"


def test_trajectories_that_cannot_share_a_plane_are_refused() -> None:
    run = train()
    with pytest.raises(RnnsimError, match=r"states of one size.*these runs have 4 and 5"):
        run.plot(what="trajectories", beside=train(hidden=5))
    with pytest.raises(RnnsimError, match="is of 12 runs at most, not 13"):
        run.plot(what="trajectories", beside=[run] * 12)
    assert len(run.plot(what="trajectories", beside=[run] * 4).axes) == 6 + 1
