"""``rnnsim resume``: a run goes on as if it had never stopped, or it is said in a line why not."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from same_runs import run_differences

import rnnsim
from rnnsim.cli import main

pytestmark = pytest.mark.usefixtures("soon")

BASE: dict[str, Any] = {
    "rule": "uoro", "task": "script", "steps": 40, "window": 4, "hidden": 3, "batch": 2, "stop": False,
    "optimizer": "adam", "learning_rate": 0.05, "schedule": "linear", "keep": "best", "keep_every": 8,
    "monitor": "params.b", "monitor_every": 6,
}  # fmt: skip
FILES = ["arrays.safetensors", "metrics.csv", "run.toml"]


def resume(*words: str) -> Result:
    return CliRunner().invoke(main, ["resume", *words])


def stopped(folder: Path, after: int = 20, **more: Any) -> rnnsim.Run:
    """A run that has ended before its steps were done, in its folder."""
    return rnnsim.run(**{**BASE, **more}, save=folder, callback=lambda seen: bool(seen.step >= after),
                      callback_every=4)  # fmt: skip


def contents(folder: Path) -> dict[str, Any]:
    """What is in the folder of a run but times and dates."""
    assert sorted(os.listdir(folder)) == FILES
    file = tomllib.loads((folder / "run.toml").read_text())
    for name, times in (("result", ["seconds"]), ("checkpoint", ["seconds"]),
                        ("provenance", ["began", "saved", "resumed"])):  # fmt: skip
        for each in times:
            file[name].pop(each, None)
    return {"file": file, **{name: (folder / name).read_bytes() for name in FILES[:2]}}


@pytest.fixture(scope="module")
def whole(soon: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was never interrupted, and beside it its log."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    rnnsim.run(**BASE, save=folder, log=folder.parent / "log")
    return folder


@pytest.mark.parametrize("after", [4, 20, 36])
def test_it_ends_as_the_whole_run(after: int, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert stopped(folder, after).steps == after
    assert contents(folder) != contents(whole)  # the control
    done = resume(str(folder))
    assert (done.exit_code, done.stderr) == (0, "")
    assert contents(folder) == contents(whole)
    loaded = rnnsim.load(folder)
    assert run_differences(loaded, rnnsim.load(whole)) == []
    assert done.stdout == loaded.summary() + "\n"
    assert loaded.provenance.resumed is not None
    assert len(loaded.provenance.resumed) == 1
    again = resume(str(folder))
    assert (again.exit_code, again.stdout) == (2, "")
    assert again.stderr == "rnnsim: 40 steps are done; to go on, give more in all: steps=80\n"


def test_more_steps_than_there_were(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    rnnsim.run(**BASE, save=folder)
    assert resume(str(folder), "--steps", "60").exit_code == 0
    rnnsim.run(**{**BASE, "steps": 60, "schedule_steps": 40}, save=tmp_path / "longer")
    assert contents(folder) == contents(tmp_path / "longer")
    assert contents(folder) != contents(whole)


def test_it_may_stop_again_and_again(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    stopped(folder, 8)
    for steps in (16, 17, 31, 40):
        assert resume(str(folder), "--steps", str(steps)).exit_code == 0
    assert contents(folder) == contents(whole)
    assert len(rnnsim.load(folder).provenance.resumed or ()) == 4


def test_as_json(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    stopped(folder)
    done = resume(str(folder), "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout) == rnnsim.load(folder).as_dict()
    assert json.loads(done.stdout)["outcome"] == "complete"


def points(log: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [{name: x for name, x in line.items() if name != "seconds"} for line in lines]


@pytest.mark.parametrize("after", [4, 20, 36])
def test_its_log_is_that_of_the_whole_run(after: int, whole: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    stopped(tmp_path / "run", after, log=log)
    before = points(log)
    assert resume(str(tmp_path / "run"), "--log", str(log)).exit_code == 0
    assert points(log) == points(whole.parent / "log")
    assert len(points(log)) > len(before)  # the control


def test_figures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    folder, plot, behaviour = tmp_path / "run", tmp_path / "a.svg", tmp_path / "b.png"
    stopped(folder)
    done = resume(str(folder), "--plot", str(plot), "--plot-behaviour", str(behaviour))
    assert done.exit_code == 0
    assert b"<svg" in plot.read_bytes()
    assert behaviour.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("every", "count"), [("4", 4), ("8", 2), ("100", 0), ("1h", 0), ("never", 0), (".01 s", None)]
)
def test_checkpoints_are_made_as_often_as_is_said(
    every: str, count: int | None, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, written = tmp_path / "run", []
    stopped(folder)
    write = rnnsim.Run.write

    def noted(run: rnnsim.Run, *how: Any, **more: Any) -> None:
        written.append((run.steps, run.outcome))
        write(run, *how, **more)

    monkeypatch.setattr(rnnsim.Run, "write", noted)
    assert resume(str(folder), "--checkpoint-every", every).exit_code == 0
    assert written.pop() == (40, "complete")
    assert count in (None, len(written))
    assert {outcome for _, outcome in written} <= {"running"}
    assert contents(folder) == contents(whole)


# --- refused ------------------------------------------------------------------------------------------


def says(done: Result, message: str) -> None:
    """Check that a command is refused so, in one line."""
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"rnnsim: {message}"), done.stderr
    assert len(done.stderr.splitlines()) == 1


WRONG = {
    ("--steps", "20"): "20 steps are done; to go on, give more in all: steps=40",
    ("--steps", "3"): "20 steps are done; to go on, give more in all: steps=40",
    ("--steps", "0"): "steps is 0; it must be at least 1",
    ("--checkpoint-every", "0"): "checkpoint_every is 0; it must be at least 1",
    ("--checkpoint-every", "often"): "checkpoint_every is 'often'; it is a number of steps, a time",
    ("--checkpoint-every", "0s"): "checkpoint_every is '0s'; it is a number of steps, a time",
    ("--plot", "curve.xyz"): "cannot draw into curve.xyz",
    ("--log", "."): "log is a file that can be written; . cannot be: Is a directory",
}  # fmt: skip


@pytest.mark.parametrize("words", WRONG)
def test_what_is_wrong_leaves_the_run_as_it_is(words: tuple[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    stopped(folder)
    before = {name: (folder / name).read_bytes() for name in os.listdir(folder)}
    says(resume(str(folder), *words), WRONG[words])
    assert {name: (folder / name).read_bytes() for name in os.listdir(folder)} == before


def test_a_solved_run_is_at_its_end(tmp_path: Path) -> None:
    run = rnnsim.run("bptt", "script", criterion="loose", window=6, save=tmp_path / "run")
    assert run.outcome == "solved"
    for words in ([], ["--steps", "1000"]):
        says(resume(str(tmp_path / "run"), *words), f"this run solved its task at step {run.solved_at}")


def test_no_folder_and_no_run(tmp_path: Path) -> None:
    says(resume(str(tmp_path / "none")), f"{tmp_path / 'none'} is not a saved run: there is no run.toml")
    says(resume(str(tmp_path)), f"{tmp_path} is not a saved run")
    assert list(tmp_path.iterdir()) == []


HOLD = """
import sys
from pathlib import Path
from rnnsim.files import FolderLock
lock = FolderLock(Path(sys.argv[1]))
assert lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs in a folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_a_folder_in_which_another_process_runs(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    stopped(folder)
    before = contents(folder)
    with held(folder) as process:
        says(resume(str(folder)), f"another process is running in {folder}; wait for its end")
        assert contents(folder) == before
        assert rnnsim.load(folder).steps == 20  # it can be looked at
        process.kill()  # with signal 9
        process.wait()
        assert resume(str(folder)).exit_code == 0
    assert contents(folder) == contents(whole)
