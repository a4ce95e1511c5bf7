"""What Ctrl-C and SIGTERM do: the command ends in order, with one line, and soon.

The signal raises an exception in the main thread, which unwinds. Two things may be in its way. A long
call of machine code or of LLVM lets nothing through before it returns. And Python drops an exception
that is raised in a callback, or while an object is deleted. So another thread hears of the signal too:
it repeats a signal whose exception was dropped, and ends the process if nothing else does.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from typing import Any

import click

from rnnsim.runs.stopping import WORDS

PATIENCE = 4.0  # seconds after which the process is ended
IN_ORDER = 60.0  # where a run ends in order, evaluated and saved; a second signal does not wait for it
PAUSE = 0.05  # seconds between looks whether an exception was dropped


class Interrupted(KeyboardInterrupt):
    """One of the signals has arrived."""

    reported = False

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(WORDS[signal.Signals(number)])
        self.status = 128 + number  # as shells have it


def report(error: KeyboardInterrupt) -> int:
    """Print one line, if it has not been printed, and return the exit status."""
    interrupt = error if isinstance(error, Interrupted) else Interrupted()
    if not Interrupted.reported:
        click.echo(f"rnnsim: {interrupt}", err=True)
    Interrupted.reported = interrupt is error
    return interrupt.status


class Watch:
    """Handles the signals of a process; one that is ignored at its start (a background job) stays so."""

    def __init__(self) -> None:
        self._raised = self._dropped = False
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._report_dropped, sys.unraisablehook = sys.unraisablehook, self._notice_dropped
        threading.Thread(target=self._wait, daemon=True).start()
        for number in WORDS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._raise)

    def stop(self) -> None:
        """Ignore the signals from now on: the command has done its work, and the process is ending."""
        for number in WORDS:
            signal.signal(number, signal.SIG_IGN)

    def _raise(self, number: int, _: Any) -> None:
        if not self._raised:
            self._raised = True
            raise Interrupted(number)

    def _notice_dropped(self, dropped: Any) -> None:
        if isinstance(dropped.exc_value, Interrupted):
            self._dropped = True
        else:
            self._report_dropped(dropped)

    def _wait(self) -> None:
        number = self._next_signal(None)
        in_order = signal.getsignal(number) != self._raise  # a run has taken it over
        until = time.monotonic() + (IN_ORDER if in_order else PATIENCE)
        while time.monotonic() < until:
            if self._next_signal(PAUSE):
                until = min(until, time.monotonic() + PATIENCE)
            if self._dropped:
                self._raised = self._dropped = False
                signal.raise_signal(number)
        os._exit(report(Interrupted(number)))

    def _next_signal(self, seconds: float | None) -> int:
        """The next signal that ends a command, or 0 after so many seconds."""
        self._reader.settimeout(seconds)
        number = 0
        while number not in WORDS:  # other signals that Python handles are seen here too
            try:
                number = self._reader.recv(1)[0]
            except TimeoutError:
                return 0
        return number
