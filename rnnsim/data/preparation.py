"""From series in units to what a network sees and learns, by what was found in the rows to learn from.

Inputs are scaled; a column of values that may be missing has an indicator beside it; past rows may be
inputs too (``lags``). What is learnt is the rest of a linear path (:mod:`rnnsim.data.linear`), scaled:
``r(t) = (d(t + h) - base(t)) / scale``; without a path the base is the mean. So a forecast in the
column's unit is ``base(t) + scale * y(t)``. All of it is found on the rows that are learnt.

Outputs are ordered by horizon and then by target: o = j k0 + i of horizon j and target i.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rnnsim.data.missing import carried_forward
from rnnsim.data.parts import LEARNT
from rnnsim.data.scaling import Scaling, scaling_of, unscaled
from rnnsim.data.series import Feature, Series
from rnnsim.typing import Array, Bools, Integers


class Choices(NamedTuple):
    """What users choose of a preparation.

    Attributes
    ----------
    horizons : tuple of int
        The numbers of rows from an input to its target.
    lags : int
        How many past rows are inputs too.
    at_end : bool
        Whether there is a target only at the end of each sequence.
    """

    horizons: tuple[int, ...]
    lags: int = 0
    at_end: bool = False


class Prepared(NamedTuple):
    """Rows as a network sees them.

    Attributes
    ----------
    inputs : (rows, m) array
    base : (rows, k) or (1, k) array
        What the linear path says, in units.
    targets : (rows, k) array
        What is learnt, scaled; 0 where a target is missing.
    weights : (rows, k) or (rows, 1) array
        1 where there is a target, else 0.
    starts : (rows,) bool array
        Where the state is reset.
    """

    inputs: Array
    base: Array
    targets: Array
    weights: Array
    starts: Bools


@dataclass(frozen=True)
class Preparation:
    """What was found in the rows that are learnt, and how rows are prepared by it.

    Attributes
    ----------
    features : tuple of Feature
        The inputs, of m0 columns.
    targets : tuple of str
        The names of the k0 targets; of classes the classes.
    is_class : bool
    choices : Choices
    inputs_scaling : Scaling
        Of the m0 columns.
    indicators : (m0,) bool array
        Which of them have an indicator of missing values.
    rest : Scaling
        Of the k outputs: its mean is the base where there is no linear path.
    """

    features: tuple[Feature, ...]
    targets: tuple[str, ...]
    is_class: bool
    choices: Choices
    inputs_scaling: Scaling
    indicators: Bools
    rest: Scaling

    @property
    def n_in(self) -> int:
        """m."""
        return (len(self.features) + int(self.indicators.sum())) * (1 + self.choices.lags)

    @property
    def n_out(self) -> int:
        """k = H k0."""
        return len(self.targets) * len(self.choices.horizons)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the m inputs."""
        names = [str(one) for one in self.features]
        names += [f"{name} missing" for name, has in zip(names, self.indicators) if has]
        lags = range(1 + self.choices.lags)
        return tuple(f"{name}(-{lag})" if lag else name for lag in lags for name in names)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of the k outputs."""
        horizons = self.choices.horizons
        if len(horizons) == 1:
            return self.targets
        return tuple(f"{name}(+{h})" for h in horizons for name in self.targets)

    def prepared(self, series: Series) -> Prepared:
        """Prepare rows; targets that are not known yet have weight 0."""
        truth = self.truth(series)
        known = np.isfinite(truth)
        targets = np.where(known, (truth - self.rest.mean) / self.rest.scale, 0.0)
        same = (known == known[:, :1]).all()
        return Prepared(
            inputs=self.inputs(series),
            base=self.rest.mean[None],
            targets=targets,
            weights=(known[:, :1] if same else known).astype(float),
            starts=series.starts,
        )

    def inputs(self, series: Series) -> Array:
        """The inputs (rows, m) of rows, which depend on earlier rows and not on later ones."""
        x = carried_forward(series.x, series.starts, self.inputs_scaling.mean)
        columns = [self.inputs_scaling.scaled(x)]
        if self.indicators.any():
            columns.append(np.isnan(series.x[:, self.indicators]).astype(float))
        return lagged(np.concatenate(columns, axis=1), series.starts, self.choices.lags)

    def truth(self, series: Series) -> Array:
        """The targets (rows, k) in units, nan where there is none: missing, or beyond the end."""
        d = one_hot(series.d, len(self.targets)) if self.is_class else series.d
        if self.choices.at_end:
            d = np.where(ends(series.starts)[:, None], d, np.nan)
        return np.concatenate([ahead_of(d, series.starts, h) for h in self.choices.horizons], axis=1)

    def in_units(self, prepared: Prepared, outputs: Array) -> Array:
        """Forecasts (rows, k) in the targets' units, of the outputs of a network."""
        return np.asarray(prepared.base + self.rest.scale * outputs)


def preparation_of(series: Series, part: Integers, choices: Choices, source: str) -> Preparation:
    """Find how rows are to be prepared, in those that are learnt.

    Parameters
    ----------
    series : Series
    part : (rows,) int array
        See :mod:`rnnsim.data.parts`.
    choices : Choices
    source : str
        Where the data are from, for messages.

    Raises
    ------
    RnnsimError
        If a column has no value where it is learnt, or its numbers are too large.
    """
    learnt = part == LEARNT
    names = tuple(map(str, series.features))
    classes = series.classes
    targets = classes or series.targets
    k = len(targets) * len(choices.horizons)
    d = series.d[learnt]
    rest = unscaled(k) if classes else _repeated(scaling_of(d, targets, source), len(choices.horizons))
    return Preparation(
        features=series.features,
        targets=targets,
        is_class=bool(classes),
        choices=choices,
        inputs_scaling=scaling_of(series.x[learnt], names, source),
        indicators=np.isnan(series.x[learnt]).any(axis=0),
        rest=rest,
    )


def _repeated(scaling: Scaling, times: int) -> Scaling:
    return Scaling(*(np.tile(array, times) for array in scaling))


# --- rows before and after -----------------------------------------------------------------------------


def run_of(starts: Bools) -> Integers:
    """To which run, without resets, a row belongs."""
    return np.cumsum(starts)


def ahead_of(d: Array, starts: Bools, h: int) -> Array:
    """d(t + h) at row t (rows, k0), nan where that is beyond the end of a sequence, or after a reset."""
    if h == 0:
        return d
    out = np.full(d.shape, np.nan)
    if h >= len(d):
        return out
    run = run_of(starts)
    same = run[h:] == run[: len(run) - h]
    out[: len(d) - h][same] = d[h:][same]
    return out


def lagged(values: Array, starts: Bools, lags: int) -> Array:
    """Each row with the ``lags`` rows before it behind it, 0 where there are none in its sequence."""
    if lags == 0:
        return values
    rows, columns = values.shape
    out = np.zeros((rows, (1 + lags) * columns))
    run = run_of(starts)
    for lag in range(min(lags, rows - 1) + 1):
        same = run[lag:] == run[: rows - lag]
        out[lag:, lag * columns : (lag + 1) * columns][same] = values[: rows - lag][same]
    return out


def ends(starts: Bools) -> Bools:
    """Whether a row is the last of its sequence."""
    return np.append(starts[1:], True)


def one_hot(index: Array, classes: int) -> Array:
    """Columns of 0 and 1 for each class, of a column of indices (rows, 1); nan where it is missing."""
    hot: Array = (index == np.arange(classes)).astype(float)
    hot[np.isnan(index[:, 0]) | (index[:, 0] >= classes)] = np.nan
    return hot
