"""Calls in several processes, some of which die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from rnnsim.errors import RnnsimError
from rnnsim.runs.processes import Died, Processes

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="no process is killed by a signal")


def square(number: int, plus: int = 0) -> int:
    return number * number + plus


def square_but_die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 5:
        os._exit(7)
    return square(number)


def refuse_two(number: int) -> int:
    if number == 2:
        raise RnnsimError("not two")
    return number


def wait() -> int:
    time.sleep(300)
    return 0


def test_each_call_has_its_result() -> None:
    with Processes(2) as processes:
        assert list(processes.map(square, range(7))) == [i * i for i in range(7)]
        assert processes.submit(square, 3, plus=1).result() == 10
    with pytest.raises(RuntimeError, match="the processes have ended"):
        processes.submit(square, 1)


@needs_signals
def test_a_process_that_dies_costs_the_call_that_it_was_at() -> None:
    with Processes(2) as processes:
        begun = [processes.submit(square_but_die, i) for i in range(9)]
        died = {i: future.exception() for i, future in enumerate(begun) if future.exception()}
        others = [future.result() for i, future in enumerate(begun) if i not in died]
    assert others == [0, 1, 4, 16, 36, 49, 64]
    assert {i: (type(error), str(error)) for i, error in died.items()} == {
        3: (Died, "its process was ended by SIGKILL, as happens where memory runs out"),
        5: (Died, "its process ended with exit status 7"),
    }


def test_what_it_raises_is_raised_here_with_its_traceback() -> None:
    with Processes(1) as processes:
        refused, other = processes.submit(refuse_two, 2), processes.submit(refuse_two, 3)
        with pytest.raises(RnnsimError, match="not two") as error:
            refused.result()
        assert other.result() == 3
    assert "in refuse_two" in error.value.__notes__[0]


def test_what_cannot_be_sent_is_an_error_of_its_call() -> None:
    with Processes(1) as processes:
        unsent: Future[int] = processes.submit(lambda: 0)
        assert unsent.exception() is not None
        assert processes.submit(square, 2).result() == 4


@needs_signals
def test_they_can_be_ended_at_once() -> None:
    processes, began = Processes(2), time.monotonic()
    begun = [processes.submit(wait) for _ in range(4)]
    while not begun[1].running():
        time.sleep(0.01)
    processes.shutdown(cancel_futures=True)
    assert time.monotonic() - began < 60
    assert [future.cancelled() for future in begun[2:]] == [True, True]


@needs_signals
def test_an_exception_ends_them_at_once() -> None:
    began, processes = time.monotonic(), Processes(1)
    begun = processes.submit(wait)
    while not begun.running():
        time.sleep(0.01)
    with pytest.raises(KeyboardInterrupt), processes:
        raise KeyboardInterrupt
    assert time.monotonic() - began < 60
    assert isinstance(begun.exception(), Died)


NO_GUARD = """
from rnnsim.runs.processes import Processes
from test_processes import square
Processes(1).submit(square, 1).result()
"""

SLOW = """
import os, time
from rnnsim.runs.processes import Processes

def wait():
    os.write(1, b"begun")
    time.sleep(300)

if __name__ == "__main__":
    processes = Processes(2)
    begun = [processes.submit(wait) for _ in range(2)]
    [future.result() for future in begun]
"""


def start(tmp_path: Path, code: str) -> subprocess.Popen[bytes]:
    script = tmp_path / "script.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )


def test_a_script_without_a_guard_is_told_so(tmp_path: Path) -> None:
    process = start(tmp_path, NO_GUARD)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.decode().splitlines()[-1] == (
        "rnnsim.runs.processes.NotBegun: a process ended with exit status 1 before it could begin; in a "
        'script, what calls for several stands under `if __name__ == "__main__":`'
    )


@needs_signals
def test_processes_end_with_the_main_one_however_it_ends(tmp_path: Path) -> None:
    process = start(tmp_path, SLOW)
    assert process.stdout is not None
    assert process.stdout.read(10) == b"begunbegun"
    began = time.monotonic()
    process.kill()
    _, said = process.communicate(timeout=60)  # to the end of the pipe, which they all hold
    assert time.monotonic() - began < 5  # a tenth of a second, on a machine with nothing else to do
    assert said == b""
