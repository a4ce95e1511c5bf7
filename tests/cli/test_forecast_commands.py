"""The verbs that use a trained network: predict, evaluate and plot, on a run of a task of their own."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result
from forecast_task import Waves, as_text, register, table
from processes import run as run_process

import rnnsim
from rnnsim.cli import main
from rnnsim.errors import RnnsimError

pytestmark = pytest.mark.usefixtures("uncompiled")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> rnnsim.Run:
    """A run in the folder ``run`` of the current one, beside rows in ``new.csv``."""
    monkeypatch.chdir(tmp_path)
    register(monkeypatch)
    made = rnnsim.run("rtrl", Waves(ahead=(1, 3)), window=1, steps=20, save="run")
    Path("new.csv").write_text(as_text(table(3, rows=12)))
    return made


def rnnsim_(*args: str, **given: Any) -> Result:
    return CliRunner().invoke(main, args, **given)


def printed(*args: str, **given: Any) -> str:
    result = rnnsim_(*args, **given)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def test_forecasts_are_printed_or_written(run: rnnsim.Run) -> None:
    found = run.predict("new.csv", level=0.8)
    assert printed("predict", "run", "new.csv", "--level", "0.8") == found.as_csv()
    said = printed("predict", "run", "new.csv", "--level", "0.8", "--out", "out.csv")
    assert said == f"{found.title}: out.csv\n"
    assert Path("out.csv").read_text() == found.as_csv()
    printed("predict", "run", "new.csv", "--level", "0.8", "--out", "out.parquet")
    assert pl.read_parquet("out.parquet").equals(found.frame())
    assert found.as_csv() != run.predict("new.csv").as_csv()  # the level counts


def test_forecasts_as_json(run: rnnsim.Run) -> None:
    found = json.loads(printed("predict", "run", "new.csv", "--json"))
    frame = run.predict("new.csv").frame()
    assert [*found["forecasts"][0]] == frame.columns
    assert [line["forecast"] for line in found["forecasts"]] == frame["forecast"].to_list()
    assert found["forecasts"][0]["day"] == "2020-09-13"
    assert (found["horizons"], found["level"], found["rows"]) == ([1, 3], 0.9, 12)
    found = json.loads(printed("predict", "run", "new.csv", "--json", "--out", "out.csv"))
    assert (found["out"], found["forecasts"]) == ("out.csv", None)
    assert Path("out.csv").exists()


def test_a_report_is_printed_or_written(run: rnnsim.Run) -> None:
    report = run.evaluate()
    assert printed("evaluate", "run") == report.as_text("text")
    for form in ("text", "csv", "markdown"):
        assert printed("evaluate", "run", "--format", form) == report.as_text(form)
    assert printed("evaluate", "run", "--out", "report", "--format", "csv") == ""
    assert Path("report").read_text() == report.csv()
    assert json.loads(printed("evaluate", "run", "--json")) == report.as_dict()
    other = run.evaluate("new.csv", level=0.5)
    assert printed("evaluate", "run", "new.csv", "--level", "0.5") == other.as_text("text")
    assert other.text() != report.text()


def test_figures_are_drawn(run: rnnsim.Run) -> None:
    pytest.importorskip("matplotlib")
    assert printed("plot", "run", "--out", "curve.svg") == ""
    printed("plot", "run", "new.csv", "--out", "new.svg")
    printed("plot", "run", "--what", "forecast", "--out", "forecast.png")
    drawn = [Path(name).read_bytes() for name in ("curve.svg", "new.svg", "forecast.png")]
    assert len(set(drawn)) == 3
    assert b"time step" in drawn[0] or b"<path" in drawn[0]
    refused("plot", "run", "--what", "confusion", "--out", "x.png", message="must be of forecasts of")
    refused("plot", "run", "new.csv", "--what", "curve", "--out", "x.png", message="takes none")
    assert not Path("x.png").exists()


def refused(*args: str, message: str, **given: Any) -> None:
    result = rnnsim_(*args, **given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_cannot_be_is_refused(run: rnnsim.Run) -> None:
    refused("predict", "run", "none.csv", message="there is no file none.csv; FILE must be rows")
    Path("bare.csv").write_text("day,high\n2021-01-01,1\n")
    refused("predict", "run", "bare.csv", message="bare.csv: no column is called 'low'; there are")
    rnnsim.run("bptt", "delayed-xor", hidden=2, steps=20, window=10, save="other")
    refused("predict", "other", "new.csv", message="this run is of the task delayed-xor")
    refused("evaluate", "other", message="this run is of the task delayed-xor")
    refused("predict", "run", "new.csv", "--save", "kept", message="--save is for --learn")
    for option in (("--json",), ("--out", "out.csv")):
        refused("predict", "run", "new.csv", "--learn", *option, message="--out and --json are not")
    refused("predict", "run", ".", "--learn", message=". is a folder; --learn reads the lines")


# --- line by line --------------------------------------------------------------------------------------


def test_lines_are_answered_from_a_file_and_from_standard_input(run: rnnsim.Run) -> None:
    text = as_text(table(3, rows=12))
    said = printed("predict", "run", "-", "--learn", input=text)
    assert said == printed("predict", "run", "new.csv", "--learn")
    packed = gzip.compress(text.encode())
    assert said == printed("predict", "run", "-", "--learn", input=packed)
    Path("new.csv.gz").write_bytes(packed)
    assert said == printed("predict", "run", "new.csv.gz", "--learn")
    rows = [*csv.DictReader(io.StringIO(said))]
    assert [row["day"] for row in rows][:2] == ["2020-09-13", "2020-09-14"]
    first = run.predict("new.csv").values[0]
    assert float(rows[0]["high +1"]) == pytest.approx(first[0, 0])
    assert float(rows[0]["low +3"]) == pytest.approx(first[1, 1])


def test_a_line_is_printed_before_the_next_is_read(
    run: rnnsim.Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed_by_then: list[int] = []

    class Pipe:
        def __iter__(self) -> Iterator[str]:
            total = 0
            for line in as_text(table(3, rows=5)).splitlines(keepends=True):
                total += capsys.readouterr().out.count("\n")
                printed_by_then.append(total)
                yield line

    monkeypatch.setattr("sys.stdin", Pipe())
    with pytest.raises(SystemExit) as ended:
        main.main(["predict", "run", "-", "--learn"])
    assert ended.value.code in (0, None)
    assert printed_by_then == [0, 0, 2, 3, 4, 5]  # the header comes with the first row


def test_what_was_learnt_is_kept(run: rnnsim.Run) -> None:
    printed("predict", "run", "new.csv", "--learn", "--save", "kept")
    kept = rnnsim.load("kept")
    assert not np.array_equal(kept.params.W, run.params.W)
    assert np.array_equal(rnnsim.load("run").params.W, run.params.W)
    assert not np.allclose(kept.predict("new.csv").values, run.predict("new.csv").values)
    Path("bad.csv").write_text(as_text(table(3, rows=6)) + "odd,much,1,sun\n")
    result = rnnsim_("predict", "run", "bad.csv", "--learn", "--save", "part")
    assert (result.exit_code, result.stdout.count("\n")) == (2, 7)
    assert "bad.csv, line 8: high is 'much'" in result.stderr
    assert not np.array_equal(rnnsim.load("part").params.W, run.params.W)  # up to there


# --- another process, on a table -----------------------------------------------------------------------


def test_a_line_in_a_line_out_at_once_until_it_is_interrupted(tmp_path: Path) -> None:
    """What comes after the first lines comes only when these have been answered."""
    lines = as_text(table(3, rows=6)).splitlines(keepends=True)
    (tmp_path / "new.csv").write_text(as_text(table(0)))
    made = rnnsim.run("rtrl", "table", path=str(tmp_path / "new.csv"), target="high", ahead="1,3",
                      hidden=2, window=1, steps=20, save=tmp_path / "run")  # fmt: skip
    words = [sys.executable, "-m", "rnnsim", "predict", "run", "-", "--learn", "--save", "kept"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=tmp_path, env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
    ) as process:  # fmt: skip
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            answers = []
            for i, line in enumerate(lines):
                process.stdin.write(line)
                process.stdin.flush()
                answers += [process.stdout.readline() for _ in range((0, 2, 1)[min(i, 2)])]
            assert [answer.split(",")[0] for answer in answers] == ["row", *map(str, range(6))]
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)
            assert (process.returncode, said) == (130, ("", "rnnsim: interrupted\n"))
        finally:
            process.kill()
    kept = rnnsim.load(tmp_path / "kept")
    assert not np.array_equal(kept.params.W, made.params.W)
    first = made.predict(tmp_path / "new.csv").values
    assert first.shape == (120, 2, 1)


def test_text_in_a_column_of_numbers_is_refused(tmp_path: Path) -> None:
    """It would be read as the number of a category."""
    (tmp_path / "old.csv").write_text(as_text(table(0)))
    run = rnnsim.run("rtrl", "table", path=str(tmp_path / "old.csv"), target="high", inputs="high,low",
                     hidden=2, window=1, steps=20)  # fmt: skip
    header, *rows = as_text(table(3, rows=8)).splitlines()
    for column, name in ((1, "high"), (2, "low")):
        cells = [row.split(",") for row in rows]
        cells[4][column] = "much"
        bad = tmp_path / "bad.csv"
        bad.write_text("\n".join([header, *map(",".join, cells)]))
        with pytest.raises(
            RnnsimError, match=rf"bad.csv, line 6: {name} is 'much'; it must be a number"
        ):
            run.predict(str(bad))
    assert len(run.predict(table(3, rows=8))) == 8  # the control


def test_a_table_is_forecast_in_another_process(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text(as_text(table(0)))
    (tmp_path / "new.csv").write_text(as_text(table(3, rows=30)))
    made = rnnsim.run("rtrl", "table", path=str(tmp_path / "old.csv"), target="high,low", hidden=2,
                      window=1, steps=20, save=tmp_path / "run")  # fmt: skip
    words = ("predict", "run", "new.csv", "--out", "out.parquet")
    done = run_process(sys.executable, "-m", "rnnsim", *words, cwd=tmp_path,
                       env={**os.environ, "NUMBA_DISABLE_JIT": "1"})  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert found.equals(made.predict(str(tmp_path / "new.csv")).frame())
    assert found["day"].dtype == pl.Date
    assert made.evaluate().rows[0].forecaster == "rtrl"
