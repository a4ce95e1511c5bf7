"""``rnnsim.repeat`` and ``rnnsim run --config``: what a run's file says, with changes or without."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from plain_loop import Script
from same_runs import differences, run_differences

import rnnsim
from rnnsim import registry
from rnnsim.cli import main
from rnnsim.criterion import Streak
from rnnsim.errors import RnnsimError
from rnnsim.runs.running import arguments_to_repeat
from rnnsim.training.experiment import Experiment, configure_from
from rnnsim.training.optimizers import SGD
from rnnsim_rules.truncated_bptt import TruncatedBPTT

pytestmark = pytest.mark.usefixtures("soon")

BASE: dict[str, Any] = {
    "rule": "truncated-bptt", "task": "script", "network": "recurrent", "steps": 30, "seed": 3,
    "hidden": 3, "optimizer": "momentum", "learning_rate": 0.05, "clip": 0.5, "weight_decay": 0.01,
    "schedule": "step", "schedule_steps": 7, "reduction": "mean", "window": 4, "batch": 2,
    "criterion": "loose", "stop": False, "keep": "best", "keep_every": 8, "monitor": "params.W",
    "monitor_every": 5, "h": 5, "last": "chunk", "resets": False, "decay": 0.5, "leak": 0.5, "gain": 0.3,
}  # fmt: skip
HOW = ("run", "folder", "file")
OF_MONITORS = ("monitor", "monitor_every")


@pytest.fixture(scope="module")
def base(soon: None, tmp_path_factory: pytest.TempPathFactory) -> rnnsim.Run:
    return rnnsim.run(**BASE, save=tmp_path_factory.mktemp("base") / "run")


def folder_of(run: rnnsim.Run) -> Path:
    assert run.folder is not None
    return run.folder


def given_as(how: str, run: rnnsim.Run) -> rnnsim.Run | Path:
    return {"run": run, "folder": folder_of(run), "file": folder_of(run) / "run.toml"}[how]


def experiment_of(arguments: dict[str, Any]) -> Experiment:
    named = {name: value for name, value in arguments.items() if name not in OF_MONITORS}
    return configure_from(named.pop("rule"), named.pop("task"), named)


@pytest.mark.parametrize("how", HOW)
def test_without_changes_it_is_the_same_run(base: rnnsim.Run, how: str, tmp_path: Path) -> None:
    again = rnnsim.repeat(given_as(how, base), save=tmp_path / "again")
    assert run_differences(base, again) == []
    assert base.monitored.keys() == {"monitor_step", "params.W"}
    for name in ("metrics.csv", "arrays.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (folder_of(base) / name).read_bytes()
    other = rnnsim.repeat(given_as(how, base), seed=4)
    assert set(run_differences(base, other)) >= {"seed", "params", "metrics"}  # the control


# --- changes ------------------------------------------------------------------------------------------

CHANGES: list[dict[str, Any]] = [
    {"seed": 0}, {"steps": 12}, {"hidden": 2}, {"dtype": "float32"}, {"optimizer": "adam"},
    {"optimizer": SGD()}, {"learning_rate": {"W": 0.5}}, {"clip": np.inf}, {"weight_decay": 0.0},
    {"schedule": "cosine"}, {"schedule_steps": 9}, {"reduction": "sum"}, {"window": 2}, {"batch": 1},
    {"criterion": "default"}, {"criterion": Streak(0.125, 3)}, {"stop": True}, {"tailored": True},
    {"keep": "last"}, {"keep_every": 3}, {"patience": 3}, {"h": 2}, {"last": "full"},
    {"resets": True}, {"decay": 0.1}, {"leak": 1.0}, {"gain": 2.0}, {"activation": "relu"},
    {"scheme": "scaled-normal"}, {"h": 2, "resets": True, "leak": 0.25, "decay": 0.75},
    {"check_derivatives": False},
]  # fmt: skip


@pytest.mark.parametrize("how", HOW)
def test_every_change_takes_the_place_of_what_the_file_says(base: rnnsim.Run, how: str) -> None:
    for change in CHANGES:
        wanted = {**BASE, **change}
        if change.get("optimizer"):
            del wanted["decay"]  # of another optimizer
        found = experiment_of(arguments_to_repeat(given_as(how, base), change))
        assert differences(found, experiment_of(wanted)) == []
        assert differences(found, base.experiment) != [], change
    sample = rnnsim.repeat(given_as(how, base), h=2, learning_rate=0.01)
    assert run_differences(sample, rnnsim.run(**{**BASE, "h": 2, "learning_rate": 0.01})) == []


def test_names_of_options_may_have_hyphens(base: rnnsim.Run) -> None:
    found = arguments_to_repeat(base, {"feedback-seed": 5, "feedback": "random"})
    assert (found["feedback_seed"], found["feedback"]) == (5, "random")


def test_another_thing_has_none_of_the_options(base: rnnsim.Run) -> None:
    for change, left in (
        ({"rule": "rtrl"}, {"h", "last"}), ({"optimizer": "rmsprop"}, {"decay"}),
        ({"network": "gru"}, {"leak", "gain"}),
    ):  # fmt: skip
        wanted = {name: value for name, value in BASE.items() if name not in left}
        found = experiment_of(arguments_to_repeat(base, change))
        assert differences(found, experiment_of({**wanted, **change})) == []
    same = experiment_of(arguments_to_repeat(base, {"rule": "truncated-bptt", "network": "recurrent"}))
    assert differences(same, base.experiment) == []
    made = experiment_of(arguments_to_repeat(base, {"rule": TruncatedBPTT(h=9), "task": Script()}))
    assert (made.rule, made.task, made.seed) == (TruncatedBPTT(h=9), Script(), 3)


def test_options_that_nothing_has_or_two_things_have(
    base: rnnsim.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RnnsimError, match="no option of this run is called 'leek'; did you mean leak"):
        rnnsim.repeat(base, leek=0.5)

    class Leaky(TruncatedBPTT, frozen=True):
        name = "leaky"

        leak: float = 0.0

    known = registry.installed()
    entry = dataclasses.replace(known.rules["bptt"], registered=Leaky)
    with_it = dataclasses.replace(known, rules={**known.rules, "leaky": entry})
    monkeypatch.setattr(registry, "installed", lambda: with_it)
    with pytest.raises(RnnsimError, match="rule and network both have an option leak; change it in"):
        rnnsim.repeat(base, rule="leaky", leak=0.5)


def test_in_a_short_file_options_of_what_the_task_suggests_are_changed(tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    path.write_text('rule = "rtrl"\ntask = "delayed-xor"\n')
    found = experiment_of(arguments_to_repeat(path, {"beta1": 0.5, "leak": 0.25, "d": 3}))
    wanted = {"rule": "rtrl", "task": "delayed-xor", "beta1": 0.5, "leak": 0.25, "d": 3}
    assert differences(found, experiment_of(wanted)) == []
    with pytest.raises(RnnsimError, match="is called 'leek'"):
        experiment_of(arguments_to_repeat(path, {"leek": 0.5}))


@pytest.mark.parametrize("part", ["rule", "task"])
def test_what_a_file_leaves_out_is_given(part: str, tmp_path: Path) -> None:
    both = {"rule": "rtrl", "task": "delayed-xor"}
    path = tmp_path / "short.toml"
    path.write_text("\n".join(f'{name} = "{value}"' for name, value in both.items() if name != part))
    with pytest.raises(RnnsimError, match=f"no {part} .* give it by {part}="):
        rnnsim.repeat(path)
    found = experiment_of(arguments_to_repeat(path, {part: both[part]}))
    assert differences(found, experiment_of(both)) == []


# --- what is in no file -------------------------------------------------------------------------------


def identity(x: float) -> float:
    return x


def one(x: float) -> float:
    return 1.0


class Mine(SGD, frozen=True):
    """An optimizer of one's own."""

    name = "mine"


class Own(TruncatedBPTT, frozen=True):
    """A rule of one's own."""

    name = "own"


def size_of_update(seen: Any) -> float:
    return float(np.abs(seen.grad.W).sum())


OWN: dict[str, dict[str, Any]] = {
    "functions of the network": {"activation": (identity, one), "leak": 0.5, "scheme": "orthogonal"},
    "a network": {"network": rnnsim.RecurrentNetwork(2, 3, 1, activation=(identity, one))},
    "an optimizer": {"optimizer": Mine()},
    "a rule": {"rule": Own(h=3)},
    "a criterion": {"criterion": Streak(0.4, 3)},
    "a monitor": {"monitor": {"update": size_of_update, "state": "state"}, "monitor_every": 4},
    "parameters": {"params": rnnsim.RecurrentNetwork(2, 3, 1).init(9)},
}


@pytest.mark.parametrize("what", OWN)
def test_a_run_with_things_of_ones_own_is_repeated(what: str) -> None:
    arguments = {"rule": "rtrl", "task": "script", "steps": 12, "window": 3, **OWN[what]}
    if not isinstance(arguments.get("network"), rnnsim.RecurrentNetwork):
        arguments["hidden"] = 3
    first = rnnsim.run(**arguments)
    again = rnnsim.repeat(first)
    assert run_differences(first, again) == []
    other = rnnsim.repeat(first, learning_rate=0.01)
    assert run_differences(other, rnnsim.run(**{**arguments, "learning_rate": 0.01})) == []


def test_the_settings_of_the_task_keep_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    suggested = Script().suggestion("rtrl")
    several = {"tuned": suggested, "published": suggested._replace(hidden=2)}
    monkeypatch.setattr(Script, "suggestions", lambda *_: several)
    first = rnnsim.run("rtrl", "script", settings="published", steps=6, window=3, leak=0.5,
                       activation=(identity, one))  # fmt: skip
    assert run_differences(first, rnnsim.repeat(first)) == []
    assert rnnsim.repeat(first).experiment.settings == "published"
    assert rnnsim.repeat(first, rule="uoro").experiment.settings == "tuned"


def test_functions_among_monitors_are_in_no_folder(tmp_path: Path) -> None:
    for monitor, kept in (
        ({"update": size_of_update}, []),
        ({"f": size_of_update, "W": "params.W"}, ["W"]),
    ):
        rnnsim.run("rtrl", "script", steps=12, window=3, monitor=monitor, monitor_every=4,
                   save=tmp_path)  # fmt: skip
        again = rnnsim.repeat(tmp_path)
        assert [name for name in again.monitored if name != "monitor_step"] == kept
        with pytest.raises(RnnsimError, match="is a function of your own; give it by monitor="):
            rnnsim.repeat(rnnsim.load(tmp_path))
        more = rnnsim.repeat(rnnsim.load(tmp_path), monitor={"update": size_of_update})
        assert len(more.metrics["update"]) == 3
        more = rnnsim.repeat(tmp_path, monitor={"update": size_of_update})
        assert len(more.metrics["update"]) == 3


# --- what is no file of a run --------------------------------------------------------------------------


def no_files(folder: Path) -> dict[str, Path]:
    """Paths of what is no file of a run."""
    (folder / "empty").mkdir()
    (folder / "garbage.toml").write_bytes(bytes(range(256)))
    (folder / "large.toml").write_bytes(b"#" * (1 << 21))
    (folder / "learner.toml").write_text('kind = "recurrent"\n')
    names = ("missing.toml", "empty", "garbage.toml", "large.toml", "learner.toml", "missing/run.toml")
    return {name: folder / name for name in names}


WRONG = {
    "missing.toml": r"config is the file of a run, or its folder; .*missing\.toml cannot be read: No",
    "empty": r"empty.run\.toml cannot be read: No such file",
    "garbage.toml": "is no file of a run: ", "large.toml": "is no file of a run: .* more than",
    "learner.toml": "no table of a run's file is called 'kind'", "missing/run.toml": "No such file",
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_file_of_a_run_is_refused(name: str, tmp_path: Path) -> None:
    path = no_files(tmp_path)[name]
    with pytest.raises(RnnsimError, match=WRONG[name]):
        rnnsim.repeat(path)
    done = command("--config", str(path))
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def test_a_file_without_a_result_and_one_alone_are_inputs(base: rnnsim.Run, tmp_path: Path) -> None:
    text = (folder_of(base) / "run.toml").read_text()
    alone = tmp_path / "alone.toml"
    alone.write_text(text[: text.index("[result]")])
    assert run_differences(base, rnnsim.repeat(alone)) == []


def test_arrays_that_a_file_needs_are_beside_it(tmp_path: Path) -> None:
    given = rnnsim.RecurrentNetwork(2, 3, 1).init(9)
    rnnsim.run("rtrl", "script", steps=6, window=3, hidden=3, params=given, save=tmp_path / "run")
    alone = tmp_path / "alone.toml"
    alone.write_text((tmp_path / "run" / "run.toml").read_text())
    with pytest.raises(RnnsimError) as caught:
        rnnsim.repeat(alone)
    assert str(caught.value) == (
        f"the run of {alone} cannot be repeated: there is no array initial.* in arrays.safetensors"
    )
    net = rnnsim.RecurrentNetwork(2, 3, 1, connectivity=np.tri(3, dtype=bool))
    rnnsim.run("rtrl", "script", steps=6, window=3, network=net, save=tmp_path / "run")
    alone.write_text((tmp_path / "run" / "run.toml").read_text())
    with pytest.raises(RnnsimError, match=r"there is no array 'network\.connectivity'"):
        rnnsim.repeat(alone)


# --- the command --------------------------------------------------------------------------------------


def command(*words: str) -> Result:
    return CliRunner().invoke(main, ["run", *words])


def result_of(*words: str) -> dict[str, Any]:
    done = command(*words, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return {
        name: x for name, x in found.items() if name not in ("seconds", "steps_per_second", "folder")
    }


FLAGS: list[tuple[list[str], dict[str, Any]]] = [
    ([], {}), (["--seed", "0"], {"seed": 0}), (["--steps", "12"], {"steps": 12}),
    (["--hidden", "2"], {"hidden": 2}), (["--network", "recurrent"], {}),
    (["--optimizer", "momentum"], {}), (["--learning-rate", "0.01"], {"learning_rate": 0.01}),
    (["--clip", "inf"], {"clip": np.inf}), (["--weight-decay", "0"], {"weight_decay": 0.0}),
    (["--schedule", "constant"], {"schedule": "constant", "schedule_steps": None}),
    (["--schedule-steps", "9"], {"schedule_steps": 9}), (["--reduction", "sum"], {"reduction": "sum"}),
    (["--window", "2"], {"window": 2}), (["--batch", "1"], {"batch": 1}),
    (["--dtype", "float32"], {"dtype": "float32"}),
    (["--criterion", "default"], {"criterion": "default"}),
    (["--tailored"], {"tailored": True}), (["--keep", "last"], {"keep": "last"}),
    (["--keep-every", "3"], {"keep_every": 3}), (["--monitor-every", "9"], {"monitor_every": 9}),
    (["--patience", "0"], {"patience": 0}),
    (["--monitor", "state"], {"monitor": "state"}), (["--no-stop"], {}), (["--settings", "default"], {}),
    (["-o", "h=2", "-o", "leak=1", "-o", "decay=0.1", "-o", "resets=true"],
     {"h": 2, "leak": 1.0, "decay": 0.1, "resets": True}),
    (["truncated-bptt"], {}), (["truncated-bptt", "script"], {}),
    (["--check-bounds"], {}), (["--verbose"], {}),
]  # fmt: skip


def test_every_flag_is_tried() -> None:
    """All of ``rnnsim run``, but those that change nothing of the run."""
    around = {"config", "as_json", "log", "save", "checkpoint_every", "plot", "plot_behaviour"}
    run = main.get_command(None, "run")  # type: ignore[arg-type]
    assert run is not None
    tried = {word for words, _ in FLAGS for word in words if word.startswith("-")}
    options = {each.opts[-1] for each in run.params if each.name not in around and "-" in each.opts[-1]}
    assert options == tried


@pytest.mark.parametrize(("words", "change"), FLAGS, ids=lambda each: str(each))
def test_flags_change_what_the_file_says(
    base: rnnsim.Run, words: list[str], change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at before anything is learnt."""
    found = arguments_of_command(monkeypatch, *words, "--config", str(folder_of(base)))
    assert differences(experiment_of(found), experiment_of({**BASE, **change})) == []
    monitored = {name: {**BASE, **change}[name] for name in OF_MONITORS}
    assert found["monitor_every"] == monitored["monitor_every"]
    assert list(found["monitor"]) == [monitored["monitor"]]


def arguments_of_command(monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, Any]:
    """The arguments of :func:`rnnsim.run` that a command gives."""
    seen: dict[str, Any] = {}

    @functools.wraps(rnnsim.run)
    def run(**arguments: Any) -> None:
        seen.update(arguments)
        raise RnnsimError("looked at")

    monkeypatch.setattr("rnnsim.cli.run.run", run)
    assert command(*words).stderr == "rnnsim: looked at\n"
    return {name: value for name, value in seen.items() if name not in ("save", "progress")}


def test_a_command_repeats_to_the_bit(base: rnnsim.Run, tmp_path: Path) -> None:
    file = folder_of(base) / "run.toml"
    found = result_of("--config", str(file), "--seed", "0", "--save", str(tmp_path / "again"))
    wanted = rnnsim.run(**{**BASE, "seed": 0}, save=tmp_path / "wanted")
    assert {**wanted.as_dict(), **found} == wanted.as_dict()
    for name in ("metrics.csv", "arrays.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "wanted" / name).read_bytes()
    assert found["loss"] != base.loss  # the control


def test_no_stop_is_said_by_the_flag_and_by_the_file(
    base: rnnsim.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops = tmp_path / "stops.toml"
    stops.write_text((folder_of(base) / "run.toml").read_text().replace("stop = false", "stop = true"))
    for file, words, wanted in (
        (folder_of(base), [], False), (stops, [], True), (stops, ["--no-stop"], False),
    ):  # fmt: skip
        found = arguments_of_command(monkeypatch, "--config", str(file), *words)
        assert found["stop"] is wanted


def test_neither_a_file_nor_names() -> None:
    for words in ([], ["rtrl"]):
        done = command(*words)
        assert done.exit_code == 2
        assert done.stderr.startswith("rnnsim: Missing argument RULE TASK, or --config FILE")


def test_data_displace_a_file_and_a_file_displaces_data(tmp_path: Path) -> None:
    rows = np.cumsum(np.random.default_rng(0).normal(size=(40, 1)), axis=0)
    (tmp_path / "t.csv").write_text("x1;\n" + "".join(f"{x[0]};\n" for x in rows))
    first = rnnsim.run(
        "bptt", tmp_path / "t.csv", separator=";", hidden=2, steps=5, save=tmp_path / "of-file"
    )
    others: list[Any] = [first, tmp_path / "of-file"]
    for original in others:
        again = rnnsim.repeat(original, data=2 * rows, save=tmp_path / "of-data")
        task: Any = again.experiment.task
        assert (task.path, task.separator, task.data_name()) == ("", "", "the array")
        np.testing.assert_array_equal(task.arranged.series.d, 2 * rows)
    back: Any = rnnsim.repeat(tmp_path / "of-data", path=str(tmp_path / "t.csv")).experiment.task
    assert (back.data, back.data_name()) == (None, "t.csv")
    with pytest.raises(RnnsimError, match="path and data are both given"):
        rnnsim.repeat(first, data=rows, path=str(tmp_path / "t.csv"))
