"""The figures of a sweep: what lines are drawn, and that they can be told apart."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sweeps import CHOICE, DIVERGED, FAILED, cell, complete, curve, made, solved

from rnnsim.errors import RnnsimError, UnknownName
from rnnsim.sweeps.figures import FIGURES, share_over_time, spread_of_curves
from rnnsim.sweeps.panels import Data
from rnnsim.sweeps.result import Sweep
from rnnsim.sweeps.statistics import results_of, statistics


def data_of(sweep: Sweep) -> Data:
    results = results_of(sweep.cells, sweep.runs)
    found = statistics(sweep.cells, sweep.runs, results)
    return Data(sweep.cells, sweep.runs, results, found, sweep._store.curves)


def several(rules: int = 3, tasks: int = 2) -> Sweep:
    """Rules on tasks, with controls, curves and three rates each that were tried."""
    cells = list[Any]()
    for i in range(rules * tasks):
        name, task, best = f"rule {i % rules}", f"task {i // rules}", CHOICE["rates"]
        runs = [solved(10 * (i + seed + 1), curve=curve(1.0, 0.5, 0.1 + seed)) for seed in range(4)]
        cells.append((cell(i, name, task, choice=CHOICE, learning_rate=0.01), [*runs, DIVERGED]))
        cells.append((cell(i, name, task, role="control", learning_rate=0.0), [complete()] * 5))
        assert isinstance(best, list)
        for rate in best:
            tried = [
                complete(1.0, validation_loss=loss) for loss in (0.5 / rate, 0.6 / rate, 0.7 / rate)
            ]
            given = {"role": "trial", "learning_rate": rate}
            cells.append((cell(i, name, task, **given), [*tried, solved(5, validation_loss=rate)]))
    return made(*cells)


def drawn(figure: Any) -> list[Any]:
    return [axes for axes in figure.axes if axes.lines]


@pytest.mark.parametrize("what", FIGURES)
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_each_figure_is_drawn_into_a_file(what: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"figure.{suffix}"
    figure = several().plot(path, what)
    content = path.read_bytes()
    if suffix == "svg":
        assert ElementTree.fromstring(content).tag.endswith("svg")
    else:
        assert content.startswith(b"\x89PNG")
    assert len(drawn(figure)) == (4 if what == "rates" else 2)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["rule 0", "rule 1", "rule 2"]


@pytest.mark.parametrize("what", FIGURES)
def test_rules_differ_by_more_than_colour(what: str) -> None:
    """Any of a few differ also where colours are greys, and any of many by the two together."""
    handles = several(rules=12).plot(what=what).legends[0].get_lines()
    looks = [(str(line._unscaled_dash_pattern), line.get_marker()) for line in handles]
    assert len(looks) == 12
    assert len(set(looks[:6])) == 6
    assert len({(*look, line.get_color()) for look, line in zip(looks, handles)}) == 12


# --- learning curves ----------------------------------------------------------------------------------


def test_runs_that_end_early_keep_their_last_loss() -> None:
    sweep = made((cell(), [
        complete(curve=curve(4.0, 3.0, 2.0)),
        solved(10, curve=curve(1.0)),
        solved(20, curve=curve(3.0, 1.5)),
    ]))  # fmt: skip
    steps, (low, middle, high) = spread_of_curves(data_of(sweep), 0)
    assert (steps[0], steps[-1]) == (10, 30)
    assert (low[0], middle[0], high[0]) == (2.0, 3.0, 3.5)  # of 4, 1 and 3
    assert (low[-1], middle[-1], high[-1]) == (1.25, 1.5, 1.75)  # of 2, 1 and 1.5


def test_runs_that_diverged_are_worse_than_any() -> None:
    runs = [complete(curve=curve(2.0, 1.0)), {**DIVERGED, "curve": curve(2.0)}]
    _, (low, middle, high) = spread_of_curves(data_of(made((cell(), runs))), 0)
    assert (middle[0], middle[-1]) == (2.0, math.inf)
    assert low[-1] == high[-1] == math.inf
    assert spread_of_curves(data_of(made((cell(), [complete()]))), 0)[0].size == 0


@given(st.lists(st.lists(st.floats(0, 1e3), min_size=1, max_size=6), min_size=1, max_size=6))
@settings(deadline=None)
def test_curves_at_their_points_are_quantiles_over_seeds(curves: list[list[float]]) -> None:
    sweep = made((cell(), [complete(curve=curve(*loss)) for loss in curves]))
    steps, found = spread_of_curves(data_of(sweep), 0)
    longest = max(map(len, curves))
    for i in {0, longest - 1}:
        values = [loss[min(i, len(loss) - 1)] for loss in curves]
        at = int(np.argmin(abs(steps - 10 * (i + 1))))
        np.testing.assert_allclose(found[:, at], np.quantile(values, [0.25, 0.5, 0.75]), atol=1e-9)


def test_the_best_of_several_settings_is_drawn_and_that_is_said() -> None:
    sweep = made(*(
        (cell(i, learning_rate=rate, criterion=""), [complete(loss, curve=curve(1.0, loss))])
        for i, (rate, loss) in enumerate(((0.1, 0.5), (0.2, 0.3), (0.3, 0.4)))
    ))  # fmt: skip
    figure = sweep.plot()
    assert "the one that did best" in figure.get_suptitle()
    (line,) = drawn(figure)[0].lines
    assert line.get_ydata()[-1] == 0.3
    assert "the one that did best" not in several().plot().get_suptitle()


# --- rates and shares ---------------------------------------------------------------------------------


def test_rates_are_those_that_were_tried_with_a_ring_about_the_chosen() -> None:
    upper, lower = drawn(several(1, 1).plot(what="rates"))
    line, lost, ring = upper.lines
    assert line.get_xdata().tolist() == CHOICE["rates"]
    losses = [np.median([0.5 / rate, 0.6 / rate, 0.7 / rate, rate]) for rate in (0.001, 0.01, 0.1)]
    np.testing.assert_allclose(line.get_ydata(), losses)
    assert not lost.get_xdata().size
    assert (ring.get_xdata().tolist(), ring.get_marker()) == ([0.01], "o")
    assert lower.lines[0].get_ydata().tolist() == [0.25] * 3
    assert upper.get_ylabel() == "validation loss"


def test_rates_of_a_grid_with_those_that_diverge_at_the_top() -> None:
    sweep = made(*(
        (cell(i, learning_rate=rate, criterion=""), runs) for i, (rate, runs) in enumerate(
            ((0.1, [complete(0.5)] * 2), (0.3, [complete(0.4)] * 2), (1.0, [DIVERGED] * 2)))
    ))  # fmt: skip
    (axes,) = drawn(sweep.plot(what="rates"))
    line, lost, ring = axes.lines
    np.testing.assert_array_equal(line.get_ydata(), [0.5, 0.4, math.nan])
    assert (lost.get_xdata().tolist(), ring.get_xdata().size) == ([1.0], 0)
    assert axes.get_ylabel() == "loss on test data"


@given(st.lists(st.one_of(st.integers(1, 100), st.none()), min_size=1, max_size=12))
@settings(deadline=None)
def test_the_share_solved_is_that_of_a_loop(steps: list[int | None]) -> None:
    runs = [complete() if at is None else solved(at) for at in steps]
    found, share = share_over_time(data_of(made((cell(), [*runs, FAILED]))), 0, 120.0)
    assert (found[0], found[-1]) == (0, 120)
    for at in range(121):
        drawn_share = share[np.searchsorted(found, at, "right") - 1]
        assert drawn_share == sum(each is not None and each <= at for each in steps) / len(steps)


def test_controls_are_dashed() -> None:
    first, *_ = drawn(several().plot(what="solved"))
    results, controls = first.lines[::2], first.lines[1::2]
    assert {line.get_linestyle() for line in results} == {"-"}
    assert {line.get_linestyle() for line in controls} == {"--"}
    assert [line.get_color() for line in results] == [line.get_color() for line in controls]
    assert all(not np.any(line.get_ydata()) for line in controls)


# --- what cannot be drawn -----------------------------------------------------------------------------


def test_what_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no figure of a sweep is called 'curve'; did you mean curves"):
        several().plot(what="curve")
    with pytest.raises(RnnsimError, match="must end in"):
        several().plot(tmp_path / "figure.xyz")
    for sweep in (made(), made((cell(), [FAILED]))):
        for what in FIGURES:
            with pytest.raises(RnnsimError, match="this sweep has no"):
                sweep.plot(what=what)
    with pytest.raises(RnnsimError, match="no learning rates that were tried"):
        made((cell(), [complete()])).plot(what="rates")
    with pytest.raises(RnnsimError, match="no results of a task that can be solved"):
        made((cell(criterion="never: none"), [complete()])).plot(what="solved")


def test_more_tasks_than_can_be_seen_are_counted() -> None:
    assert "2 more tasks are not drawn" in several(1, 14).plot().get_suptitle()
