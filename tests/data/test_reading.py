"""Tables as people have them: what is read of each, and what is said of those that are refused."""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from rnnsim.data import blocks
from rnnsim.data.blocks import TextSource
from rnnsim.data.columns import Columns, Reading
from rnnsim.data.delimited import read_text
from rnnsim.data.reading import read
from rnnsim.data.tables import joined
from rnnsim.errors import RnnsimError, UnknownName

A, B = [20.0, 20.84, -3.25, 0.125], [100.0, 87.8, 54.0, 1e5]


def rows(*columns: list[Any], between: str = ",") -> str:
    return "".join(between.join(map(str, row)) + "\n" for row in zip(*columns))


def column(found: Columns, name: str) -> list[float]:
    return found.columns[name].values.tolist()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def to(content: str | bytes, name: str = "t.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to


PLAIN = "a,b\n" + rows(A, B)
COMMAS = "a;b\n" + rows(A, B, between=";").replace(".", ",")

SAME: dict[str, tuple[str | bytes, dict[str, Any]]] = {  # files that all hold A and B
    "plain": (PLAIN, {}),
    "semicolons, decimal commas": (COMMAS, {}),
    "semicolons": (PLAIN.replace(",", ";"), {}),
    "tabs": (PLAIN.replace(",", "\t"), {}),
    "tabs, decimal commas": (COMMAS.replace(";", "\t"), {}),
    "bars": (PLAIN.replace(",", "|"), {}),
    "spaces": (" a    b\n" + "".join(f"{a:8}   {b}\n" for a, b in zip(A, B)), {}),
    "numpy.savetxt": ("# a b\n" + rows(A, B, between=" "), {}),
    "byte order mark": (b"\xef\xbb\xbf" + COMMAS.encode(), {}),
    "UTF-16": (PLAIN.encode("utf-16"), {}),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-le"), {}),
    "CR": (PLAIN.replace("\n", "\r"), {}),
    "CRLF": (PLAIN.replace("\n", "\r\n"), {}),
    "no line end at the end": (PLAIN.removesuffix("\n"), {}),
    "comments": ("# made by hand\n# on a day\n" + PLAIN + "# the end\n", {}),
    "another comment": ("; by hand\n" + PLAIN, {"comment": ";"}),
    "titles": ("Station North\nfrom 1990 on\n\n" + PLAIN, {}),
    "what Excel writes first": ("sep=;\n" + COMMAS, {}),
    "blank lines": (PLAIN.replace("\n", "\n\n") + "\n \n", {}),
    "empty rows at the end": (PLAIN + ",\n,\n", {}),
    "empty last column": (PLAIN.replace("\n", ",\n"), {}),
    "separators at the ends of rows": ("a,b\n" + rows(A, B).replace("\n", ",\n"), {}),
    "quotes": ('"a","b"\n' + "".join(f'"{a}","{b}"\n' for a, b in zip(A, B)), {}),
    "spaces around": ("a , b\n" + rows(A, B).replace(",", " , "), {}),
    "units": ("a,b\n[K],hPa\n" + rows(A, B), {}),
    "named separator": (PLAIN.replace(",", "\t"), {"separator": "tab"}),
    "gzip": (gzip.compress(COMMAS.encode()), {}),
    "header=yes": (PLAIN, {"header": "yes"}),
}


@pytest.mark.parametrize("block", [blocks.BLOCK, 16])
@pytest.mark.parametrize("name", SAME)
def test_the_same_numbers_however_they_are_written(
    write: Any, monkeypatch: pytest.MonkeyPatch, name: str, block: int
) -> None:
    """Also where a block is about a row long."""
    monkeypatch.setattr(blocks, "BLOCK", block)
    content, options = SAME[name]
    found = read(write(content), Reading(**options))
    assert list(found.columns) == ["a", "b"]
    assert column(found, "a") == A
    assert column(found, "b") == B
    assert (found.rows, found.lengths, found.names) == (4, (4,), ())


NUMBERS: dict[str, tuple[str, dict[str, Any], list[float]]] = {
    "1'234.5 12'345": ("x;n\n1'234.5;u\n12'345;v\n1;u\n", {}, [1234.5, 12345, 1]),
    "1,234.5 quoted": ('x,n\n"1,234.5",u\n"12,345",v\n1,u\n', {}, [1234.5, 12345, 1]),
    "1.234,5": ("x;n\n1.234,5;u\n12.345;v\n1;u\n", {}, [1234.5, 12345, 1]),
    "1 234,5": ("x;n\n1 234,5;u\n12 345;v\n1;u\n", {}, [1234.5, 12345, 1]),
    "thousands told": ("x;n\n1,234;u\n12,345;v\n1;u\n", {"thousands": ","}, [1234, 12345, 1]),
    "decimals told": ("x;n\n1,234;u\n12,345;v\n1;u\n", {"decimal": ","}, [1.234, 12.345, 1]),
    "one column with decimal commas": ("x\n1,5\n2\n3,25\n", {}, [1.5, 2, 3.25]),
    "exponents": ("x,n\n1e5,u\n+2E-3,v\n.5,u\n5.,u\n", {}, [1e5, 2e-3, 0.5, 5]),
    "a typographic minus": ("x,n\n\u22125,u\n4,v\n", {}, [-5, 4]),
    "infinite": ("x,n\ninf,u\n-Infinity,v\n3.5,u\n", {}, [np.inf, -np.inf, 3.5]),
    "no-break spaces": ("x;n\n1\u00a0234,5;u\n12\u00a0345;v\n1;u\n", {}, [1234.5, 12345, 1]),
    "a comma in the only row": ("x;n\n1,5;u", {}, [1.5]),
    "a comma in the last row": ("x;n\n" + "7;u\n" * 400 + "1,5;v\n", {}, [7] * 400 + [1.5]),
    "years as names": ("2001,2002\n1.5,2\n3,4\n", {}, [1.5, 3]),
    "pandas' own names": (",0,1\n0,1.5,2\n1,3,4\n2,5,5\n", {}, [1.5, 3, 5]),
    "R's row names": ('"x" "n"\n"1" 1.5 2\n"2" 3 4\n"3" 5 5\n', {}, [1.5, 3, 5]),
    "no header": ("1.5,2\n3,4\n", {"header": "no"}, [1.5, 3]),
    "true and false": ("x,n\nTrue,u\nFALSE,v\n,u\n", {}, [1, 0, np.nan]),
    "yes and no": ("x,n\nyes,u\nno,v\n-,u\n", {}, [1, 0, np.nan]),
    "a sentinel": ("x,n\n-999.0,u\n4,v\nbad,u\n", {"na": "-999, bad"}, [np.nan, 4, np.nan]),
    "a sentinel as a number": ("x,n\n-999,u\n4.5,v\n3,u\n", {"na": -999}, [np.nan, 4.5, 3]),
}  # fmt: skip


@pytest.mark.parametrize("block", [blocks.BLOCK, 8])
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(write: Any, monkeypatch: pytest.MonkeyPatch, name: str, block: int) -> None:
    monkeypatch.setattr(blocks, "BLOCK", block)
    content, options, expected = NUMBERS[name]
    found = read(write(content), Reading(**options))
    first = next(each for each in found.columns if each != "index")
    assert np.array_equal(found.columns[first].values, expected, equal_nan=True)


MISSING = ["", "NA", "NaN", "nan", "null", "None", "N/A", "?", "-", ".", " ", "#N/A"]


@pytest.mark.parametrize("block", [blocks.BLOCK, 8])
def test_missing_values_also_in_the_first_row(
    write: Any, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(blocks, "BLOCK", block)
    found = read(write("a,b\n" + "".join(f"{word},{i}\n" for i, word in enumerate([*MISSING, "1.5"]))))
    assert np.array_equal(found.columns["a"].values, [np.nan] * len(MISSING) + [1.5], equal_nan=True)
    assert found.columns["a"].kind == "number"


def test_what_is_said_of_a_file(write: Any) -> None:
    latin = read(write("Température,b\n1.5,2\n3,4\n".encode("latin-1")))
    assert list(latin.columns) == ["Température", "b"]
    assert latin.notes == ("it is no UTF-8; read as cp1252",)
    later = read(write(b"a,b\n" + b"1.5,x\n" * 60_000 + "2,é\n".encode("cp1252")))
    assert later.columns["b"].categories == ("x", "é")
    twice = read(write("a,a,b\n1.5,2,3\n3,4,4\n"))
    assert list(twice.columns) == ["a", "a.1", "b"]
    assert twice.notes == ("there are several columns 'a': one is now 'a.1'",)
    empty = read(write("a,b,\n1.5,2,\n3,4,\n"))
    assert empty.notes == ("column 3 has no name and is empty: dropped",)
    units = read(write("t,b\ns,°C\n1.5,2\n3,4\n"))
    assert [each.unit for each in units.columns.values()] == ["s", "°C"]
    assert units.notes == ("line 2 holds units",)
    for groups in ("wind,wind,heat\n", "wind,,heat\n"):
        two = read(write(groups + "mean,max,mean\n1.5,2,3\n3,4,5\n"))
        assert list(two.columns) == ["wind mean", "wind max", "heat mean"]
        assert two.notes == ("lines 1 and 2 hold the names of columns together",)
    twice_with_units = read(write("t,t\ns,s\n1.5,2\n3,4\n"))  # the control
    assert list(twice_with_units.columns) == ["t", "t.1"]
    assert twice_with_units.notes[0] == "line 2 holds units"
    index = read(write(",b\n0,2.5\n1,3\n2,7\n"))
    assert index.columns["index"].remark == "row numbers"


def test_lines_are_told_whatever_is_between_them(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    content = '# by hand\n"a\n(mm)",b\n1,2\n\n# here\n3,"x\ny"\n5,6\n'
    for block in (blocks.BLOCK, 8):
        monkeypatch.setattr(blocks, "BLOCK", block)
        found = read(write(content))
        assert list(found.columns) == ["a (mm)", "b"]
        assert [found.place(row) for row in range(3)] == ["line 4", "line 7", "line 9"]


WRONG: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "nothing": ("", {}, "t.csv is empty; it needs a line of column names, then the rows"),
    "only a header": ("a,b\n", {}, "t.csv has columns but no rows"),
    "no header": (rows(A, B), {}, "t.csv has no header: line 1 holds values, not names of columns; "
        "header=no calls the columns x1, x2, ..., header=yes takes the values as names"),
    "no header, dates": ("2020-01-01,2\n2020-01-02,3\n", {}, "t.csv has no header: line 1 holds values, "
        "not names of columns; header=no calls the columns x1, x2, ..., header=yes takes the values as "
        "names"),
    "a footer": (PLAIN + "Source: an office\n", {}, "t.csv, line 6: 1 value ('Source: an office'); the "
        "header names 2 columns: delete the line, or separator= says what is between columns"),
    "too long a row": ("a,b\n1,2\n3,4,5\n6,7\n", {}, "t.csv, line 3: 3 values; the header names 2 "
        "columns: delete the line, or separator= says what is between columns"),
    "too short a row": ("a,b\n1,2\n\n3\n6,7\n", {}, "t.csv, line 4: 1 value ('3'); the header names 2 "
        "columns: delete the line, or separator= says what is between columns"),
    "two readings": ("a;b\n1,234;2\n12,345;3\n", {}, "t.csv: '1,234' can be read in two ways; decimal=, "
        "says that its comma begins decimals, thousands=, that it stands between thousands"),
    "bytes": (b"a,b\n1,\0\0\1\n", {}, "t.csv is not a text file, nor of a format that its name tells"),
    "not of the encoding": (b"a,b\n1,\xff\n", {"encoding": "utf-8"}, "t.csv is not in utf-8: byte 0xff "
        "is none of it; encoding= says which it is"),
    "no encoding": (PLAIN, {"encoding": "klingon"}, "no encoding is called 'klingon'; utf-8 and latin-1 "
        "are two"),
    "header=None": (PLAIN, {"header": None}, "header is text, not None"),
    "na={}": (PLAIN, {"na": {}}, "na is a value, or several, that mean missing, not {}"),
    "header=maybe": (PLAIN, {"header": "maybe"}, "header is auto, yes or no, not 'maybe'"),
    "separator": (PLAIN, {"separator": "and"}, "separator is one character, or tab, comma, semicolon, "
        "bar, space; not 'and'"),
    "decimal": (PLAIN, {"decimal": "x"}, "decimal is one of . ,, not 'x'"),
    "thousands": (PLAIN, {"thousands": "x"}, "thousands is one of , . ' space, not 'x'"),
    "both": (PLAIN, {"decimal": ",", "thousands": ","}, "decimal and thousands are both ','; they must "
        "differ"),
    "gzip cut short": (gzip.compress(COMMAS.encode() * 20)[:-20], {}, "t.csv is broken: Compressed file "
        "ended before the end-of-stream marker was reached"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused(write: Any, name: str) -> None:
    content, options, message = WRONG[name]
    with pytest.raises(RnnsimError) as caught:
        read(write(content), Reading(**options))
    assert str(caught.value) == message


def test_files_that_are_none(tmp_path: Path, write: Any) -> None:
    with pytest.raises(RnnsimError, match=r"there is no file .*gone\.csv$"):
        read(tmp_path / "gone.csv")
    with pytest.raises(RnnsimError, match=r"^t\.json is of no format that is known: \.csv \.tsv "):
        read(write("{}", "t.json"))
    with pytest.raises(RnnsimError, match=r"^t\.npz is broken, or no \.npz file$"):
        read(write("a,b\n", "t.npz"))
    with pytest.raises(RnnsimError, match=r"^data is a path, an array, a frame, a mapping of arrays, or "
                       r"a list of these; not 3$"):  # fmt: skip
        read(3)
    with pytest.raises(RnnsimError, match=r"^path is a path, not ''$"):
        read("")


# --- round trips ---------------------------------------------------------------------------------------

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
DIALECTS = st.fixed_dictionaries({
    "delimiter": st.sampled_from([",", ";", "\t", "|"]),
    "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
    "decimal": st.sampled_from([".", ","]),
    "encoding": st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
})  # fmt: skip


@given(
    st.lists(st.tuples(FLOATS, FLOATS, st.none() | FLOATS), min_size=2, max_size=12),
    DIALECTS,
    st.integers(8, 60),
)
def test_a_table_comes_back_to_the_bit(
    table: list[tuple[float, float, float | None]], dialect: dict[str, Any], block: int
) -> None:
    decimal, encoding = dialect["decimal"], dialect["encoding"]
    text = io.StringIO()
    writer = csv.writer(text, **{k: v for k, v in dialect.items() if k not in ("decimal", "encoding")})
    writer.writerow(["größe", "b", "with, comma"])
    for row in table:
        writer.writerow(["" if v is None else repr(v).replace(".", decimal) for v in row])
    content = text.getvalue().encode(encoding)
    before = blocks.BLOCK
    blocks.BLOCK = block
    try:
        found = joined([read_text(TextSource("t.csv", content), Reading(decimal=decimal))])
    finally:
        blocks.BLOCK = before
    assert list(found.columns) == ["größe", "b", "with, comma"]
    for name, values in zip(found.columns, zip(*table)):
        expected = np.array([np.nan if v is None else v for v in values])
        assert found.columns[name].values.tobytes() == expected.tobytes()


@given(st.binary(max_size=80) | st.text('ab1,;.\t "\n\r#-e', max_size=60).map(str.encode))
def test_whatever_the_bytes_are_they_are_read_or_refused(content: bytes) -> None:
    try:
        found = joined([read_text(TextSource("t.csv", content), Reading())])
    except RnnsimError as error:
        message = str(error)
    else:
        assert all(len(each.values) == found.rows for each in found.columns.values())
        message = ""
    assert len(message.splitlines()) <= 1


# --- several files, other formats, standard input ------------------------------------------------------


def test_several_files_are_sequences(tmp_path: Path, write: Any) -> None:
    one = write("a,b\n1.5,x\n2,y\n", "run2.csv")
    other = write("b,a\nz,3.5\n", "run10.csv")
    for source in ([one, other], f"{one},{other}", tmp_path, str(tmp_path / "run*.csv")):
        found = read(source)
        assert (found.lengths, found.names) == ((2, 1), ("run2.csv", "run10.csv"))
        assert column(found, "a") == [1.5, 2, 3.5]
        assert found.columns["b"].categories == ("x", "y", "z")
        assert column(found, "b") == [0, 1, 2]
        assert found.place(2) == "run10.csv, line 2"
    third = write("a,c\n3.5,z\n", "run11.csv")
    with pytest.raises(RnnsimError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        "run11.csv: no column is called 'b'; there are a, c; run2.csv has it, and all must have the "
        "same columns"
    )
    third.write_text("a,b\nred,z\nblue,z\nred,q\n")
    with pytest.raises(RnnsimError, match=r"^run11\.csv: the column a is of kind category, and of kind "
                       r"number in run2\.csv$"):  # fmt: skip
        read(tmp_path)
    write("x", "notes.txt")
    with pytest.raises(RnnsimError, match=r"has files of several kinds \(\.txt, \.csv\); name some|"
                       r"\(\.csv, \.txt\)"):  # fmt: skip
        read(tmp_path)
    with pytest.raises(RnnsimError, match="there is no file like"):
        read(tmp_path / "walk*.csv")


FRAME = pd.DataFrame({
    "t": pd.date_range("2020-01-01", periods=4, freq="h"),
    "a": A,
    "b": [1, 2, None, 5],
    "c": [True, False, True, True],
    "d": ["x", None, "y", "x"],
})  # fmt: skip


def check_frame(found: Columns) -> None:
    kinds = {name: each.kind for name, each in found.columns.items()}
    assert kinds == {"t": "time", "a": "number", "b": "number", "c": "boolean", "d": "category"}
    assert column(found, "t") == [1577836800 + 3600 * i for i in range(4)]
    assert column(found, "a") == A
    assert np.array_equal(found.columns["b"].values, [1, 2, np.nan, 5], equal_nan=True)
    assert column(found, "c") == [1, 0, 1, 1]
    assert np.array_equal(found.columns["d"].values, [0, np.nan, 1, 0], equal_nan=True)
    assert found.columns["d"].categories == ("x", "y")
    for each in found.columns.values():
        assert each.values.dtype == np.float64
        assert each.values.flags.writeable


def excel(path: Path) -> None:
    FRAME.to_excel(path, index=False, engine="xlsxwriter", sheet_name="first")


FILES: dict[str, Callable[[Path], Any]] = {
    "t.parquet": FRAME.to_parquet,
    "t.feather": FRAME.to_feather,
    "t.xlsx": excel,
    "t.csv": lambda path: FRAME.to_csv(path, index=False),
    "t.tsv": lambda path: FRAME.to_csv(path, index=False, sep="\t", decimal=","),
    "t.csv.gz": lambda path: FRAME.to_csv(path, index=False, na_rep="NA"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_other_formats(tmp_path: Path, name: str) -> None:
    FILES[name](tmp_path / name)
    check_frame(read(tmp_path / name))
    renamed = tmp_path / "other.csv"  # what it is is told by what it holds
    (tmp_path / name).rename(renamed)
    check_frame(read(renamed))


def test_rows_of_a_sheet_are_told_as_excel_numbers_them(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write(1, 1, "Made by hand\nin two lines")
        for row, cells in enumerate([("a\nb", "c"), (1.5, 2), (2, 7), (4, 1), ("Total", 10)], 4):
            sheet.write_row(row, 1, cells)
    found = read(path)
    assert [*found.columns] == ["a b", "c"]
    assert found.columns["a b"].trouble.startswith("t.xlsx, row 9, column a b: 'Total' is no number")


def test_what_excel_says_of_separators_is_no_title(tmp_path: Path) -> None:
    for begin in ("sep=|\n", '"sep=|"\r\n', "\ufeffSEP=|\n"):
        (tmp_path / "t.csv").write_text(begin + "a|b\n1,5|2\n2,5|7\n")
        found = read(tmp_path / "t.csv")
        assert (column(found, "a"), found.notes) == ([1.5, 2.5], ())
    (tmp_path / "t.csv").write_text("sep=|\na;b\n1;2\n2;7\n")
    assert column(read(tmp_path / "t.csv", Reading(separator=";")), "b") == [2, 7]
    (tmp_path / "t.csv").write_text("sep=;\na;b\n1;2\nred;x\n4;7\n5;6\n")
    assert read(tmp_path / "t.csv").columns["a"].trouble.startswith("t.csv, line 4, ")


def test_sheets_and_keys(tmp_path: Path) -> None:
    book = tmp_path / "book.xlsx"
    with pd.ExcelWriter(book, engine="xlsxwriter") as writer:
        FRAME.to_excel(writer, index=False, sheet_name="first")
        pd.DataFrame({"z": [1.5, 2, 4]}).to_excel(writer, index=False, sheet_name="second")
    assert read(book).notes == ("it is the first of 2 sheets, first; sheet= names another",)
    assert column(read(book, Reading(sheet="second")), "z") == [1.5, 2, 4]
    with pytest.raises(
        UnknownName, match=r"^book\.xlsx: no sheet is called 'secnd'; did you mean second"
    ):
        read(book, Reading(sheet="secnd"))
    x, y = np.arange(6.0).reshape(3, 2) ** 2, np.array([1.5, 2, 7, 8])
    for path, save in ((tmp_path / "t.npz", np.savez), (tmp_path / "t.mat", None)):
        if save:
            save(path, x=x, y=y)
        else:
            savemat(path, {"x": x, "y": y})
        assert list(read(path, Reading(key="x")).columns) == ["x[0]", "x[1]"]
        assert column(read(path, Reading(key="y")), "y") == y.tolist()
        with pytest.raises(RnnsimError) as caught:
            read(path)
        assert str(caught.value) == (
            f"{path.name}: y has 4 rows and x has 3; all arrays must have the same number, or key= "
            f"names one"
        )
        with pytest.raises(UnknownName, match="no array is called 'z'; there are x, y"):
            read(path, Reading(key="z"))
    np.save(tmp_path / "t.npy", x)
    assert column(read(tmp_path / "t.npy"), "x2") == x[:, 1].tolist()


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(COMMAS.encode())))
    found = read("-")
    assert (found.source, column(found, "a")) == ("standard input", A)


# --- what is in memory ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [FRAME, pl.from_pandas(FRAME), pl.from_pandas(FRAME).lazy(), pa.Table.from_pandas(FRAME),
     FRAME.astype({"b": "Int64", "d": "category"}), FRAME.set_index("t")],
    ids=lambda frame: type(frame).__module__.partition(".")[0],
)  # fmt: skip
def test_frames(frame: Any) -> None:
    check_frame(read(frame))


def test_an_index_of_several_levels_and_names_that_repeat_are_columns() -> None:
    frame = pd.DataFrame({"x": [1.5, 2, 4, 5]})
    days = pd.to_datetime(["2020-01-01", "2020-01-02"])
    found = read(frame.set_axis(pd.MultiIndex.from_product([["u", "v"], days], names=["site", "day"])))
    assert [(name, one.kind) for name, one in found.columns.items()] == [
        ("site", "category"), ("day", "time"), ("x", "number"),
    ]  # fmt: skip
    assert column(found, "site") == [0, 0, 1, 1]
    twice = read(pd.concat([frame, frame + 1], axis=1))
    assert (column(twice, "x"), column(twice, "x.1")) == ([1.5, 2, 4, 5], [2.5, 3, 5, 6])
    assert twice.notes == ("there are several columns 'x': one is now 'x.1'",)


def test_periods_are_times() -> None:
    frame = pd.DataFrame({"x": [1.5, 2, 4]}, index=pd.period_range("1970-01", periods=3, freq="M"))
    found = read(frame).columns["index"]
    assert (found.kind, found.values.tolist()) == ("time", [0, 31 * 86400, 59 * 86400])


def test_arrays() -> None:
    x = np.array([[1.5, 2], [3, 4], [5, 5]])
    assert {name: column(read(x), name) for name in ("x1", "x2")} == {"x1": [1.5, 3, 5], "x2": [2, 4, 5]}
    assert column(read(x[:, 0]), "x1") == [1.5, 3, 5]
    assert column(read([1.5, 3, 5]), "x1") == [1.5, 3, 5]
    fields = np.array([(1.5, "u"), (3, "v")], [("a", float), ("b", "U1")])
    assert [each.kind for each in read(fields).columns.values()] == ["number", "category"]
    named = read({"x": x, "t": np.array(["2020-01-01", "NaT", "2020-01-03"], "datetime64[D]")})
    assert list(named.columns) == ["x[0]", "x[1]", "t"]
    assert named.columns["t"].kind == "time"
    assert column(read(pd.Series([1.5, 2.5], name="k")), "k") == [1.5, 2.5]
    assert column(read(np.float32([0.1, 0.2])), "x1") == np.float32([0.1, 0.2]).astype(float).tolist()


def test_a_list_is_sequences() -> None:
    found = read([np.ones((3, 2)), np.zeros((2, 2))])
    assert found.lengths == (3, 2)
    assert column(found, "x1") == [1, 1, 1, 0, 0]
    assert found.place(3) == "sequence 1 (from 0), row 0 (from 0)"
    assert read([FRAME, FRAME[:2]]).lengths == (4, 2)
    with pytest.raises(RnnsimError, match="data is an empty list"):
        read([])


def test_what_is_given_is_not_changed() -> None:
    for given_ in (
        FRAME.copy(),
        pl.from_pandas(FRAME),
        np.array([[1.5, 2], [3, 4]]),
        np.array([1.5, 2]),
    ):
        before = str(given_)
        for each in read(given_, Reading(na=2)).columns.values():
            each.values[:] = 7
        assert str(given_) == before


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"a": np.zeros(3), "b": np.zeros(2)}, "the mapping: b has 2 rows and a has 3; all arrays must "
         "have the same number, or key= names one"),
        (np.zeros((2, 2, 2)), "the array: it is of float64 and shape (2, 2, 2); it must be of real "
         "numbers, times or text, (rows,) or (rows, columns)"),
        (np.zeros(3, complex), "the array: it is of complex128 and shape (3,); it must be of real "
         "numbers, times or text, (rows,) or (rows, columns)"),
        ({"a": [1, [2, 3]]}, "the mapping: a cannot be read as an array: "),
        (pd.DataFrame({"a": [{}, {}]}), "the DataFrame, column a: {} is neither a number, a time nor "
         "text"),
        ({}, "data is an empty mapping; it needs an array at least"),
        (np.zeros((0, 2)), "the array has columns but no rows"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_what_is_in_memory(source: Any, message: str) -> None:
    with pytest.raises(RnnsimError) as caught:
        read(source)
    assert str(caught.value).startswith(message)


def test_a_bar_is_shown_for_a_large_file(
    write: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(PLAIN)
    read(path, progress=True)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("rnnsim.data.reading.LARGE", 1)
    found = read(path, progress=True)
    assert "reading t.csv" in capsys.readouterr().err
    assert column(found, "a") == A
