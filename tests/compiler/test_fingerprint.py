"""The fingerprint of a kernel: all that its machine code depends on, and nothing else."""

from __future__ import annotations

import os
from collections import namedtuple
from enum import IntEnum
from typing import Any

import numba
import numpy as np
import pytest

from rnnsim.compiler.fingerprint import fingerprint
from rnnsim.kernels import native

needs_jit = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


def scaled_by(factor: Any) -> Any:
    return lambda x: x * factor


def third_of(table: Any) -> Any:
    return lambda x: x * table[0][2]


def calling(*functions: Any) -> Any:
    return lambda x: functions[0](x)


def making(method: Any) -> Any:
    kind = type("Code", (), {"method": method})
    return lambda x: kind()


LARGE = np.zeros(5000)


def changed(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array[len(array) // 2] = 1  # where repr() leaves the numbers out
    return array


CHANGED = changed(LARGE)


def njit(**options: Any) -> Any:
    return numba.njit(**options)(lambda x: x + 1.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda x: x + 1.0, lambda x: x + 2.0),
        (lambda x: x + 1.0, lambda x: x - 1.0),
        (lambda x: x + 1, lambda x: x + 1.0),
        (scaled_by(2.0), scaled_by(3.0)),
        (scaled_by(2), scaled_by(2.0)),
        (scaled_by(np.float64(2)), scaled_by(np.float32(2))),
        (scaled_by(np.zeros(2)), scaled_by(np.ones(2))),
        (scaled_by(np.zeros(2)), scaled_by(np.zeros(2, np.float32))),
        (scaled_by(LARGE), scaled_by(CHANGED)),
        (scaled_by((LARGE,)), scaled_by((CHANGED,))),
        (third_of(((1, 2, 3),)), third_of(((1, 2, 4),))),
        (scaled_by(lambda x: x + 1.0), scaled_by(lambda x: x + 2.0)),
        (calling(lambda x: x + 1.0), calling(lambda x: x + 2.0)),
        (lambda x, y=1.0: x + y, lambda x, y=2.0: x + y),
        (lambda x: [x + i for i in range(3)], lambda x: [x + i for i in range(4)]),
        (lambda x, *, y=1.0: x + y, lambda x, *, y=2.0: x + y),
        (lambda x, y=(LARGE,): x + y[0], lambda x, y=(CHANGED,): x + y[0]),
        (scaled_by(np.sin), scaled_by(np.cos)),
        (scaled_by((1, 2)), scaled_by((1, (2,)))),
        (scaled_by(IntEnum("Gain", {"low": 1})), scaled_by(IntEnum("Gain", {"low": 2}))),
        (scaled_by(namedtuple("Pair", "a b")), scaled_by(namedtuple("Pair", "b a"))),
        (native(scaled_by(2.0))(lambda x: x), native(scaled_by(3.0))(lambda x: x)),
        (
            native(calling(lambda x: x + 1.0))(lambda x: x),
            native(calling(lambda x: x + 2.0))(lambda x: x),
        ),
        (native(making(lambda self: 1.0))(lambda x: x), native(making(lambda self: 2.0))(lambda x: x)),
        pytest.param(scaled_by(njit()), scaled_by(njit(fastmath=True)), marks=needs_jit),
    ],
)
def test_different_code_has_different_fingerprints(one: Any, other: Any) -> None:
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize(
    "make",
    [
        lambda: lambda x: x + 1.0,
        lambda: scaled_by(2.0),
        lambda: scaled_by(LARGE.copy()),
        lambda: scaled_by((LARGE.copy(), 2.0)),
        lambda: scaled_by(lambda x: x + 1.0),
        lambda: calling(lambda x: x + 1.0),
        lambda: calling(scaled_by(lambda x: x), scaled_by(2.0)),
        lambda: native(calling(scaled_by(2.0)))(lambda x: x),
    ],
)
def test_the_same_code_has_the_same_fingerprint(make: Any) -> None:
    assert fingerprint(make()) == fingerprint(make())


def test_a_function_of_a_module_in_a_package_is_part_of_the_key() -> None:
    """``package.module.f`` in a kernel: f is found behind two names."""

    def kernel_of(f: Any) -> Any:
        module = type(os)("module")
        module.f = f
        package = type(os)("package")
        package.module = module
        scope: dict[str, Any] = {"package": package, "__name__": "user"}
        exec("def root(x):\n    return package.module.f(x)", scope)
        return scope["root"]

    assert fingerprint(kernel_of(lambda x: x + 1)) != fingerprint(kernel_of(lambda x: x + 2))
    assert fingerprint(kernel_of(lambda x: x + 1)) == fingerprint(kernel_of(lambda x: x + 1))
