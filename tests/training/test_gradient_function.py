"""Gradients from arrays that are kept: they are the caller's own, and what changes is noticed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import pytest

import rnnsim
from rnnsim import RnnsimError
from rnnsim.registry import installed
from rnnsim.rule import nbytes
from rnnsim.training import gradients
from rnnsim.training.kept import Kept

NET = rnnsim.RecurrentNetwork(2, 4, 1)
FAST = rnnsim.FastWeightNetwork(n_slow_in=2, n_in=2, n_out=1, slow_hidden=(3,))
RULES = sorted(installed().rules)

needs_jit = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")


def problem(seed: int, T: int = 7, B: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return 0.5 * rng.standard_normal((T, B, 2)), 0.5 * rng.standard_normal((T, B, 1))


def of(rule: str) -> Any:
    found: Any = FAST if installed().rules[rule].thing.kind == "fast-weight" else NET
    if rule == "fast-weights-2":
        return rnnsim.FastWeightNetwork(architecture=2, n_slow_in=2, n_in=2, n_out=1, slow_hidden=(3,))
    return found


def assert_equal(one: Any, two: Any) -> None:
    assert one.loss == two.loss
    for mine, theirs in zip(one.grads, two.grads, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("rule", RULES)
def test_each_call_is_as_the_first(rule: str) -> None:
    """In any order of shapes, by the function and by ``gradient``; results are the caller's own."""
    network = of(rule)
    function = rnnsim.gradient_function(network, rule)
    first = {}
    for repeat in range(2):
        for seed, (T, B) in enumerate([(7, 2), (3, 1), (7, 2)]):
            params, data = network.init(seed), problem(seed, T, B)
            found = function(params, *data)
            assert_equal(found, rnnsim.gradient(network, params, *data, rule))
            if repeat == 0:
                first[seed] = found, [grad.copy() for grad in found.grads]
            assert_equal(found, first[seed][0])
    for found, grads in first.values():  # later calls have not written to them
        for grad, kept in zip(found.grads, grads):
            np.testing.assert_array_equal(grad, kept)


@pytest.mark.usefixtures("uncompiled")
def test_arrays_of_any_form_give_the_same() -> None:
    """Those that are used as they are, and those that are converted."""
    params, (u, d) = NET.init(0), problem(0)
    expected = rnnsim.gradient(NET, params, u, d)
    wide = np.zeros((7, 2, 4))
    wide[..., ::2] = u
    read_only = u.copy()
    read_only.flags.writeable = False
    for inputs in (u.tolist(), wide[..., ::2], read_only, np.asfortranarray(u), u.astype(">f8")):
        assert_equal(rnnsim.gradient(NET, params, inputs, d), expected)
    assert_equal(rnnsim.gradient(NET, params._asdict(), u, d), expected)
    single = rnnsim.gradient(NET, params, u[:, :1].copy(), d[:, :1].copy())
    assert_equal(rnnsim.gradient(NET, params, u[:, 0].copy(), d[:, 0].copy()), single)


@pytest.mark.usefixtures("uncompiled")
def test_what_is_not_finite_is_refused_on_the_quick_way_too() -> None:
    params, (u, d) = NET.init(0), problem(0)
    function = rnnsim.gradient_function(NET)
    for what, arguments in (
        ("inputs", (params, np.full_like(u, np.nan), d)),
        ("targets", (params, u, np.full_like(d, np.inf))),
        ("b", (params._replace(b=np.full(4, np.nan)), u, d)),
    ):  # fmt: skip
        with pytest.raises(RnnsimError, match=what):
            function(*arguments)
    large = np.full_like(u, 1e308)  # their sum overflows, and that is no reason to refuse them
    assert np.isfinite(function(NET.views(np.zeros(NET.n_params)), large, d).loss)


def test_the_mean_is_over_the_targets() -> None:
    params, (u, d) = NET.init(0), problem(0)
    mask = np.array([[1, 0], [0.5, 1], [0, 0], [1, 1], [0, 1], [1, 0], [0, 0]])
    total, mean = (
        rnnsim.gradient(NET, params, u, d, mask=mask, reduction=name) for name in ("sum", "mean")
    )
    weight = mask.sum() / 2
    assert mean.loss == pytest.approx(total.loss / weight, rel=1e-12)
    assert mean.loss == pytest.approx(
        rnnsim.loss(NET, params, u, d, mask=mask, reduction="mean"), rel=1e-12
    )
    for one, two in zip(mean.grads, total.grads):
        np.testing.assert_allclose(one, two / weight, rtol=1e-12)


@needs_jit
def test_a_function_of_the_users_that_changes_is_noticed() -> None:
    """By ``gradient`` and ``loss``; a gradient function has what was bound when it was made."""
    scope: dict[str, Any] = {"np": np, "__name__": "users", "gain": 1.0}
    exec("def f(a):\n    return gain * a\ndef df(a):\n    return gain", scope)
    network = rnnsim.RecurrentNetwork(2, 3, 1, activation=(scope["f"], scope["df"]))
    params, (u, d) = network.init(0), problem(0)
    bound = rnnsim.gradient_function(network)
    found = {}
    for gain in (1.0, 0.5, 1.0):
        scope["gain"] = gain
        found[gain] = rnnsim.gradient(network, params, u, d)
        assert found[gain].loss == pytest.approx(rnnsim.loss(network, params, u, d), rel=1e-12)
    assert found[1.0].loss != found[0.5].loss
    scope["gain"] = 0.5
    assert bound(params, u, d).loss == found[1.0].loss


@needs_jit
def test_threads_have_arrays_of_their_own() -> None:
    function = rnnsim.gradient_function(NET)
    work = [(NET.init(seed), *problem(seed)) for seed in range(8)]
    expected = [function(*one) for one in work]
    begin = threading.Barrier(8)

    def together(i: int) -> Any:
        begin.wait()
        return [(function(*work[i]), rnnsim.gradient(NET, *work[i])) for _ in range(20)]

    with ThreadPoolExecutor(8) as pool:
        for i, found in enumerate(pool.map(together, range(8))):
            for one, two in found:
                assert_equal(one, expected[i])
                assert_equal(two, expected[i])


def test_the_least_recently_used_goes_first() -> None:
    class Thing:
        def __init__(self, nbytes: int) -> None:
            self.nbytes = nbytes

    kept: Kept[Thing] = Kept(most=10)
    first = kept.get("a", lambda: Thing(4))
    kept.get("b", lambda: Thing(4))
    assert kept.get("a", lambda: Thing(0)) is first
    kept.get("c", lambda: Thing(4))  # b goes
    assert kept.get("a", lambda: Thing(0)) is first
    assert kept.get("b", lambda: Thing(1)).nbytes == 1
    large = kept.get("d", lambda: Thing(99))
    assert kept.get("d", lambda: Thing(0)) is large  # the last one is kept, whatever its size
    assert kept.nbytes == 99


@pytest.mark.usefixtures("uncompiled")
def test_the_same_call_again_allocates_only_the_result() -> None:
    """The arrays of a shape are kept, and bounded in bytes."""
    function = rnnsim.gradient_function(NET)
    params = NET.init(0)
    for T in (5, 50, 5, 50):
        function(params, *problem(0, T))
    before = function.nbytes
    function(params, *problem(0, 50))
    assert function.nbytes == before > 0
    rnnsim.gradient(NET, params, *problem(0, 50))
    assert gradients._functions.nbytes > 0


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("batch", [8, 32])
def test_the_trajectory_is_held_once(batch: int) -> None:
    """Also where a batch is divided into shards, which have trajectories of their own."""
    network = rnnsim.RecurrentNetwork(2, 64, 1)
    function = rnnsim.gradient_function(network, "bptt")
    u, d = problem(0, 60, batch)
    function(network.init(0), u, d)
    trajectory = nbytes(network.trajectory(60, batch))
    assert trajectory < function.nbytes < 1.7 * trajectory
