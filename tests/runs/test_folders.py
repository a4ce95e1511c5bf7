"""What a run leaves behind: the folder it is saved in and read from again, and the figure."""

from __future__ import annotations

import csv
import errno
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from plain_loop import Script
from processes import run as run_command
from safetensors.numpy import save as as_file

import rnnsim
from rnnsim import folders
from rnnsim.cli import main
from rnnsim.errors import RnnsimError, RnnsimWarning
from rnnsim.training.evaluation import Evaluation


@pytest.fixture(scope="module")
def run() -> rnnsim.Run:
    return rnnsim.run("bptt", Script(), criterion="loose", window=6)


def load(folder: Path) -> rnnsim.Run:
    return rnnsim.load(folder, task=Script())


def test_a_saved_run_comes_back(run: rnnsim.Run, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert run.save(folder) == folder
    saved = load(folder)
    assert run.solved_at is not None
    assert (saved.solved_at, saved.loss, saved.outcome) == (run.solved_at, run.loss, "solved")
    assert repr(saved.experiment) == repr(run.experiment)
    assert saved.summary() == run.summary()
    for array, other in zip(saved.params, run.params):
        np.testing.assert_array_equal(array, other)
    assert list(saved.metrics) == list(run.metrics)
    for name, column in saved.metrics.items():
        np.testing.assert_array_equal(column, run.metrics[name])


def test_saving_while_running_is_saving_after_it(run: rnnsim.Run, tmp_path: Path) -> None:
    rnnsim.run("bptt", Script(), criterion="loose", window=6, save=tmp_path / "x")
    assert load(tmp_path / "x").solved_at == run.solved_at
    with open(tmp_path / "x" / "metrics.csv", newline="") as file:
        assert next(csv.reader(file)) == ["step", "loss", "error"]


def test_a_run_that_did_not_solve_comes_back_so(tmp_path: Path) -> None:
    rnnsim.run("bptt", Script(), window=6, steps=1, save=tmp_path)
    assert load(tmp_path).solved_at is None


def test_what_is_registered_nowhere_is_given(run: rnnsim.Run, tmp_path: Path) -> None:
    run.save(tmp_path)
    with pytest.raises(RnnsimError, match=r"the task of this run is registered nowhere, .* by task="):
        rnnsim.load(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("run.toml", None),
        ("metrics.csv", None),
        ("arrays.safetensors", None),
        ("run.toml", b""),
        ("run.toml", b"result = 3"),
        ("run.toml", b"[result]\nloss = 'low'"),
        ("run.toml", b"[result]\nloss = 1.0\nsolved_at = 'soon'"),
        ("run.toml", b"not toml at all"),
        ("run.toml", b"\xff\xfe\x00"),
        ("run.toml", b"a = " + b"[" * 50_000),
        ("run.toml", b"[result]\nloss = inf"),
        ("run.toml", b"[result]\nloss = nan"),
        ("run.toml", b"[result]\nloss = true"),
        ("run.toml", b"[result]\nloss = 1" + b"0" * 400),
        ("run.toml", b"[result]\nloss = 1.0\nsolved_at = -5"),
        ("run.toml", b"[result]\nloss = 1.0\nsolved_at = 0"),
        ("run.toml", b"[result]\nloss = 1.0\nsolved_at = 5\nsteps = 4"),
        ("run.toml", b"[result]\nloss = 1.0\nsteps = 0"),
        ("run.toml", b"[result]\nloss = 1.0\nseconds = -1.0"),
        ("run.toml", b"[result]\nloss = 1.0\nseconds = nan"),
        ("run.toml", b"[settings]\nsteps = 6"),
        ("run.toml", b"[result]\noutcome = 'perhaps'"),
        ("run.toml", b"[result]\nloss = 1.0\n[surprise]\nx = 1"),
        ("run.toml", b"[result]\nloss = 1.0\n[settings]\nlerning_rate = 0.1"),
        ("run.toml", b"[result]\nloss = 1.0\n[settings]\nlearning_rate = nan"),
        ("run.toml", b"[result]\nloss = 1.0\n[settings]\nlearning_rate = -0.1"),
        ("run.toml", b"[result]\nloss = 1.0\n[settings]\nclip = 0.0"),
        ("run.toml", b"[result]\nloss = 1.0\n[settings]\nseed = -1"),
        ("run.toml", b"[result]\nloss = 1.0\n[settings]\nbatch = 0"),
        ("run.toml", b"rule = 3\n[result]\nloss = 1.0"),
        ("run.toml", b"network = 3\n[result]\nloss = 1.0"),
        ("run.toml", b"[result]\nloss = 1.0\n[rule.options.c.d.e.f.g.h.i]\nj = 1"),
        ("metrics.csv", b"step,loss,loss\n1,1,1\n"),
        ("metrics.csv", b"step,error\n1,1\n"),
        ("metrics.csv", b"loss,error\n1,1\n"),
        ("metrics.csv", b"step,loss\n1,nan\n"),
        ("metrics.csv", b"step,loss\n1,inf\n"),
        ("metrics.csv", b"step,loss\n0,1\n"),
        ("metrics.csv", b"step,loss\n1.5,1\n"),
        ("metrics.csv", b"step,loss\n2,1\n2,1\n"),
        ("metrics.csv", b"step,loss\nnan,1\n"),
        ("metrics.csv", b"step,loss\n100000,1\n"),
        ("metrics.csv", b""),
        ("metrics.csv", b"step,loss\n1,abc\n"),
        ("metrics.csv", b"step,loss\n1\n"),
        ("metrics.csv", b"\xff\xfe"),
        ("metrics.csv", b'step,"' + b"x" * 200_000),
        ("arrays.safetensors", b""),
        ("arrays.safetensors", b"\x00" * 100),
        ("arrays.safetensors", b"\xff" * 100),
        ("arrays.safetensors", as_file({})),
        ("arrays.safetensors", as_file({"params.W": np.array([1.0, np.nan])})),
        ("arrays.safetensors", as_file({"params.W": np.array([1.0, -np.inf])})),
        ("arrays.safetensors", as_file({"params.W": np.arange(3)})),
        ("arrays.safetensors", as_file({"params.W": np.ones(2, np.float16)})),
        ("arrays.safetensors", as_file({"params.W": np.ones((2, 2))})),
    ],
)
def test_a_damaged_run_is_one_clear_error(
    run: rnnsim.Run, tmp_path: Path, file: str, content: bytes | None
) -> None:
    run.save(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    message = "no run|is not a saved run" if content is None else "damaged"
    with pytest.raises(RnnsimError, match=message) as caught:
        load(tmp_path)
    assert str(tmp_path) in str(caught.value)


# --- what is read has a bound --------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["run.toml", "metrics.csv", "arrays.safetensors"])
def test_what_is_too_large_is_refused_before_it_is_read(
    run: rnnsim.Run, tmp_path: Path, file: str
) -> None:
    run.save(tmp_path)
    with open(tmp_path / file, "r+b") as opened:
        opened.truncate(10**13)  # it takes no place on the disk
    start = time.process_time()
    with pytest.raises(RnnsimError, match="holds a damaged run"):
        rnnsim.load(tmp_path)
    assert time.process_time() - start < 2


def test_a_large_header_is_refused_before_it_is_read(run: rnnsim.Run, tmp_path: Path) -> None:
    run.save(tmp_path)
    (tmp_path / "arrays.safetensors").write_bytes((10**8).to_bytes(8, "little") + b" " * 10**8)
    with pytest.raises(RnnsimError, match=r"the header of arrays\.safetensors has more than"):
        rnnsim.load(tmp_path)


@pytest.mark.parametrize("part", ["a", "'a'"])
def test_a_long_key_takes_no_time(run: rnnsim.Run, tmp_path: Path, part: str) -> None:
    run.save(tmp_path)
    most = folders.MOST
    for parts in (100_000, (most - 50) // (len(part) + 1)):
        (tmp_path / "run.toml").write_text(".".join([part] * parts) + " = 1\n[result]\nloss = 1.0\n")
        start = time.process_time()
        with pytest.raises(RnnsimError, match="damaged"):
            rnnsim.load(tmp_path)
        assert time.process_time() - start < 2


def test_many_long_keys_take_little_time(run: rnnsim.Run, tmp_path: Path) -> None:
    run.save(tmp_path)
    keys = (f"k{i}." + ".".join("a" * (folders.MOST_DOTS - 1)) + " = 1\n" for i in range(10))
    (tmp_path / "run.toml").write_text("".join(keys) + "[result]\nloss = 1.0\n")
    start = time.process_time()
    with pytest.raises(RnnsimError, match="tables within tables, more than 8 levels"):
        rnnsim.load(tmp_path)
    assert time.process_time() - start < 10


def test_a_cut_off_parameter_file_is_damaged(run: rnnsim.Run, tmp_path: Path) -> None:
    run.save(tmp_path)
    path = tmp_path / "arrays.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RnnsimError, match="damaged"):
        rnnsim.load(tmp_path)


def test_no_folder_is_no_saved_run(tmp_path: Path) -> None:
    with pytest.raises(RnnsimError, match=r"is not a saved run: there is no run\.toml"):
        rnnsim.load(tmp_path / "nowhere")


def test_a_folder_that_cannot_be_made_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RnnsimError, match="cannot save the run in"):
        rnnsim.run("bptt", Script(), steps=10**9, save=tmp_path / "file" / "x")


def test_looking_whether_a_run_can_be_saved_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RnnsimError):
        rnnsim.run("bptt", Script(), steps=1, save=tmp_path / "a" / "b", learning_rate=-1)
    folders.check_writable(tmp_path / "a" / "b")
    folders.check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["", None, 3, b"run", "a\0b", "\ud800", "x" * 300])
def test_what_is_no_folder_is_refused(run: rnnsim.Run, folder: Any, tmp_path: Path) -> None:
    before = os.listdir()
    with pytest.raises(RnnsimError):
        run.save(folder)
    with pytest.raises(RnnsimError):
        rnnsim.load(folder)
    if folder is not None:
        with pytest.raises(RnnsimError):
            rnnsim.run("bptt", Script(), steps=10**9, save=folder)
    assert os.listdir() == before


# --- what is said in run.toml --------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_is_left_out(run: rnnsim.Run, tmp_path: Path) -> None:
    diverged = replace(run, held_out=Evaluation(np.inf, np.nan))
    diverged.save(tmp_path)
    saved = load(tmp_path)
    assert np.isnan(saved.loss)
    with open(tmp_path / "run.toml", "rb") as file:
        assert set(tomllib.load(file)["result"]) == {"outcome", "solved_at", "steps", "seconds"}


def test_what_would_not_be_read_again_is_not_written(run: rnnsim.Run, tmp_path: Path) -> None:
    run.save(tmp_path)
    nothing = run.params._replace(W=run.params.W * np.nan)
    for odd, message in (
        (replace(run, params=nothing), "params.W holds values that are not finite"),
        (replace(run, seconds=-1.0), "seconds is -1.0"),
        (replace(run, outcome="perhaps"), "no outcome of a run is called 'perhaps'"),
        (replace(run, experiment=replace(run.experiment, settings="x" * 2**20)), "bytes, more than"),
    ):
        with pytest.raises(RnnsimError, match=message):
            odd.save(tmp_path)
    assert load(tmp_path).loss == run.loss


# --- a full disk ---------------------------------------------------------------------------------------


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_run_that_cannot_be_saved_is_not_lost(
    run: rnnsim.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.save(tmp_path / "run")
    monkeypatch.setattr("rnnsim.files._write_new", full_disk)
    for folder in ("run", "new/run"):
        with pytest.warns(RnnsimWarning, match="cannot save the run in .*: No space left on") as said:
            again = rnnsim.run(
                "bptt", Script(), criterion="loose", window=6, seed=1, save=tmp_path / folder
            )
        assert str(said[-1].message).endswith("; its method save tries again")
        assert again.experiment.seed == 1
    with pytest.raises(RnnsimError, match="No space left on device"):
        again.save(tmp_path / "run")
    assert load(tmp_path / "run").experiment.seed == 0
    assert os.listdir(tmp_path) == ["run"]


def test_a_figure_that_cannot_be_written_leaves_the_old_one(
    run: rnnsim.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "curve.png").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(RnnsimError, match=r"cannot draw into .*curve\.png: No space left on device"):
        run.plot(tmp_path / "curve.png")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 kB, where this user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, timeout=60, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], timeout=60, check=True)


def test_on_a_full_disk_the_old_run_stands_and_the_new_result_is_shown(small_disk: Path) -> None:
    def command(seed: int, *more: str) -> subprocess.CompletedProcess[str]:
        words = (
            "rtrl",
            "delayed-xor",
            "--steps",
            "20",
            "--seed",
            str(seed),
            "--save",
            str(small_disk / "run"),
        )
        return run_command(sys.executable, "-m", "rnnsim", "run", *words, *more,
                           env={**os.environ, "NUMBA_DISABLE_JIT": "1"})  # fmt: skip

    assert command(1).returncode == 0
    (small_disk / "ballast").write_bytes(bytes(150_000))
    failed = command(2, "--hidden", "60")
    assert failed.returncode == 2
    assert failed.stdout.startswith("rtrl on delayed-xor, seed 2: not solved (20 steps")
    assert (
        failed.stderr
        == f"rnnsim: cannot save the run in {small_disk / 'run'}: No space left on device\n"
    )
    saved = rnnsim.load(small_disk / "run")
    assert saved.experiment.seed == 1
    assert saved.params.W.shape != (60, 60)
    assert sorted(os.listdir(small_disk / "run")) == ["arrays.safetensors", "metrics.csv", "run.toml"]


COMMAND = ("run", "bptt", "delayed-xor", "--steps", "20", "--save")


@pytest.mark.usefixtures("uncompiled")
def test_a_failed_save_does_not_cost_the_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("rnnsim.files.replace_together", full_disk)
    folder, figure = tmp_path / "run", tmp_path / "curve.svg"
    result = CliRunner().invoke(main, [*COMMAND, str(folder), "--plot", str(figure)])
    assert result.exit_code == 2
    assert result.stdout.startswith("bptt on delayed-xor, seed 0: not solved (20 steps")
    failed = f"cannot save the run in {folder}: No space left on device"
    assert result.stderr.endswith(f"rnnsim: {failed}\n")
    assert f"note: {failed}; the run goes on without checkpoints" in result.stderr
    assert list(tmp_path.iterdir()) == [figure]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_summary_that_cannot_be_printed_does_not_cost_the_run(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = run_command(
            sys.executable, "-m", "rnnsim", *COMMAND, str(tmp_path / "run"),
            capture_output=False, stdout=full, stderr=subprocess.DEVNULL,
            env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        )  # fmt: skip
    assert done.returncode != 0
    assert rnnsim.load(tmp_path / "run").experiment.seed == 0


def test_no_name_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [*COMMAND, ""])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "rnnsim: save, the folder of a run, is a path, not ''\n"
    assert list(tmp_path.iterdir()) == []


def test_plot_draws_a_figure(run: rnnsim.Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "curve.png"
    figure = run.plot(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    step, loss = figure.axes[0].lines[0].get_data()
    np.testing.assert_array_equal(step, run.metrics["step"])
    np.testing.assert_array_equal(loss, run.metrics["loss"])
    assert run.plot() is not figure


@pytest.mark.parametrize("name", ["curve.xyz", "curve", "none/curve.png"])
def test_a_figure_that_cannot_be_written_is_refused(run: rnnsim.Run, tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(RnnsimError, match="cannot draw into"):
        run.plot(tmp_path / name)
