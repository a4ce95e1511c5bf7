"""The task of the user's own table: what is learnt of it, what is kept of it, what may stand for it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from task_streams import draw, make

import rnnsim
from rnnsim import registry
from rnnsim.criterion import HeldOut
from rnnsim.data.parts import TEST
from rnnsim.errors import RnnsimError, UnknownName
from rnnsim.task import Task


def table(path: Path, **given: Any) -> Task:
    return make("table", {"table": {"path": str(path), **given}})


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """Ten rows: x = 0, 1, ..., y = 100, 110, ..., a constant, and text."""
    path = tmp_path / "numbers.csv"
    rows = [f"{3 * i},{100 + 10 * i},7,day {i}" for i in range(10)]
    path.write_text("\n".join(["x, y ,same,day", *rows]) + "\n\n")
    return path


def test_what_is_learnt_what_is_for_validation_and_what_is_for_the_test(numbers: Path) -> None:
    task = table(numbers, linear=False)
    z = (np.arange(10) - 2.5) / np.arange(6).std()  # standardised by the six rows learnt from
    assert (task.n_in, task.n_out) == (2, 2)
    assert (task.input_names, task.output_names) == (("x", "y"), ("x", "y"))
    expected = np.stack([z, z], axis=1)
    stream = draw(task, 20, batch=2, plain=True)
    first, second = np.arange(20) % 5, (np.arange(20) + 2) % 5  # half-way through the five pairs
    for b, rows in enumerate((first, second)):
        np.testing.assert_allclose(stream.inputs[:, b], expected[rows])
        np.testing.assert_allclose(stream.targets[:, b], expected[rows + 1])
        np.testing.assert_array_equal(stream.resets[:, b], rows == 0)
        np.testing.assert_array_equal(stream.mask[:, b], 1)
    assert (task.validation_shape(), task.held_out_shape()) == ((7, 1), (9, 1))
    test = draw(task, *task.held_out_shape(), plain=True, held_out=True)
    np.testing.assert_allclose(test.inputs[:, 0], expected[:9])  # the state comes from those before
    np.testing.assert_allclose(test.targets[:, 0], expected[1:])
    np.testing.assert_array_equal(test.mask[:, 0], 7 * [0] + 2 * [1])
    source = task.validation_source(np.random.default_rng(0), 1, np.float64)
    np.testing.assert_array_equal(source.weights[:, 0], 5 * [0] + 2 * [1])
    assert task.baseline == pytest.approx(2 * np.square(z[1:6]).mean() / 2)


def test_options_of_a_table(numbers: Path) -> None:
    task = table(numbers, inputs="y", target="x", ahead=3, validation=0.2, test=0.2, solved_below=0.5,
                 linear=False)  # fmt: skip
    stream = draw(task, 3, batch=1, plain=True)
    z = (np.arange(10) - 2.5) / np.arange(6).std()
    np.testing.assert_allclose(stream.inputs[:, 0, 0], z[:3])
    np.testing.assert_allclose(stream.targets[:, 0, 0], z[3:6])
    assert isinstance(task.criterion, HeldOut)
    assert task.criterion.threshold == 0.5
    assert task.target_delay == 2
    same_row = table(numbers, target="x", ahead=0)
    assert (same_row.n_in, same_row.n_out, same_row.target_delay) == (1, 1, 0)
    several = table(numbers, target=["x", "y"], ahead="1,3", lags=2, linear=False)
    assert (several.n_in, several.n_out, several.target_delay) == (6, 4, 2)
    assert several.output_names == ("x(+1)", "y(+1)", "x(+3)", "y(+3)")
    assert several.input_names == ("x", "y", "x(-1)", "y(-1)", "x(-2)", "y(-2)")


def test_single_outputs_have_weights_where_their_horizons_end_apart(numbers: Path) -> None:
    task = table(numbers, inputs="x", target="x", ahead=(1, 3))
    assert task.masks_outputs
    stream = draw(task, 5, plain=True)
    np.testing.assert_array_equal(stream.output_mask[:, 0], 3 * [[1, 1]] + 2 * [[1, 0]])
    np.testing.assert_array_equal(stream.mask[:, 0], 1)
    assert not table(numbers, inputs="x", target="x", ahead=(3,)).masks_outputs


def test_a_table_is_read_again_when_the_file_changes(numbers: Path) -> None:
    task = table(numbers, linear=False)
    assert task.n_in == 2
    numbers.write_text("x\n" + "\n".join(map(str, np.arange(20) ** 2)))
    assert task.n_in == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ahead": "soon"}, r"ahead is a number of rows, or several \(1,5,20\), not 'soon'"),
        ({"ahead": -1}, "ahead is -1; it must be at least 0"),
        ({"ahead": "1,1"}, "ahead is '1,1'; give each number of rows once"),
        ({"ahead": ()}, r"ahead is \(\); give each number of rows once"),
        ({"target": "z"}, "numbers.csv: no column is called 'z'"),
        ({"ahead": 10}, "the longest sequence has 10 rows, which is too few"),
        ({"validation": 0.9}, "none is left for the learnt part"),
        ({"target": "day", "ahead": "0,1", "kind": "class"}, "classes"),
        ({"data": "numbers.csv"}, "data is given from Python; a file is named by path=numbers.csv"),
        ({"data": np.arange(9.0)}, "path and data are both given; give one of them"),
    ],
)
def test_what_a_table_cannot_be(numbers: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(RnnsimError, match=message):
        table(numbers, **given).n_in  # noqa: B018


def test_a_table_needs_data() -> None:
    with pytest.raises(RnnsimError, match="the task table needs data: a file by path=, or from Python"):
        make("table", {}).n_in  # noqa: B018


def test_classes_are_told_in_the_same_row_unless_asked_for_later(tmp_path: Path) -> None:
    path = tmp_path / "classes.csv"
    path.write_text("a,label\n" + "".join(f"{i * i},{'ud'[i % 2]}\n" for i in range(20)))
    task = table(path, target="label")
    assert (task.score, task.n_in, task.n_out, task.target_delay) == ("accuracy", 1, 2, 0)
    assert task.baseline == pytest.approx(np.log(2))
    assert task.suggestion("any").network["loss"] == "softmax-cross-entropy"
    with pytest.raises(RnnsimError, match="classes are told at one horizon"):
        table(path, target="label", ahead="1,2").n_out  # noqa: B018
    later = table(path, target="label", ahead=1)
    assert later.found.preparation.choices.horizons == (1,)


@pytest.mark.parametrize("loss", ["softmax-cross-entropy", "logistic-cross-entropy"])
def test_a_loss_that_is_for_classes_is_refused_for_numbers(numbers: Path, loss: str) -> None:
    with pytest.raises(RnnsimError, match=f"{loss} is for classes, and the target is a number"):
        rnnsim.run("bptt", numbers, loss=loss)


def test_simple_forecasters_stand_beside_the_network(tmp_path: Path) -> None:
    rng, t = np.random.default_rng(0), np.arange(300)
    path = tmp_path / "seasons.npz"
    np.savez(path, x=np.sin(2 * np.pi * t / 12) + 0.1 * rng.standard_normal(300))
    task = table(path, ahead="1,2")
    assert task.found.simple.season == 12
    rows = task.rows_of_part(TEST)
    found = task.references(rows)
    x = task.arranged.series.d[:, 0]
    counted = rows.index[rows.counted]
    for j, h in enumerate((1, 2)):
        said = {name: each[rows.counted][:, j, 0] for name, each in found.items()}
        np.testing.assert_array_equal(said["persistence"], x[counted])
        np.testing.assert_array_equal(said["seasonal persistence"], x[counted + h - 12])
    errors = {name: np.nanmean(np.square(each - rows.truth[..., None])) for name, each in found.items()}
    assert errors["ridge autoregression"] < errors["seasonal persistence"] < errors["persistence"]
    assert table(path, season=0).found.simple.season == 0
    path = tmp_path / "classes.csv"
    path.write_text("a,label\n" + "".join(f"{i * i},{'uud'[i % 3]}\n" for i in range(30)))
    task = table(path, target="label")
    found = task.references(task.rows_of_part(TEST))
    assert sorted(found) == ["last class", "most frequent"]
    np.testing.assert_array_equal(found["most frequent"][:, 0], [[0, 1]] * 30)


def test_the_unit_of_a_column_comes_out_with_its_forecasts(tmp_path: Path) -> None:
    path = tmp_path / "units.csv"
    rows = "".join(f"{i * i % 17},{i % 5}\n" for i in range(60))
    path.write_text("temp,wind\nCelsius,m/s\n" + rows)
    task = table(path, target="temp", linear=False)
    rows_of_test = task.rows_of_part(TEST)
    assert rows_of_test.forecast(np.zeros((len(rows_of_test.index), 1))).units == {"temp": "Celsius"}
    again = table(path, target="temp", linear=False).with_facts(task.facts)
    assert again.found.roles.units == {"temp": "Celsius"}


# --- data in place of a task ---------------------------------------------------------------------------


def data() -> dict[str, np.ndarray]:
    t = np.arange(60)
    return {"a": np.sin(t / 3), "b": np.cos(t / 3)}


@pytest.mark.usefixtures("uncompiled")
def test_data_may_stand_for_a_task_by_path_or_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "waves.npz"
    np.savez(path, **data())
    given = {"steps": 40, "hidden": 2, "progress": False}
    runs = [
        rnnsim.run("bptt", thing, **given)
        for thing in (path, str(path), data(), np.stack([*data().values()], axis=1))
    ]
    runs.append(rnnsim.run("bptt", "table", path=str(path), **given))
    runs.append(rnnsim.run("bptt", "table", data=data(), **given))
    for run in runs:
        np.testing.assert_array_equal(run.params.W, runs[0].params.W)
    with pytest.raises(RnnsimError, match="data is given twice: in place of a task, and as an option"):
        rnnsim.run("bptt", data(), data=data())
    with pytest.raises(RnnsimError, match="there is no file"):
        rnnsim.run("bptt", "absent.csv")
    with pytest.raises(UnknownName, match="no task is called 'tabel'"):
        rnnsim.run("bptt", "tabel")
    for nothing in (5, None, [], ()):
        with pytest.raises(RnnsimError, match="task is the name of a task or a Task, not"):
            rnnsim.run("bptt", nothing)


def test_data_that_are_given_do_not_change_later() -> None:
    given = data()
    task = registry.make_task("table", {"data": given})
    before = draw(task, 10, plain=True).inputs.copy()
    given["a"][:] = 7
    np.testing.assert_array_equal(draw(task, 10, plain=True).inputs, before)


# --- what is kept of it --------------------------------------------------------------------------------


@pytest.mark.usefixtures("uncompiled")
def test_a_run_is_loaded_without_the_file_and_forecasts_the_same(tmp_path: Path) -> None:
    path = tmp_path / "waves.npz"
    np.savez(path, **data())
    run = rnnsim.run("bptt", path, steps=40, hidden=2, ahead="1,2", save=tmp_path / "run")
    later = {name: values[-20:] for name, values in data().items()}
    expected = run.predict(later).values
    path.unlink()
    again = rnnsim.load(tmp_path / "run")
    np.testing.assert_array_equal(again.predict(later).values, expected)
    said, known = again.summary(), run.summary()  # what was found is known, and how good it is was said
    assert said[: said.index("cannot be scored")] == known[: said.index("cannot be scored")]
    with pytest.raises(RnnsimError, match="there is no file"):
        again.resume(80)


@pytest.mark.usefixtures("uncompiled")
def test_a_run_on_given_data_keeps_them_if_they_are_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = rnnsim.run("bptt", data(), steps=40, hidden=2, save=tmp_path / "run")
    more = rnnsim.load(tmp_path / "run").resume(80)
    np.testing.assert_array_equal(more.params.W, run.resume(80).params.W)
    again = rnnsim.repeat(tmp_path / "run")
    np.testing.assert_array_equal(again.params.W, run.params.W)
    monkeypatch.setattr("rnnsim.data.given.MOST", 100)
    rnnsim.run("bptt", data(), steps=40, hidden=2, save=tmp_path / "large")
    large = rnnsim.load(tmp_path / "large")
    np.testing.assert_array_equal(large.predict(data()).values, run.predict(data()).values)
    with pytest.raises(RnnsimError, match="given the mapping from Python, which is not in its folder"):
        large.resume(80)


def test_a_task_with_data_is_pickled_with_them() -> None:
    task = registry.make_task("table", {"data": data()})
    again = pickle.loads(pickle.dumps(task))
    np.testing.assert_array_equal(draw(again, 10, plain=True).inputs, draw(task, 10, plain=True).inputs)


def test_what_was_found_is_said(numbers: Path) -> None:
    assert table(numbers, inputs="x", target="x").told().splitlines() == [
        "numbers.csv: 10 rows",
        "  x     number         input, target",
        "  y     number         left out: not asked for",
        "  same  number         left out: the same in all rows",
        "  day   10 categories  left out: identifiers",
    ]
