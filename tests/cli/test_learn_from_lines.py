"""``rnnsim predict --learn`` reads lines as the file of the run was read, and times come out alike."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import rnnsim
from rnnsim.cli import main
from rnnsim.data.cells import Style, number_in
from rnnsim.data.times import rewritten

pytestmark = pytest.mark.usefixtures("uncompiled")
ROWS = 60
DAYS = np.datetime64("2021-01-01") + np.arange(ROWS)
HOURS = np.datetime64("2021-01-01T05:30") + np.arange(ROWS) * np.timedelta64(1, "h")
X = np.random.default_rng(0).normal(size=ROWS).cumsum().round(3) * 1000 + 20_000


def german(x: float) -> str:
    return f"{x:,.2f}".translate({ord(","): ".", ord("."): ","})


def dotted(day: Any) -> str:
    return f"{day.astype(object):%d.%m.%Y}"


def rows(times: Any, values: Any, separator: str) -> str:
    return "".join(f"{time}{separator}{value}\n" for time, value in zip(times, values))


# what is in the file, how the run is told to read it, and how its times come out
FILES: dict[str, tuple[str, dict[str, Any], str]] = {
    "plain": ("day,x\n" + rows(DAYS, X, ","), {}, "2021-01-03"),
    "german": ("Tag;Menge\n" + rows(map(dotted, DAYS), map(german, X), ";"), {}, "2021-01-03"),
    "comments": ("# taken by hand\n\nday;x\n" + rows(DAYS, X, ";").replace("\n", "\n# so\n\n", 3), {},
                 "2021-01-03"),
    "tabs, hours": ("when\tx\n" + rows((str(h).replace("T", " ") for h in HOURS), X, "\t"), {},
                    "2021-01-01 07:30:00"),
    "spaces": ("day x\n" + rows(DAYS, X, "   "), {}, "2021-01-03"),
    "epoch": ("time,x\n" + rows(HOURS.astype("M8[s]").astype(int), X, ","), {}, "2021-01-01 07:30:00"),
    "years": ("year,x\n" + rows(range(1900, 1900 + ROWS), X, ","), {}, "1902"),
    "units": ("day,x\ndate,kWh\n" + rows(DAYS, X, ","), {}, "2021-01-03"),
    "as it is said": ("~ told\nday:x\n" + rows(DAYS, [*X[:9], -7, *X[10:]], ":"),
                      {"separator": ":", "comment": "~", "na": -7}, "2021-01-03"),
    "a bar, and empty": ("|day|x|\n" + rows((f"|{day}" for day in DAYS), (f"{x}|" for x in X), "|"), {},
                         "2021-01-03"),
}  # fmt: skip


def table(*args: str, **given: Any) -> list[dict[str, str]]:
    result = CliRunner().invoke(main, args, **given)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return [*csv.DictReader(io.StringIO(result.stdout))]


@pytest.mark.parametrize("name", FILES)
def test_lines_are_read_as_the_file_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A network that does not learn says the same of both, line by line and of a file."""
    monkeypatch.chdir(tmp_path)
    text, options, third = FILES[name]
    Path("t.csv").write_text(text, encoding="utf-8")
    rnnsim.run("rtrl", "t.csv", hidden=2, window=1, steps=20, learning_rate=0.0, save="run", **options)
    whole = table("predict", "run", "t.csv")
    for said in (
        table("predict", "run", "t.csv", "--learn"),
        table("predict", "run", "-", "--learn", input=text),
    ):
        assert len(said) == len(whole) == ROWS
        target = next(column for column in said[0] if column in ("x", "Menge"))
        time = next(iter(whole[0].keys() - {"row", "for"} - {f"{target}{k}" for k in (
            "", " low", " high", " truth")}))  # fmt: skip
        assert said[2][time] == third
        assert [row[time] for row in said] == [row[time] for row in whole]
        np.testing.assert_allclose([float(row[target]) for row in said],
                                   [float(row[target]) for row in whole], rtol=1e-9)  # fmt: skip


def test_the_encoding_is_that_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "Wärme\n" + "".join(f"{x}\n" for x in X)
    Path("t.csv").write_text(text, encoding="latin-1")
    rnnsim.run("rtrl", "t.csv", encoding="latin-1", hidden=2, window=1, steps=20, save="run")
    assert "Wärme" in table("predict", "run", "t.csv", "--learn")[0]
    assert "Wärme" in table("predict", "run", "-", "--learn", input=text.encode("latin-1"))[0]
    rnnsim.run("rtrl", "t.csv", hidden=2, window=1, steps=20, save="other")
    for args, given in ((("t.csv",), {}), (("-",), {"input": text.encode("latin-1")})):
        assert "Wärme" in table("predict", "other", *args, "--learn", **given)[0]  # as a file is read
    Path("t.csv").write_text(text.replace("ä", "ae"))
    rnnsim.run("rtrl", "t.csv", encoding="ascii", hidden=2, window=1, steps=20, save="ascii")
    result = CliRunner().invoke(main, ["predict", "ascii", "-", "--learn"], input=text.encode("latin-1"))
    assert result.exit_code == 2
    assert "standard input is not in ascii, the encoding= of the run" in result.stderr
    Path("wide.csv").write_text(text, encoding="utf-16")  # which its first bytes tell
    assert "Wärme" in table("predict", "other", "wide.csv", "--learn")[0]


def test_a_number_is_read_in_the_style_that_was_found() -> None:
    plain, comma, german_ = Style(), Style(","), Style(",", ".")
    assert number_in("1.234", [plain]) == 1.234
    assert number_in("1.234", [german_]) == 1234
    assert number_in("1.234,5", [german_]) == 1234.5
    assert number_in("1.5", [german_]) is None
    assert number_in("1,5", [plain, comma]) == 1.5
    assert number_in("\u22121 234,5", [Style(",", " ")]) == -1234.5
    assert number_in("-inf") == -np.inf
    assert [number_in(cell) for cell in ("1_000", "much", "", "1,5")] == [None] * 4


def test_times_that_are_none_stand_as_they_are() -> None:
    assert rewritten("31.12.2020", "%d.%m.%Y") == "2020-12-31"
    assert rewritten("2020Q2", "quarters") == "2020-04-01"
    assert rewritten("2020-01-01 00:00:00.25", "%Y-%m-%d %H:%M:%S.%f") == "2020-01-01 00:00:00.250"
    assert rewritten("2020-01-01T02:00:00+0200", "%Y-%m-%dT%H:%M:%S%z") == "2020-01-01 00:00:00"
    for cell in ("soon", "", "2020-31-12"):
        assert rewritten(cell, "%Y-%m-%d") == cell
    assert rewritten("soon", "epoch seconds") == "soon"
    assert rewritten("31.12.2020", "") == "31.12.2020"
