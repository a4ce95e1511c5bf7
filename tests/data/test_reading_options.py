"""Options of reading: with data of each kind they do what they say, or are refused in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import rnnsim
from rnnsim.data.columns import Reading
from rnnsim.data.reading import read
from rnnsim.errors import RnnsimError, UnknownName

pytestmark = pytest.mark.usefixtures("uncompiled")
ROWS = 40
SMALL: dict[str, Any] = {"steps": 5, "hidden": 2}


def walk(columns: int = 2) -> np.ndarray:
    x = np.cumsum(np.random.default_rng(0).normal(size=(ROWS, columns)), axis=0)
    x[5, 0] = -999
    return x


def values(run: rnnsim.Run, name: str = "x1") -> np.ndarray:
    task: Any = run.experiment.task
    return np.asarray(task.read().columns[name].values)


@pytest.mark.parametrize("na", [-999, -999.0, np.float64(-999), [-999, -1], (-1, "-999"), "-999, -1"])
def test_what_stands_for_a_missing_value_is_a_number_a_list_or_text(na: Any) -> None:
    run = rnnsim.run("bptt", walk(), na=na, **SMALL)
    np.testing.assert_array_equal(np.isnan(values(run)), np.arange(ROWS) == 5)
    assert not np.isnan(values(rnnsim.run("bptt", walk(), na=-998, **SMALL))).any()  # the control


def test_it_is_kept_with_the_run(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": walk()[:, 0], "b": ["-999", "x", "y", "x"] * (ROWS // 4)})
    run = rnnsim.run("bptt", frame, na=[-999], target="a", inputs="a,b", save=tmp_path / "run", **SMALL)
    assert np.isnan(values(run, "b")).sum() == ROWS // 4  # also where it is text
    again = rnnsim.load(tmp_path / "run")
    found = again.predict(pd.DataFrame({"a": [1.0, -999, 2], "b": "x"}))
    same = again.predict(pd.DataFrame({"a": [1.0, np.nan, 2], "b": "x"}))
    np.testing.assert_array_equal(found.values, same.values)


def test_times_and_sequences_are_named_in_memory() -> None:
    data = {"when": np.arange(ROWS)[::-1] * 3.0, "who": np.arange(ROWS) % 2, "x": walk()[:, 1]}
    run = rnnsim.run("bptt", data, time="when", sequence="who", **SMALL)
    task: Any = run.experiment.task
    assert task.arranged.series.names == ("0", "1")
    order = np.concatenate([np.arange(ROWS)[k::2][::-1] for k in (1, 0)])  # each by time
    by_name = np.argsort(np.arange(ROWS)[order] % 2, kind="stable")
    np.testing.assert_array_equal(task.arranged.series.d[:, 0], data["x"][order[by_name]])


def test_numbers_that_are_text_are_read_as_they_are_written(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": ["1.500,5", "2,5", "-3"] * 10})
    file = tmp_path / "t.parquet"
    frame.to_parquet(file)
    for source in (frame, {"a": frame["a"].to_numpy()}, file):
        found = read(source, Reading(decimal=",", thousands="."))
        assert found.columns["a"].values[:3].tolist() == [1500.5, 2.5, -3]
    with pytest.raises(RnnsimError, match=r"decimal is one of \. ,, not 'x'"):
        read(frame, Reading(decimal="x"))


def test_an_array_of_a_mapping_is_chosen() -> None:
    data = {"x": walk(), "y": np.arange(7.0) ** 2}
    assert read(data, Reading(key="y")).rows == 7
    with pytest.raises(UnknownName, match="the mapping: no array is called 'z'; there are x, y"):
        read(data, Reading(key="z"))


OTHERS = {
    "header": "yes",
    "separator": ";",
    "encoding": "utf-8",
    "comment": "#",
    "sheet": "a",
    "key": "b",
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("kind", ["array", "frame", "mapping", "parquet", "npy", "npz", "csv", "xlsx"])
def test_options_that_mean_nothing_where_data_are_from_are_refused(
    tmp_path: Path, kind: str, name: str
) -> None:
    means = {
        "csv": {"header", "separator", "encoding", "comment"}, "xlsx": {"header", "comment", "sheet"},
        "npz": {"key"}, "mapping": {"key"},
    }  # fmt: skip
    frame, file = pd.DataFrame(walk(), columns=["a", "b"]), tmp_path / f"t.{kind}"
    write: dict[str, Any] = {
        "parquet": lambda: frame.to_parquet(file), "npy": lambda: np.save(file, walk()),
        "npz": lambda: np.savez(file, b=walk()), "csv": lambda: frame.to_csv(file, sep=";"),
        "xlsx": lambda: frame.to_excel(file, engine="xlsxwriter", sheet_name="a"),
    }  # fmt: skip
    memory: dict[str, Any] = {"array": walk(), "frame": frame, "mapping": {"b": walk()}}
    if kind in write:
        write[kind]()
    source: Any = memory.get(kind, file)
    if name in means.get(kind, ()):
        rnnsim.run("bptt", source, **{name: OTHERS[name]}, **SMALL)
        return
    with pytest.raises(RnnsimError, match=rf"^{name}= is for .*, which .* is not; leave it out$"):
        rnnsim.run("bptt", source, **{name: OTHERS[name]}, **SMALL)


def test_other_rows_may_be_of_another_kind_than_those_that_were_learnt(tmp_path: Path) -> None:
    frame = pd.DataFrame(walk(), columns=["a", "b"])
    frame.to_csv(tmp_path / "t.csv", sep=";", index=False)
    run = rnnsim.run("bptt", tmp_path / "t.csv", separator=";", **SMALL)
    of_frame, of_file = run.predict(frame), run.predict(tmp_path / "t.csv")
    np.testing.assert_allclose(of_frame.values, of_file.values)
