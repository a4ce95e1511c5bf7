"""Keeping a run while it learns: locks, when checkpoints are made, full disks, and signals."""

from __future__ import annotations

import errno
import itertools
import math
import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
from odd_values import wrong_with
from same_runs import run_differences

import rnnsim
from rnnsim import files
from rnnsim.errors import RnnsimError, RnnsimWarning
from rnnsim.runs import keeping
from rnnsim.runs.keeping import Interval, interval, kept_alone
from rnnsim.runs.stopping import Asked, Stopped, signals_deferred

pytestmark = pytest.mark.usefixtures("soon")

BASE: dict[str, Any] = {
    "rule": "rtrl", "task": "script", "steps": 40, "window": 4, "hidden": 3, "batch": 2, "stop": False,
}  # fmt: skip
no_locks = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")

# --- how often ----------------------------------------------------------------------------------------

SAID: dict[Any, Interval] = {
    None: Interval(None, 30.0, True), "never": Interval(), 1: Interval(1), 1000: Interval(1000),
    "1000": Interval(1000), "30s": Interval(None, 30.0), "30 s": Interval(None, 30.0),
    "5min": Interval(None, 300.0), "1.5h": Interval(None, 5400.0), ".5s": Interval(None, 0.5),
    "2.min": Interval(None, 120.0),
}  # fmt: skip
ODD = [
    0, -1, 1.5, math.nan, math.inf, True + 0.5, b"30s", [], {}, object(), "", " ", "often", "-1", "0",
    "0s", "0.0h", "s", "30x", "\u0663", "1e3s", "1,5s", "nan", "inf", "30s ", "30  s", "never!", "1 d",
    10**30, "9" * 30, "9" * 5000, "9" * 400 + "s", "\u00b2", "\u00b2s", "\ud800", "two\nlines",
]  # fmt: skip


@pytest.mark.parametrize("given", SAID)
def test_how_often_can_be_said_in_steps_or_time(given: Any) -> None:
    assert interval(given) == SAID[given]


@pytest.mark.parametrize("given", ODD, ids=range(len(ODD)))
def test_what_is_neither_is_refused(given: Any) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 (looked at below)
        interval(given)
    assert wrong_with(caught.value, "checkpoint_every") == []


# --- when ---------------------------------------------------------------------------------------------


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str, bool]]:
    """The steps at which runs are written, how they are then, and whether it is durable."""
    found: list[tuple[int, str, bool]] = []
    write = rnnsim.Run.write

    def noted(run: rnnsim.Run, path: Path, durable: bool = True) -> None:
        found.append((run.steps, run.outcome, durable))
        write(run, path, durable)

    monkeypatch.setattr(rnnsim.Run, "write", noted)
    return found


@pytest.mark.parametrize(
    ("every", "wanted"),
    [(4, [4, 8, 12, 16, 20, 24, 28, 32, 36]), (8, [8, 16, 24, 32]), (10, [12, 20, 32]),
     (1, [*range(4, 40, 4)]), (39, []), ("1000", [])],
)  # fmt: skip
def test_checkpoints_are_at_the_end_of_windows_that_reach_a_multiple(
    every: int, wanted: list[int], tmp_path: Path, written: list[tuple[int, str, bool]]
) -> None:
    run = rnnsim.run(**BASE, save=tmp_path / "run", checkpoint_every=every)
    first, *between, last = written
    assert (first, last) == ((0, "running", False), (40, "complete", True))
    assert between == [(step, "running", True) for step in wanted]
    assert run_differences(run, rnnsim.run(**BASE)) == []


def test_how_often_a_run_is_kept_that_is_not_kept() -> None:
    for every in (4, "1h", "never"):
        with pytest.raises(RnnsimError, match="checkpoint_every is given, and the run is not kept"):
            rnnsim.run(**BASE, checkpoint_every=every)


def test_never_is_at_the_end_alone(tmp_path: Path, written: list[tuple[int, str, bool]]) -> None:
    rnnsim.run(**BASE, save=tmp_path / "run", checkpoint_every="never")
    assert written == [(40, "complete", True)]


def test_by_time(
    tmp_path: Path, written: list[tuple[int, str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that goes on by a second whenever it is looked at: writing takes one."""
    clock = itertools.count()
    monkeypatch.setattr(keeping.time, "monotonic", lambda: float(next(clock)))
    counts = {}
    for every in ("1s", "5s", "1000s"):
        written.clear()
        rnnsim.run(**BASE, save=tmp_path / every, checkpoint_every=every, callback=print_nothing,
                   callback_every=4)  # fmt: skip
        counts[every] = len(written) - 2
    assert counts["1s"] == 9  # after each window
    assert 9 > counts["5s"] > counts["1000s"] == 0


def test_by_default_a_hundredth_of_the_time_at_most(
    tmp_path: Path, written: list[tuple[int, str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint takes 10 s, and so does each of 9 windows after which there may be one."""
    clock = itertools.count(step=10)
    monkeypatch.setattr(keeping.time, "monotonic", lambda: float(next(clock)))
    assert (keeping.SHARE, keeping.SECONDS) == (0.01, 30.0)
    for share, count in ((0.01, 0), (0.2, 1), (1.0, 3)):  # after 1000 s, 50 s and 30 s
        written.clear()
        monkeypatch.setattr(keeping, "SHARE", share)
        rnnsim.run(**BASE, save=tmp_path / str(share), callback=print_nothing, callback_every=4)
        assert len(written) - 2 == count, share


def print_nothing(seen: Any) -> None:
    """A callback, which lets chunks end."""


def test_another_run_stands_until_the_first_checkpoint(tmp_path: Path) -> None:
    rnnsim.run(**BASE, save=tmp_path)
    seen: list[tuple[int, int, int]] = []

    def look(now: Any) -> None:
        there = rnnsim.load(tmp_path)
        seen.append((now.step, there.experiment.seed, there.steps))

    rnnsim.run(**BASE, seed=1, save=tmp_path, checkpoint_every=16, callback=look, callback_every=4)
    assert seen[:4] == [(0, 0, 40), (4, 0, 40), (8, 0, 40), (12, 0, 40)]
    assert seen[4:] == [(16, 1, 16), (20, 1, 16), (24, 1, 16), (28, 1, 16), (32, 1, 32), (36, 1, 32),
                        (40, 1, 32)]  # fmt: skip
    assert rnnsim.load(tmp_path).steps == 40


def test_a_run_that_fails_leaves_its_last_checkpoint(tmp_path: Path) -> None:
    def fail(now: Any) -> None:
        if now.step >= 24:
            raise KeyError("no")

    with pytest.raises(RnnsimError, match="no"):
        rnnsim.run(**BASE, save=tmp_path / "run", checkpoint_every=8, callback=fail, callback_every=4)
    left = rnnsim.load(tmp_path / "run")
    assert (left.steps, left.outcome) == (24, "running")
    assert run_differences(left.resume(), rnnsim.run(**BASE)) == []
    with pytest.raises(RnnsimError, match="learning_rate"):
        rnnsim.run(**BASE, learning_rate=-1, save=tmp_path / "other")
    assert sorted(os.listdir(tmp_path)) == ["run"]


# --- a disk that fills up -----------------------------------------------------------------------------


@pytest.mark.parametrize("frees", [False, True])
def test_a_disk_that_fills_up_is_one_warning(
    frees: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = False
    write_new = files._write_new

    def fills(*how: Any, **more: Any) -> None:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_new(*how, **more)

    def look(now: Any) -> None:
        nonlocal full
        full = now.step >= 12 and not (frees and now.step >= 32)

    monkeypatch.setattr(files, "_write_new", fills)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = rnnsim.run(**BASE, save=tmp_path / "run", checkpoint_every=4, callback=look,
                         callback_every=4)  # fmt: skip
    notes = [str(note.message) for note in said if note.category is RnnsimWarning]
    why = f"cannot save the run in {tmp_path / 'run'}: No space left on device"
    goes_on = f"{why}; the run goes on without checkpoints"
    assert notes == ([goes_on] if frees else [goes_on, f"{why}; its method save tries again"])
    assert run_differences(run, rnnsim.run(**BASE)) == []
    left = rnnsim.load(tmp_path / "run")
    assert (left.steps, left.outcome) == ((40, "complete") if frees else (12, "running"))
    assert run_differences(left if frees else left.resume(), run) == []
    assert sorted(os.listdir(tmp_path / "run")) == ["arrays.safetensors", "metrics.csv", "run.toml"]


# --- one at a time ------------------------------------------------------------------------------------


@no_locks
def test_two_threads(tmp_path: Path) -> None:
    inside, done = threading.Event(), threading.Event()

    def hold() -> None:
        with kept_alone(tmp_path / "run"):
            inside.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(60)
    try:
        for keep in (lambda: kept_alone(tmp_path / "run").__enter__(),
                     lambda: rnnsim.run(**BASE, save=tmp_path / "run")):  # fmt: skip
            with pytest.raises(RnnsimError) as caught:
                keep()
            assert str(caught.value) == (f"another process is running in {tmp_path / 'run'}; wait for "
                                         "its end, or choose another folder")  # fmt: skip
        with kept_alone(tmp_path / "other"):
            pass
    finally:
        done.set()
        thread.join()
    with kept_alone(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []


LEARN = """
import sys, time
import rnnsim
def look(seen):
    if seen.step >= 20:
        print("learning", flush=True)
        time.sleep(300)
rnnsim.run("rtrl", "delayed-xor", steps=40, window=4, hidden=2, save=sys.argv[1], checkpoint_every=8,
           callback=look, callback_every=4)
"""


@no_locks
def test_two_processes_and_one_that_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", LEARN, str(folder)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "learning\n"
            with pytest.raises(RnnsimError, match="another process is running in"):
                rnnsim.run(**BASE, save=folder)
            run = rnnsim.load(folder)
            assert (run.steps, run.outcome) == (16, "running")
            with pytest.raises(RnnsimError, match="another process is running in"):
                run.save(folder)
            with pytest.raises(RnnsimError, match="another process is running in"):
                run.resume(save=folder)
        finally:
            process.kill()
    rnnsim.run(**BASE, save=folder)
    assert rnnsim.load(folder).experiment.task.name == "script"


def test_where_there_are_no_locks_nobody_is_excluded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with kept_alone(tmp_path), kept_alone(tmp_path):
        pass


# --- signals ------------------------------------------------------------------------------------------

signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")


def raising(number: int, *steps: int) -> Any:
    """A callback that sends this process a signal at some steps."""

    def look(seen: Any) -> None:
        if seen.step in steps and not seen.ended:
            signal.raise_signal(number)

    return look


@pytest.fixture
def ctrl_c(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ctrl-C as Python has it, whoever runs the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@signals
@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("save", [True, False])
def test_ctrl_c_ends_a_run_in_order(save: bool, tmp_path: Path) -> None:
    folder = tmp_path / "run" if save else None
    with pytest.raises(KeyboardInterrupt) as caught:
        rnnsim.run(**BASE, save=folder, callback=raising(signal.SIGINT, 16), callback_every=4)
    stopped = caught.value
    assert isinstance(stopped, Stopped)
    assert (stopped.number, stopped.word, stopped.run.steps) == (signal.SIGINT, "interrupted", 16)
    assert stopped.run.outcome == "interrupted"
    assert math.isfinite(stopped.run.loss)
    whose = f"rnnsim.load({str(folder)!r})" if save else "its run"
    assert str(stopped) == f"interrupted after 16 steps; {whose}.resume() goes on"
    whole = rnnsim.run(**BASE)
    assert run_differences(stopped.run.resume(), whole) == []
    if folder is not None:
        assert run_differences(rnnsim.load(folder).resume(), whole) == []
        assert rnnsim.load(folder).outcome == "interrupted"
    assert run_differences(stopped.run, whole) != []  # the control


@signals
@pytest.mark.usefixtures("ctrl_c")
def test_the_second_ctrl_c_raises_at_once(tmp_path: Path) -> None:
    def twice(seen: Any) -> None:
        if seen.step == 16:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("it goes on")

    with pytest.raises(KeyboardInterrupt) as caught:
        rnnsim.run(**BASE, save=tmp_path, checkpoint_every=8, callback=twice, callback_every=4)
    assert not isinstance(caught.value, Stopped)
    left = rnnsim.load(tmp_path)
    assert (left.steps, left.outcome) == (16, "running")
    assert run_differences(left.resume(), rnnsim.run(**BASE)) == []


@signals
@pytest.mark.usefixtures("ctrl_c")
def test_in_the_last_window_the_run_is_complete(tmp_path: Path) -> None:
    """The signal arrives once all steps are done: nothing is left to resume."""

    def at_end(seen: Any) -> None:
        if seen.ended:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Stopped) as caught:
        rnnsim.run(**BASE, save=tmp_path, callback=at_end)
    assert caught.value.run.outcome == "complete"
    assert run_differences(caught.value.run, rnnsim.run(**BASE)) == []


@signals
def test_a_signal_that_python_does_not_handle_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run = rnnsim.run(**BASE, callback=raising(signal.SIGINT, 16), callback_every=4)
        assert run.outcome == "complete"
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, before)


@signals
@pytest.mark.usefixtures("ctrl_c")
def test_a_handler_of_ones_own_comes_back() -> None:
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    mine = signal.getsignal(signal.SIGTERM)
    try:
        asked = Asked()
        with signals_deferred(asked):
            signal.raise_signal(signal.SIGTERM)
            assert (asked.number, heard) == (signal.SIGTERM, [])
            signal.raise_signal(signal.SIGTERM)  # the second one is as before
            assert heard == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is mine
        with pytest.raises(ZeroDivisionError), signals_deferred(Asked()):
            raise ZeroDivisionError
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@signals
@pytest.mark.usefixtures("ctrl_c")
def test_in_a_thread_nothing_changes() -> None:
    found: list[Any] = []

    def learn() -> None:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        run = rnnsim.run(**BASE, callback=lambda _: found.append(signal.getsignal(signal.SIGINT)))
        found.append(run)
        assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    thread = threading.Thread(target=learn)
    thread.start()
    thread.join()
    *during, run = found
    assert {*during} == {signal.default_int_handler}
    assert run_differences(run, rnnsim.run(**BASE)) == []
