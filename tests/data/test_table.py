"""The user's own table: what is learnt from it, and what is said of a file that is not one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from task_streams import draw, make

import rnnsim
from rnnsim.criterion import HeldOut
from rnnsim.errors import RnnsimError, UnknownName
from rnnsim.task import Task


def table(path: Path, **given: Any) -> Task:
    return make("table", {"table": {"path": str(path), **given}})


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """Ten rows: x = 0, 1, ..., y = 100, 110, ..., a constant, and text."""
    path = tmp_path / "numbers.csv"
    rows = [f"{i},{100 + 10 * i},7,day {i}" for i in range(10)]
    path.write_text("\n".join(["x, y ,same,day", *rows]) + "\n\n")
    return path


def test_table_predicts_the_next_row_of_its_inputs(numbers: Path) -> None:
    task = table(numbers)
    stream = draw(task, 20, batch=2, plain=True)
    z = (np.arange(10) - 3.5) / np.arange(8).std()  # standardised by the eight rows learnt from
    assert (task.n_in, task.n_out) == (3, 3)
    expected = np.stack([z, z, 0 * z], axis=1)
    first = np.arange(20) % 7
    second = (np.arange(20) + 3) % 7  # half-way through the seven pairs
    for b, rows in enumerate((first, second)):
        assert np.allclose(stream.inputs[:, b], expected[rows])
        assert np.allclose(stream.targets[:, b], expected[rows + 1])
        assert np.array_equal(stream.resets[:, b], rows == 0)
    held_out = draw(task, *task.held_out_shape(), plain=True, held_out=True)
    assert np.allclose(held_out.inputs[:, 0], expected[8:9])
    assert np.allclose(held_out.targets[:, 0], expected[9:])


def test_table_options(numbers: Path) -> None:
    task = table(numbers, inputs="y", target="x", ahead=3, held_out=0.4, solved_below=0.5)
    stream = draw(task, 3, batch=1, plain=True)
    z = (np.arange(10) - 2.5) / np.arange(6).std()
    assert np.allclose(stream.inputs[:, 0, 0], z[:3])
    assert np.allclose(stream.targets[:, 0, 0], z[3:6])
    assert isinstance(task.criterion, HeldOut)
    assert task.criterion.threshold == 0.5
    same_row = table(numbers, target="x, same", ahead=0)
    assert (same_row.n_in, same_row.n_out) == (1, 2)


def test_table_is_read_again_when_the_file_changes(numbers: Path) -> None:
    task = table(numbers)
    assert task.n_in == 3
    numbers.write_text("x\n" + "\n".join(map(str, range(20))))
    assert task.n_in == 1


def test_table_from_an_archive(tmp_path: Path, numbers: Path) -> None:
    path = tmp_path / "numbers.npz"
    x = np.arange(10)
    np.savez(path, x=x, pair=np.stack([100 + 10 * x, np.full(10, 7)], axis=1).astype(np.float32))
    for one, two in zip(draw(table(path), 9, plain=True), draw(table(numbers), 9, plain=True)):
        assert np.allclose(one, two)
    assert table(path, inputs="pair[0]", target="x").n_in == 1


GOOD = "".join(f"{i},{i}\n" for i in range(10))


@pytest.mark.parametrize(
    ("content", "given", "message"),
    [
        ("", {}, "t.csv is empty; it needs a line of column names"),
        ("1,2\n" + GOOD, {}, "t.csv has no header: its first line holds numbers"),
        ("a,a\n" + GOOD, {}, "t.csv has two columns called 'a'"),
        ("a,\n" + GOOD, {}, "column 2 has no name in the header"),
        ("a;b\n1;2\n", {}, "semicolons or tabs between its columns; they must be commas"),
        ("a,b\n" + GOOD + "1,2,3\n", {}, "line 12: 3 values; the header names 2 columns"),
        ("a,b\n" + GOOD + "1\n", {}, "line 12: 1 values; the header names 2 columns"),
        ("a,b\n" + GOOD + "\n1,red\n", {}, "line 13, column b: 'red', where a finite number"),
        ("a,b\n" + GOOD + "1,\n", {}, "line 12, column b: nothing, where a finite number"),
        ("a,b\n" + GOOD + "nan,1\n", {}, "line 12, column a: 'nan', where a finite number"),
        ("a,b\n" + GOOD + "-inf,1\n", {}, "line 12, column a: '-inf', where a finite number"),
        ("a,b\n1,x\n" + GOOD, {"inputs": "b"}, "line 2, column b: 'x', where a finite number"),
        ("a,b\nx,y\n", {}, "t.csv has no column of numbers to take as an input"),
        ("a,b\n", {}, "t.csv has columns but no rows"),
        ("a,b\n1,2\n3,4\n", {}, "t.csv has 2 rows, 2 of them to learn from; with ahead=1"),
        ("a,b\n" + GOOD, {"ahead": 7}, "10 rows, 8 of them .* it needs 9 of those, and 8 held out"),
        ("a,b\n" + GOOD, {"ahead": 0}, "with ahead=0 the target a is an input of the same row"),
        ("a,b\n" + GOOD, {"inputs": "a,a"}, "a column is named twice"),
        ("a,b\n1e308,1\n-1e308,1\n" + GOOD, {}, "numbers too large to be standardised"),
        (b"a,b\n\xff\xfe,2\n", {}, "t.csv is not a text file of comma-separated values in UTF-8"),
        ("temperature,b\n" + GOOD, {"inputs": "temprature"}, "no column is called 'temprature'; did you "
         "mean temperature"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_csv_file(
    tmp_path: Path, content: str | bytes, given: dict[str, Any], message: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(RnnsimError, match=message) as caught:
        table(path, **given).source(np.random.default_rng(0), 1, np.float64)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UnknownName) == ("temprature" in message)


def archive(**arrays: Any) -> Any:
    return lambda path: np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b"PK\x03\x04 and no more"), "is not an .npz archive"),
        (lambda path: path.write_bytes(b""), "is not an .npz archive"),
        (archive(x=np.array([1, None], object)), "broken or holds what is not numbers"),
        (archive(x=np.array(["a", "b"])), "x is of <U1 and shape .* must be of real numbers"),
        (archive(x=np.zeros((2, 2, 2))), "must be of real numbers, .rows,. or .rows, columns."),
        (archive(x=np.float64(3)), "must be of real numbers"),
        (archive(x=np.zeros(5), y=np.zeros(6)), "y has 6 rows and x has 5"),
        (archive(x=np.array([1, 2, np.nan, *range(9)])), "row 2 .from 0., column x: nan"),
        (archive(), "t.npz is empty; it needs an array"),
        (archive(x=np.zeros((0, 3))), "t.npz has columns but no rows"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_archive(tmp_path: Path, write: Any, message: str) -> None:
    path = tmp_path / "t.npz"
    write(path)
    with pytest.raises(RnnsimError, match=message) as caught:
        table(path).baseline  # noqa: B018
    assert "\n" not in str(caught.value)


def test_an_archive_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "t.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).random(5000))
    content = bytearray(path.read_bytes())
    content[2000:2100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(RnnsimError, match="broken or holds what is not numbers"):
        table(path).baseline  # noqa: B018


def test_which_files_a_table_can_be(tmp_path: Path) -> None:
    with pytest.raises(RnnsimError, match=r"there is no file .*gone\.csv"):
        table(tmp_path / "gone.csv").n_in  # noqa: B018
    with pytest.raises(RnnsimError, match=r"t\.xlsx is neither a \.csv nor a \.npz file"):
        table(tmp_path / "t.xlsx").n_in  # noqa: B018
    with pytest.raises(RnnsimError, match="give the option path"):
        rnnsim.registry.make_task("table", {}).n_in  # noqa: B018
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(RnnsimError, match=r"folder\.csv cannot be read: Is a directory"):
        table(tmp_path / "folder.csv").n_in  # noqa: B018
