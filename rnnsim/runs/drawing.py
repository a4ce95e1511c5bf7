"""Which figures there are of a run, and how each is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from rnnsim import checks
from rnnsim.errors import RnnsimError
from rnnsim.runs import behaviour_figures, curve_figures, weight_figures
from rnnsim.runs.behaviour_figures import Trained
from rnnsim.runs.curve_figures import Monitored
from rnnsim.runs.forecasts import FIGURES, Forecaster


class Drawn(Monitored, Trained, Protocol):
    """What is drawn of a run: attributes of :class:`~rnnsim.runs.result.Run`."""

    def forecaster(self) -> Forecaster: ...


CURVE = "curve"
OF_RUN: dict[str, Callable[..., Any]] = {
    CURVE: curve_figures.learning_curve,
    "weights": weight_figures.weights,
    "gradients": curve_figures.gradient_norms,
}
OF_HELD_OUT: dict[str, Callable[..., Any]] = {  # so many steps of held-out data
    "behaviour": behaviour_figures.behaviour,
    "trajectories": behaviour_figures.trajectories,
    "fast-weights": behaviour_figures.fast_weights,
}
KINDS = (*OF_RUN, *OF_HELD_OUT, *FIGURES)


def draw(
    run: Drawn,
    what: str,
    path: str | Path | None = None,
    *,
    data: Any = None,
    beside: Sequence[Drawn] = (),
    steps: int | None = None,
) -> Any:
    """Draw a figure of a run; the arguments are those of :meth:`rnnsim.Run.plot`.

    Raises
    ------
    RnnsimError
        If there is no such figure, it does not take an argument that is given, or it cannot be drawn.
    """
    checks.known_name("figure", what, KINDS)
    if data is not None and what not in FIGURES:
        raise RnnsimError(f"data is for the figures {_listed(FIGURES)}; that of the {what} takes none")
    if beside and what != CURVE:
        raise RnnsimError(f"the figure {what} is of one run; {CURVE} is the one that may be of several")
    if steps is not None and what not in OF_HELD_OUT:
        raise RnnsimError(f"steps is for the figures {_listed(OF_HELD_OUT)}; {what} takes none")
    if what in FIGURES:
        return run.forecaster().draw(what, data, path)
    if beside:
        return curve_figures.learning_curves([run, *beside], path)
    if what in OF_HELD_OUT:
        return OF_HELD_OUT[what](run, path, **({} if steps is None else {"steps": steps}))
    return OF_RUN[what](run, path)


def _listed(names: Any) -> str:
    return ", ".join(names)
