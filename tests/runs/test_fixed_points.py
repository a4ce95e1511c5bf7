"""Fixed points against known ones, against SciPy's from the same starts, and by steps in plain NumPy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import naive
import naive_gru
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, root

import rnnsim
from rnnsim.errors import RnnsimError
from rnnsim.registry import installed
from rnnsim.runs.fixed_points import FixedPoints
from rnnsim.runs.plain_data import as_json

Step = Callable[[np.ndarray], np.ndarray]
TINY = 1e-30
plain = pytest.mark.usefixtures("uncompiled")  # few starts: compiling would only take time


def step_of(net: Any, params: Any, u: np.ndarray) -> Step:
    """F of one state, by the plain equations; analytic, so that it takes complex numbers, too."""
    p = params._asdict()
    if net.kind == "gru":
        return lambda x: naive_gru.step(p, x[None], u[None])[0]
    f, _ = naive.ACTIVATIONS[net.activation]
    return lambda x: (1 - net.leak) * x + net.leak * f(p["W"] @ x + p["U"] @ u + p["b"])


def residuals(step: Step, states: np.ndarray) -> np.ndarray:
    return np.array([np.abs(step(x) - x).max() for x in states])


def jacobian(step: Step, x: np.ndarray) -> np.ndarray:
    """By complex step."""
    return np.array([step(x + 1j * TINY * e).imag / TINY for e in np.eye(len(x))]).T


def assert_same_points(found: np.ndarray, expected: np.ndarray, atol: float = 1e-8) -> None:
    """As sets of states."""
    assert found.shape == expected.shape
    apart = np.abs(found[:, None] - expected[None]).max(-1)
    assert (apart.min(0) < atol).all()
    assert (apart.min(1) < atol).all()


def assert_same_numbers(found: np.ndarray, expected: np.ndarray, atol: float) -> None:
    """As multisets of complex numbers."""
    left = list(expected)
    for number in found:
        nearest = min(left, key=lambda other: abs(other - number))
        assert abs(nearest - number) < atol
        left.remove(nearest)
    assert not left


def unit(w: float, b: float = 0.0, **choices: Any) -> tuple[Any, Any]:
    """One unit, x = f(w x + b)."""
    net = rnnsim.RecurrentNetwork(0, 1, 1, **choices)
    return net, net.init()._replace(W=np.array([[w]]), b=np.array([b]))


GRID = np.linspace(-1, 1, 21)[:, None]


# --- known fixed points --------------------------------------------------------------------------------


@pytest.mark.parametrize("leak", [1.0, 0.3])
@pytest.mark.parametrize("w", [1.2, 2.0, 5.0])
def test_a_bistable_unit(w: float, leak: float) -> None:
    x = brentq(lambda x: np.tanh(w * x) - x, 0.1, 1, xtol=1e-15)
    found = rnnsim.fixed_points(*unit(w, leak=leak), GRID)
    np.testing.assert_allclose(found.states[:, 0], [-x, x, 0], atol=1e-11)
    slopes = np.array([w * (1 - x * x), w * (1 - x * x), w])
    np.testing.assert_allclose(found.eigenvalues[:, 0], 1 - leak + leak * slopes, atol=1e-10)
    assert found.unstable.tolist() == [0, 0, 1]
    assert found.starts.sum() + found.not_converged == len(GRID)
    assert found.not_converged == 0


def test_an_unstable_state_to_which_no_relaxation_leads() -> None:
    """Steps from near it end in an oscillation of period 2."""
    found = rnnsim.fixed_points(*unit(-2.0), GRID)
    np.testing.assert_allclose(found.states, [[0]], atol=1e-12)
    np.testing.assert_allclose(found.eigenvalues, [[-2]], atol=1e-10)
    assert (found.unstable.tolist(), found.starts.tolist()) == ([1], [21])


@pytest.mark.parametrize("n", [2, 3])
def test_units_by_themselves_are_a_cube(n: int) -> None:
    """3^n points; as many unstable directions as units that are at 0."""
    net = rnnsim.RecurrentNetwork(0, n, 1)
    params = net.init()._replace(W=2 * np.eye(n))
    x = brentq(lambda x: np.tanh(2 * x) - x, 0.1, 1, xtol=1e-15)
    expected = np.array([*product((-x, 0, x), repeat=n)])
    starts = np.random.default_rng(0).uniform(-1.2, 1.2, (60 * 3**n, n))
    found = rnnsim.fixed_points(net, params, starts)
    assert_same_points(found.states, expected)
    np.testing.assert_array_equal(found.unstable, (np.abs(found.states) < 0.1).sum(1))
    assert (np.diff(found.unstable) >= 0).all()
    same = np.diff(found.unstable) == 0
    assert (np.diff(found.starts)[same] <= 0).all()
    slopes = np.sort(2 * (1 - found.states**2), axis=1)[:, ::-1]
    np.testing.assert_allclose(found.eigenvalues, slopes, atol=1e-9)


@plain
def test_a_linear_network_has_one_which_the_input_moves() -> None:
    net = rnnsim.RecurrentNetwork(2, 4, 1, activation="identity")
    params = net.init(3, gain=1.7)
    params.b[:] = [1, -2, 0.5, 3]
    starts = np.random.default_rng(0).normal(0, 50, (30, 4))
    for u in (np.zeros(2), np.array([1.0, -3.0])):
        found = rnnsim.fixed_points(net, params, starts, inputs=u)
        solution = np.linalg.solve(np.eye(4) - params.W, params.U @ u + params.b)
        assert_same_points(found.states, solution[None], 1e-9)
        assert_same_numbers(found.eigenvalues[0], np.linalg.eigvals(params.W), 1e-12)
        assert found.starts.tolist() == [30]
        np.testing.assert_array_equal(found.inputs, u)
    default = rnnsim.fixed_points(net, params, starts).states
    assert np.abs(default - solution).max() > 0.1  # the last input does make a difference


# --- degenerate ones -----------------------------------------------------------------------------------


@plain
def test_a_continuum_is_covered_by_points_that_are_apart() -> None:
    """A line attractor: x = v v^T x, of which each start finds the point that is nearest to it."""
    v = np.array([2.0, -1.0, 2.0]) / 3
    net = rnnsim.RecurrentNetwork(0, 3, 1, activation="identity")
    params = net.init()._replace(W=np.outer(v, v))
    starts = np.random.default_rng(0).normal(size=(40, 3))
    found = rnnsim.fixed_points(net, params, starts, distance=1e-9)
    assert_same_points(found.states, np.outer(starts @ v, v))
    np.testing.assert_allclose(np.abs(found.eigenvalues[:, 0]), 1, atol=1e-12)
    assert not found.unstable.any()  # neither stable nor unstable: not by a rounding error
    fewer = rnnsim.fixed_points(net, params, starts, distance=0.5)
    assert 3 < len(fewer) < 12
    assert (np.diff(np.sort(fewer.states @ v)) > 0.5).all()
    assert fewer.starts.sum() == 40


@plain
def test_a_continuum_with_rounding_errors() -> None:
    """I - W is singular but for rounding errors, and so no normal matrix."""
    rng = np.random.default_rng(2)
    net = rnnsim.RecurrentNetwork(0, 40, 1, activation="identity")
    A = rng.normal(size=(40, 39)) @ rng.normal(size=(39, 40)) / 40
    params = net.init()._replace(W=np.eye(40) - A)
    found = rnnsim.fixed_points(net, params, rng.normal(size=(30, 40)))
    assert (found.not_converged, len(found)) == (0, 30)
    np.testing.assert_allclose(np.abs(1 - found.eigenvalues).min(1), 0, atol=1e-9)


@plain
def test_an_eigenvalue_of_1_is_no_unstable_direction_by_its_rounding_error() -> None:
    above = 0
    net = rnnsim.RecurrentNetwork(0, 6, 1, activation="identity")
    for seed in range(10):
        rng = np.random.default_rng(seed)
        params = net.init()._replace(W=np.eye(6) - rng.normal(size=(6, 5)) @ rng.normal(size=(5, 6)))
        found = rnnsim.fixed_points(net, params, rng.normal(size=(3, 6)))
        size = np.abs(found.eigenvalues)
        np.testing.assert_array_equal(found.unstable, (size > 1 + 1e-6).sum(1))
        above += (size > 1).sum(1).max() > found.unstable.max()
    assert above > 0  # the control: of some the modulus is more than 1


@plain
@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_a_residual_that_vanishes_far_away(shift: float) -> None:
    """softplus(x) - x is never 0, but e^-x for a large x."""
    net, params = unit(1.0, activation="softplus")
    starts = np.array([[0.0], [10], [25], [28]]) + shift
    found = rnnsim.fixed_points(net, params, starts)
    assert (len(found), found.not_converged) == (0, 4)
    assert np.logaddexp(0, 28.0) - 28 < 1e-12  # the control: it is not the tolerance that excludes it


@plain
def test_every_state_of_the_identity_is_one() -> None:
    net = rnnsim.RecurrentNetwork(0, 2, 1, activation="identity")
    found = rnnsim.fixed_points(net, net.init()._replace(W=np.eye(2)), [[1.0, 2.0], [3, 4], [1, 2]])
    assert found.states.tolist() == [[1, 2], [3, 4]]
    assert found.starts.tolist() == [2, 1]
    assert found.residuals.tolist() == [0, 0]


@plain
def test_where_three_have_met() -> None:
    """x = tanh(x): the residual x^3 / 3 is below the tolerance in a whole range, which is one point."""
    found = rnnsim.fixed_points(*unit(1.0), GRID)
    np.testing.assert_allclose(found.states, [[0]], atol=2e-4)
    assert found.unstable.tolist() == [0]


@plain
def test_a_slow_point_is_none() -> None:
    """Just beyond the fold of x = tanh(2 x + b), at which two fixed points have met and vanished."""
    fold = np.arctanh(np.sqrt(0.5)) - np.sqrt(2)
    starts = np.array([[0.68], [0.72], [0.8], [-0.9]])
    beyond = rnnsim.fixed_points(*unit(2.0, fold - 1e-3), starts)
    assert (len(beyond), beyond.not_converged, beyond.starts.tolist()) == (1, 3, [1])
    assert beyond.states[0, 0] < -0.9
    before = rnnsim.fixed_points(*unit(2.0, fold + 1e-3), starts)
    assert (len(before), before.not_converged, before.unstable.tolist()) == (3, 0, [0, 0, 1])


@plain
def test_a_network_that_has_none() -> None:
    """softplus(x + 1) > x + 1."""
    found = rnnsim.fixed_points(*unit(1.0, 1.0, activation="softplus"), GRID)
    assert (len(found), found.not_converged) == (0, 21)
    assert found.states.shape == found.eigenvalues.shape == (0, 1)
    assert found.summary() == "0 fixed points from 21 starts; 21 did not converge"
    assert "21 did not converge" in found._repr_html_()
    assert json.loads(as_json(found.as_dict()))["states"] == []
    with pytest.raises(RnnsimError, match="no fixed point to draw"):
        found.plot()


@plain
def test_states_that_grow_without_bounds() -> None:
    """Where F is not finite at a start, or on the way."""

    def cube(a: float) -> float:
        return a**3

    def slope(a: float) -> float:
        return 3 * a**2

    net, params = unit(1.0, activation=(cube, slope))
    with np.errstate(all="ignore"):
        found = rnnsim.fixed_points(net, params, [[1e200], [0.9], [0.1], [-1.2]])
    assert_same_points(found.states, np.array([[-1.0], [0], [1]]))
    assert found.unstable.tolist() == [0, 1, 1]
    assert found.not_converged == 1


# --- against others ------------------------------------------------------------------------------------


class Case(NamedTuple):
    kind: str
    n: int
    gain: float
    seed: int
    choices: dict[str, Any] = {}  # noqa: RUF012 (of a NamedTuple)


CASES = [
    Case("recurrent", 2, 3.0, 11), Case("recurrent", 4, 3.0, 4), Case("recurrent", 4, 3.0, 6),
    Case("recurrent", 5, 4.0, 2, {"leak": 0.2}), Case("gru", 2, 4.0, 4), Case("gru", 4, 3.0, 1),
]  # fmt: skip
SADDLES = CASES[:5]


def made(case: Case) -> tuple[Any, Any, np.ndarray, Step]:
    net = installed().networks[case.kind].thing(2, case.n, 1, **case.choices)
    rng = np.random.default_rng(case.seed)
    params, u = net.init(case.seed, gain=case.gain), rng.normal(0, 0.5, 2)
    for name, array in params._asdict().items():
        if name.startswith("b"):
            array[:] = rng.normal(0, 0.3, array.shape)
    return net, params, u, step_of(net, params, u)


def inside(states: np.ndarray) -> np.ndarray:
    """All fixed points are inside; but a GRU whose gate z is 1 to the last bit keeps any state."""
    return (np.abs(states) < 1).all(-1)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_points_are_those_of_scipy(case: Case) -> None:
    net, params, u, step = made(case)
    starts = np.random.default_rng(0).uniform(-1, 1, (200, case.n))
    found = rnnsim.fixed_points(net, params, starts, inputs=u)
    others: list[np.ndarray] = []
    for start in starts:
        solution = root(lambda x: step(x) - x, start, method="lm", tol=1e-14).x
        if (
            np.abs(step(solution) - solution).max() < 1e-11
            and inside(solution)
            and not any(np.abs(solution - other).max() < 1e-3 for other in others)
        ):
            others.append(solution)
    own = inside(found.states)
    assert case.kind == "gru" or own.all()
    assert_same_points(found.states[own], np.array(others), 1e-6)
    assert (case in SADDLES) == (len(others) > 2 and found.unstable[own].max() > 0)
    for k in np.flatnonzero(own):
        J = jacobian(step, found.states[k])
        np.testing.assert_allclose(found.jacobians[k], J, atol=1e-12)
        assert_same_numbers(found.eigenvalues[k], np.linalg.eigvals(J), 1e-8)
        assert (np.diff(np.abs(found.eigenvalues[k])) <= 1e-12).all()
        assert found.unstable[k] == (np.abs(np.linalg.eigvals(J)) > 1).sum()


@settings(max_examples=20)
@given(
    st.sampled_from(CASES), st.integers(0, 10**6), st.sampled_from([1e-6, 1e-3, 0.5]),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_what_is_reported_is_fixed_and_apart(
    case: Case, seed: int, distance: float, random: Any
) -> None:
    net, params, u, step = made(case._replace(seed=seed))
    starts = np.random.default_rng(seed).uniform(-1.5, 1.5, (30, case.n))
    found = rnnsim.fixed_points(net, params, starts, inputs=u, distance=distance)
    rest = residuals(step, found.states)
    assert (rest <= 2e-12 * net_leak(net)).all()
    np.testing.assert_allclose(found.residuals, rest / net_leak(net), atol=1e-14)
    assert (residuals(step, found.states + 1e-3) > 1e-6).all()  # the control: that is not fixed
    assert found.starts.sum() + found.not_converged == 30
    between = np.linalg.norm(found.states[:, None] - found.states[None], axis=-1)
    assert (between[~np.eye(len(found), dtype=bool)] > distance).all()
    order = np.array(random.sample(range(30), 30))
    again = rnnsim.fixed_points(net, params, starts[order], inputs=u, distance=distance)
    for name, array in vars(found).items():
        np.testing.assert_array_equal(getattr(again, name), array, err_msg=name)


def net_leak(net: Any) -> float:
    return float(getattr(net, "leak", 1.0))


# --- what may be given ---------------------------------------------------------------------------------


def test_states_of_a_trajectory_with_noise() -> None:
    net, params, u, _ = made(CASES[1])
    states = rnnsim.simulate(net, params, np.tile(u, (10, 3, 1))).states
    found = rnnsim.fixed_points(net, params, states, inputs=u, noise=0.5, seed=3)
    assert found.starts.sum() + found.not_converged == 30
    noisy = states.reshape(-1, 4) + np.random.default_rng(3).normal(0, 0.5, (30, 4))
    same = rnnsim.fixed_points(net, params, noisy, inputs=u)
    np.testing.assert_array_equal(found.states, same.states)
    other = rnnsim.fixed_points(net, params, states, inputs=u, noise=0.5, seed=4)
    assert not np.array_equal(other.starts, found.starts)
    with pytest.raises(RnnsimError, match=r"starts holds .*inf"):
        rnnsim.fixed_points(net, params, states, noise=1e308)
    before = states.copy()
    rnnsim.fixed_points(net, params, states, noise=1.0)
    np.testing.assert_array_equal(states, before)


def test_single_precision() -> None:
    case = CASES[1]
    net, params, u, step = made(case._replace(choices={"dtype": "float32"}))
    starts = np.random.default_rng(0).uniform(-1, 1, (200, case.n))
    found = rnnsim.fixed_points(net, params, starts, inputs=u)
    assert found.states.dtype == np.float32
    assert found.eigenvalues.dtype == np.complex128
    states = found.states[inside(found.states)]
    assert (residuals(step, states) < 2e-5).all()
    double, params64, _, _ = made(case)
    exact = rnnsim.fixed_points(double, params64, starts, inputs=u).states
    assert_same_points(states, exact[inside(exact)], 1e-3)
    assert len(states) == 3


def test_too_few_steps_are_counted() -> None:
    found = rnnsim.fixed_points(*unit(2.0), GRID, max_steps=1)
    assert found.not_converged > 10
    loose = rnnsim.fixed_points(*unit(2.0), GRID, max_steps=1, tolerance=1e-3)
    assert loose.not_converged < found.not_converged


@plain
def test_the_same_without_compiling() -> None:
    found = rnnsim.fixed_points(*unit(2.0), GRID)
    np.testing.assert_allclose(found.states[:, 0], [-0.9575040240772687, 0.9575040240772687, 0])
    assert found.unstable.tolist() == [0, 0, 1]


def test_networks_without_steady_states_are_refused() -> None:
    fast = rnnsim.FastWeightNetwork(n_slow_in=2, n_in=2, n_out=1)
    with pytest.raises(RnnsimError, match=r"^a fast-weight network has no steady states; [\w ]*$"):
        rnnsim.fixed_points(fast, fast.init(), GRID)
    net, params = unit(2.0)
    net.jacobian = None
    with pytest.raises(RnnsimError, match="a recurrent network has no kernel jacobian"):
        rnnsim.fixed_points(net, params, GRID)


# --- what it says --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cube() -> FixedPoints:
    """Of three bistable units that see one another a little: 27 points."""
    net = rnnsim.RecurrentNetwork(0, 3, 1)
    W = 2 * np.eye(3) + 0.1 * np.array([[0, 1, -1], [1, 0, 1], [0, -1, 0]])
    starts = np.random.default_rng(0).uniform(-1.2, 1.2, (2000, 3))
    return rnnsim.fixed_points(net, net.init()._replace(W=W), starts)


def test_the_summary_counts_points_by_their_unstable_directions(cube: FixedPoints) -> None:
    summary = cube.summary()
    assert summary.startswith("27 fixed points from 2,000 starts\n")
    counts = re.findall(r"^\| (\d) +\| +(\d+) \| +[\d,]+ \|$", summary, re.MULTILINE)
    assert counts == [("0", "8"), ("1", "12"), ("2", "6"), ("3", "1")]
    assert len(re.findall(r"^\| \d+ +\| +\d \| .*\d \| +\d.\de[+-]\d+ \|$", summary, re.MULTILINE)) == 27
    assert all(len(line) < 100 for line in summary.splitlines())


@plain
def test_a_long_summary_is_cut() -> None:
    net = rnnsim.RecurrentNetwork(0, 1, 1, activation="identity")
    found = rnnsim.fixed_points(net, net.init()._replace(W=np.eye(1)), np.arange(50.0)[:, None])
    assert found.summary().endswith("\n\nand 20 more")


def test_plain_data(cube: FixedPoints) -> None:
    found = json.loads(as_json(cube.as_dict()))
    assert set(found) == set(vars(cube))
    np.testing.assert_array_equal(found["states"], cube.states)
    np.testing.assert_array_equal(found["eigenvalues"]["imag"], cube.eigenvalues.imag)
    assert found["not_converged"] == 0


# --- the figure ----------------------------------------------------------------------------------------


def test_the_figure(cube: FixedPoints, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (axes,) = cube.plot().axes
    groups = {group.get_label(): group for group in axes.collections}
    assert [*groups] == ["stable: 8", "1 unstable direction: 12", "2 unstable directions: 6",
                         "3 unstable directions: 1"]  # fmt: skip
    drawn = np.concatenate([group.get_offsets() for group in groups.values()])
    centred = cube.states - cube.states.mean(0)
    _, _, components = np.linalg.svd(centred, full_matrices=False)
    for i in range(2):  # up to a sign
        projected = centred @ components[i]
        assert min(np.abs(drawn[:, i] - sign * projected).max() for sign in (1, -1)) < 1e-9
    colours = {tuple(group.get_edgecolor()[0]) for group in groups.values()}
    markers = {group.get_paths()[0].vertices.tobytes() for group in groups.values()}
    assert len(colours) == len(markers) == 4
    filled = [tuple(group.get_facecolor()[0][:3]) != (1, 1, 1) for group in groups.values()]
    assert filled == [True, False, False, False]
    assert len(axes.lines) == 12
    for line, k in zip(axes.lines, np.flatnonzero(cube.unstable == 1)):
        xy = line.get_xydata()
        np.testing.assert_allclose(xy.mean(0), drawn[k], atol=1e-12)
        values, vectors = np.linalg.eig(cube.jacobians[k])
        along = np.array([components[i] @ vectors[:, np.argmax(np.abs(values))].real for i in range(2)])
        (dx, dy), (a, b) = xy[1] - xy[0], along
        assert np.isclose(abs(dx * b), abs(dy * a), atol=1e-9)
    for name, begins in {"x.png": b"\x89PNG", "x.svg": b"<?xml", "x.pdf": b"%PDF"}.items():
        cube.plot(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begins)


def test_the_figure_with_a_trajectory(cube: FixedPoints) -> None:
    pytest.importorskip("matplotlib")
    path = np.random.default_rng(1).normal(size=(20, 2, 3)) * [1, 5, 0.1]
    (axes,) = cube.plot(trajectory=path).axes
    lines = [line.get_xydata() for line in axes.lines]
    assert [len(line) for line in lines] == [20, 20] + [2] * 12
    first = (path - path.mean((0, 1)))[:, :, 1]  # nearly the first component
    assert abs(np.corrcoef(lines[0][:, 0], first[:, 0])[0, 1]) > 0.99
    with pytest.raises(RnnsimError, match=r"trajectory has shape \(20, 2, 2\)"):
        cube.plot(trajectory=path[..., :2])


def test_the_figure_of_one_point_of_one_unit() -> None:
    pytest.importorskip("matplotlib")
    (axes,) = rnnsim.fixed_points(*unit(-2.0), GRID).plot().axes
    assert [group.get_label() for group in axes.collections] == ["1 unstable direction: 1"]
    assert "0%" in axes.get_ylabel()


def test_a_notebook_shows_counts_and_the_figure(cube: FixedPoints) -> None:
    pytest.importorskip("matplotlib")
    html = cube._repr_html_()
    assert "27 fixed points from 2,000 starts" in html
    assert "<th" in html
    assert "data:image/png;base64," in html
