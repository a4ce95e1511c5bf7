"""Kernels that are given their arguments once."""

from __future__ import annotations

import ctypes
from collections import namedtuple
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest

from rnnsim.compiler import compiled
from rnnsim.compiler.binding import NUMBERS, bind_arguments
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel

needs_jit = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


class Mixed(NamedTuple):
    """Parts of all kinds, of sizes that leave gaps between them."""

    yes: bool
    cube: np.ndarray
    single: Any
    inner: Any
    flags: np.ndarray
    no: Any
    empty: np.ndarray
    real: float
    whole: int
    point: np.ndarray


def mixed() -> Mixed:
    cube = np.arange(24.0).reshape(2, 3, 4)
    inner = ((True, np.float32(0.25)), np.arange(3, dtype=np.float32))
    flags = np.array([False, True])
    return Mixed(True, cube, np.float32(0.5), inner, flags, np.bool_(False), np.zeros((0, 3)), 2.5, 7,
                 np.array(1.5))  # fmt: skip


@kernel
def tell(x: Mixed) -> Any:
    """Every part of it, and a change in an array."""
    (yes, quarter), numbers = x.inner
    x.cube[1, 2, 3] += 1
    of_arrays = (
        x.cube[1, 2, 3],
        x.cube.sum(),
        x.cube.shape[1],
        x.empty.size,
        x.empty.shape[1],
        x.point[()],
    )
    return of_arrays, x.yes, x.single, yes, quarter, numbers[2], x.flags[1], x.no, x.real, x.whole


def test_a_bound_kernel_reads_what_it_would_be_given() -> None:
    ours, theirs = mixed(), mixed()
    run = bind_arguments(tell, ours)
    for _ in range(2):
        assert run() == compiled(tell)(theirs)
    assert ours.cube[1, 2, 3] == 25
    ours.cube[0] = 0  # by others
    assert run()[0][1] == ours.cube.sum()


@kernel
def first_of(pair: Any) -> float:
    return pair.a[0]  # type: ignore[no-any-return]


def test_the_names_of_fields_are_not_mistaken() -> None:
    """Two classes of one name whose parts are of the same types."""
    one, two = namedtuple("Pair", "a b"), namedtuple("Pair", "b a")
    x, y = np.array([1.0]), np.array([2.0])
    assert bind_arguments(first_of, one(x, y))() == 1
    assert bind_arguments(first_of, two(x, y))() == 2


@kernel
def draw(pair: Any) -> float:
    return pair[0].random() + pair[1][0]  # type: ignore[no-any-return]


def test_what_cannot_be_laid_out_is_given_at_every_call() -> None:
    run = bind_arguments(draw, (np.random.default_rng(3), np.ones(1)))
    found = [run(), run()]
    assert found == pytest.approx(np.random.default_rng(3).random(2) + 1)


@needs_jit
def test_another_layout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: where a truth value would take eight bytes."""
    monkeypatch.setitem(NUMBERS, bool, ctypes.c_int64)
    with pytest.raises((RnnsimError, numba.core.errors.NumbaError), match="another layout in memory"):
        bind_arguments(tell, mixed())()
