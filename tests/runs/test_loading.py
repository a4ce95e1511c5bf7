"""``rnnsim.load``: the run of a folder is the one that was saved, and what is damaged is said."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import tomli_w
from plain_loop import Script
from safetensors.numpy import load as arrays_from
from safetensors.numpy import save as as_file
from same_runs import DATES, differences, run_differences

import rnnsim
from rnnsim import registry
from rnnsim.data.calibration import Calibration
from rnnsim.errors import RnnsimError, UnknownName
from rnnsim.training import checkpoints, task_rows, task_training
from rnnsim.training.evaluation import Evaluation
from rnnsim.training.experiment import configure
from rnnsim_rules.truncated_bptt import TruncatedBPTT

pytestmark = pytest.mark.usefixtures("soon")

BASE: dict[str, Any] = {"rule": "rtrl", "task": "script", "steps": 24, "window": 3, "hidden": 3,
                        "batch": 2, "stop": False}  # fmt: skip


def stopped_after(step: int) -> Callable[[Any], bool]:
    """A callback that ends a run."""
    return lambda seen: bool(seen.step >= step)


def halfway(folder: Path, **more: Any) -> rnnsim.Run:
    """A run that was stopped after half of its steps, and saved."""
    return rnnsim.run(**{**BASE, **more}, callback=stopped_after(12), callback_every=3, save=folder)


def norm(seen: Any) -> int:
    return int(1000 * np.linalg.norm(seen.params.W))


# --- it is the same -----------------------------------------------------------------------------------

RUNS: dict[str, dict[str, Any]] = {
    "plain": {},
    "float32": {"dtype": "float32", "optimizer": "adam"},
    "best": {"keep": "best", "keep_every": 6},
    "monitors": {"monitor": ["state", "params.W", "spectral-radius"], "monitor_every": 5},
    "solved": {"criterion": "loose", "stop": True, "steps": 400, "learning_rate": 0.1},
    "stopped": {"callback": stopped_after(12), "callback_every": 3},
    "no target yet": {"steps": 1, "window": 1, "seed": 2},
    "gru": {"network": "gru"},
    "fast weights": {"rule": "fast-weights-1", "n_slow_in": 1},
    "rates": {"learning_rate": {"W": np.full((3, 3), 0.1), "b": 0.1}},
    "network": {"network": rnnsim.RecurrentNetwork(2, 3, 1, connectivity=np.tri(3, dtype=bool)),
                "hidden": None},
    "generator": {"rule": "uoro", "task": Script(ends=True)},
}  # fmt: skip


def told(run: rnnsim.Run) -> dict[str, Any]:
    return {name: value for name, value in run.as_dict().items() if name != "folder"}


@pytest.mark.parametrize("name", RUNS)
def test_a_loaded_run_is_the_one_that_was_saved(name: str, tmp_path: Path) -> None:
    run = rnnsim.run(**{**BASE, **RUNS[name]})
    assert run.save(tmp_path) == tmp_path
    loaded = rnnsim.load(tmp_path)
    assert run_differences(run, loaded, but=("provenance",)) == []
    assert loaded.provenance.saved is not None
    assert msgspec.structs.replace(loaded.provenance, saved=None) == run.provenance
    assert (told(loaded), loaded.summary()) == (told(run), run.summary())
    if name == "plain":  # a figure takes long
        assert loaded._repr_html_() == run._repr_html_()
    assert [type(value) for value in vars(loaded).values()] == [type(x) for x in vars(run).values()]
    inputs = np.random.default_rng(0).standard_normal((4, 2, 2))
    assert loaded.predict(inputs).tobytes() == run.predict(inputs).tobytes()
    loaded.save(tmp_path / "again")
    for file in ("metrics.csv", "arrays.safetensors"):
        assert (tmp_path / file).read_bytes() == (tmp_path / "again" / file).read_bytes()


def test_a_difference_between_runs_is_found() -> None:
    """The control: what the check above compares."""
    run = rnnsim.run(**BASE, keep="best", keep_every=6)
    point, best = run.checkpoint, run.best
    assert point is not None
    assert best is not None
    others: dict[str, Any] = {
        "experiment": dataclasses.replace(run.experiment, seed=5),
        "params": run.params._replace(W=np.nextafter(run.params.W, 9)), "solved_at": 3, "steps": 23,
        "seconds": 9.0, "held_out": Evaluation(run.loss, 9.0), "best": best._replace(step=3),
        "metrics": {**run.metrics, "step": run.metrics["step"].astype(np.int32)}, "outcome": "solved",
        "checkpoint": point._replace(records=4), "folder": Path("x"), "recorded": (),
        "provenance": msgspec.structs.replace(run.provenance, cores=999),
        "calibration": Calibration(np.ones(1), np.zeros((999, 1, 1))), "said": np.zeros((1, 1, 1)),
    }  # fmt: skip
    assert set(others) == {field.name for field in dataclasses.fields(rnnsim.Run)}
    for name, value in others.items():
        found = run_differences(run, dataclasses.replace(run, **{name: value}), but=())
        assert found == [name if name != "experiment" else "seed"]


def test_functions_among_monitors_are_known_by_name(tmp_path: Path) -> None:
    given = {"norm": norm, "W": "params.W", "again": norm}
    run = halfway(tmp_path, monitor=given, monitor_every=4)
    loaded = rnnsim.load(tmp_path)
    assert run_differences(run, loaded, but=("provenance", "recorded")) == []
    assert loaded.recorded is not None
    assert list(loaded.recorded.given.items()) == [("norm", None), ("W", "params.W"), ("again", None)]
    with pytest.raises(RnnsimError, match="monitor norm of this run is a function of your own; give it"):
        loaded.resume()
    with pytest.raises(RnnsimError, match="this run has no monitor 'other'; there are norm, W, again"):
        loaded.resume(monitor={"norm": norm, "again": norm, "other": norm})
    whole = rnnsim.run(**BASE, monitor=given, monitor_every=4)
    resumed = loaded.resume(monitor={"norm": norm, "again": norm})
    assert run_differences(whole, resumed) == []


def test_it_can_be_drawn_and_fed(tmp_path: Path) -> None:
    run = halfway(tmp_path)
    loaded = rnnsim.load(tmp_path)
    pytest.importorskip("matplotlib")
    for draw in (loaded.plot, lambda: loaded.plot(behaviour=True), loaded.plot_behaviour):
        assert len(draw().axes) >= 1
    u = np.random.default_rng(0).standard_normal((9, 2))
    outputs = [[learner.step(x).tobytes() for x in u] for learner in (loaded.learner(), run.learner())]
    assert outputs[0] == outputs[1]
    learner = loaded.learner(learning_rate=0.5, rule="uoro", batch=3)
    assert (learner.batch, learner.rule.name) == (3, "uoro")
    with pytest.raises(RnnsimError, match="learning_rate"):
        loaded.learner(learning_rate=-1)


def unlearnt(rule: str, task: str, **how: Any) -> rnnsim.Run:
    """A run that has learnt nothing: for tasks that take long uncompiled."""
    experiment = configure(rule, task, **how)
    curve = {"step": np.array([4]), "loss": np.ones(1), experiment.task.score: np.ones(1)}
    return rnnsim.Run(experiment, experiment.initial_params(), None, 8, 1.0,
                      Evaluation(1.0, 1.0, 0.5), metrics=curve)  # fmt: skip


def test_steady_states_are_predicted(tmp_path: Path) -> None:
    run = unlearnt("recurrent-backprop", "steady-state-xor")
    run.save(tmp_path)
    loaded = rnnsim.load(tmp_path)
    assert run_differences(run, loaded, but=("provenance",)) == []
    patterns = np.array([[[0.0, 1.0], [1.0, 1.0]]])
    found = loaded.predict(patterns)
    wanted = rnnsim.simulate(run.experiment.network, run.params, patterns, steady_state=True).outputs
    assert found.tobytes() == wanted.tobytes()
    moved = rnnsim.simulate(run.experiment.network, run.params, patterns).outputs
    assert not np.allclose(found, moved)  # the control: it has settled


def test_pairs_of_inputs_of_fast_weights_are_taken(tmp_path: Path) -> None:
    run = unlearnt("fast-weights-1", "script", options={"n_slow_in": 1})
    run.save(tmp_path)
    both = np.random.default_rng(0).standard_normal((5, 2, 2))
    loaded = rnnsim.load(tmp_path)
    wanted = run.predict(both)
    assert loaded.predict((both[..., :1], both[..., 1:])).tobytes() == wanted.tobytes()
    assert loaded.predict((both[..., 1:], both[..., :1])).tobytes() != wanted.tobytes()


# --- a damaged checkpoint -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept(soon: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept") / "run"
    halfway(folder, rule="uoro", optimizer="adam", keep="best", keep_every=6, monitor="state",
            monitor_every=6)  # fmt: skip
    return folder


def copy_of(
    folder: Path, to: Path, arrays: dict[str, Any] | None = None, **tables: dict[str, Any]
) -> Path:
    """A copy of a run's folder, with other arrays (None: without) and values of its tables."""
    to.mkdir()
    held = arrays_from((folder / "arrays.safetensors").read_bytes()) | (arrays or {})
    held = {name: np.ascontiguousarray(x) for name, x in held.items() if x is not None}
    (to / "arrays.safetensors").write_bytes(as_file(held))
    (to / "metrics.csv").write_bytes((folder / "metrics.csv").read_bytes())
    file = tomllib.loads((folder / "run.toml").read_text())
    for name, values in tables.items():
        file[name] |= values
    (to / "run.toml").write_text(tomli_w.dumps(file))
    return to


def refused(folder: Path) -> str:
    """Why a run that can be loaded cannot go on, in one line."""
    loaded = rnnsim.load(folder)
    assert loaded.steps == 12
    loaded.summary()
    with pytest.raises(RnnsimError) as caught:
        loaded.resume()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 400
    return message


def test_without_damage_it_goes_on(kept: Path, tmp_path: Path) -> None:
    """The control, and that a copy is as good."""
    whole = rnnsim.run(**{**BASE, "rule": "uoro"}, optimizer="adam", keep="best", keep_every=6,
                       monitor="state", monitor_every=6)  # fmt: skip
    resumed = rnnsim.load(copy_of(kept, tmp_path / "copy")).resume()
    assert run_differences(whole, resumed) == []


def test_an_array_of_a_checkpoint_that_is_missing_or_another(kept: Path, tmp_path: Path) -> None:
    run = rnnsim.load(kept)
    point = run.checkpoint
    assert point is not None
    assert len(point.arrays) > 12
    trainer = task_training.TaskTraining(run.experiment, resumable=True)
    for name, array in point.arrays.items():
        damaged = {"missing": None, "longer": np.concatenate([array, array])}
        if "generator" not in name:
            other = np.float64 if array.dtype != np.float64 else np.float32
            damaged |= {"flat": array.reshape(1, *array.shape), "another type": array.astype(other),
                        "empty": array[:0]}  # fmt: skip
        for what, value in damaged.items():
            arrays = {**point.arrays, name: value}
            arrays = {each: x for each, x in arrays.items() if x is not None}
            with pytest.raises(RnnsimError) as caught:
                trainer.restore(point._replace(arrays=arrays))
            said = str(caught.value)
            assert said.startswith("this run cannot go on from its checkpoint: "), (name, what)
            assert len(said.splitlines()) == 1
            if what == "missing":
                assert said.endswith(f": there is no {name}")
    trainer.restore(point)  # the control
    without = copy_of(kept, tmp_path / "x", {"checkpoint.state.x": None})
    assert refused(without).endswith("there is no state.x")


GARBAGE = {
    "no JSON": b"\xff\xfe", "nothing": b"", "a number": b"3", "a list": b"[]", "no state": b"{}",
    "another generator": b'{"bit_generator": "MT19937", "state": {}}', "deep": b"[" * 100_000,
    "no number": b'{"bit_generator": "PCG64", "state": {"state": "x", "inc": 1}, "has_uint32": 0, '
    b'"uinteger": 0}',
    "too large": b'{"bit_generator": "PCG64", "state": {"state": -1, "inc": 1}, "has_uint32": 0, '
    b'"uinteger": ' + b"9" * 40 + b"}",
}  # fmt: skip


@pytest.mark.parametrize("what", GARBAGE)
def test_the_state_of_a_generator_that_is_none(what: str, kept: Path, tmp_path: Path) -> None:
    state = np.frombuffer(GARBAGE[what], np.uint8)
    name = "checkpoint.generator.0"
    assert "cannot go on from its checkpoint" in refused(copy_of(kept, tmp_path / "x", {name: state}))


@pytest.mark.parametrize(
    ("name", "value"),
    [("step", 9), ("step", -1), ("step", 10**15), ("row", -1), ("row", 10**6), ("filled", 10**9),
     ("filled", -5), ("held", -1), ("held", 10**9), ("solved_at", -3), ("solved_at", 13)],
)  # fmt: skip
def test_a_clock_that_contradicts(name: str, value: int, kept: Path, tmp_path: Path) -> None:
    folder = copy_of(kept, tmp_path / "x", {f"checkpoint.clock.{name}": np.array([value], np.int64)})
    assert "cannot go on from its checkpoint" in refused(folder)


@pytest.mark.parametrize(
    ("table", "values", "message"),
    [("checkpoint", {"step": 9}, "cannot go on from its checkpoint"),
     ("checkpoint", {"records": 99}, "no records of monitor"),
     ("checkpoint", {"data": {"source.inputs": "0" * 32}}, "the data of this run have changed"),
     ("checkpoint", {"data": {"source.other": "0" * 32}}, "the data of this run have changed")],
)  # fmt: skip
def test_a_table_that_contradicts(
    table: str, values: dict[str, Any], message: str, kept: Path, tmp_path: Path
) -> None:
    assert message in refused(copy_of(kept, tmp_path / "x", **{table: values}))


@pytest.mark.parametrize(
    "values",
    [
        {"step": -1},
        {"seconds": "x"},
        {"best_step": 3.5},
        {"seconds": np.nan},
        {"seconds": -1.0},
        {"best_loss": np.inf},
        {"step": 13},
        {"step": 10**12},
    ],
)
def test_a_table_that_is_none_is_damage(values: dict[str, Any], kept: Path, tmp_path: Path) -> None:
    with pytest.raises(RnnsimError, match="holds a damaged run"):
        rnnsim.load(copy_of(kept, tmp_path / "x", checkpoint=values))


def test_without_a_checkpoint_it_loads_and_cannot_go_on(kept: Path, tmp_path: Path) -> None:
    folder = copy_of(kept, tmp_path / "x")
    text = (folder / "run.toml").read_text()
    begin, end = text.index("[checkpoint]"), text.index("[provenance]")
    (folder / "run.toml").write_text(text[:begin] + text[end:])
    assert "was not saved with what it needs to go on" in refused(folder)


# --- other versions, plugins and data -----------------------------------------------------------------


def test_an_older_folder_is_told_so(kept: Path, tmp_path: Path) -> None:
    folder = copy_of(kept, tmp_path / "x")
    (folder / "arrays.safetensors").rename(folder / "params.safetensors")
    with pytest.raises(RnnsimError) as caught:
        rnnsim.load(folder)
    assert str(caught.value) == (
        f"{folder} was saved by an older rnnsim, and cannot go on; its weights are in "
        "params.safetensors, its curve is in metrics.csv"
    )
    (folder / "arrays.safetensors").write_bytes((kept / "arrays.safetensors").read_bytes())
    assert rnnsim.load(folder).steps == 12  # the control: a file beside it is no matter


def test_a_plugin_that_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Theirs(TruncatedBPTT, frozen=True):
        name = "theirs"

    known = registry.installed()
    entry = registry.Entry(Theirs, "acme-rules", "3.1")
    theirs = dataclasses.replace(known, rules={**known.rules, "theirs": entry})
    with pytest.MonkeyPatch.context() as there:
        there.setattr(registry, "installed", lambda: theirs)
        halfway(tmp_path, rule="theirs")
        assert rnnsim.load(tmp_path).experiment.rule == Theirs()
    for read in (rnnsim.load, rnnsim.repeat):
        with pytest.raises(UnknownName) as caught:
            read(tmp_path)
        first, second = str(caught.value).splitlines()
        assert first.startswith("no rule is called 'theirs'; ")
        assert second == "the run was made with acme-rules 3.1, of which no plugin is installed"
    monkeypatch.setattr(registry, "installed", lambda: dataclasses.replace(
        known, rules={**known.rules, "other": entry}
    ))  # fmt: skip
    with pytest.raises(UnknownName) as caught:
        rnnsim.load(tmp_path)
    assert len(str(caught.value).splitlines()) == 1  # it is installed, and offers the rule no more


def table(path: Path, rows: int = 25, change: float = 0.0) -> str:
    t = np.arange(rows, dtype=float)
    x = np.sin(t) + change * (t == 3)
    path.write_text("\n".join(["x,y", *(f"{a},{b}" for a, b in zip(x, np.cos(t)))]))
    return str(path)


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("change", ["a value", "a row"])
def test_data_that_have_changed_are_refused(
    small: bool, change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not small:
        monkeypatch.setattr(checkpoints, "SMALL", 0)
    path = table(tmp_path / "data.csv")
    how = {**BASE, "task": "table", "path": path}
    whole = rnnsim.run(**how)
    halfway(tmp_path / "run", task="table", path=path)
    table(tmp_path / "data.csv", *((25, 1e-9) if change == "a value" else (26,)))
    with pytest.raises(RnnsimError, match="the data of this run have changed since it was saved"):
        rnnsim.load(tmp_path / "run").resume()
    before = rnnsim.run(**how)
    table(tmp_path / "data.csv")
    assert run_differences(whole, rnnsim.load(tmp_path / "run").resume()) == []  # the control
    assert run_differences(whole, rnnsim.run(**how)) == []
    assert "params" in run_differences(whole, before)


def test_data_that_are_gone_are_said(tmp_path: Path) -> None:
    halfway(tmp_path / "run", task="table", path=table(tmp_path / "data.csv"))
    (tmp_path / "data.csv").unlink()
    loaded = rnnsim.load(tmp_path / "run")  # which can forecast without them
    with pytest.raises(RnnsimError, match=r"there is no file .*data\.csv"):
        loaded.resume()


@pytest.mark.parametrize("step", [4, 8, 12, 16, 20, 24])
def test_where_a_source_is_as_it_was_at_first(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two fillings of 8 rows a table of 16 rows begins anew."""
    monkeypatch.setattr(checkpoints, "SMALL", 0)
    monkeypatch.setattr(task_rows, "CHUNK", 8)
    monkeypatch.setattr(task_rows, "STREAM", 0)
    how = {**BASE, "task": "table", "path": table(tmp_path / "data.csv", rows=29), "window": 4,
           "steps": 32, "batch": 1, "linear": False}  # fmt: skip
    whole = rnnsim.run(**how)
    assert whole.experiment.task.found.rows[0] == 16
    part = rnnsim.run(**how, callback=stopped_after(step), callback_every=4)
    assert (part.steps, part.outcome) == (step, "stopped")
    assert run_differences(whole, part.resume()) == []


def test_dates_are_all_that_two_runs_need_not_share() -> None:
    assert {*DATES} < {field.name for field in dataclasses.fields(rnnsim.Run)}
    assert differences(configure("rtrl", "script"), configure("rtrl", "script")) == []
