"""Which columns are inputs, targets, time, sequence, and which are left out, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnsim.data.columns import Columns
from rnnsim.data.reading import read
from rnnsim.data.role_table import described
from rnnsim.data.roles import Asked, as_categories, names_in, roles_of
from rnnsim.errors import RnnsimError, UnknownName

ROWS = 6
WIND = [2.5, 3, 1, 4, 2, 2.25]
TABLE: dict[str, Any] = {
    "row": np.arange(ROWS),
    "when": np.datetime64("2020-01-01") + np.arange(ROWS),
    "wind": WIND,
    "rain": np.array([True, False, True, True, False, True]),
    "sky": ["blue", "grey", "blue", "grey", "grey", "blue"],
    "code": [3, 1, 2, 2, 1, 3],
    "fixed": np.full(ROWS, 7.5),
}


@pytest.fixture(scope="module")
def table() -> Columns:
    return read(TABLE)


def test_by_default_numbers_and_booleans_are_inputs_and_targets(table: Columns) -> None:
    roles = roles_of(table)
    assert roles.inputs == roles.targets == ("wind", "rain", "code")
    assert (roles.time, roles.sequence, roles.classes) == ("when", None, False)
    assert roles.left_out == {
        "row": "row numbers",
        "sky": "text of 2 kinds",
        "fixed": "the same in all rows",
    }


def test_what_is_asked_for(table: Columns) -> None:
    asked = roles_of(table, Asked(inputs="row, sky", target=["wind", "code"], time="row"))
    assert (asked.inputs, asked.targets, asked.time) == (("row", "sky"), ("wind", "code"), "row")
    assert asked.left_out["when"] == "time stamps"
    assert asked.left_out["rain"] == "not asked for"
    same_row = roles_of(table, Asked(target="wind", ahead=0))
    assert (same_row.inputs, same_row.targets) == (("rain", "code"), ("wind",))
    later = roles_of(table, Asked(target="wind"))
    assert later.inputs == ("wind", "rain", "code")
    by_code = roles_of(table, Asked(sequence="code"))
    assert (by_code.inputs, by_code.sequence) == (("wind", "rain"), "code")


def test_classes(table: Columns) -> None:
    classes = {
        (target, kind): roles_of(table, Asked(target=target, kind=kind)).classes
        for target in ("sky", "rain", "code", "wind")
        for kind in ("auto", "number", "class")
        if (target, kind) not in (("sky", "number"), ("wind", "class"))
    }
    assert classes == {
        ("sky", "auto"): True, ("sky", "class"): True,
        ("rain", "auto"): True, ("rain", "number"): False, ("rain", "class"): True,
        ("code", "auto"): False, ("code", "number"): False, ("code", "class"): True,
        ("wind", "auto"): False, ("wind", "number"): False,
    }  # fmt: skip
    assert roles_of(table, Asked(target="sky")).inputs == ("wind", "rain", "code")
    assert not roles_of(table).classes  # booleans are not, where they are not asked for


def test_whole_numbers_as_categories(table: Columns) -> None:
    code = as_categories(table.columns["code"])
    assert (code.kind, code.categories) == ("category", ("1", "2", "3"))
    assert code.values.tolist() == [2, 0, 1, 1, 0, 2]
    assert as_categories(table.columns["rain"]).categories == ("false", "true")
    some = read({"a": [4, np.nan, 2, 4]}).columns["a"]
    assert np.array_equal(as_categories(some).values, [1, np.nan, 0, 1], equal_nan=True)
    assert table.columns["code"].values.tolist() == TABLE["code"]


def test_a_time_is_found(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for header, cells in {
        "year": "1990 1991 1992",
        "t": "0.5 0.75 1.0",
        "month": "2020-03 2020-04 2020-05",
        "n": "1700000000 1700000060 1700000120",
    }.items():
        rows = "".join(f"{cell},{i * i}.5\n" for i, cell in enumerate(cells.split()))
        path.write_text(f"{header},b\n{rows}")
        roles = roles_of(read(path))
        assert (roles.time, roles.inputs) == (header, ("b",))
        asked = roles_of(read(path), Asked(inputs=f"{header},b"))
        assert (asked.time, asked.inputs) == (None, (header, "b"))


LOOKS = "id looks like the name of a sequence: sequence=id keeps its rows together"


def test_what_looks_like_the_name_of_a_sequence() -> None:
    x = np.arange(6.0) ** 2
    blocks = read({"id": list("AAABBB"), "x": x})
    assert roles_of(blocks).notes == (LOOKS,)
    assert roles_of(blocks, Asked(sequence="id")).notes == ()
    in_turn = read({"id": list("ABABAB"), "x": x, "year": [1990, 1990, 1991, 1991, 1992, 1992]})
    assert roles_of(in_turn).notes == (LOOKS,)
    one_time = read({"id": list("ABABAB"), "x": x, "year": [1990, 1991, 1992, 1993, 1994, 1995]})
    assert roles_of(one_time).notes == ()
    numbered = read({"id": [7, 7, 7, 3, 3, 3], "x": x})
    assert roles_of(numbered).notes == (LOOKS,)
    all_different = read({"id": list("ABCDEF"), "x": x})
    assert roles_of(all_different).notes == ()


WRONG: list[tuple[Asked, type[RnnsimError], str]] = [
    (Asked(inputs="wnd"), UnknownName, "the mapping: no column is called 'wnd'; did you mean wind?"),
    (Asked(target=["wind", "nothing"]), UnknownName, "the mapping: no column is called 'nothing'; there "
     "are code, fixed, rain, row, sky, when, wind"),
    (Asked(time="whn"), UnknownName, "the mapping: no column is called 'whn'; did you mean when?"),
    (Asked(sequence="skye"), UnknownName, "the mapping: no column is called 'skye'; did you mean sky?"),
    (Asked(inputs="wind,wind"), RnnsimError, "a column is named twice in inputs; name each once"),
    (Asked(inputs="wind", ahead=0), RnnsimError, "with ahead=0 the target wind is an input of "
     "the same row; use ahead=1 or more, or another target"),
    (Asked(kind="both"), RnnsimError, "kind is auto, number or class, not 'both'"),
    (Asked(kind="class"), RnnsimError, "kind=class needs one target, not 3; target= names it"),
    (Asked(target="wind", kind="class"), RnnsimError, "the target wind cannot be classes: it holds "
     "2.25; classes are text or whole numbers"),
    (Asked(target="sky", kind="number"), RnnsimError, "the mapping: the target sky is text, which "
     "goes with kind=class and with no other target; here: kind=number"),
    (Asked(target="sky,wind"), RnnsimError, "the mapping: the target sky is text, which "
     "goes with kind=class and with no other target; here: 2 targets"),
    (Asked(inputs="sky"), RnnsimError, "the inputs sky are text; target= names what is to be predicted"),
    (Asked(time="sky"), RnnsimError, "the mapping: the column sky is no time, but text; dates "
     "are read as 2020-12-31, 31.12.2020, 12/31/2020 and the like"),
    (Asked(time="row", sequence="row"), RnnsimError, "row is named as time and as sequence; they are "
     "two columns"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "error", "message"), WRONG, ids=lambda value: None)
def test_what_is_refused(table: Columns, asked: Asked, error: type[RnnsimError], message: str) -> None:
    with pytest.raises(RnnsimError) as caught:
        roles_of(table, asked)
    assert (type(caught.value), str(caught.value)) == (error, message)


def test_without_any_input() -> None:
    with pytest.raises(RnnsimError) as caught:
        roles_of(read({"row": np.arange(4), "sky": ["x", "y", "x", "x"]}))
    assert str(caught.value) == (
        "the mapping has no column of numbers to take as an input (row: row numbers; sky: text of 2 "
        "kinds); inputs= takes one all the same"
    )
    with pytest.raises(RnnsimError, match="the target k has 4 classes, which are rather identifiers"):
        roles_of(read({"x": [1.5, 2, 4, 3], "k": list("abcd")}), Asked(target="k"))
    with pytest.raises(RnnsimError, match=r"^the mapping: the column e is empty$"):
        roles_of(read({"x": [1.5, 2, 4], "e": [np.nan] * 3}), Asked(inputs="e"))


@pytest.mark.parametrize("interleaved", [False, True])
def test_rows_are_counted_and_time_goes_on_in_each_sequence(interleaved: bool) -> None:
    data = {"id": np.repeat(["u", "v"], 5), "step": np.tile(np.arange(5), 2),
            "t": np.tile(np.arange(5) * 0.1, 2), "x": np.arange(10.0) ** 2}  # fmt: skip
    order = np.argsort(np.tile(np.arange(5), 2), kind="stable") if interleaved else np.arange(10)
    found = read({name: values[order] for name, values in data.items()})
    roles = roles_of(found, Asked(sequence="id"))
    assert (roles.inputs, roles.time, roles.left_out) == (("x",), "t", {"step": "row numbers"})
    assert roles_of(found).inputs == ("step", "t", "x")  # of one sequence they are neither


def test_there_may_be_no_time() -> None:
    data = {"day": ["2020-01-03", "2020-01-01", "2020-01-02"], "a": [1.5, 2, 4]}
    assert roles_of(read(data)).time == "day"
    roles = roles_of(read(data), Asked(time="no"))
    assert (roles.time, roles.inputs, roles.left_out) == (None, ("a",), {"day": "time stamps"})
    named = {"no" if name == "day" else name: values for name, values in data.items()}
    assert roles_of(read(named), Asked(time="no")).time == "no"  # a column that is called so
    with pytest.raises(RnnsimError, match="no column is called 'none'"):
        roles_of(read(data), Asked(time="none"))


def test_trouble_is_of_whoever_uses_the_column(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1.5,5%\n2,6%\n4,7%\n")
    found = read(path)
    for asked in (Asked(), Asked(inputs="b"), Asked(inputs="a", target="b")):
        with pytest.raises(RnnsimError, match=r"^t\.csv, line 2, column b: '5%' is no plain number"):
            roles_of(found, asked)
    assert roles_of(found, Asked(inputs="a")).left_out == {"b": "not numbers throughout"}


def test_names_in_a_text() -> None:
    assert names_in(' a, "b, c" ,d ') == ("a", "b, c", "d")
    assert names_in("b, c", ["b, c", "d"]) == ("b, c",)
    assert names_in(["b, c"]) == ("b, c",)
    assert names_in("") == ()


def test_the_table_for_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = zip(range(1990, 1996), [1.5, "NA", 2, 4, 3, 9], "xyxxyx", "AAABBB")
    cells = "".join(f"{year},{wind},{sky},{name},\n" for year, wind, sky, name in rows)
    path.write_text("year,wind,sky,id,\n,m/s,,,\n" + cells)
    found = read(path)
    assert (
        described(found, roles_of(found, Asked(target="sky")))
        == """\
t.csv: 6 rows
  year  number                   time
  wind  number [m/s], 1 missing  input
  sky   2 categories             target (classes)
  id    2 categories             left out: text of 2 kinds
  line 2 holds units
  column 5 has no name and is empty: dropped
  id looks like the name of a sequence: sequence=id keeps its rows together"""
    )


def test_of_many_columns_those_are_told_that_differ() -> None:
    x = np.array([1.5, 2, 4, 3])
    wide = read({f"x{i}": x for i in range(100)})
    assert described(wide, roles_of(wide)).splitlines()[1:] == [
        "  x0   number  input, target", "  and 98 like these", "  x99  number  input, target",
    ]  # fmt: skip
    mixed = {f"x{i}": np.full(4, 7.0) if i == 50 else x for i in range(100)}
    told = described(read(mixed), roles_of(read(mixed))).splitlines()
    assert [line.split()[0] for line in told[1:]] == ["x0", "and", "x49", "x50", "x51", "and", "x99"]
    assert "left out" in told[4]
    few = read({f"x{i}": x for i in range(12)})
    assert len(described(few, roles_of(few)).splitlines()) == 13
    in_turn = {f"x{i}": np.full(4, 7.0) if i % 2 else x for i in range(100)}
    *lines, more, left_out = described(read(in_turn), roles_of(read(in_turn))).splitlines()
    assert (len(lines), more) == (41, "  and so on, 60 more lines")
    assert left_out.startswith("  of 100 columns 50 are left out: x1, x3, ")
    assert left_out.endswith(", x79, ...")


def quarters(years: int = 3, **more: Any) -> dict[str, Any]:
    year, quarter = np.divmod(np.arange(4 * years), 4)
    rng = np.random.default_rng(0)
    return {"year": 1990 + year, "quarter": 1 + quarter, "gdp": rng.normal(size=4 * years), **more}


def test_years_with_several_rows_are_part_of_a_date() -> None:
    found = read(quarters())
    roles = roles_of(found)
    assert (roles.inputs, roles.time) == (("gdp",), None)
    assert roles.left_out == {"year": "years", "quarter": "part of the date"}
    assert "year, quarter tell the time together, which is not used" in described(found, roles)
    for short in ("mo", "Mon", "hr", "doy"):
        shortly = {short if name == "quarter" else name: x for name, x in quarters().items()}
        assert roles_of(read(shortly)).left_out[short] == "part of the date"
    assert roles_of(found, Asked(time="year")).time == "year"  # which is refused later
    assert roles_of(found, Asked(inputs="quarter,gdp")).inputs == ("quarter", "gdp")
    two = {name: np.tile(values, 2) for name, values in quarters().items()}
    named = read({**two, "country": np.repeat(["a", "b"], 12)})
    assert roles_of(named, Asked(sequence="country")).time is None


@pytest.mark.parametrize(
    "change", [{"quarter": np.tile([1, 3, 2, 4], 3)}, {"year": 1990 + np.arange(12)}]
)
def test_other_years_are_the_time(change: dict[str, Any]) -> None:
    found = read(quarters(**change))
    assert roles_of(found).time == "year"
    assert "quarter" not in roles_of(found).left_out
