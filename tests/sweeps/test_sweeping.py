"""Sweeps: they are the single runs, wherever these are carried out, and go on where they stopped."""

from __future__ import annotations

import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_sweeps import cell as made_cell
from plain_loop import Script, train
from same_sweeps import recorded, same

import rnnsim
from rnnsim.criterion import Streak
from rnnsim.errors import RnnsimError, UnknownName
from rnnsim.registry import make_rule
from rnnsim.sweeps import coordinating, working
from rnnsim.sweeps.plan import Plan, seeds_of
from rnnsim.sweeps.result import Sweep
from rnnsim.sweeps.store import OUTCOMES, Outcome, Runs, Store
from rnnsim.sweeps.sweeping import sweep

CRITERION = Streak(0.25, 20)  # which some of the seeds meet
SMALL: dict[str, Any] = {"hidden": 4, "optimizer": "adam", "learning_rate": 0.02, "steps": 3000}
TINY: dict[str, Any] = {"hidden": 2, "steps": 5}
NEVER = math.inf


def of_role(found: Sweep, role: str = "result") -> Runs:
    ids = [cell.id for cell in found.cells if cell.role == role]
    return found.runs.of(np.isin(found.runs.cell, ids))


# --- what a sweep does ---


def test_a_sweep_is_the_single_runs() -> None:
    single = [train(seed=seed, criterion=CRITERION).solved_at or NEVER for seed in range(12)]
    found = sweep("bptt", Script(), 12, criterion=CRITERION)
    assert found.runs.solved_at.tolist() == single
    assert len(set(single)) > 6
    assert NEVER in single
    assert found.outcomes == {"solved": 12 - single.count(NEVER), "complete": single.count(NEVER)}
    assert sweep("bptt", Script(), [2, 0], criterion=CRITERION).runs.solved_at.tolist() == [
        single[0], single[2]
    ]  # fmt: skip


def test_what_is_kept_of_a_run_is_what_the_run_says() -> None:
    found = sweep("rtrl", "delayed-xor", 2, **SMALL)
    for seed, (_, of_curve, curve) in enumerate(found.curves()):
        run = rnnsim.run("rtrl", "delayed-xor", seed=seed, **SMALL)
        assert (found.runs.loss[seed], found.runs.score[seed]) == run.held_out[:2]
        assert found.runs.steps[seed] == run.steps
        assert found.runs.solved_at[seed] == (run.solved_at or NEVER)
        assert of_curve == seed
        assert curve.keys() == run.metrics.keys()
        for name, array in run.metrics.items():
            np.testing.assert_array_equal(curve[name], array)
    assert found.runs.loss[0] != found.runs.loss[1]
    assert (found.runs.seconds > 0).all()


def test_the_best_parameters_are_evaluated_where_they_are_kept(tmp_path: Path) -> None:
    rows = np.sin(np.arange(300) * 0.3) + 0.1 * np.random.default_rng(0).normal(size=300)
    file = tmp_path / "rows.csv"
    np.savetxt(file, rows, header="a", comments="")
    options: dict[str, Any] = {"steps": 4000, "hidden": 4, "learning_rate": 0.05}
    found = sweep("bptt", str(file), 2, **options)
    for seed in range(2):
        run = rnnsim.run("bptt", str(file), seed=seed, **options)
        assert run.best is not None
        assert found.runs.validation_loss[seed] == pytest.approx(run.best.loss, rel=1e-12)
        steps = max(run.best.step, 1)  # the linear path alone may do best: nothing is learnt then
        again = rnnsim.run("bptt", str(file), seed=seed, **{**options, "steps": steps})
        own = [row.found.nrmse for row in again.evaluate().rows if row.forecaster == "bptt"]
        assert found.runs.score[seed] == pytest.approx(np.median(own), rel=1e-9)


@pytest.mark.usefixtures("uncompiled")
def test_choices_are_those_of_a_run() -> None:
    """Arguments and options alike."""
    found = sweep("truncated-bptt", "delayed-xor", 1, steps=7, batch=2, h=5, d=3, activation="relu")
    (cell,) = found.cells
    assert (cell.rule, cell.task, cell.steps) == ("truncated-bptt:h=5", "delayed-xor:d=3", 7)
    assert cell.experiment["settings"]["batch"] == 2
    assert cell.experiment["network"]["options"]["activation"] == "relu"


def test_the_control_does_not_learn() -> None:
    found = sweep("bptt", Script(), 12, criterion=CRITERION, control=True)
    still = sweep("bptt", Script(), 12, criterion=CRITERION, learning_rate=0.0)
    assert [cell.learning_rate for cell in found.cells] == [0.1, 0.0]
    assert of_role(found, "control").solved_at.tolist() == still.runs.solved_at.tolist()
    solved = [np.isfinite(of_role(found, role).solved_at).sum() for role in ("result", "control")]
    assert solved[0] > solved[1]


def test_runs_that_diverge_are_recorded() -> None:
    found = sweep("bptt", "delayed-xor", 3, optimizer="sgd", learning_rate=1e300, clip=math.inf,
                  steps=200, control=True)  # fmt: skip
    assert found.outcomes == {"complete": 3, "diverged": 3}
    assert (of_role(found).solved_at == NEVER).all()
    assert np.isnan(of_role(found).loss).all()
    assert all("diverged at step" in said for *_, said in found.problems)


@pytest.mark.usefixtures("uncompiled")
def test_networks_that_do_not_settle_do_not_stop_a_sweep() -> None:
    found = sweep("recurrent-backprop", "steady-state-xor", 2, gain=30.0, max_steps=3, steps=5)
    assert found.outcomes == {"no steady state": 2}


@pytest.mark.usefixtures("uncompiled")
def test_a_run_that_fails_is_recorded_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class TaskTraining(working.TaskTraining):
        def chunks(self, chunk: int | None = None) -> Iterator[None]:
            if self.experiment.seed == 3:
                raise OSError("no more")
            return super().chunks(chunk)

    monkeypatch.setattr(working, "TaskTraining", TaskTraining)
    found = sweep("bptt", "delayed-xor", 5, **TINY)
    assert found.outcomes == {"complete": 4, "failed": 1}
    assert found.problems == [(1, 3, "failed", "OSError: no more")]
    assert np.isnan(found.runs.solved_at[3])
    with pytest.raises(RnnsimError, match=r"none of the 1 runs has a result: OSError: no more"):
        sweep("bptt", "delayed-xor", [3], **TINY)


# --- grids, draws, labels ---


@pytest.mark.usefixtures("uncompiled")
def test_a_grid_has_every_combination_of_its_values() -> None:
    found = sweep(
        ["rtrl", {"name": "snap", "n": [1, 2]}], ["delayed-xor", "adding:length=5"], 1,
        grid={"learning_rate": [0.1, 0.2], "batch": (1, 3)}, **TINY,
    )  # fmt: skip
    cells = [(cell.rule, cell.task, cell.learning_rate, cell.varied) for cell in found.cells]
    rules, tasks = ("rtrl", "snap", "snap:n=2"), ("delayed-xor", "adding:length=5")
    assert cells == [
        (rule, task, rate, {"batch": batch})
        for task in tasks for rule in rules for rate in (0.1, 0.2) for batch in (1, 3)
    ]  # fmt: skip
    assert [cell.experiment["settings"]["batch"] for cell in found.cells[:2]] == [1, 3]
    assert len(found.runs.cell) == len(cells)


@pytest.mark.usefixtures("uncompiled")
def test_draws_are_within_their_bounds_and_the_same_for_all_rules() -> None:
    grid = {
        "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "batch": {"low": 1, "high": 4},
        "activation": ["tanh", "relu"], "leak": {"low": 0.25, "high": 0.5},
    }  # fmt: skip
    found = sweep(["rtrl", "bptt"], "delayed-xor", 1, grid=grid, draws=40, **TINY)
    drawn = [(cell.learning_rate, cell.varied) for cell in found.cells]
    assert drawn[:40] == drawn[40:]
    rates, varied = zip(*drawn[:40])
    assert all(1e-4 <= rate <= 1e-1 for rate in rates)
    assert 10 <= sum(rate < 10**-2.5 for rate in rates) <= 30  # half, in the logarithm
    assert {each["batch"] for each in varied} == {1, 2, 3, 4}
    assert {each["activation"] for each in varied} == {"tanh", "relu"}
    assert all(0.25 <= each["leak"] < 0.5 for each in varied)
    again = sweep("rtrl", "delayed-xor", 1, grid=grid, draws=40, **TINY)
    assert [(cell.learning_rate, cell.varied) for cell in again.cells] == drawn[:40]
    others = sweep("rtrl", "delayed-xor", 1, grid=grid, draws=40, draw_seed=1, **TINY)
    assert {cell.learning_rate for cell in others.cells}.isdisjoint(rates)


@pytest.mark.usefixtures("uncompiled")
def test_cells_that_cannot_be_carried_out_are_refused_and_the_others_are_carried_out() -> None:
    found = sweep(["rtrl", "recurrent-backprop"], "delayed-xor", 2, tune=False, **TINY)
    assert found.outcomes == {"complete": 2, "refused": 2}
    assert "recurrent-backprop needs a task whose patterns are held fixed" in found.problems[0][3]
    with pytest.raises(RnnsimError, match="recurrent-backprop needs a task"):
        sweep("recurrent-backprop", "delayed-xor", 2, **TINY)


# --- learning rates ---


def test_each_rule_gets_its_learning_rate_from_the_same_budget() -> None:
    rates = [0.0003, 0.03]
    found = sweep(["rtrl", "bptt"], "delayed-xor", 2, tune={"rates": rates, "seeds": 2}, hidden=4,
                  steps=2000)  # fmt: skip
    tried = [cell for cell in found.cells if cell.role == "trial"]
    assert [(cell.rule, cell.learning_rate) for cell in tried] == [
        (rule, rate) for rule in ("rtrl", "bptt") for rate in rates
    ]
    assert set(of_role(found, "trial").seed) == {1_000_000, 1_000_001}
    for cell in found.cells:
        if cell.role == "result":
            assert cell.choice is not None
            assert cell.learning_rate == 0.03
            assert (cell.choice["rates"], cell.choice["seeds"], cell.choice["at_edge"]) == (
                rates,
                2,
                True,
            )
            losses = []
            for trial in tried:
                if trial.rule == cell.rule:
                    runs = found.runs.of(found.runs.cell == trial.id)
                    losses.append(float(np.quantile(runs.validation_loss, 0.5, method="nearest")))
            assert cell.choice["validation_loss"] == losses
            assert losses[1] < losses[0]


def test_rates_are_chosen_by_default_only_where_rules_are_compared_without_one() -> None:
    from rnnsim.sweeps.plan import FACTORS, Plan, Tune
    from rnnsim.sweeps.tuning import tuning

    two = ["rtrl", "bptt"]
    assert tuning(Plan(two, ["adding"])) == Tune(FACTORS, None, 3)
    assert tuning(Plan(["rtrl"], ["adding"])) is None
    assert tuning(Plan(two, ["adding"], tune=False)) is None
    assert tuning(Plan(["rtrl"], ["adding"], tune=True)) == Tune()
    assert tuning(Plan(two, ["adding"], settings={"learning_rate": 0.1})) is None
    assert tuning(Plan(two, ["adding"], grid={"learning_rate": [0.1]})) is None


# --- elsewhere ---


def test_other_processes_find_the_same() -> None:
    arguments: dict[str, Any] = {"control": True, "d": 1, **SMALL}
    here = sweep("rtrl", "delayed-xor", 6, **arguments)
    there = sweep("rtrl", "delayed-xor", 6, jobs=2, **arguments)
    same(here, there)
    assert np.isfinite(of_role(here).solved_at).any()


def test_a_short_run_takes_the_loop_of_its_own_cell_alone() -> None:
    """Which is the one before, though another sweep has had a cell of the same number."""
    for rule, activation in (("rtrl", "tanh"), ("rtrl", "relu"), ("bptt", "relu"), ("rtrl", "tanh")):
        choices: dict[str, Any] = {**SMALL, "steps": 200, "activation": activation}
        found = sweep(rule, "delayed-xor", 3, **choices)
        single = [rnnsim.run(rule, "delayed-xor", seed=seed, **choices).loss for seed in range(3)]
        assert found.runs.loss.tolist() == single


@pytest.mark.parametrize("on_line", [False, True])
def test_of_numbers_of_ones_own_the_forecasts_are_scored(on_line: bool) -> None:
    """As by the run itself: not what the network learns of them, which is scaled."""
    rows = np.cumsum(np.random.default_rng(0).normal(size=(300, 2)), 0)
    choices: dict[str, Any] = {"hidden": 3, "on_line": on_line, "ahead": [1, 3]}
    found = sweep("rtrl", rows, 2, **choices)
    assert found.cells[0].score == "nRMSE"
    for seed, loss, score in zip(found.runs.seed, found.runs.loss, found.runs.score):
        report = rnnsim.run("rtrl", rows, seed=int(seed), **choices).evaluate()
        own = [row.found.nrmse for row in report.rows if row.forecaster == "rtrl"]
        assert len(own) == 4
        assert score == np.median(own)
        assert loss == pytest.approx(np.median(own) ** 2, rel=1e-12)


def test_classes_of_ones_own_have_their_accuracy() -> None:
    """The control."""
    rows = {"u": np.arange(300.0) % 7, "said": np.where(np.arange(300) % 7 > 3, "high", "low")}
    found = sweep("bptt", rows, 1, hidden=3, target="said", steps=50)
    single = rnnsim.run("bptt", rows, hidden=3, target="said", steps=50)
    assert (found.cells[0].score, found.runs.score[0]) == ("accuracy", single.held_out.score)


def test_any_executor_will_do() -> None:
    class Slow:
        """Like those of submitit: its futures can only be asked."""

        def submit(self, function: Any, *arguments: Any) -> Any:
            future: Future[Any] = Future()
            future.set_result(function(*arguments))

            class Job:
                done, result, cancel = future.done, future.result, future.cancel

            return Job()

    here = sweep("rtrl", "delayed-xor", 3, **SMALL)
    with ThreadPoolExecutor(2) as threads:
        same(here, sweep("rtrl", "delayed-xor", 3, executor=threads, **SMALL))
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        same(here, sweep("rtrl", "delayed-xor", 3, executor=processes, **SMALL))
    same(here, sweep("rtrl", "delayed-xor", 3, executor=Slow(), jobs=2, **SMALL))


def test_a_worker_with_other_versions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    there = working.versions_here() | {"numba": "0.1"}
    with ThreadPoolExecutor(1) as threads:
        monkeypatch.setattr(working, "versions_here", lambda: there)
        with pytest.raises(RnnsimError, match=r"worker .* has numba 0\.1 \(not .*\); install there"):
            sweep("rtrl", "delayed-xor", 3, executor=threads, **TINY)


def test_things_that_are_made_can_be_sent_to_other_processes() -> None:
    rule = make_rule("truncated-bptt", {"h": 3})
    found = sweep(rule, "delayed-xor", 2, jobs=2, steps=20)
    assert found.outcomes == {"complete": 2}


needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="no process is killed by a signal")


@needs_signals
def test_a_worker_that_is_killed_costs_no_run(tmp_path: Path) -> None:
    """Whatever kills it from outside: its runs are sent again."""
    long: dict[str, Any] = {**SMALL, "steps": 60_000, "stop": False}
    file = tmp_path / "found.sqlite"
    process = start_sweep(tmp_path, file, long, seeds=8, jobs=2)
    killed = 0
    until = time.monotonic() + 100
    while process.poll() is None and killed < 2 and time.monotonic() < until:
        time.sleep(0.1)
        if recorded(file) > 2 * killed + 1:
            os.kill(children(process.pid)[0], signal.SIGKILL)
            killed += 1
    _, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    assert killed == 2
    same(sweep("rtrl", "delayed-xor", 8, **long), Sweep.load(file))


@needs_signals
def test_a_coordinator_that_is_killed_loses_nothing_that_was_recorded(tmp_path: Path) -> None:
    long: dict[str, Any] = {**SMALL, "steps": 60_000, "stop": False}
    file = tmp_path / "found.sqlite"
    process = start_sweep(tmp_path, file, long, seeds=6, jobs=1)
    until = time.monotonic() + 100
    while recorded(file) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=60)
    before = Sweep.load(file)
    assert 2 <= len(before.runs.cell) < 6
    again = sweep("rtrl", "delayed-xor", 6, file=file, **long)
    for name in Runs._fields:  # also the seconds: they were not run again
        kept, now = getattr(before.runs, name), getattr(again.runs, name)
        np.testing.assert_array_equal(kept, now[np.isin(again.runs.seed, before.runs.seed)])
    same(sweep("rtrl", "delayed-xor", 6, **long), again)


SCRIPT = """
import sys
from rnnsim.sweeps.sweeping import sweep
if __name__ == "__main__":
    sweep("rtrl", "delayed-xor", {seeds}, file={file!r}, jobs={jobs}, batch_seconds=0.01, **{choices})
"""


def start_sweep(
    tmp_path: Path, file: Path, choices: dict[str, Any], seeds: int, jobs: int
) -> subprocess.Popen[bytes]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(seeds=seeds, file=str(file), jobs=jobs, choices=choices))
    return subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE)


def children(pid: int) -> list[int]:
    """The worker processes of a process: not that which keeps account of what they share."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(each.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            command = each.joinpath("cmdline").read_text()
        except (OSError, IndexError):
            continue
        if parent == pid and "spawn_main" in command:
            found.append(int(each.name))
    return sorted(found)


# --- what is there is not computed again ---


@pytest.mark.usefixtures("uncompiled")
def test_results_that_are_there_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "found.sqlite"
    first = sweep("rtrl", "delayed-xor", 2, file=file, **TINY)
    more = sweep("rtrl", "delayed-xor", 4, file=file, **TINY)
    assert more.runs.seconds[:2].tolist() == first.runs.seconds.tolist()
    assert len(more.cells) == 1
    other = sweep("rtrl", "delayed-xor", 2, file=file, **{**TINY, "steps": 6})
    assert [cell.steps for cell in other.cells] == [5, 6]
    assert len(other.runs.cell) == 6

    def fail(*_: Any, **__: Any) -> Any:
        raise AssertionError("it is run again")

    monkeypatch.setattr(working, "TaskTraining", fail)
    same(other, sweep("rtrl", "delayed-xor", 4, file=file, **TINY))


@pytest.mark.usefixtures("uncompiled")
def test_a_plan_that_cannot_be_used_leaves_no_file(tmp_path: Path) -> None:
    for wrong in ({"rules": "rtlr"}, {"hidden": 0}, {"grid": {"xyzzy": [1]}}):
        with pytest.raises(RnnsimError):
            sweep(**{"rules": "rtrl", "tasks": "delayed-xor", "file": tmp_path / "a.sqlite", **wrong})
        assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("uncompiled")
def test_failed_runs_are_tried_again_where_one_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "found.sqlite"
    real = working.TaskTraining

    def failing(experiment: Any, **named: Any) -> Any:
        if experiment.seed == 1:
            raise OSError("out of order")
        return real(experiment, **named)

    monkeypatch.setattr(working, "TaskTraining", failing)
    assert sweep("rtrl", "delayed-xor", 3, file=file, **TINY).outcomes["failed"] == 1
    assert sweep("bptt", "delayed-xor", 2, file=file, **TINY).outcomes["failed"] == 2
    monkeypatch.setattr(working, "TaskTraining", real)
    assert sweep("rtrl", "delayed-xor", 3, file=file, **TINY).outcomes["failed"] == 2
    assert sweep("rtrl", "delayed-xor", 3, file=file, retry=True, **TINY).outcomes == {
        "complete": 4, "failed": 1  # that is of another plan
    }  # fmt: skip


@pytest.mark.usefixtures("uncompiled")
def test_a_file_that_is_another_is_refused_and_stays(tmp_path: Path) -> None:
    other, text, busy = (tmp_path / name for name in ("other.sqlite", "text.sqlite", "busy.sqlite"))
    with sqlite3.connect(other) as database:
        database.execute("create table runs (a)")
    text.write_text("a,b\n1,2\n")
    for path in (other, text):
        before = path.read_bytes()
        with pytest.raises(RnnsimError, match=r"is no file of the results of a sweep"):
            sweep("rtrl", "delayed-xor", 1, file=path, **TINY)
        with pytest.raises(RnnsimError, match=r"is no file of the results of a sweep"):
            Sweep.load(path)
        assert path.read_bytes() == before
    with pytest.raises(RnnsimError, match="there is no file"):
        Sweep.load(tmp_path / "nothing.sqlite")
    with pytest.raises(RnnsimError, match=r"cannot be kept in .*nowhere"):
        sweep("rtrl", "delayed-xor", 1, file=tmp_path / "nowhere" / "a.sqlite", **TINY)
    lock = (tmp_path / ".busy.sqlite.lock").open("w")
    fcntl = pytest.importorskip("fcntl")
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(RnnsimError, match=r"another process writes the results .* into .*busy\.sqlite"):
        sweep("rtrl", "delayed-xor", 1, file=busy, **TINY)
    lock.close()
    sweep("rtrl", "delayed-xor", 1, file=busy, **TINY)
    assert not (tmp_path / ".busy.sqlite.lock").exists()


@pytest.mark.usefixtures("uncompiled")
def test_what_is_registered_nowhere_is_not_kept_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(RnnsimError, match="the task of this sweep is one of your own"):
        sweep("bptt", Script(), 1, file=tmp_path / "a.sqlite")
    with pytest.raises(RnnsimError, match="the criterion of this sweep is one of your own"):
        sweep("bptt", "delayed-xor", 1, file=tmp_path / "a.sqlite", criterion=CRITERION, **TINY)


def test_a_disk_that_is_full_is_said_and_what_was_written_stays(tmp_path: Path) -> None:
    """Also where SQLite ends the transaction itself, so that there is none to roll back."""
    store = Store(tmp_path / "a.sqlite")
    curve = bytes(10_000)
    (id,) = store.add_cells([("key", made_cell())])
    store.add([Outcome(id, 0, "complete", curve=curve)])
    store._database.execute("pragma cache_size = 1")  # so that it writes in the middle
    (pages,) = store._database.execute("pragma page_count").fetchone()
    store._database.execute(f"pragma max_page_count = {pages + 2}")
    with pytest.raises(RnnsimError, match="cannot be read or written: database or disk is full"):
        store.add(Outcome(id, seed, "complete", curve=curve) for seed in range(1, 50))
    assert not store._database.in_transaction
    assert store.done() == Store(tmp_path / "a.sqlite", writes=False).done() == {(id, 0)}


@pytest.mark.parametrize("at", ["begin", "commit"])
def test_an_interrupt_leaves_no_transaction_open(tmp_path: Path, at: str) -> None:
    """After which nobody else could write."""
    store = Store(tmp_path / "a.sqlite")
    (id,) = store.add_cells([("key", made_cell())])
    real = store._database

    class Interrupted:
        def execute(self, command: str, *given: Any) -> Any:
            if command == "commit" == at:
                raise KeyboardInterrupt
            found = real.execute(command, *given)
            if command.startswith(at):
                raise KeyboardInterrupt
            return found

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    store._database = Interrupted()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        store.add([Outcome(id, 0, "complete")])
    assert not real.in_transaction
    Store(tmp_path / "a.sqlite").add([Outcome(id, 1, "complete")])
    assert Store(tmp_path / "a.sqlite").done() == {(id, 1)}


@pytest.mark.usefixtures("uncompiled")
def test_results_are_kept_in_a_file_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (":memory:", "a b?mode=ro#%41.sqlite", "file:x.sqlite", "'\".sqlite"):
        sweep("rtrl", "delayed-xor", 1, file=name, **TINY)
        assert (tmp_path / name).is_file()
        assert len(Sweep.load(name).runs.cell) == 1


@pytest.mark.usefixtures("uncompiled")
def test_it_is_said_where_runs_are_by_several_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, here = tmp_path / "a.sqlite", working.versions_here()
    sweep("rtrl", "delayed-xor", 1, file=file, **TINY)
    assert "same versions" not in Sweep.load(file).summary()
    for module in (working, coordinating):
        monkeypatch.setattr(module, "versions_here", lambda: here | {"numba": "0.1"})
    again = sweep("rtrl", "delayed-xor", 1, file=file, **TINY)
    assert "same versions" not in again.summary()  # nothing was run
    found = sweep("rtrl", "delayed-xor", 2, file=file, **TINY)
    said = f"Not all runs are by the same versions, and may differ by that: numba {here['numba']}, 0.1."
    assert said in " ".join(found.summary().split())
    assert found.as_dict()["versions"] == {"numba": [here["numba"], "0.1"]}
    assert "% Not all runs" in found.summary("latex")


def test_seeds_may_be_an_array() -> None:
    assert seeds_of(Plan(["rtrl"], ["adding"], np.array([3, 1]))) == [3, 1]
    with pytest.raises(RnnsimError, match="seeds are different whole numbers"):
        seeds_of(Plan(["rtrl"], ["adding"], np.array([3, 3])))


def test_every_outcome_is_one_that_is_known(tmp_path: Path) -> None:
    found = sweep("rtrl", "delayed-xor", 1, file=tmp_path / "a.sqlite", **TINY)
    assert found.runs.outcome.tolist() == [OUTCOMES.index("complete")]


# --- files of sweeps ---

FILE = """
seeds = [0, 2]
settings = {hidden = 2, steps = 5}
[[experiments]]
label = "first"
rules = ["rtrl"]
tasks = ["delayed-xor"]
[[experiments]]
label = "second"
rules = [{name = "snap", n = [1, 2]}]
tasks = ["adding"]
seeds = 1
settings = {steps = 6}
"""


@pytest.mark.usefixtures("uncompiled")
def test_a_file_says_what_is_done(tmp_path: Path) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text(FILE)
    found = sweep(file, file=tmp_path / "found.sqlite")
    told = [(cell.label, cell.rule, cell.task, cell.steps) for cell in found.cells]
    assert told == [("first", "rtrl", "delayed-xor", 5), ("second", "snap", "adding", 6),
                    ("second", "snap:n=2", "adding", 6)]  # fmt: skip
    assert found.runs.seed.tolist() == [0, 2, 0, 0]
    same(found, Sweep.load(tmp_path / "found.sqlite"))
    with pytest.raises(RnnsimError, match="seeds is given, and there is a file that says what is done"):
        sweep(file, seeds=3)
    with pytest.raises(RnnsimError, match=r"steps is given, and there is a file"):
        sweep(file, steps=3)
    with pytest.raises(RnnsimError, match=r"seeds is given, and there is a file"):
        sweep(file, seeds=np.arange(3))


WRONG = {
    "rules = 3": "rules is a list of at least one",
    "rules = []\ntasks = ['adding']": "rules is a list of at least one",
    "rules = ['rtrl']": "tasks is a list of at least one",
    "rule = ['rtrl']": "no key of a sweep's file is called 'rule'; did you mean rules?",
    "rules = ['rtrl']\ntasks = ['adding']\ndraws = 3": "draws says how often values of the grid",
    "rules = ['rtrl']\ntasks = ['adding']\ngrid = {batch = 3}": "batch in the grid is a list",
    "rules = ['rtrl']\ntasks = ['adding']\ngrid = {leak = {low = 0.1, high = 1}}": "give draws",
    "rules = ['rtrl']\ntasks = ['adding']\ntune = {rate = [1]}": "tune",
    "rules = ['rtrl']\ntasks = ['adding']\nseeds = [1, 1]": "seeds are different whole numbers",
    "rules = ['rtrl']\ntasks = ['adding']\nsettings = {seed = 1}": "seed is an argument of a single run",
    "rules = ['rtrl']\ntasks = ['adding']\nsettings = {stepps = 1}": "no option .* is called 'stepps'",
    "rules = ['rtlr']\ntasks = ['adding']": "did you mean rtrl",
    "rules = [{n = 1}]\ntasks = ['adding']": "a rule with choices of its own needs a name",
    "settings = {steps = 5}\n[[experiments]]\nsettings = 3": "settings: expected a table",
    "rules = ['rtrl', 'snap']\ntasks = ['adding']\ntune = false\ngrid = {n = [1, 2]}": (
        "an option of one rule or task alone stands with it: snap:n=2"
    ),
    "experiments = 3": "experiments are tables",
    "rules = [": "no file of a sweep",
}


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("text", WRONG)
def test_a_file_that_is_wrong_is_refused_in_a_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text(text)
    with pytest.raises(RnnsimError, match=WRONG[text]) as error:
        sweep(file)
    assert len(str(error.value).splitlines()) <= 2


REFUSED: list[tuple[dict[str, Any], type[RnnsimError], str]] = [
    ({"seeds": 0}, RnnsimError, "seeds is 0; it must be at least 1"),
    ({"seeds": 2.5}, RnnsimError, "seeds is a whole number, not 2.5"),
    ({"jobs": 0}, RnnsimError, "jobs is 0; it must be at least 1"),
    ({"seed": 3}, RnnsimError, "seed is an argument of a single run"),
    ({"save": "folder"}, RnnsimError, "save is an argument of a single run"),
    ({"options": {"d": 3}}, UnknownName, "no option of .* is called 'options'"),
    ({"stepps": 3}, UnknownName, "no option of .* is called 'stepps'"),
    ({"learning_rate": -1}, RnnsimError, "learning_rate is -1; it must be at least 0"),
    ({"jobs": 2, "activation": (lambda a: a, lambda a: 1.0)}, RnnsimError,
     "this sweep cannot be sent to other processes .*; use jobs=1"),
    ({"executor": 3}, RnnsimError, "executor is one of concurrent.futures, not 3"),
    ({"tune": [-1.0]}, RnnsimError, "a learning rate of tune is -1"),
    ({"tune": [0.1], "learning_rate": 0.1}, RnnsimError, "learning_rate is given, and tune"),
    ({"tune": {"rate": [1]}}, RnnsimError, "tune is true, rates to try, or a mapping"),
    ({"draws": 3}, RnnsimError, "draws says how often values of the grid are drawn"),
    ({"batch_seconds": 0}, RnnsimError, "batch_seconds is 0; it must be above 0"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error", "message"), REFUSED)
def test_what_cannot_be_used_is_refused(
    change: dict[str, Any], error: type[RnnsimError], message: str
) -> None:
    with pytest.raises(error, match=message):
        sweep("bptt", "delayed-xor", **{"seeds": 2, **change})
