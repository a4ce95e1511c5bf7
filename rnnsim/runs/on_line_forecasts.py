"""Forecasts from rows as they arrive, by a network that goes on learning (theory.md 7)."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from rnnsim.data import intervals
from rnnsim.data.arriving import Arriving
from rnnsim.data.calibration import calibration_of
from rnnsim.data.forecast import Forecast
from rnnsim.data.forecasting import ForecastRows
from rnnsim.data.lines import Line, lines_of
from rnnsim.runs.forecasts import Forecaster
from rnnsim.runs.result import Run
from rnnsim.training.learner import Learner
from rnnsim.typing import Array

LEAST, MOST = 100, 1000  # rows whose forecasts say how far to follow the network from then on


class OnLine:
    """A network that forecasts from rows as they arrive, and learns from each target when it is known.

    When row t arrives, d(t) is known: first the pair of it and the input of t - h is learnt, h being the
    largest horizon; then the forecasts from row t are made. They depend on rows up to t alone. How far
    the network is to be followed beside the linear path, and how wide intervals are, is found again from
    what was said and came of late, once that is enough.

    Parameters
    ----------
    run : Run
        Which stays as it is.
    source : str
        Where the rows are from, for messages.
    level : float
        The share of truths that intervals are to cover.

    Raises
    ------
    RnnsimError
        If the run is not of the user's own data.
    """

    def __init__(self, run: Run, source: str, level: float = intervals.LEVEL) -> None:
        forecaster: Forecaster = run.forecaster()
        self.run, self.source, self._level = run, source, intervals.level_of(level)
        self._task, self._calibration = forecaster.task, forecaster.calibration
        self.roles, self.preparation = self._task.model()
        self.reading = self._task.reading()
        self._furthest = max(self.preparation.choices.horizons)
        self.learner: Learner = run.learner(
            params=forecaster.params, batch=1, delay=max(0, self._furthest - 1), schedule="constant"
        )
        self._rows = Arriving(self.roles, self.preparation, source)
        self._before: tuple[Array, Array] | None = None  # the inputs and the reset of the last row
        self._said: deque[Array] = deque(maxlen=max(1, self._furthest))  # y (k,) of the last rows
        self._scored: deque[tuple[Array, Array]] = deque(maxlen=MOST)  # what was to be said, and was

    def forecasts(self, text: Iterable[str]) -> Iterator[str]:
        """Give a header, and for each line of text that is a row of data a line with its forecasts.

        Raises
        ------
        UnknownName
            If a column is absent.
        RnnsimError
            If a line cannot be read.
        """
        for number, line in enumerate(lines_of(text, self.roles, self.source, self.reading)):
            found = self.forecast(line)
            names, cells = zip(*self._about(number, line), *_cells(found))
            if not number:
                yield _csv(names)
            yield _csv(cells)

    def forecast(self, line: Line) -> Forecast:
        """Learn what a row tells, and forecast from it."""
        first = self._rows.add(line)
        if first:
            self._said.clear()
        rows = self._task.new_rows(self._rows.columns())
        inputs, reset = rows.inputs[-1:, None], np.array([[first]])
        if self._before is not None and self._furthest:
            self._learn(*self._before, rows, len(rows.index) - 1 - self._furthest)
        outputs = self.learner.predict(inputs, resets=reset)[:, 0].astype(np.float64)
        self._said.append(outputs[0])
        if not self._furthest:
            self._learn(inputs, reset, rows, len(rows.index) - 1)
        self._before = inputs, reset
        return _last(rows).forecast(outputs, self._calibration, self._level)

    def _learn(self, inputs: Array, reset: Array, rows: ForecastRows, row: int) -> None:
        """Let the network go on by these inputs, and learn the targets of a row, if there is one."""
        k = self.preparation.n_out
        rest = np.full(k, np.nan)
        if row >= 0:
            base, scale = (part[row if len(part) > 1 else 0] for part in (rows.base, rows.scale))
            rest = (rows.truth[row] - base) / scale
            if len(self._said) == self._said.maxlen:
                self._calibrate(rest, self._said[0], scale)
            rest = np.clip(rest, -self.preparation.most_aim, self.preparation.most_aim)
        known = np.isfinite(rest)
        weights = known.astype(float)[None, None]
        if not self.learner.network.sums_outputs or known.all() or not known.any():
            weights = weights.min(axis=2)
        self.learner.learn(inputs, np.where(known, rest, 0.0)[None, None], mask=weights, resets=reset)

    def _calibrate(self, rest: Array, said: Array, scale: Array) -> None:
        """Take note of what was to be said (k,) at a row, and what was; both in this scale."""
        made = self.preparation
        self._scored.append((rest, said))
        if made.is_class or len(self._scored) < LEAST:
            return
        shape = (len(made.choices.horizons), len(made.targets))
        rests, outputs = (np.array(each) for each in zip(*self._scored))
        self._calibration = calibration_of(rests, outputs, scale, shape, made.has_path)

    def learnt(self) -> Run:
        """The run with the parameters as they are now; it cannot be resumed."""
        self.learner.flush()
        params = self.learner.params
        return replace(
            self.run, params=params, best=None, calibration=self._calibration, said=None,
            checkpoint=None, folder=None,
        )  # fmt: skip

    # --- as text ---

    def _about(self, number: int, line: Line) -> Iterator[tuple[str, Any]]:
        yield "row", number
        if self.roles.time:
            yield self.roles.time, line.time
        if self.roles.sequence:
            yield self.roles.sequence, line.sequence


def _cells(found: Forecast) -> Iterator[tuple[str, Any]]:
    """What is said at the one row of a forecast, with the names of the columns; without the truth."""
    several = len(found.horizons) > 1
    for j, h in enumerate(found.horizons):
        ahead = f" +{h}" if several else ""
        if found.classes:
            place = found.most_probable[0, j]
            yield f"{found.targets[0]}{ahead}", found.classes[place] if place >= 0 else ""
            for name, probability in zip(found.classes, found.values[0, j]):
                yield f"p({name}){ahead}", probability
            continue
        for i, name in enumerate(found.targets):
            yield f"{name}{ahead}", found.values[0, j, i]
            if found.low is not None and found.high is not None:
                yield f"{name}{ahead} low", found.low[0, j, i]
                yield f"{name}{ahead} high", found.high[0, j, i]


def _last(rows: ForecastRows) -> ForecastRows:
    """The last row alone, whose truth is not known yet."""
    last = slice(-1, None)
    return replace(
        rows, index=rows.index[last], inputs=rows.inputs[last], base=rows.base[last],
        scale=rows.scale[last], truth=rows.truth[last], resets=rows.resets[last],
        counted=rows.counted[last],
    )  # fmt: skip


def _csv(cells: Iterable[Any]) -> str:
    """A line of cells; nan is empty."""
    text = io.StringIO(newline="")
    known = [cell if isinstance(cell, str | int) or not np.isnan(cell) else "" for cell in cells]
    csv.writer(text, lineterminator="").writerow(known)
    return text.getvalue()
