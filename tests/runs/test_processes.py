"""Work in several processes, some of which die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rnnsim.errors import RnnsimError
from rnnsim.runs import sweeps
from rnnsim.runs.processes import Death, in_processes
from rnnsim.runs.sweeps import Incomplete, sweep

needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="no process is killed by a signal")


def square(items: Sequence[int]) -> Iterator[int]:
    for item in items:
        yield item * item


def square_but_die(items: Sequence[int]) -> Iterator[int]:
    for item in items:
        if item == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if item == 5:
            os._exit(7)
        yield item * item


def refuse_two(items: Sequence[int]) -> Iterator[int]:
    for item in items:
        if item == 2:
            raise RnnsimError("not two")
        yield item


def end(items: Sequence[int]) -> Iterator[int]:
    os._exit(1)


def test_each_item_has_its_result() -> None:
    assert dict(in_processes(square, range(7), 2, 3)) == {i: i * i for i in range(7)}


@needs_signals
def test_a_process_that_dies_costs_the_item_that_it_was_at() -> None:
    found: dict[int, Any] = dict(in_processes(square_but_die, range(9), 2, 4))
    assert found == {i: i * i for i in range(9)} | {3: Death(-signal.SIGKILL), 5: Death(7)}
    assert str(found[3]) == "was ended by SIGKILL, as happens where memory runs out"
    assert str(found[5]) == "ended with exit status 7"


def test_what_it_raises_is_raised_here_with_its_traceback() -> None:
    with pytest.raises(RnnsimError, match="not two") as error:
        list(in_processes(refuse_two, range(4), 1))
    assert "in refuse_two" in error.value.__notes__[0]


NO_GUARD = """
from rnnsim.runs.processes import in_processes
from test_processes import square
list(in_processes(square, range(2), 1))
"""

SLOW = """
import os, sys, time
from rnnsim.runs.processes import in_processes

def wait(items):
    os.write(1, b"begun")
    time.sleep(300)
    yield from items

if __name__ == "__main__":
    list(in_processes(wait, range(2), 2))
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
        "rnnsim.errors.RnnsimError: a process ended with exit status 1 before it could begin; in a "
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


# --- sweeps ---


def fail_at(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    class TaskTraining(sweeps.TaskTraining):
        def chunks(self, chunk: int | None = None) -> Iterator[None]:
            if self.experiment.seed == seed:
                raise RnnsimError("no more")
            return super().chunks(chunk)

    monkeypatch.setattr(sweeps, "TaskTraining", TaskTraining)


@pytest.mark.usefixtures("uncompiled")
def test_the_seeds_of_a_sweep_that_are_done_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_at(monkeypatch, 3)
    with pytest.raises(Incomplete, match=r"3 of 5 seeds have a result: no more") as error:
        sweep("bptt", "delayed-xor", 5, steps=3)
    found = error.value.sweep
    assert found.done.tolist() == [sweeps.NEVER] * 3
    assert found.never == 1
    assert found.summary().startswith("bptt on delayed-xor, 3 of 5 seeds, at most 3 steps")


@pytest.mark.usefixtures("uncompiled")
def test_where_none_is_done_the_error_is_that_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_at(monkeypatch, 0)
    with pytest.raises(RnnsimError, match=r"^no more$"):
        sweep("bptt", "delayed-xor", 5, steps=3)
