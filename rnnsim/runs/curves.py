"""What of runs is drawn over the steps of learning: losses, scores, and what monitors recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from rnnsim.data.learnt_error import LearntError, learnt_error
from rnnsim.network import Network
from rnnsim.runs.spreads import Curve
from rnnsim.runs.telling_apart import Told
from rnnsim.training import best
from rnnsim.training.monitors import NORMS, STEP, Recorded
from rnnsim.typing import Array

WHOLE = "all"  # how the norm of the whole gradient is called


class Learnt(Told, Protocol):
    """What is drawn of a run: attributes of :class:`~rnnsim.runs.result.Run`."""

    metrics: dict[str, Array]
    recorded: Recorded | None
    solved_at: int | None


class Quantity(NamedTuple):
    """What is drawn of runs in a panel.

    Attributes
    ----------
    label : str
    curve : Callable
        Gives the curve of a run; None where it has none.
    is_score : bool
        Whether it has the scale of a score, which is linear.
    """

    label: str
    curve: Callable[[Learnt], Curve | None]
    is_score: bool = False


# --- losses and scores --------------------------------------------------------------------------------


def losses_of(runs: Sequence[Learnt]) -> list[Quantity]:
    """Loss, loss on validation data, and score, each kind of scores by itself.

    In place of the first two, errors where they are of one kind in all runs; then there is no score,
    which would be the same.
    """
    errors = [error_of(run) for run in runs]
    error = errors[0]
    if error is not None and all(e is not None and e.label == error.label for e in errors):
        return [Quantity(error.label, partial(_loss, as_error=True)),
                Quantity("error on validation data", partial(_looks, as_error=True))]  # fmt: skip
    scores = dict.fromkeys(run.experiment.task.score for run in runs)
    return [Quantity("loss per target", _loss), Quantity("loss on validation data", _looks),
            *(Quantity(name, partial(_score, name), is_score=True) for name in scores)]  # fmt: skip


def baselines_of(runs: Sequence[Learnt]) -> set[tuple[str, float]]:
    """What is reached without learning, and its name, on the scale of the first of :func:`losses_of`."""
    (loss, *_), found = losses_of(runs), set[tuple[str, float]]()
    for run in runs:
        error, baseline = error_of(run), run.experiment.task.baseline
        if error is None or loss.label != error.label:
            found.add(("best constant answer", baseline))
        else:
            found.add((f"{error.alone}, where it is learnt", float(error.at(baseline))))
    return found


def error_of(run: Learnt) -> LearntError | None:
    """The error in units that its loss stands for, if it does for one."""
    return learnt_error(run.experiment.task, run.experiment.network)


def _loss(run: Learnt, as_error: bool = False) -> Curve:
    return Curve(run.metrics["step"], _converted(run, run.metrics["loss"], as_error))


def _looks(run: Learnt, as_error: bool = False) -> Curve | None:
    if best.STEP not in run.metrics:
        return None
    return Curve(run.metrics[best.STEP], _converted(run, run.metrics[best.LOSS], as_error))


def _score(name: str, run: Learnt) -> Curve | None:
    has = run.experiment.task.score == name
    return Curve(run.metrics["step"], run.metrics[name]) if has else None


def _converted(run: Learnt, losses: Array, as_error: bool) -> Array:
    error = error_of(run) if as_error else None
    return losses if error is None else np.asarray(error.at(losses))


# --- what monitors recorded ---------------------------------------------------------------------------


def monitors_of(runs: Sequence[Learnt]) -> list[Quantity]:
    """The norm of the whole gradient, and what monitors recorded that is one number each time."""
    norm = [Quantity("norm of the gradient", partial(_norm, WHOLE))]
    names = dict.fromkeys(name for run in runs for name in numbers_of(run))
    return [*(norm if any(WHOLE in norms_of(run) for run in runs) else ()),
            *(Quantity(name, partial(_monitor, name)) for name in names)]  # fmt: skip


def numbers_of(run: Learnt) -> list[str]:
    """The monitors that recorded one number each time."""
    given = run.recorded.given if run.recorded is not None else ()
    return [name for name in given if run.metrics[name].ndim == 1 and len(run.metrics[name])]


def gradients_of(runs: Sequence[Learnt]) -> list[Quantity]:
    """The norms of the gradient: of the whole, and of the array of each parameter."""
    names = dict.fromkeys(name for run in runs for name in norms_of(run))
    return [Quantity(name, partial(_norm, name)) for name in names]


def norms_of(run: Learnt) -> dict[str, Array]:
    """What monitors recorded of the norm of the gradient: of the whole, and by parameter."""
    network, found = run.experiment.network, dict[str, Array]()
    for name, what in run.recorded.given.items() if run.recorded is not None else ():
        values = run.metrics[name]
        if not len(values):
            continue
        if what == NORMS:
            found |= dict(zip((WHOLE, *network.shapes), values.T))
        elif what == "grad":
            found |= _norms_of_all(network, values)
        elif isinstance(what, str) and what.startswith("grad."):
            found[what.removeprefix("grad.")] = _norms(values)
    return found


def _norm(name: str, run: Learnt) -> Curve | None:
    """Where it is not 0: a window without targets has no gradient."""
    norms = norms_of(run).get(name)
    return None if norms is None else Curve(run.metrics[STEP][norms > 0], norms[norms > 0])


def _monitor(name: str, run: Learnt) -> Curve | None:
    return Curve(run.metrics[STEP], run.metrics[name]) if name in numbers_of(run) else None


def _norms_of_all(network: Network, values: Array) -> dict[str, Array]:
    """Of records (R, P) of the whole gradient."""
    arrays = [network.views(row) for row in values]
    return {WHOLE: _norms(values)} | {
        name: _norms([getattr(each, name) for each in arrays]) for name in network.shapes
    }


def _norms(records: Iterable[Array]) -> Array:
    return np.array([np.linalg.norm(record) for record in records])
