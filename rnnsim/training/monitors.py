"""Monitors: quantities that are recorded from time to time while a network learns.

They read copies and views that cannot be written to, between windows, so that a run is the same to the
bit with and without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rnnsim import checks
from rnnsim.errors import RnnsimError, UnknownName, described, nearest, shown
from rnnsim.network import Network
from rnnsim.training.best import KEPT
from rnnsim.training.experiment import Experiment
from rnnsim.training.seen import Seen
from rnnsim.typing import Array

TIMES = 100  # that monitors look in a run of as many steps as it may have
STEP = "monitor_step"  # among the metrics: the steps at which they looked
NORMS = "grad-norm"  # the norms of the gradient
PARTS = ("params", "grad", "state", NORMS, "spectral-radius")
RADIUS_OF = "W"  # the parameter whose spectral radius it is


Monitor = Callable[[Seen], Any]  # a number or an array, of the same shape each time


class Recorded(NamedTuple):
    """The monitors of a run that has ended.

    Attributes
    ----------
    given : dict
        By name: a name, a function, or None for a function that is not known any more.
    every : int
        Steps between records.
    """

    given: dict[str, Any]
    every: int

    def again(self, monitor: Any) -> dict[str, Any]:
        """The same, once more, with functions for those that are not known any more.

        Raises
        ------
        RnnsimError
            If one is still not known, or another is given.
        """
        given = {} if monitor is None else given_by_name(monitor)
        found = {**self.given, **given}
        if absent := [name for name, what in found.items() if what is None]:
            raise RnnsimError(f"monitor {absent[0]} of this run is a function of your own; give it by "
                              "monitor=")  # fmt: skip
        if other := [name for name in given if name not in self.given]:
            raise RnnsimError(f"this run has no monitor {shown(other[0])}; there are "
                              f"{', '.join(self.given)}")  # fmt: skip
        return found


class Monitors:
    """The monitors of a run, and what they recorded.

    Parameters
    ----------
    experiment : Experiment
    monitor : str, collection of str, or mapping of functions or names
        As for :func:`rnnsim.run`.
    every : int or None
        Steps between records; None for a hundredth of the run.

    Attributes
    ----------
    every : int

    Raises
    ------
    RnnsimError
        If a name is unknown, or used already in the metrics of a run.
    """

    def __init__(self, experiment: Experiment, monitor: Any, every: int | None) -> None:
        taken = ("step", "loss", experiment.task.score, STEP, *KEPT)
        self.given = given_by_name(monitor)
        self._monitors = functions_of(self.given, experiment.network, taken)
        default = max(experiment.steps // TIMES, experiment.window)
        self.every = checks.whole(
            "monitor_every", default if every is None else every, 1, checks.LARGEST
        )
        self._steps: list[int] = []
        self._records: dict[str, list[Array]] = {name: [] for name in self._monitors}

    @property
    def recorded(self) -> Recorded:
        """What they are."""
        return Recorded(self.given, self.every)

    @property
    def records(self) -> int:
        """How often they have looked."""
        return len(self._steps)

    def go_on(self, metrics: Mapping[str, Array], records: int) -> None:
        """Have what ``metrics`` gave, up to so many records.

        Raises
        ------
        RnnsimError
            If one of them has no such record.
        """
        for name in (STEP, *self._monitors):
            if name not in metrics or len(metrics[name]) < records:
                raise RnnsimError(f"the run that goes on has no records of monitor {name}")
        self._steps = [int(step) for step in metrics[STEP][:records]]
        for name, values in self._records.items():
            values[:] = list(metrics[name][:records])

    def look(self, seen: Seen) -> None:
        """Record every monitor, once a step.

        Raises
        ------
        RnnsimError
            If one fails, or returns what cannot be recorded beside what it returned before.
        """
        if self._steps and self._steps[-1] == seen.step:
            return
        for name, function in self._monitors.items():
            self._records[name].append(self._value(name, function, seen))
        self._steps.append(seen.step)

    def _value(self, name: str, function: Monitor, seen: Seen) -> Array:
        try:
            value = np.array(function(seen))  # a copy: the arrays will change
        except Exception as error:
            raise RnnsimError(f"monitor {name} fails at step {seen.step}; it is given a "
                              f"{Seen.__name__}: {described(error)}") from error  # fmt: skip
        if value.dtype.kind not in "biuf":
            raise RnnsimError(f"monitor {name} must return a real number or an array of them, not "
                              f"{shown(value.tolist())}")  # fmt: skip
        before = self._records[name]
        if before and value.shape != before[0].shape:
            raise RnnsimError(f"monitor {name} must return one shape, which was {before[0].shape}; at "
                              f"step {seen.step} it is {value.shape}")  # fmt: skip
        return value.astype(np.float64)

    def metrics(self) -> dict[str, Array]:
        """What was recorded: by name an array, one entry a record; and the steps of the records."""
        records = {name: np.array(values) for name, values in self._records.items()}
        return {STEP: np.array(self._steps, np.int64), **records}


def given_by_name(monitor: Any) -> dict[Any, Any]:
    """The monitors by name, from one name, from names, or from a mapping of functions and names.

    Raises
    ------
    RnnsimError
        If it is none of these.
    """
    if isinstance(monitor, str):
        monitor = (monitor,)
    if isinstance(monitor, list | tuple) and all(isinstance(name, str) for name in monitor):
        monitor = {name: name for name in monitor}
    if not isinstance(monitor, Mapping) or not monitor:
        raise RnnsimError("monitor is a name, some names, or a mapping of functions and names, not "
                          f"{shown(monitor)}")  # fmt: skip
    return dict(monitor)


def functions_of(given: Mapping[Any, Any], network: Network, taken: Iterable[str]) -> dict[str, Monitor]:
    """The functions of monitors that are given by name."""
    found = {}
    for name, what in given.items():
        if not isinstance(name, str) or not name.isprintable() or not name or name in taken:
            raise RnnsimError(f"a monitor is called {shown(name)}; its name must be text other than "
                              f"{', '.join(taken)}")  # fmt: skip
        found[name] = named(what, network) if isinstance(what, str) else what
        if not callable(found[name]):
            raise RnnsimError(f"monitor {name} is a function or a name, not {shown(what)}")
    return found


def named(name: str, network: Network) -> Monitor:
    """The monitor of a name: a part of what is seen, or an array of the parameters or the gradient.

    Raises
    ------
    RnnsimError
        If there is none of this name, or the network lacks what it reads.
    """
    part, dot, array = name.partition(".")
    arrays = [f"{of}.{each}" for of in ("params", "grad") for each in network.shapes]
    if name not in PARTS and name not in arrays:
        raise UnknownName(nearest("monitor", name, [*PARTS, *arrays]))
    if part == "spectral-radius":
        shape = network.shapes.get(RADIUS_OF)
        if shape is None or shape[:1] != shape[1:]:
            raise RnnsimError(f"monitor spectral-radius is that of {RADIUS_OF}, a square matrix, which "
                              f"a {network.kind} network must have")  # fmt: skip
        return spectral_radius
    if part == NORMS:
        return grad_norms
    return partial(array_of, part, array) if dot else partial(all_of, part)


def all_of(part: str, seen: Seen) -> Array:
    """All numbers of the parameters or of the gradient in a row; or the state as it is."""
    found: Any = getattr(seen, part)
    if isinstance(found, np.ndarray):
        return found
    return np.concatenate([array.ravel() for array in found])


def array_of(part: str, array: str, seen: Seen) -> Array:
    """One array of the parameters or of the gradient."""
    found: Array = getattr(getattr(seen, part), array)
    return found


def grad_norms(seen: Seen) -> Array:
    """The norm of the whole gradient, then that of each of its arrays, in order: (1 + arrays,).

    As it was before it was clipped, which would make the norm of a large gradient that of any other.
    """
    norms = np.array([np.linalg.norm(array) for array in seen.grad], float)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return np.array([np.linalg.norm(norms), *norms]) / seen.clipping


def spectral_radius(seen: Seen) -> float:
    """The largest absolute eigenvalue of W."""
    W: Array = getattr(seen.params, RADIUS_OF)
    return float(abs(np.linalg.eigvals(W)).max())
