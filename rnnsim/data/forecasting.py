"""From the outputs of a network to forecasts: what rows must have been made into, and who makes it.

What a network learns is ``r(t) = (d(t+h) - base(t)) / scale``: a forecast in the unit of a column is
``base(t) + scale y(t)``. Outputs are ordered horizon by horizon, ``o = j k0 + i``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from rnnsim.data import intervals
from rnnsim.data.forecast import Forecast
from rnnsim.data.stamps import Stamps
from rnnsim.typing import Array


@dataclass(frozen=True)
class ForecastRows:
    """T rows of the user's data as a network takes them.

    Attributes
    ----------
    targets, horizons, classes
        As in :class:`rnnsim.data.forecast.Forecast`.
    inputs : (T, m) array
    base : (T, k) array
        The forecast of the linear path; k = H k0. nan where there is none, and so no forecast.
    scale : (k,) array
    truth : (T, k) array
        d(t+h), nan where it is not known.
    resets : (T,) bool array
        Where a sequence begins.
    numbers : (T,) int array
        The number of each row in the data.
    time : Stamps or None
    sequence : (T,) array of str, or None
    half_widths : (999, H, k0) array, or None
        What :func:`rnnsim.data.intervals.half_widths` gave of the errors on the validation part.
    first : int
        The first row that is forecast from: those before it only move the state.
    """

    targets: tuple[str, ...]
    horizons: tuple[int, ...]
    inputs: Array = field(repr=False)
    base: Array = field(repr=False)
    scale: Array = field(repr=False)
    truth: Array = field(repr=False)
    resets: Array = field(repr=False)
    numbers: Array = field(repr=False)
    time: Stamps | None = field(default=None, repr=False)
    sequence: Array | None = field(default=None, repr=False)
    half_widths: Array | None = field(default=None, repr=False)
    classes: tuple[str, ...] = ()
    first: int = 0

    def forecast(self, outputs: Array, level: float = intervals.LEVEL) -> Forecast:
        """Make forecasts of what the network said.

        Parameters
        ----------
        outputs : (T, k) array
            y; of classes, logits.
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
        T, H = len(self.inputs), len(self.horizons)
        values = (self.base + self.scale * outputs).reshape(T, H, -1)
        interval: dict[str, Any] = {}
        if self.classes:
            values = softmax(values)
        elif self.half_widths is not None:
            half = intervals.half_width(self.half_widths, level)
            interval = {"low": values - half, "high": values + half, "level": level}
        found = Forecast(
            targets=self.targets, horizons=self.horizons, rows=self.numbers, values=values,
            truth=self.truth.reshape(values.shape), time=self.time, sequence=self.sequence,
            classes=self.classes, **interval,
        )  # fmt: skip
        return found.last(T - self.first) if self.first else found


def softmax(logits: Array) -> Array:
    """The probabilities of classes along the last axis; nan where a logit is nan."""
    with np.errstate(invalid="ignore", over="ignore"):
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


@runtime_checkable
class Forecasting(Protocol):
    """A task whose runs forecast the user's data."""

    def new_rows(self, data: Any) -> ForecastRows:
        """Prepare other data, in any form that ``rnnsim.run`` takes, as those that were learnt from.

        Raises
        ------
        UnknownName
            If they lack a column; the message lists the nearest.
        RnnsimError
            If they cannot be read, or have no rows.
        """

    def test_rows(self) -> ForecastRows:
        """The part of the data that is neither learnt from nor used for any choice."""

    def references(self, rows: ForecastRows) -> Mapping[str, Array]:
        """The forecasts (T, H, k0) of simple methods, by name, in the unit of the columns."""
