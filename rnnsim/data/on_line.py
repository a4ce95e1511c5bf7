"""Preparation of rows that are forecast before they are learnt, one after the other (theory.md 7).

Nothing that a forecast is made from may be known later than its row: the linear path is learnt by
recursive least squares as the rows come, and scales are those of what has come (:mod:`.recursive`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from rnnsim.data import linear, recursive
from rnnsim.data.preparation import Choices, Preparation, View, own_inputs
from rnnsim.data.recursive import LAGS, Factors, Recursive, Squares
from rnnsim.data.scaling import check_size, unscaled
from rnnsim.data.series import Series
from rnnsim.typing import Array, Bools

MOST = 10.0  # scales of the error of the path; what is larger is learnt as that


@dataclass(frozen=True, kw_only=True)
class OnLinePreparation(Preparation):
    """How rows are prepared one after the other.

    Attributes
    ----------
    state : Recursive
        What was learnt of the path before the first row; it stays as it is.
    """

    state: Recursive

    @property
    def input_names(self) -> tuple[str, ...]:
        names = [f"change of {one}" for one in self.features]
        return (*names, *(f"error of {name}" for name in self.output_names))

    @property
    def has_path(self) -> bool:
        return True

    def view(self, series: Series) -> View:
        return self.advanced(series)[0]

    def advanced(self, series: Series) -> tuple[View, Recursive]:
        """The view of rows, and what the path has learnt after the last."""
        state = copied(self.state)
        found = recursive.advance(state, self.known(series), series.d, series.starts)
        return View(found.signals, found.base, found.scale), state

    @property
    def most_aim(self) -> float:
        return MOST

    def settled(self, starts: Bools) -> Bools:
        return linear.has_lags(starts, LAGS + 1)

    def follow(self, series: Series, view: View, outputs: Array) -> Array:
        """How far what the network said (rows, k) was to be followed at each row."""
        horizons = self.choices.horizons
        state = recursive.factors(len(self.targets), horizons)
        added = view.scale * np.nan_to_num(outputs)
        return recursive.follow(state, horizons, view.base, added, series.d, series.starts)


def on_line_preparation(
    series: Series, choices: Choices, source: str
) -> tuple[OnLinePreparation, OnLinePreparation, View]:
    """Prepare rows on-line: as before the first row, and as after the last; and the view of them.

    Raises
    ------
    RnnsimError
        If numbers of ``source`` are too large, or too close.
    """
    check_size(series.x, tuple(map(str, series.features)), source)
    check_size(series.d, series.targets, source)
    k = len(series.targets) * len(choices.horizons)
    own = own_inputs(series.features, series.targets)
    made = OnLinePreparation(
        features=series.features, targets=series.targets, is_class=False, choices=choices,
        inputs_scaling=unscaled(len(series.features)),
        indicators=np.zeros(len(series.features), np.bool_), rest=unscaled(k),
        state=recursive.recursive(len(series.features), own, choices.horizons),
    )  # fmt: skip
    view, state = made.advanced(series)
    return made, replace(made, state=state), view


# --- its state as data ---------------------------------------------------------------------------------


def copied(state: Any) -> Any:
    """A state with arrays of its own."""
    return type(state)(*(
        part.copy() if isinstance(part, np.ndarray) else copied(part) for part in state
    ))  # fmt: skip


def state_as_data(state: Recursive) -> dict[str, Any]:
    """Plain arrays by name."""
    return {
        name: part._asdict() if isinstance(part, Squares | Factors) else part
        for name, part in state._asdict().items()
    }


def state_from(data: Mapping[str, Any]) -> Recursive:
    """Of such arrays.

    Raises
    ------
    KeyError, TypeError
        If they are none.
    """
    parts = {"on_own": Squares, "on_all": Squares, "by_own": Factors, "by_all": Factors}
    return Recursive(**{name: parts[name](**x) if name in parts else x for name, x in data.items()})


def on_line_from(preparation: Preparation, state: Recursive) -> OnLinePreparation:
    """With such a state, and what a preparation has besides."""
    common = {one.name: getattr(preparation, one.name) for one in fields(Preparation)}
    return OnLinePreparation(**common, state=state)
