"""Callbacks: functions that are called from time to time while a network learns, and may end the run.

They are called between chunks of compiled code, and see views that cannot be written to: so a run is
the same to the bit with and without them, as far as it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnsim import checks, registry
from rnnsim.errors import RnnsimError, called, described, place_of, shown
from rnnsim.plugin_checks.callbacks import wrong_with_callback
from rnnsim.training.seen import Seen
from rnnsim.training.task_training import TaskTraining, multiple_after

Function = Callable[[Seen], Any]


class Callback(NamedTuple):
    """A function that is called while a network learns: it returns None, or True to end the run."""

    function: Function
    name: str

    def asks_to_end(self, seen: Seen) -> bool:
        """Call it.

        Raises
        ------
        RnnsimError
            If it fails, or returns something else.
        """
        try:
            answer = self.function(seen)
        except Exception as error:
            place = place_of(self.function, error)
            raise RnnsimError(f"callback {self.name}{place} fails at step {seen.step}; it is given a "
                              f"{Seen.__name__}: {described(error)}") from error  # fmt: skip
        if answer is not None and not isinstance(answer, bool | np.bool_):
            raise RnnsimError(f"callback {self.name} must return True to end the run, or else nothing; "
                              f"not {shown(answer)}")  # fmt: skip
        return bool(answer)


class Callbacks:
    """Callbacks that are called at the same steps.

    That is before the first step, then after each chunk, or at the end of each window that reaches a
    multiple of ``every`` steps, and at the end of the run.

    Parameters
    ----------
    callbacks : sequence of Callback
    every : int, optional
        Steps between calls.
    """

    def __init__(self, callbacks: Sequence[Callback], every: int | None = None) -> None:
        self._callbacks, self._every = callbacks, every

    def next_cut(self, step: int) -> int:
        return checks.LARGEST if self._every is None else multiple_after(step, self._every)

    def look(self, trainer: TaskTraining, before: int, ended: bool) -> bool:
        """Call them all, if it is time; whether one of them ends the run."""
        begins = trainer.step == before
        if not (begins or ended or self._every is None or trainer.step >= self.next_cut(before)):
            return False
        seen = trainer.seen(ended)
        return any([callback.asks_to_end(seen) for callback in self._callbacks])


def callbacks_of(callback: Any, every: int | None) -> list[Callbacks]:
    """The callbacks of a run: those of plugins, and then the user's.

    Parameters
    ----------
    callback, every
        As ``callback`` and ``callback_every`` of :func:`rnnsim.run`.

    Raises
    ------
    RnnsimError
        If a callback is no function of one argument.
    """
    found = []
    if of_plugins := registry.installed().callbacks:
        found.append(Callbacks([Callback(each.function, str(each)) for each in of_plugins]))
    if callback is not None:
        steps = None if every is None else checks.whole("callback_every", every, 1, checks.LARGEST)
        found.append(Callbacks(_users(callback), steps))
    elif every is not None:
        raise RnnsimError("callback_every is given, and there is nothing to call: give callback, too")
    return found


def _users(callback: Any) -> list[Callback]:
    functions = callback if isinstance(callback, list | tuple) else [callback]
    if not functions or not all(map(callable, functions)):
        raise RnnsimError("callback is a function of one argument, or a list of functions, not "
                          f"{shown(callback)}")  # fmt: skip
    for function in functions:
        if wrong := wrong_with_callback(function):
            raise RnnsimError(f"callback has the function {called(function)}, {wrong}")
    return [Callback(function, called(function)) for function in functions]
