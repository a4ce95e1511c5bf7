"""From the outputs of a network to forecasts in units, from rows that have been prepared.

There is a forecast from each row, also from the last ones, whose truth is not in the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from rnnsim.data import intervals
from rnnsim.data.calibration import Calibration, calibration_of
from rnnsim.data.columns import Reading
from rnnsim.data.forecast import Forecast
from rnnsim.data.on_line import OnLinePreparation
from rnnsim.data.pairs import Pairs
from rnnsim.data.preparation import Preparation, View
from rnnsim.data.roles import Roles
from rnnsim.data.series import Series
from rnnsim.data.stamps import Stamps
from rnnsim.errors import RnnsimError
from rnnsim.task import Task
from rnnsim.typing import Array, Bools, Integers


@dataclass(frozen=True)
class ForecastRows:
    """T rows of a series, to be forecast from.

    Attributes
    ----------
    series : Series
        It may have more rows.
    preparation : Preparation
    roles : Roles
    index : (T,) int array
        Which rows of the series they are.
    inputs : (T, m) array
    base, scale : (T, k) or (1, k) array
        See :class:`rnnsim.data.preparation.View`.
    truth : (T, k) array
        In units; nan where it is not known, or does not count.
    resets : (T,) bool array
    counted : (T,) bool array
        Whether a row is forecast from; the others only move the state.
    """

    series: Series
    preparation: Preparation
    roles: Roles
    index: Integers
    inputs: Array
    base: Array
    scale: Array
    truth: Array
    resets: Bools
    counted: Bools

    @property
    def horizons(self) -> tuple[int, ...]:
        """So many rows ahead."""
        return self.preparation.choices.horizons

    def forecast(
        self, outputs: Array, calibration: Calibration | None = None, level: float = intervals.LEVEL
    ) -> Forecast:
        """Make forecasts of what a network said.

        Parameters
        ----------
        outputs : (T, k) array
            y; of classes, logits.
        calibration : Calibration, optional
            What the validation part said of the network.
        level : float
            The share that intervals are to cover.

        Returns
        -------
        Forecast

        Raises
        ------
        RnnsimError
            If the level is not above 0, or above 0.999.
        """
        series, made, T = self.series, self.preparation, len(self.index)
        shrink = 1.0 if calibration is None else calibration.shrink
        values = (self.base + self.scale * (shrink * outputs)).reshape(T, len(self.horizons), -1)
        interval: dict[str, Any] = {}
        if made.is_class:
            values = softmax(values)
        elif calibration is not None:
            half = intervals.half_width(calibration.half_widths, level)
            interval = {"low": values - half, "high": values + half, "level": level}
        names = np.array(series.names, object)
        return Forecast(
            targets=_class_column(self.roles.targets) if made.is_class else made.targets,
            horizons=self.horizons, rows=series.order[self.index], values=values,
            truth=self.truth.reshape(values.shape), time=self._stamps(),
            sequence=names[series.sequence[self.index]] if len(names) else None,
            classes=made.targets if made.is_class else (), starts=self.resets, units=self.roles.units,
            **interval,
        ).at(self.counted)  # fmt: skip

    def calibration(self, outputs: Array) -> Calibration | None:
        """What these rows, if they are for validation, say of a network; None of classes, or of none."""
        made, shape = self.preparation, (len(self.horizons), len(self.preparation.targets))
        if made.is_class or not self.counted.any():
            return None
        rest = (self.truth - self.base)[self.counted] / made.rest.scale
        outputs = outputs[self.counted]
        return calibration_of(rest, outputs, made.rest.scale, shape, made.has_path)

    def followed(self, outputs: Array) -> Calibration:
        """How far a network that learnt as these rows came was followed at each, by what it said then.

        Intervals are those of the errors that are known by the first row that is counted.
        """
        made = self.preparation
        assert isinstance(made, OnLinePreparation)
        follow = made.follow(self.series, View(self.inputs, self.base, self.scale), outputs)
        errors = self.truth - (self.base + self.scale * follow * outputs)
        before = errors.reshape(-1, len(self.horizons), len(made.targets))
        first = int(np.argmax(self.counted)) if self.counted.any() else len(errors)
        known_at = np.arange(len(errors))[:, None] + np.array(self.horizons)
        before = np.where((known_at <= first)[:, :, None], before, np.nan)[:first]
        return Calibration(follow, intervals.half_widths(before))

    def _stamps(self) -> Stamps | None:
        series = self.series
        if series.time is None or self.roles.time is None:
            return None
        return Stamps(self.roles.time, series.time[self.index], not series.time_is_number)


def rows_of(
    series: Series, preparation: Preparation, roles: Roles, view: View | None = None
) -> ForecastRows:
    """All rows of a series, of which there may be a view.

    Raises
    ------
    RnnsimError
        If it has none.
    """
    if not series.rows:
        raise RnnsimError("there are no rows to forecast from; give one at least")
    view = preparation.view(series) if view is None else view
    return ForecastRows(
        series=series, preparation=preparation, roles=roles, index=np.arange(series.rows),
        **view._asdict(), truth=preparation.truth(series), resets=series.starts,
        counted=np.ones(series.rows, np.bool_),
    )  # fmt: skip


def rows_of_part(series: Series, preparation: Preparation, roles: Roles, pairs: Pairs) -> ForecastRows:
    """The rows whose targets are in a part of the data, after some from which the state comes.

    What a row tells of other parts, at other horizons, is neither forecast nor known.
    """
    index = pairs.rows
    truth = preparation.truth(series)[index]
    elsewhere = (pairs.weights == 0) & np.isfinite(truth)
    return ForecastRows(
        series=series, preparation=preparation, roles=roles, index=index, inputs=pairs.inputs,
        base=np.where(elsewhere, np.nan, pairs.base), truth=np.where(elsewhere, np.nan, truth),
        scale=pairs.scale, resets=pairs.resets, counted=np.asarray(pairs.weights.any(axis=1)),
    )  # fmt: skip


def rows_on_line(series: Series, preparation: Preparation, roles: Roles, view: View) -> ForecastRows:
    """All rows of a series that is learnt as it comes, of which the second half counts."""
    found = rows_of(series, preparation, roles, view)
    late = np.arange(series.rows) >= series.rows // 2
    return replace(found, counted=late & np.isfinite(found.truth).any(axis=1))


@runtime_checkable
class Forecasting(Protocol):
    """A task whose runs forecast the user's data."""

    def data_name(self) -> str:
        """What the data are called: by their files, or what was given from Python."""

    def learnt_rows(self) -> int:
        """How many rows of the task's own data are learnt: a pass over them has so many steps."""

    def model(self) -> tuple[Roles, Preparation]:
        """What each column is for, and how rows are prepared."""

    def reading(self) -> Reading:
        """What the user says of how data are read."""

    def new_rows(self, data: Any) -> ForecastRows:
        """Prepare other data, in any form that ``rnnsim.run`` takes, as those that were learnt from.

        They may be ``Columns``, too; a single row is enough.

        Raises
        ------
        UnknownName
            If they lack a column; the message lists the nearest.
        RnnsimError
            If they cannot be read, or have no rows.
        """

    def rows_of_part(self, part: int) -> ForecastRows:
        """A part of the task's own data (:mod:`rnnsim.data.parts`)."""

    def references(self, rows: ForecastRows) -> Mapping[str, Array]:
        """The forecasts (T, H, k0) of simple methods, by name, in units; of classes probabilities."""


def forecasts_numbers(task: Task) -> bool:
    """Whether a task is one on the user's numbers: not one of another kind, and no classes."""
    return isinstance(task, Forecasting) and not task.model()[1].is_class


def called(task: Task) -> str:
    """What is worked on: the user's data by their name, or the task."""
    return task.data_name() if isinstance(task, Forecasting) else task.name


def softmax(logits: Array) -> Array:
    """The probabilities of classes along the last axis; nan where a logit is nan."""
    with np.errstate(invalid="ignore", over="ignore"):
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _class_column(targets: tuple[str, ...]) -> tuple[str, ...]:
    """What a column of classes is called, also where there is one of 0 and 1 for each class."""
    return targets if len(targets) == 1 else ("class",)
