"""Signals while a run is in progress: it ends between two windows, so that it can be saved and go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rnnsim.checks import LARGEST
from rnnsim.training.task_training import TaskTraining

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Stopped(KeyboardInterrupt):
    """A run was interrupted and has ended in order.

    Attributes
    ----------
    run : Run
        What came of it so far.
    number : int
        The signal.
    word : str
        What it does, in a word.
    """

    def __init__(self, run: Any, number: int) -> None:
        self.run, self.number = run, number
        self.word = WORDS[signal.Signals(number)]
        whose = "its run" if run.folder is None else f"rnnsim.load({str(run.folder)!r})"
        super().__init__(f"{self.word} after {run.steps:,} steps; {whose}.resume() goes on")


class Asked:
    """Ends a run that a signal has asked to end; one of its lookers.

    Attributes
    ----------
    number : int or None
        The signal.
    """

    number: int | None = None

    def next_cut(self, step: int) -> int:
        return LARGEST

    def look(self, trainer: TaskTraining, before: int, ended: bool) -> bool:
        return self.number is not None


@contextmanager
def signals_deferred(asked: Asked) -> Iterator[None]:
    """Note Ctrl-C, and SIGTERM where Python handles it, in place of an exception; the second one raises.

    In other threads than the main one, which Python tells of no signals, nothing changes.
    """
    handlers = {number: signal.getsignal(number) for number in WORDS}
    own: dict[int, Any] = {number: one for number, one in handlers.items() if callable(one)}

    def restore() -> None:
        for number, handler in own.items():
            signal.signal(number, handler)

    def note(number: int, frame: Any) -> None:
        if asked.number is not None:
            restore()
            own[number](number, frame)
        asked.number = number

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    try:
        for number in own:
            signal.signal(number, note)
        yield
    finally:
        restore()
