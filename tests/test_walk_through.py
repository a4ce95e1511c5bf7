"""The walk through of the README with your own data: its very commands, each in a process of its own.

Nothing is compiled for it, and so there are few steps and, once they are fetched, few rows.
"""

from __future__ import annotations

import csv
import os
import shlex
import sys
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from processes import run
from test_texts import README, fenced, inline, section

import rnnsim

SECTION = section(README, "Your own data")
COMMANDS = fenced(SECTION, "sh")[0].splitlines()
FEW = ("--steps", "60")  # in place of as many as the task suggests
ROWS = {"temps.csv": slice(-1000, None), "later.csv": slice(300)}  # the later ones follow
UNCOMPILED = {"NUMBA_DISABLE_JIT": "1"}
HOUR = timedelta(hours=1)


def carried_out(command: str, folder: Path) -> str:
    """Carry out a command in a folder; what it prints."""
    program, *words = shlex.split(command)
    if program == "python":
        line = [sys.executable, *words]
    else:
        assert program == "rnnsim"
        code = "import sys; from rnnsim.cli import main; main(sys.argv[1:])"
        line = [sys.executable, "-c", code, *words, *(FEW if words[0] == "run" else ())]
    done = run(*line, cwd=folder, env={**os.environ, **UNCOMPILED})
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder in which the commands were carried out, and what each printed, by its first words."""
    pytest.importorskip("vega_datasets")
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("walk")
    fetch, *others = COMMANDS
    carried_out(fetch, folder)
    for name, rows in ROWS.items():
        head, *lines = (folder / name).read_text().splitlines(keepends=True)
        assert len(lines) > 1000
        (folder / name).write_text(head + "".join(lines[rows]))
    return folder, {" ".join(each.split()[:3]): carried_out(each, folder) for each in others}


def test_the_readme_has_the_steps_of_a_walk() -> None:
    verbs = [command.split()[1] for command in COMMANDS]
    assert verbs == ["-c", "run", "predict", "evaluate", "plot", "run"]
    assert "vega_datasets" in COMMANDS[0]


def test_a_run_says_what_columns_are_for_and_who_forecasts_best(
    walked: tuple[Path, dict[str, str]],
) -> None:
    _, said = walked
    off_line, on_line = said["rnnsim run bptt"], said["rnnsim run rtrl"]
    for text in (off_line, on_line):
        assert "temps.csv: 1,000 rows" in text
        assert "date  time    time" in text
        assert "temp  number  input, target" in text
        assert "best by RMSE: " in text
        for name in ("persistence", "linear path"):
            assert name in text
    assert "of the 1,000 rows 60 were forecast and then learnt" in on_line
    for name in ("seasonal persistence", "ridge autoregression"):
        assert name in off_line


def test_later_rows_are_forecast_with_times_and_intervals(walked: tuple[Path, dict[str, str]]) -> None:
    folder, said = walked
    with (folder / "later.csv").open() as file:
        later = list(csv.DictReader(file))
    with (folder / "forecast.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["date"] for row in rows] == [row["date"] for row in later]
    for row, of in zip(rows[:-1], later[1:]):
        assert row["temp truth"] == of["temp"]
        assert float(row["temp low"]) < float(row["temp"]) < float(row["temp high"])
    assert rows[-1]["temp truth"] == ""  # it is of the future
    last = datetime.fromisoformat(later[-1]["date"])
    assert datetime.fromisoformat(rows[-1]["for"]) == last + HOUR
    errors = [abs(float(row["temp"]) - float(row["temp truth"])) for row in rows[24:-1]]
    moves = [abs(float(a["temp"]) - float(b["temp"])) for a, b in pairwise(later[24:])]
    assert sum(errors) < sum(moves)  # better than persistence
    assert "best by RMSE: " in said["rnnsim evaluate runs/temps"]


def test_a_picture_comes_out(walked: tuple[Path, dict[str, str]]) -> None:
    folder, _ = walked
    png = (folder / "forecast.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    assert min(width, height) > 300


@pytest.mark.usefixtures("uncompiled")
def test_the_line_of_python_runs(walked: tuple[Path, dict[str, str]]) -> None:
    pandas = pytest.importorskip("pandas")
    folder, _ = walked
    (line,) = (code for code in inline(SECTION) if code.startswith("rnnsim.run("))
    frame = pandas.read_csv(folder / "temps.csv")[:200]
    scope: dict[str, Any] = {"rnnsim": rnnsim, "frame": frame}
    found = eval(line, scope)
    assert found.experiment.task.learnt_rows() == 200
    names = [row.forecaster for row in found.evaluate().rows]
    assert names == ["rtrl", "persistence", "linear path"]


def test_a_command_that_fails_is_noticed(tmp_path: Path) -> None:
    """The control."""
    with pytest.raises(AssertionError, match="No such command"):
        carried_out("rnnsim walk", tmp_path)
