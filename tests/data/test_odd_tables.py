"""Tables that are seldom so: parts without a row, numbers of any size, many columns."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

import rnnsim
from rnnsim.data import linear
from rnnsim.data.columns import IDENTIFIERS
from rnnsim.data.linear import Regression
from rnnsim.data.reading import read
from rnnsim.errors import RnnsimError
from rnnsim.numerics.blas_threads import numpy_libraries
from rnnsim.numerics.threads import one_numpy_thread
from rnnsim.registry import make_task


def walk(rows: int, columns: int = 2) -> np.ndarray:
    return np.cumsum(np.random.default_rng(0).normal(size=(rows, columns)), axis=0)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("kind", ["test=0", "no target in it"])
def test_a_run_without_a_test_part_ends_and_says_so(kind: str) -> None:
    x, options = walk(60), {"test": 0}
    if kind != "test=0":
        x[48:], options = np.nan, {}
    run = rnnsim.run("bptt", x, steps=5, hidden=2, **options)
    assert np.isnan(run.loss)
    assert "held-out" not in run.summary()
    assert "cannot be scored: no row has a target in the test part" in run.summary()
    with pytest.raises(RnnsimError, match="no row has a target in the test part; give other rows"):
        run.evaluate()
    assert np.isfinite(run.predict(walk(60)).values).all()


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("on_line", [False, True])
@pytest.mark.parametrize(("size", "message"), [(1e300, "too large"), (1e-300, "too close")])
def test_numbers_whose_squares_are_none_are_refused(size: float, message: str, on_line: bool) -> None:
    with pytest.raises(RnnsimError, match=f"the numbers of x1 are {message} to be .*; rescale them"):
        rnnsim.run("rtrl", walk(60) * size, steps=5, hidden=2, on_line=on_line)


@pytest.mark.parametrize("size", [1e-140, 1e140])
def test_forecasts_scale_with_numbers_of_any_other_size(size: float) -> None:
    x = walk(120)
    starts, horizons, own = np.arange(120) == 0, (1,), (0, 1)
    truth = np.vstack([x[1:], np.full((1, 2), np.nan)])
    learnt = np.arange(120)[:, None] + np.zeros(2) < 90
    plain, scaled = (
        linear.forecasts(
            linear.fitted(
                given, learnt, linear.judged(given, learnt, ~learnt).best()
            ), given.x, starts,
        )
        for given in (Regression(c * x, c * truth, starts, horizons, own) for c in (1.0, size))
    )  # fmt: skip
    np.testing.assert_allclose(scaled / size, plain, rtol=1e-6, atol=1e-9)
    assert np.abs(plain[90:-1] - x[91:]).max() < 5


def test_large_floats_are_no_identifiers() -> None:
    """Each of them is whole; whole numbers of 64 bits are."""
    found = read({"a": walk(50)[:, 0] * 1e100, "b": 2**55 + np.arange(50) ** 2}).columns
    assert [found[name].remark for name in "ab"] == ["", IDENTIFIERS]


def test_numbers_of_64_bits_are_no_time_stamps_unless_they_are_called_so() -> None:
    near, hours = 2**60 + np.arange(30), np.arange(30) * 3_600 * 10**9
    for given in (near, near + hours):
        told = make_task("table", {"data": {"x1": given, "y": np.arange(30) ** 1.5}}).told()
        assert "x1  number  left out: identifiers" in told
    named = make_task("table", {"data": {"time": near + hours, "y": np.arange(30) ** 1.5}}).told()
    assert "time  time    time" in named
    moments = (near + hours).astype("M8[ns]")
    assert "x1  time    time" in make_task(
        "table", {"data": {"x1": moments, "y": np.arange(30) ** 1.5}}
    ).told()  # fmt: skip
    asked = make_task("table", {"data": {"x1": near + hours, "y": np.arange(30) ** 1.5}, "time": "x1"})
    assert "x1  number  time" in asked.told()
    seconds = make_task("table", {"data": {"x1": 1_600_000_000 + 60 * np.arange(30),
                                           "y": np.arange(30) ** 1.5}})  # fmt: skip
    assert "x1  time    time" in seconds.told()  # the control: these are told apart


def test_decompositions_use_one_thread_of_numpy() -> None:
    before = [library.threads() for library in numpy_libraries()]
    with one_numpy_thread(), one_numpy_thread():
        assert [library.threads() for library in numpy_libraries()] == [1] * len(before)
    assert [library.threads() for library in numpy_libraries()] == before


@pytest.mark.usefixtures("uncompiled")
def test_many_columns_are_prepared_in_time() -> None:
    """Where the work for a column grew with their number, this took ten times as long."""
    begin = time.process_time()
    rnnsim.run("bptt", walk(100, 150), steps=1, hidden=1, batch=1)
    assert time.process_time() - begin < 8


# --- what contradicts itself ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 2, "on_line": True}, "forecast before it is learnt, .* batch is 1, not 2"),
        ({"keep": "best", "on_line": True}, "keep=best needs validation data, of which table has none"),
        ({"keep": "best", "validation": 0}, "keep=best needs validation data, of which table has none"),
        ({"solved_below": 0.1, "validation": 0}, "the criterion held-out squared .* needs validation"),
        ({"validation": 0.3, "on_line": True}, "on_line learns all rows, .* leave out validation="),
        ({"gaps": "reset"}, "gaps=reset needs a column of time"),
    ],
)
def test_options_that_contradict_the_data_or_one_another(options: Any, message: str) -> None:
    with pytest.raises(RnnsimError, match=message):
        rnnsim.run("rtrl", walk(60), steps=5, hidden=2, **options)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(
    ("target", "fewer", "more"),
    [
        ("kind", ["most frequent"], ["last class"]),
        ("x", ["ridge autoregression", "linear path"], ["persistence"]),
    ],
)
def test_no_reference_knows_a_target_before_the_end(
    target: str, fewer: list[str], more: list[str]
) -> None:
    """The class of a sequence is in each of its rows, and yet it is what is to be told at the end."""
    data = [
        {"u": walk(6)[:, 0] + i, "kind": np.repeat(["a", "b"][i % 2], 6), "x": np.full(6, float(i % 2))}
        for i in range(10)
    ]

    def references(at: str) -> list[str]:
        run = rnnsim.run(
            "bptt", data, inputs="u", target=target, ahead=0, target_at=at, steps=5, hidden=2
        )
        return [row.forecaster for row in run.evaluate().rows][1:]

    assert references("end") == fewer
    assert sorted(references("each")) == sorted(fewer + more)  # the control
