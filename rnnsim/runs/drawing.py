"""Which figures there are of a run, and how each is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from rnnsim import checks
from rnnsim.errors import RnnsimError
from rnnsim.runs import behaviour_figures, curve_figures, trajectory_figures, weight_figures
from rnnsim.runs.behaviour_figures import Trained
from rnnsim.runs.curves import Learnt
from rnnsim.runs.forecasts import FIGURES, Forecaster


class Drawn(Learnt, Trained, Protocol):
    """What is drawn of a run: attributes of :class:`~rnnsim.runs.result.Run`."""

    def forecaster(self) -> Forecaster: ...


CURVE = "curve"
OF_SEVERAL: dict[str, Callable[..., Any]] = {
    CURVE: curve_figures.learning_curves,
    "gradients": curve_figures.gradient_norms,
    "trajectories": trajectory_figures.trajectories,
}
OF_ONE: dict[str, Callable[..., Any]] = {
    "weights": weight_figures.weights,
    "behaviour": behaviour_figures.behaviour,
    "fast-weights": behaviour_figures.fast_weights,
}
OF_HELD_OUT = ("behaviour", "trajectories", "fast-weights")  # so many steps of held-out data
KINDS = (*OF_SEVERAL, *OF_ONE, *FIGURES)


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
    if beside and what not in OF_SEVERAL:
        raise RnnsimError(f"the figure {what} is of one run; {_listed(OF_SEVERAL)} may be of several")
    if steps is not None and what not in OF_HELD_OUT:
        raise RnnsimError(f"steps is for the figures {_listed(OF_HELD_OUT)}; {what} takes none")
    given = {} if steps is None else {"steps": steps}
    if what in FIGURES:
        return run.forecaster().draw(what, data, path)
    if what in OF_SEVERAL:
        return OF_SEVERAL[what]([run, *beside], path, **given)
    return OF_ONE[what](run, path, **given)


def _listed(names: Any) -> str:
    return ", ".join(names)
