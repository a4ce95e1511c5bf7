"""Work that is large enough is shared between cores, and the numbers are the same to the last bit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numba
import numpy as np
import pytest
from fast_weight_cases import COMPILED, FAST_PLAIN, make_network

import rnnsim
from rnnsim.compiler import compiled
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.numerics import linalg, threads
from rnnsim.registry import installed

RULES = {name: entry.thing for name, entry in installed().rules.items()}

needs_jit = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="uncompiled, one core does everything")
needs_cores = pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="there is one core")


def use(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Have so many threads, however busy the machine is."""
    monkeypatch.setattr(threads.Cores, "look", lambda self: count)


def large(kind: str) -> tuple[Any, Any, tuple[Any, ...]]:
    """A network with as much to do as is shared, its weights and its data."""
    rng = np.random.default_rng(0)
    if kind == "recurrent":
        network, inputs = rnnsim.RecurrentNetwork(n_in=3, n_hidden=48, n_out=2), (3,)
    else:
        sizes = dataclasses.replace(FAST_PLAIN, n_slow_in=8, n_in=12, n_out=12, slow_hidden=(16,))
        network = make_network(sizes, next(c for c in COMPILED if str(c.architecture) == kind[-1]))
        inputs = (8, 12)
    rows, batch = (60, 20) if kind == "recurrent" else (12, 2)
    data = tuple(rng.standard_normal((rows, batch, m)) for m in inputs)
    targets = rng.standard_normal((rows, batch, network.n_out))
    params = network.views(network.pack(network.init(seed=1)) / 2)  # it settles
    return network, params, (data if len(data) == 2 else data[0], targets)


def kind_of(name: str) -> str:
    rule = RULES[name]
    return "recurrent" if rule.kind == "recurrent" else f"fast-weight {rule.network['architecture']}"


def gradient(monkeypatch: pytest.MonkeyPatch, name: str, kind: str, count: int) -> np.ndarray:
    network, params, (inputs, targets) = large(kind)
    use(monkeypatch, count)
    found = rnnsim.gradient(network, params, inputs, targets, rule=name)
    return np.concatenate([grad.ravel() for grad in found.grads])


@needs_jit
@needs_cores
@pytest.mark.parametrize("name", sorted(RULES))
def test_shared_work_gives_the_same_to_the_bit(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    kind = kind_of(name)
    one, two = (gradient(monkeypatch, name, kind, count) for count in (1, 2))
    assert np.abs(one).max() > 0
    assert np.array_equal(one, two)
    if RULES[name].claim == "exact" and not RULES[name].settles:
        swept = gradient(monkeypatch, "bptt", kind, 2)
        assert np.allclose(two, swept, rtol=1e-9, atol=1e-9 * np.abs(swept).max())


@kernel
def sum_in_parts(x: Any, y: Any, out: Any, parts: int) -> None:
    linalg.add_in_parts(x, y, out, parts)


@needs_jit
def test_sums_in_as_many_parts_as_threads_would_not_be_the_same() -> None:
    """The control: that is what the comparison above is for."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4000, 3)), rng.standard_normal((4000, 3))
    two, three = np.zeros((3, 3)), np.zeros((3, 3))
    with threads.shared_work():
        compiled(sum_in_parts)(x, y, two, 2)
        compiled(sum_in_parts)(x, y, three, 3)
    assert np.allclose(two, three)
    assert not np.array_equal(two, three)


@pytest.mark.parametrize(("given", "expected"), [("", 8), ("1", 1), ("3", 3), ("99", 8)])
def test_the_user_says_how_many_at_most(
    monkeypatch: pytest.MonkeyPatch, given: str, expected: int
) -> None:
    monkeypatch.setenv(threads.LIMIT, given)
    assert threads.limit(8) == expected


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5"])
def test_what_is_no_number_of_threads_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(threads.LIMIT, given)
    with pytest.raises(RnnsimError, match=f"{threads.LIMIT} is a whole number from 1 on, not '{given}'"):
        threads.limit(8)


@needs_jit
@needs_cores
def test_busy_cores_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = threads.Cores()
    monkeypatch.setattr(cores, "_quickest", lambda: 2 * threads.BUSY)
    assert cores.look() == 1
    monkeypatch.setattr(cores, "_quickest", lambda: threads.BUSY / 2)
    assert cores.look() == 1  # it was looked at a moment ago
    cores.checked = -np.inf
    assert cores.look() == cores.most
