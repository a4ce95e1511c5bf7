"""The simple forecasters that a network's forecasts are reported beside: what they found in the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rnnsim.data import linear, references
from rnnsim.data.linear import Judged, LinearPath, Regression
from rnnsim.data.parts import LEARNT, VALIDATION, recent
from rnnsim.data.preparation import Preparation, targets_in
from rnnsim.data.series import Series
from rnnsim.typing import Array, Integers


class Simple(NamedTuple):
    """What simple forecasters found in the rows that are learnt, and those for validation.

    Attributes
    ----------
    season : int
        Rows; 0 where there is none.
    ridge : LinearPath or None
        The ridge autoregression, of numbers.
    most_frequent : int
        The index of the class that most rows have; -1 of numbers.
    """

    season: int = 0
    ridge: LinearPath | None = None
    most_frequent: int = -1

    def forecasts(self, series: Series, preparation: Preparation) -> Mapping[str, Array]:
        """What each says at each row of a series, by name: (rows, k), of classes probabilities."""
        horizons, k0 = preparation.choices.horizons, len(preparation.targets)
        # a target at the end is not known before, even if the data tell it at each row
        ends_alone = preparation.choices.at_end
        if preparation.is_class:
            frequent = np.zeros((series.rows, len(horizons), k0))
            frequent[:, :, self.most_frequent] = 1.0
            most = {"most frequent": frequent.reshape(series.rows, -1)}
            if ends_alone:
                return most
            last = references.last_class(series.d, series.starts, horizons, k0)
            return {"last class": last, **most}
        found = {}
        if not ends_alone:
            found["persistence"] = references.persistence(series.d, series.starts, horizons)
        if self.season and not ends_alone:
            found["seasonal persistence"] = references.seasonal_persistence(
                series.d, series.starts, horizons, self.season
            )
        if self.ridge is not None:
            x = preparation.known(series)
            found["ridge autoregression"] = linear.forecasts(self.ridge, x, series.starts)
        return found


def simple_of(
    series: Series, part: Integers, preparation: Preparation, season: int | None,
    judged: Judged | None = None,
) -> Simple:  # fmt: skip
    """Find what simple forecasters need.

    Parameters
    ----------
    series : Series
    part : (rows,) int array
        See :mod:`rnnsim.data.parts`.
    preparation : Preparation
    season : int or None
        Rows; by default it is looked for.
    judged : Judged, optional
        What was found of the ways of a linear path, which are those of the ridge autoregression too.
    """
    is_learnt = part == LEARNT
    if preparation.is_class:
        known = series.d[is_learnt & np.isfinite(series.d[:, 0]), 0].astype(np.int64)
        return Simple(most_frequent=int(np.argmax(np.bincount(known))) if len(known) else 0)
    series, part = recent(series, part)
    is_learnt = part == LEARNT
    learnt, validation = (
        targets_in(preparation, series.starts, part, one) for one in (LEARNT, VALIDATION)
    )
    regression = Regression(
        preparation.known(series), preparation.truth(series), series.starts,
        preparation.choices.horizons, preparation.own,
    )  # fmt: skip
    ridge, _ = references.ridge_autoregression(regression, learnt, validation, judged)
    if season is None:
        season = references.season_of(series.d, series.starts, is_learnt)
    return Simple(season=season or 0, ridge=ridge)


def simple_as_data(simple: Simple) -> dict[str, Any]:
    """Plain values and arrays."""
    found: dict[str, Any] = {"season": simple.season, "most_frequent": simple.most_frequent}
    return found if simple.ridge is None else {**found, "ridge": simple.ridge._asdict()}


def simple_from(data: Mapping[str, Any]) -> Simple:
    """Of such values.

    Raises
    ------
    KeyError, TypeError, ValueError
        If they are none.
    """
    ridge = LinearPath(**data["ridge"]) if "ridge" in data else None
    return Simple(int(data["season"]), ridge, int(data["most_frequent"]))
