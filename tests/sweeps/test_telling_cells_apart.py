"""Cells of one file that look alike and are not the same: kept, shown and ranked by themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_sweeps import cell, complete, made

import rnnsim
from rnnsim.errors import RnnsimError
from rnnsim.runs import provenance
from rnnsim.sweeps import cells as sweep_cells
from rnnsim.sweeps import working
from rnnsim.sweeps.cells import Recipe, planned
from rnnsim.sweeps.differing import told_apart
from rnnsim.sweeps.result import Sweep
from rnnsim.sweeps.store import Cell
from rnnsim.sweeps.sweeping import sweep

pytestmark = pytest.mark.usefixtures("uncompiled")

TINY: dict[str, Any] = {"hidden": 2, "steps": 5, "tune": False}
BOTH = ["rtrl", "bptt"]


def rows(seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(60, 2)).cumsum(0)


def write(path: Path, table: Any) -> str:
    np.savetxt(path, table, delimiter=",", header="a,b", comments="")
    return str(path)


def varied(found: Sweep) -> list[dict[str, Any]]:
    return [dict(each.varied) for each in found.cells]


def ranks(found: Sweep) -> list[Any]:
    return [row["rank"] for row in found.as_dict()["cells"]]


@pytest.mark.parametrize("option", ["ahead", "lags"])
def test_options_of_ones_own_data_are_settings(option: str) -> None:
    found = sweep(BOTH, rows(), 1, grid={option: [1, 3]}, **TINY)
    assert varied(found) == [{option: 1}, {option: 3}] * 2
    assert sorted(ranks(found)) in ([1, 1, 2, 2], [1, 1.5, 1.5, 2], [1.5] * 4)


def test_different_data_of_one_name_are_not_ranked_together() -> None:
    found = sweep(BOTH, [rows(0), rows(1)], 1, **TINY)
    assert [each.task for each in found.cells] == ["the array"] * 4
    assert varied(found) == [{"data": 1}, {"data": 1}, {"data": 2}, {"data": 2}]
    assert max(ranks(found)) <= 2


def test_data_that_have_changed_under_one_name_are_run_again(tmp_path: Path) -> None:
    """Even where only rows of the test have, of which nothing is known when a network learns."""
    table, results = rows(), tmp_path / "found.sqlite"
    file = write(tmp_path / "a.csv", table)
    before = sweep("rtrl", file, 1, file=results, linear=False, **TINY)
    assert varied(before) == [{}]
    table[-1] += 1
    write(tmp_path / "a.csv", table)
    found = sweep("rtrl", file, 1, file=results, linear=False, **TINY)
    assert varied(found) == [{"data": 1}, {"data": 2}]
    assert found.runs.loss[0] == before.runs.loss[0] != found.runs.loss[1]
    single = sweep("rtrl", file, 1, linear=False, **TINY)
    assert found.runs.loss[1] == single.runs.loss[0]
    again = sweep("rtrl", file, 1, file=results, linear=False, **TINY)
    assert again.runs.seconds.tolist() == found.runs.seconds.tolist()


def test_a_worker_whose_data_are_others_gives_no_result(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", rows(0))
    cell, _ = planned(Recipe("rtrl", file, {"hidden": 2, "steps": 5}), 0, "result")
    work = working.Work(1, cell.recipe, cell.kernels, cell.data)
    versions = working.versions_here()
    (good,) = working.carry_out(working.Batch((work,), ((0, 0),), versions))  # type: ignore[misc]
    assert good.outcome == "complete"
    write(tmp_path / "a.csv", rows(1))
    (bad,) = working.carry_out(working.Batch((work,), ((0, 0),), versions))  # type: ignore[misc]
    assert bad.outcome == "failed"
    assert "the data a.csv are not those of which this sweep was planned" in bad.error
    other, _ = planned(Recipe("rtrl", file, {"hidden": 2, "steps": 5}), 0, "result")
    new = working.Work(1, cell.recipe, other.kernels, other.data)  # the recipe looks the same
    (found,) = working.carry_out(working.Batch((new,), ((0, 0),), versions))  # type: ignore[misc]
    assert found.loss == sweep("rtrl", file, 1, hidden=2, steps=5).runs.loss[0] != good.loss


def test_results_of_several_plans_are_told_apart_and_ranked_by_themselves(tmp_path: Path) -> None:
    file = tmp_path / "found.sqlite"
    one = sweep(BOTH, "delayed-xor", 2, file=file, **TINY)
    assert varied(one) == [{}, {}]
    first = ranks(one)
    two = sweep(BOTH, "delayed-xor", 2, file=file, **{**TINY, "steps": 6})
    assert sorted(each["steps"] for each in varied(two)) == [5, 5, 6, 6]
    assert ranks(two)[0] == first[0]
    assert "| steps |" in two.summary()
    three = sweep(BOTH, "delayed-xor", 2, file=file, optimizer="sgd", **TINY)
    assert {each["optimizer"] for each in varied(three)} == {"adam", "sgd"}


def test_parameters_to_begin_with_are_part_of_a_cell(tmp_path: Path) -> None:
    params = rnnsim.run("rtrl", "delayed-xor", hidden=2, steps=3).params
    others = params._replace(**{name: 2 * value for name, value in params._asdict().items()})
    for each in (params, others, params):
        found = sweep("rtrl", "delayed-xor", 1, file=tmp_path / "a.sqlite", params=each, **TINY)
    assert varied(found) == [{"params": 1}, {"params": 2}]


def test_results_of_another_version_are_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, versions = tmp_path / "a.sqlite", provenance.versions
    sweep("rtrl", "delayed-xor", 1, file=file, **TINY)
    monkeypatch.setattr(provenance, "versions", lambda one: {**versions(one), "some-plugin": "2"})
    found = sweep("rtrl", "delayed-xor", 1, file=file, **TINY)
    assert varied(found) == [{}, {"some-plugin": "2"}]
    monkeypatch.setattr(provenance, "versions", lambda one: {**versions(one), "some-plugin": "3"})
    found = sweep("rtrl", "delayed-xor", 1, file=file, **TINY)
    assert "| some-plugin |" in found.summary()
    assert len(found.runs.cell) == 3


def test_no_more_is_said_than_tells_cells_apart_and_not_what_follows_from_a_rate() -> None:
    def one(rate: float, place: int = 0, rule: str = "a", **settings: Any) -> Cell:
        of_all = {"settings": {"learning_rate": rate, "steps": 5, **settings}, "data": ""}
        made: Cell = cell(place, rule, learning_rate=rate, experiment=of_all)
        return made

    rates = [one(0.1), one(0.2), one(0.0)]
    assert told_apart(rates) == rates
    found = told_apart([one(0.1), one(0.1, keep_every=3, window=2), one(0.1, rule="b", window=7)])
    assert [each.varied for each in found] == [{}, {"window": 2}, {"window": 7}]
    refused = cell(1, "a", experiment={})
    assert told_apart([refused, *rates])[0] == refused


def test_a_summary_names_what_differs() -> None:
    settings = [json.loads(f'{{"network": {{"options": {{"leak": {leak}}}}}}}') for leak in (0.5, 1)]
    found = made(*[(cell(0, experiment=each), [complete()]) for each in settings])
    assert [row["varied"] for row in found.as_dict()["cells"]] == [{"leak": 0.5}, {"leak": 1}]
    assert "| leak |" in found.summary()


def test_different_data_have_panels_of_their_own() -> None:
    """Of settings of one task the best is drawn, and losses on other data are no better or worse."""
    pytest.importorskip("matplotlib")
    found = sweep(BOTH, [rows(0), rows(1)], 1, grid={"ahead": [1, 3], "batch": [1, 2]}, **TINY)
    titles = [axes.get_title() for axes in found.plot().axes]
    assert sorted(filter(None, titles)) == [
        f"the array, data={data}, ahead={ahead}" for data in (1, 2) for ahead in (1, 3)
    ]
    assert {"data": 2, "ahead": 3, "batch": 1} in varied(found)


def test_files_of_one_name_in_different_folders_are_told_apart(tmp_path: Path) -> None:
    files = []
    for i in range(2):
        (tmp_path / str(i)).mkdir()
        files.append(write(tmp_path / str(i) / "a.csv", rows(i)))
    assert [each["data"] for each in varied(sweep("rtrl", files, 1, **TINY))] == [1, 2]


def test_learning_rates_of_parameters_are_settings() -> None:
    rates = [{"W": 0.1}, {"W": 0.2, "b": np.array([0.1, 0.2])}]
    found = sweep("rtrl", "delayed-xor", 1, grid={"learning_rate": rates}, **TINY)
    assert varied(found) == [{"learning_rate": "W=0.1"}, {"learning_rate": 1}]
    assert "| W=0.1 |" in " ".join(found.summary().split())


def test_tasks_that_make_their_data_have_no_digest() -> None:
    cell, experiment = planned(Recipe("rtrl", "delayed-xor", {}), 0, "result")
    assert experiment is not None
    assert cell.data == sweep_cells.digest_of_data(experiment.task) == ""
    with pytest.raises(RnnsimError):
        sweep("rtrl", "nothing.csv", 1)
