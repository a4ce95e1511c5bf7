"""From series in units to what a network sees and learns, by what was found in the rows to learn from.

What is learnt is the rest of a linear path (:mod:`rnnsim.data.linear`), scaled: ``r(t) = (d(t + h) -
base(t)) / scale``; so a forecast in the column's unit is ``base(t) + scale * y(t)``. Beside the path a
network sees the last change of each input, and of each target that is an input the last error of the
path. Without a path the base is the mean, and the network sees the inputs themselves.

Inputs are scaled; a column of values that may be missing has an indicator beside it; past rows may be
inputs too (``lags``). All of it is found on the rows that are learnt. Outputs are ordered by horizon and
then by target: o = j k0 + i of horizon j and target i.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from rnnsim.data import linear
from rnnsim.data.linear import Judged, LinearPath, Regression
from rnnsim.data.missing import carried_forward
from rnnsim.data.neighbours import ahead_of, ends, lagged, run_of, together
from rnnsim.data.parts import LEARNT, VALIDATION, recent
from rnnsim.data.row_blocks import blocks
from rnnsim.data.scaling import Scaling, mean_and_deviation, scaling_of, unscaled
from rnnsim.data.series import Feature, Series
from rnnsim.typing import Array, Bools, Integers

MOST_SIGNAL = 5.0  # standard deviations of a change, or of an error of the path, that a network sees


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
    has_path : bool
        Whether there is a linear path, from which the network learns the rest.
    on_line : bool
        Whether each row is forecast before it is learnt, once.
    """

    horizons: tuple[int, ...]
    lags: int = 0
    at_end: bool = False
    has_path: bool = False
    on_line: bool = False


class Prepared(NamedTuple):
    """Rows as a network sees them.

    Attributes
    ----------
    inputs : (seen, m) array
        Of all rows, or the first that were asked for.
    base, scale : (seen, k) or (1, k) array
        See :class:`View`.
    targets : (seen, k) array
        What is learnt, scaled; 0 where a target is missing.
    weights : (rows, k) or (rows, 1) array
        1 where there is a target, else 0.
    starts : (rows,) bool array
        Where the state is reset.
    settled : (rows,) bool array
        Whether the linear path had all its lags: before, what it leaves is not typical, and not learnt.
    """

    inputs: Array
    base: Array
    scale: Array
    targets: Array
    weights: Array
    starts: Bools
    settled: Bools


class View(NamedTuple):
    """What a network sees at rows, and what is said without it.

    Attributes
    ----------
    inputs : (rows, m) array
    base : (rows, k) or (1, k) array
        In units; the mean without a path.
    scale : (rows, k) or (1, k) array
        The unit of what the network adds.
    """

    inputs: Array
    base: Array
    scale: Array

    def of(self, rows: slice) -> View:
        """The view of some of its rows."""
        base, scale = (each if len(each) == 1 else each[rows] for each in (self.base, self.scale))
        return View(self.inputs[rows], base, scale)


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
    path : LinearPath or None
    changes : (m0,) array
        The standard deviation of the change of each input from row to row, beside a path.
    path_begins : bool
        Whether what the path leaves counts from the beginning of each sequence, as all are short.
    """

    features: tuple[Feature, ...]
    targets: tuple[str, ...]
    is_class: bool
    choices: Choices
    inputs_scaling: Scaling
    indicators: Bools
    rest: Scaling
    path: LinearPath | None = None
    changes: Array | None = None
    path_begins: bool = False

    @property
    def n_in(self) -> int:
        """m."""
        return len(self.input_names)

    @property
    def n_out(self) -> int:
        """k = H k0."""
        return len(self.targets) * len(self.choices.horizons)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the m inputs."""
        names = [str(one) for one in self.features]
        lacking = [f"{name} missing" for name, has in zip(names, self.indicators) if has]
        if self.path is not None:
            names = [f"change of {name}" for name in names]
            names += [f"error of {self.output_names[o]}" for o in self._followed]
        names += lacking
        lags = range(1 + self.choices.lags)
        return tuple(f"{name}(-{lag})" if lag else name for lag in lags for name in names)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of the k outputs."""
        horizons = self.choices.horizons
        if len(horizons) == 1:
            return self.targets
        return tuple(f"{name}(+{h})" for h in horizons for name in self.targets)

    @property
    def own(self) -> tuple[int, ...]:
        """Of each target: which input it is, -1 where it is none."""
        return () if self.is_class else own_inputs(self.features, self.targets)

    @property
    def _followed(self) -> list[int]:
        """The outputs whose last error is an input: those of targets that are inputs."""
        own = self.own
        return [o for o in range(self.n_out) if own[o % len(own)] >= 0]

    def prepared(self, series: Series, view: View | None = None, seen: int | None = None) -> Prepared:
        """Prepare rows, of which there may be a view; targets that are not known yet have weight 0.

        Where only the first so many are to be seen, the others have weights alone.
        """
        seen = series.rows if seen is None else seen
        view = self.view(series.between(0, seen)) if view is None else view
        targets, known = np.empty((seen, self.n_out)), np.empty((series.rows, self.n_out), np.bool_)
        after = max(self.choices.horizons) + 1  # rows: those of the targets, and whether one ends there
        same = True
        for rows in blocks(series.rows, after):
            truth = self.truth(series.between(rows.start, rows.stop + after))[: rows.stop - rows.start]
            known[rows] = np.isfinite(truth)
            if rows.start < seen:
                targets[rows] = self.aims(truth[: seen - rows.start], view.of(rows))
            same = same and bool((known[rows] == known[rows, :1]).all())
        return Prepared(
            *view,
            targets=targets,
            weights=(known[:, :1] if same else known).astype(float),
            starts=series.starts,
            settled=self.settled(series.starts),
        )

    @property
    def has_path(self) -> bool:
        """Whether there is a linear path, whose rest is learnt."""
        return self.path is not None

    @property
    def most_aim(self) -> float:
        """What a network is to say at most, in scales."""
        return math.inf

    def view(self, series: Series) -> View:
        """What a network sees, and what is said without it, by rows up to each and no later one."""
        known = self.known(series)
        base = self.base(known, series.starts)
        return View(self._inputs(series, known, base), base, self.rest.scale[None])

    def aims(self, truth: Array, view: View) -> Array:
        """What a network is to say (rows, k), scaled; 0 where the truth is not known."""
        aims = np.where(np.isfinite(truth), (truth - view.base) / view.scale, 0.0)
        return np.asarray(np.clip(aims, -self.most_aim, self.most_aim, out=aims))

    def settled(self, starts: Bools) -> Bools:
        """Whether the path had all its lags at a row; before, what it leaves is not learnt."""
        if self.path is None or self.path_begins:
            return np.ones(len(starts), np.bool_)
        return linear.has_lags(starts, len(self.path.weights) - 1)

    def base(self, known: Array, starts: Bools) -> Array:
        """What is said without the network, in units: (rows, k), or (1, k) without a path."""
        if self.path is None:
            return self.rest.mean[None]
        return linear.forecasts(self.path, known, starts)

    def known(self, series: Series) -> Array:
        """The inputs (rows, m0) in units, each missing one as it was last known."""
        return carried_forward(series.x, series.starts, self.inputs_scaling.mean)

    def _inputs(self, series: Series, known: Array, base: Array) -> Array:
        settled, back = self.settled(series.starts), max(1, *self.choices.horizons)
        inputs = np.empty((series.rows, self.n_in // (1 + self.choices.lags)))
        for rows in blocks(series.rows, back):
            begin = max(rows.start - back, 0)  # rows before these, which are looked back at
            here = slice(begin, rows.stop)
            piece = series.between(begin, rows.stop)
            if self.path is None:
                parts = [self.inputs_scaling.scaled(known[here])]
            else:
                errors = self._last_errors(piece, base[here], settled[here])
                parts = [self._changes(known[here], piece.starts), *errors]
            if self.indicators.any():
                parts.append(np.isnan(piece.x[:, self.indicators]).astype(float))
            np.concatenate([part[rows.start - begin :] for part in parts], axis=1, out=inputs[rows])
        return lagged(inputs, series.starts, self.choices.lags)

    def _changes(self, known: Array, starts: Bools) -> Array:
        """The last change of each input, in standard deviations; 0 at the beginning of a sequence."""
        assert self.changes is not None
        change = np.zeros_like(known)
        np.subtract(known[1:], known[:-1], out=change[1:])
        change /= self.changes
        change[starts] = 0.0
        return np.clip(change, -MOST_SIGNAL, MOST_SIGNAL, out=change)

    def _last_errors(self, series: Series, base: Array, settled: Bools) -> list[Array]:
        """By horizon what the path missed when last its target was known, scaled; else 0."""
        k0, followed = len(self.targets), np.array([own >= 0 for own in self.own])
        run = run_of(series.starts)
        parts = []
        for j, h in enumerate(self.choices.horizons):
            errors = np.zeros((series.rows, k0))
            back = max(h, 1)  # with h = 0 the present target is not known yet
            if back < series.rows:
                of_horizon = slice(j * k0, (j + 1) * k0)
                now = errors[back:]
                np.subtract(series.d[h : h + len(now)], base[:-back, of_horizon], out=now)
                now /= self.rest.scale[of_horizon]
                now[~((run[back:] == run[:-back]) & settled[:-back])] = 0.0
                now[np.isnan(now)] = 0.0
                np.clip(now, -MOST_SIGNAL, MOST_SIGNAL, out=now)
            parts.append(errors if followed.all() else errors[:, followed])
        return parts

    def truth(self, series: Series) -> Array:
        """The targets (rows, k) in units, nan where there is none: missing, or beyond the end."""
        d = one_hot(series.d, len(self.targets)) if self.is_class else series.d
        if self.choices.at_end:
            d = np.where(ends(series.starts)[:, None], d, np.nan)
        parts = [ahead_of(d, series.starts, h) for h in self.choices.horizons]
        return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]


def preparation_of(
    series: Series, part: Integers, choices: Choices, source: str
) -> tuple[Preparation, Preparation, Judged | None]:
    """Find how rows are to be prepared, in those that are learnt.

    Parameters
    ----------
    series : Series
    part : (rows,) int array
        See :mod:`rnnsim.data.parts`.
    choices : Choices
    source : str
        Where the data are from, for messages.

    Returns
    -------
    Preparation
        By which the network learns, and its validation is.
    Preparation
        By which it forecasts: the coefficients of the path are then of the rows for validation, too.
    Judged or None
        The ways among which that of the path was chosen; None without a path.

    Raises
    ------
    RnnsimError
        If a column has no value where it is learnt, or its numbers are too large.
    """
    learnt = together(np.flatnonzero(part == LEARNT))
    x, names = series.x[learnt], tuple(map(str, series.features))
    classes = series.classes
    targets = classes or series.targets
    of_inputs = scaling_of(x, names, source)
    if classes:
        rest = unscaled(len(classes) * len(choices.horizons))
    else:
        same = series.d is series.x
        of_targets = of_inputs if same else scaling_of(series.d[learnt], targets, source)
        rest = _repeated(of_targets, len(choices.horizons))
    plain = Preparation(
        features=series.features,
        targets=targets,
        is_class=bool(classes),
        choices=choices,
        inputs_scaling=of_inputs,
        indicators=np.asarray(np.isnan(x).any(axis=0)),
        rest=rest,
    )
    if classes or not choices.has_path:
        return plain, plain, None
    return _with_path(plain, series, part)


def _with_path(
    plain: Preparation, series: Series, part: Integers
) -> tuple[Preparation, Preparation, Judged]:
    """Beside a linear path that is fitted to what is learnt, and to it and validation."""
    series, part = recent(series, part)
    x, truth = plain.known(series), plain.truth(series)
    regression = Regression(x, truth, series.starts, plain.choices.horizons, plain.own)
    learnt, validation = (targets_in(plain, series.starts, part, one) for one in (LEARNT, VALIDATION))
    judged = linear.judged(regression, learnt, validation)
    ways = judged.best()
    path = linear.fitted(regression, learnt, ways)
    rest = np.where(learnt, truth - linear.forecasts(path, x, series.starts), np.nan)
    made = replace(plain, path=path)
    settled = made.settled(series.starts)
    if not np.isfinite(rest[settled]).any():
        made, settled = replace(made, path_begins=True), np.ones(series.rows, np.bool_)
    change = np.where(series.starts[1:, None], np.nan, np.diff(x, axis=0))
    made = replace(
        made,
        changes=_deviation(change[part[1:] == LEARNT], np.abs(x).max(axis=0)),
        rest=Scaling(
            np.zeros(plain.n_out),
            _deviation(rest[settled], plain.rest.scale),
            plain.rest.constant,
        ),
    )
    final = replace(made, path=linear.fitted(regression, learnt | validation, ways))
    return made, final, judged


def _deviation(values: Array, size: Array) -> Array:
    """The standard deviation of columns whose missing values are nan; 1 where it is rounding error."""
    deviation = mean_and_deviation(values)[1]
    return np.where(deviation > 1e-12 * size, deviation, 1.0)


def targets_in(preparation: Preparation, starts: Bools, part: Integers, wanted: int) -> Bools:
    """Whether the targets (rows, k) of rows are in a part."""
    inside = horizons_in(preparation, starts, part, wanted)
    return np.repeat(inside, len(preparation.targets), axis=1)


def horizons_in(preparation: Preparation, starts: Bools, part: Integers, wanted: int) -> Bools:
    """Whether the rows (rows, H) that so many rows later are forecast are in a part."""
    inside = (part == wanted).astype(float)[:, None]
    of_horizon = [ahead_of(inside, starts, h) for h in preparation.choices.horizons]
    return np.asarray(np.hstack(of_horizon) == 1)


def _repeated(scaling: Scaling, times: int) -> Scaling:
    return Scaling(*(np.tile(array, times) for array in scaling))


def own_inputs(features: tuple[Feature, ...], targets: tuple[str, ...]) -> tuple[int, ...]:
    """Of each target: which input it is, -1 where it is none."""
    places = {one.column: place for place, one in enumerate(features) if one.category is None}
    return tuple(places.get(name, -1) for name in targets)


def one_hot(index: Array, classes: int) -> Array:
    """Columns of 0 and 1 for each class, of a column of indices (rows, 1); nan where it is missing."""
    hot: Array = (index == np.arange(classes)).astype(float)
    hot[np.isnan(index[:, 0]) | (index[:, 0] >= classes)] = np.nan
    return hot
