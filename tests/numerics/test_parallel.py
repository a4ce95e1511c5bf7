"""Calls that the cores share: each part is called once, with its arguments, by several threads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import run

from rnnsim.compiler import compiled, compose
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.numerics.parallel import in_parallel, in_parts

needs_jit = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="uncompiled, one core does everything")
needs_cores = pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="there is one core")


class Inner(NamedTuple):
    calls: Any
    factor: float


class Outer(NamedTuple):
    inner: Inner
    out: Any
    threads: Any


@kernel(allocates=False)
def put(i: int, outer: Outer, shift: int, doubled: bool) -> None:
    outer.inner.calls[i] += 1
    outer.out[i] = (i * outer.inner.factor + shift) * (2 if doubled else 1)


@kernel(allocates=False)
def put_all(outer: Outer, shift: int, doubled: bool, times: int) -> None:
    in_parallel(put, times, outer, shift, doubled)


@kernel
def put_everywhere(outer: Outer, shift: int, doubled: bool, times: int) -> None:
    put_all(outer, shift, doubled, times)


def new(size: int, factor: float = 0.5) -> Outer:
    return Outer(Inner(np.zeros(size), factor), np.full(size, np.nan), np.full(size, -1))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Have so many threads."""
    before = numba.get_num_threads()
    numba.set_num_threads(count)
    try:
        yield
    finally:
        numba.set_num_threads(before)


@settings(max_examples=50, deadline=None)
@given(
    times=st.integers(0, 40),
    shift=st.integers(-5, 5),
    doubled=st.booleans(),
    count=st.integers(1, numba.config.NUMBA_NUM_THREADS),
)
def test_each_part_is_called_once(times: int, shift: int, doubled: bool, count: int) -> None:
    """With tuples in tuples, numbers of each kind, and parts fewer or more than threads."""
    outer = new(40)
    with threads(count):
        compiled(put_everywhere)(outer, shift, doubled, times)
    np.testing.assert_array_equal(outer.inner.calls, np.arange(40) < times)
    wanted = (np.arange(times) * 0.5 + shift) * (1 + doubled)
    np.testing.assert_array_equal(outer.out[:times], wanted)


@kernel(allocates=False)
def mark(calls: Any, bounds: Any, begin: int, end: int) -> None:
    for i in range(begin, end):
        calls[i] += 1
        bounds[i, 0], bounds[i, 1] = begin, end


@kernel(allocates=False)
def mark_all(calls: Any, bounds: Any, rows: int, parts: int) -> None:
    in_parts(mark, rows, parts, calls, bounds)


@settings(max_examples=50, deadline=None)
@given(rows=st.integers(0, 40), parts=st.integers(1, 45))
def test_parts_are_all_the_rows(rows: int, parts: int) -> None:
    calls, bounds = np.zeros(40), np.zeros((40, 2), np.int64)
    compiled(mark_all)(calls, bounds, rows, parts)
    np.testing.assert_array_equal(calls, np.arange(40) < rows)
    cuts = np.arange(parts + 1) * rows // parts
    wanted = {(begin, end) for begin, end in pairwise(cuts) if begin < end}
    assert set(map(tuple, bounds[:rows])) == wanted


@kernel
def refuse_two(i: int, out: Any) -> None:
    if i == 2:
        raise ValueError("not two")
    out[i] = 1


@kernel
def refuse_two_of_all(out: Any) -> None:
    in_parallel(refuse_two, out.size, out)


@kernel
def refuse_the_last(out: Any, begin: int, end: int) -> None:
    if end == out.size:
        raise ValueError("not the last")


@kernel
def refuse_the_last_of_all(out: Any, parts: int) -> None:
    in_parts(refuse_the_last, out.size, parts, out)


def test_what_a_part_raises_is_raised() -> None:
    """In whichever thread; the control: nothing is where there is no such part."""
    with pytest.raises(ValueError, match="not two"):
        compiled(refuse_two_of_all)(np.zeros(9))
    compiled(refuse_two_of_all)(np.zeros(2))
    for parts in (1, 2, 9):
        with pytest.raises(ValueError, match="not the last"):
            compiled(refuse_the_last_of_all)(np.zeros(9), parts)


@kernel(allocates=False)
def put_thread(i: int, outer: Outer) -> None:
    outer.threads[i] = numba.get_thread_id()


@kernel(allocates=False)
def put_threads(outer: Outer) -> None:
    in_parallel(put_thread, outer.threads.size, outer)


@needs_jit
@needs_cores
@pytest.mark.parametrize("count", [1, 2])
def test_as_many_threads_share_the_calls_as_may(count: int) -> None:
    """The control: with one thread it is one."""
    outer = new(64)
    with threads(count):
        compiled(put_threads)(outer)
    assert set(outer.threads) == set(range(count))


@needs_jit
@pytest.mark.parametrize(("layer", "module"), [("omp", "omppool"), ("workqueue", "workqueue")])
def test_any_of_numbas_threading_layers_will_do(layer: str, module: str) -> None:
    """This file's first test and the one of what is raised, in a process that has this layer."""
    pytest.importorskip(f"numba.np.ufunc.{module}")
    tests = [f"{__file__}::{test.__name__}" for test in (test_each_part_is_called_once,
                                                         test_what_a_part_raises_is_raised)]  # fmt: skip
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer}
    done = run(sys.executable, "-m", "pytest", "-q", *tests, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


PRINTING = """
from rnnsim.compiler import compiled
from rnnsim.kernels import kernel
from rnnsim.numerics.parallel import in_parallel

@kernel
def say(i):
    print(i)

@kernel
def say_all(times):
    in_parallel(say, times)

compiled(say_all)(8)
"""


@needs_jit
def test_a_part_may_ask_for_the_interpreter() -> None:
    """Which printing does, and a first product of BLAS; were the lock held, it would wait for ever."""
    done = run(sys.executable, "-c", PRINTING, check=True)
    assert sorted("".join(done.stdout.split())) == list("01234567")  # some may be on one line


@kernel(allocates=False)
def too_few(outer: Outer) -> None:
    in_parallel(put, 3, outer)


@needs_jit
def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(RnnsimError, match=r"in_parallel: .*missing a required argument"):
        compiled(too_few)(new(3))


# --- how often a kernel is compiled ---


@kernel
def shifted(x: Any, i: int) -> float:
    return float(x[i]) + i


@kernel
def put_shifted(i: int, x: Any, out: Any) -> None:
    out[i] = shifted(x, i)


@kernel
def with_constants(x: Any, out: Any, i: int) -> float:
    in_parallel(put_shifted, out.size, x, out)
    return shifted(x, 0) + shifted(x, 1) + shifted(x, i) + shifted(out, i)


@needs_jit
def test_a_kernel_is_compiled_once_for_its_types(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for each constant, nor for the number of a part; the control: for another dtype it is."""
    monkeypatch.setenv("RNNSIM_CACHE_DIR", str(tmp_path))  # what is found in a cache is not compiled
    x, out = np.arange(5.0), np.zeros(5)
    function = compiled(with_constants)
    assert function(x, out, 2) == 0 + (1 + 1) + (2 + 2) + (4 + 2)
    np.testing.assert_array_equal(out, 2 * x)
    (registered,) = (kept for inner, kept in compose._registered.items() if inner.__name__ == "shifted")
    assert len(registered.signatures) == 1
    function(x.astype(np.float32), out.astype(np.float32), 2)
    assert len(registered.signatures) == 2
