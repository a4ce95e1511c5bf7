"""What a run leaves behind: the folder it is saved in and read from again, and the figure."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from plain_loop import Script

import rnnsim
from rnnsim.errors import RnnsimError


@pytest.fixture(scope="module")
def run() -> rnnsim.Run:
    return rnnsim.run("bptt", Script(), criterion="loose", window=6)


def test_a_saved_run_comes_back(run: rnnsim.Run, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert run.save(folder) == folder
    saved = rnnsim.load(folder)
    assert run.solved_at is not None
    assert (saved.solved_at, saved.loss) == (run.solved_at, run.loss)
    assert saved.summary["settings"]["learning_rate"] == 0.1
    assert saved.summary["rule"] == {"name": "bptt", "checkpoint": False}
    assert set(saved.params) == set(run.params._fields)
    for name, array in saved.params.items():
        np.testing.assert_array_equal(array, getattr(run.params, name))
    assert list(saved.metrics) == list(run.metrics)
    for name, column in saved.metrics.items():
        np.testing.assert_array_equal(column, run.metrics[name])


def test_saving_while_running_is_saving_after_it(run: rnnsim.Run, tmp_path: Path) -> None:
    rnnsim.run("bptt", Script(), criterion="loose", window=6, save=tmp_path / "x")
    assert rnnsim.load(tmp_path / "x").solved_at == run.solved_at
    with open(tmp_path / "x" / "metrics.csv", newline="") as file:
        assert next(csv.reader(file)) == ["step", "loss", "error"]


def test_a_run_that_did_not_solve_comes_back_so(tmp_path: Path) -> None:
    rnnsim.run("bptt", Script(), window=6, steps=1, save=tmp_path)
    assert rnnsim.load(tmp_path).solved_at is None


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("run.toml", None),
        ("metrics.csv", None),
        ("params.safetensors", None),
        ("run.toml", b""),
        ("run.toml", b"result = 3"),
        ("run.toml", b"[result]\nloss = 'low'"),
        ("run.toml", b"[result]\nloss = 1.0\nsolved_at = 'soon'"),
        ("run.toml", b"not toml at all"),
        ("run.toml", b"\xff\xfe\x00"),
        ("run.toml", b"a = " + b"[" * 100_000),
        ("metrics.csv", b""),
        ("metrics.csv", b"step,loss\n1,abc\n"),
        ("metrics.csv", b"step,loss\n1\n"),
        ("metrics.csv", b"\xff\xfe"),
        ("metrics.csv", b'step,"' + b"x" * 200_000),
        ("params.safetensors", b""),
        ("params.safetensors", b"\x00" * 100),
        ("params.safetensors", b"\xff" * 100),
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
        rnnsim.load(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_cut_off_parameter_file_is_damaged(run: rnnsim.Run, tmp_path: Path) -> None:
    run.save(tmp_path)
    path = tmp_path / "params.safetensors"
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
