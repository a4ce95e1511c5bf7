"""How good the default for tables is, beside simple forecasts, on nine series.

    python -m benchmarks.series [--seeds 5] [--only sunspots,nile] [--rule bptt]

Seven of the series are real ones, from statsmodels and vega_datasets (``pip install 'rnnsim[series]'``),
two are made here. All columns of numbers are forecast one row ahead. A figure is the mean squared error
over the variance of the rows that are scored, a mean over the columns, the median over the seeds.

With bptt it is that of the test part, the last fifth of the rows; the fifth before it is for validation.
The ridge autoregression has ten lags of values, of each column alone or of all, whichever is better on
validation, as is its penalty, and is fitted to what is learnt and validation. With rtrl all rows are
forecast before they are learnt from, and the second half is scored; least squares on ten lags of each
column are learnt the same way. The exit status is 1 if what README.md says of the default does not hold.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import rnnsim
from rnnsim import RnnsimError
from rnnsim.data import linear, references
from rnnsim.data.linear import Regression
from rnnsim.data.neighbours import ahead_of
from rnnsim.typing import Array, Bools

Columns = Mapping[str, Array]
SHARE = 0.2  # of the rows, for validation and for the test
LAGS = 10
BEHIND_RIDGE, BEHIND_PATH, AHEAD_OF_PATH = 1.05, 1.03, 4


class Figures(NamedTuple):
    """Of one series: errors by forecaster."""

    name: str
    errors: dict[str, float]


# --- the series ----------------------------------------------------------------------------------------


def nine() -> Iterator[tuple[str, Columns]]:
    """The series, by name: their columns of numbers, without years and time stamps."""
    try:
        from statsmodels import datasets
        from vega_datasets import data as vega
    except ImportError as error:
        raise RnnsimError(f"{error}; pip install 'rnnsim[series]'") from None
    for name, left_out in (("sunspots", {"YEAR"}), ("elnino", {"YEAR"}), ("co2", set()),
                           ("nile", {"year"}), ("macrodata", {"year", "quarter"})):  # fmt: skip
        yield name, numbers(getattr(datasets, name).load_pandas().data, left_out)
    yield "Seattle weather", numbers(vega.seattle_weather(), set())
    yield "Seattle temperatures", numbers(vega.seattle_temps(), set())
    yield "Mackey-Glass", {"x": mackey_glass(2000)}
    rng, t = np.random.default_rng(0), np.arange(1000)
    noise = 0.2 * rng.standard_normal(len(t))
    yield "sine with trend", {"x": np.sin(2 * np.pi * t / 25) + 0.002 * t + noise}


def numbers(frame: Any, left_out: set[str]) -> Columns:
    """The columns of numbers; a value that is missing is the one before it."""
    kept = [name for name in frame.select_dtypes("number").columns if name not in left_out]
    return {name: frame[name].ffill().to_numpy(float) for name in kept}


def mackey_glass(rows: int, delay: float = 17.0, step: float = 0.1) -> Array:
    """x' = 0.2 x(t - delay) / (1 + x(t - delay)^10) - 0.1 x, by steps of Euler, at whole times."""
    back, every, before = round(delay / step), round(1 / step), 200
    x = np.full((rows + before) * every + back + 1, 1.2)
    for i in range(back, len(x) - 1):
        x[i + 1] = x[i] + step * (0.2 * x[i - back] / (1 + x[i - back] ** 10) - 0.1 * x[i])
    return x[back::every][before : before + rows]


# --- what is measured ----------------------------------------------------------------------------------


def error(said: Array, truth: Array, scored: Bools) -> float:
    """The mean squared error over the variance, a mean over the columns that vary."""
    squares, variance = np.square(said - truth)[scored].mean(axis=0), truth[scored].var(axis=0)
    return float(np.mean(squares[variance > 0] / variance[variance > 0]))


def one_ahead(columns: Columns) -> tuple[Regression, Array]:
    """The series as rows with the next row as truth, and the number of the row that is forecast."""
    x = np.column_stack([*columns.values()])
    starts = np.arange(len(x)) == 0
    own = tuple(range(x.shape[1]))
    at = np.repeat(np.arange(1, len(x) + 1)[:, None], x.shape[1], axis=1)
    return Regression(x, ahead_of(x, starts, 1), starts, (1,), own), at


def off_line(name: str, columns: Columns, seeds: int) -> Figures:
    """Learnt by bptt from the first part, and scored on the last."""
    one, at = one_ahead(columns)
    rows = len(one.x)
    test = rows - round(SHARE * rows)
    validation = test - round(SHARE * rows)
    scored = np.append(np.arange(1, rows) >= test, False)  # the last row is not forecast from
    learnt, chosen_by = at < validation, (at >= validation) & (at < test)
    ridge, _ = references.ridge_autoregression(one, learnt, chosen_by)
    found = {
        "persistence": error(one.x, one.truth, scored),
        "ridge": error(linear.forecasts(ridge, one.x, one.starts), one.truth, scored),
    }
    season = references.season_of(one.x, one.starts, np.arange(rows) < validation)
    if season is not None:
        said = references.seasonal_persistence(one.x, one.starts, (1,), season)
        found["seasonal"] = error(said, one.truth, scored)
    of_runs = [_of_run("bptt", columns, seed, validation=SHARE, test=SHARE) for seed in range(seeds)]
    for forecaster in ("linear path", "bptt"):
        found[forecaster] = float(np.median([each[forecaster] for each in of_runs]))
    return Figures(name, found)


def _of_run(rule: str, columns: Columns, seed: int, **options: Any) -> dict[str, float]:
    """What the default says, as a user has it."""
    report = rnnsim.run(rule, columns, seed=seed, **options).evaluate()
    found: dict[str, list[float]] = {}
    for row in report.rows:
        found.setdefault(row.forecaster, []).append(row.figures()["nrmse"] ** 2)
    return {forecaster: float(np.nanmean(each)) for forecaster, each in found.items()}


def on_line(name: str, columns: Columns, seeds: int) -> Figures:
    """Forecast row by row, and learnt by rtrl as the rows come."""
    one, _ = one_ahead(columns)
    rows = len(one.x)
    scored = (np.arange(rows) >= rows // 2) & (np.arange(rows) < rows - 1)
    found = {"least squares": error(least_squares(one.x), one.truth, scored)}
    of_runs = [_of_run("rtrl", columns, seed, on_line=True) for seed in range(seeds)]
    for forecaster in ("persistence", "linear path", "rtrl"):
        found[forecaster] = float(np.median([each[forecaster] for each in of_runs]))
    return Figures(name, found)


def least_squares(x: Array) -> Array:
    """Recursive least squares on ten lags of each column; the last value until there are so many."""
    said = x.copy()
    for i in range(x.shape[1]):
        weights, inverse = np.zeros(LAGS + 1), None
        for t in range(LAGS, len(x)):
            lags = np.append(x[t - LAGS : t, i] - x[0, i], 1.0)
            if inverse is None:
                spread = float(np.var(x[: t + 1, i])) or 1.0
                inverse = np.eye(LAGS + 1) / np.append(np.full(LAGS, spread), 1.0)
            gain = inverse @ lags / (1 + lags @ inverse @ lags)
            weights += gain * (x[t, i] - x[0, i] - lags @ weights)
            inverse -= np.outer(gain, lags @ inverse)
            said[t, i] = np.append(x[t - LAGS + 1 : t + 1, i] - x[0, i], 1.0) @ weights + x[0, i]
    return said


# --- what is to hold -----------------------------------------------------------------------------------


def failures_off_line(found: Sequence[Figures]) -> Iterator[str]:
    """Where the default is not as good as it is to be."""
    for name, errors in found:
        network, ridge = errors["bptt"], errors["ridge"]
        if ridge < errors["persistence"] <= network:
            yield f"{name}: bptt is no better than persistence"
        if network > BEHIND_RIDGE * ridge:
            yield f"{name}: bptt is {network / ridge - 1:.0%} behind the ridge autoregression"
        if network > BEHIND_PATH * errors["linear path"]:
            yield f"{name}: bptt is {network / errors['linear path'] - 1:.0%} behind its linear path"
    ahead = [name for name, errors in found if errors["bptt"] < errors["linear path"]]
    if len(found) >= 9 and len(ahead) < AHEAD_OF_PATH:
        yield f"bptt is ahead of its linear path on {len(ahead)} of {len(found)}"


def failures_on_line(found: Sequence[Figures]) -> Iterator[str]:
    """Where the default is not as good as it is to be."""
    for name, errors in found:
        if errors["least squares"] < errors["persistence"] <= errors["rtrl"]:
            yield f"{name}: rtrl is no better than persistence"


class Kind(NamedTuple):
    """How a rule is measured."""

    figures: Callable[[str, Columns, int], Figures]
    failures: Callable[[Sequence[Figures]], Iterator[str]]
    columns: tuple[str, ...]


KINDS = {
    "bptt": Kind(
        off_line, failures_off_line, ("persistence", "seasonal", "ridge", "linear path", "bptt")
    ),
    "rtrl": Kind(on_line, failures_on_line, ("persistence", "least squares", "linear path", "rtrl")),
}


def as_table(found: Sequence[Figures], columns: Sequence[str]) -> str:
    """The figures as a table in Markdown."""
    lines = [["series", *columns]] + [
        [name, *(f"{errors[one]:.4g}" if one in errors else "" for one in columns)]
        for name, errors in found
    ]
    lines.insert(1, ["---"] + ["---:"] * len(columns))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and tell whether all of it is as it is to be."""
    parser = argparse.ArgumentParser(description="how good the default for tables is, on nine series")
    parser.add_argument("--seeds", type=int, default=5, help="the median of so many runs (default: 5)")
    parser.add_argument("--only", default="", help="names of series, separated by commas")
    parser.add_argument("--rule", choices=[*KINDS], action="append", help="default: both")
    asked = parser.parse_args(arguments)
    only = [name for name in asked.only.split(",") if name]
    failed: list[str] = []
    for rule in asked.rule or KINDS:
        kind = KINDS[rule]
        found = [
            kind.figures(name, columns, asked.seeds)
            for name, columns in nine()
            if not only or name in only
        ]
        print(as_table(found, kind.columns), end="\n\n", flush=True)
        failed += kind.failures(found)
    print("\n".join(failed) or "all as it is to be")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
