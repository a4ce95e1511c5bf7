"""Every argument and option of every verb, given what it cannot be: a line or two, and status 2."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints
from unittest.mock import patch

import click
import numba
import pytest
from click.testing import CliRunner, Result
from odd_values import wrong_with_text
from processes import run

import rnnsim
from rnnsim.cli import VERBS, main
from rnnsim.compiler.environment import SETTINGS, load_numba
from rnnsim.errors import RnnsimError
from rnnsim.registry import installed
from rnnsim.sweeps.store import Store
from rnnsim.training.optimizers import OPTIMIZERS

ROOT = Path(__file__).parents[2]  # a repository

TEXT = ["xyzzy", "", "two\nlines", "\ud800", "nul\0", "x" * 10_000, "--", "-", "*", "bptt,rtrl"]
COUNT = ["three", "", "1.5", "1e5", "nan", "0", "-1", "9" * 30, "9" * 5000, "\ud800", "0x10"]
SEED = [*COUNT[:5], "-1", "9" * 5000, "\ud800", "0x10"]
NUMBER = ["three", "", "nan", "-inf", "-1", "1e400", "1,5", "\ud800", "9" * 5000]
FIGURE = ["", "curve", "curve.xyz", "no/such/curve.png", "nul\0.png", "\ud800.png", "two\nlines", "."]
NEW = ["Own", "own_", "3", "", "o n", "own-", "\ud800", "two\nlines", "x" * 41]
FOLDER = ["", "nul\0", "\ud800"]
EVERY = [
    "",
    "often",
    "0",
    "-1",
    "1.5",
    "0s",
    "30x",
    "9" * 30,
    "9" * 5000,
    "\ud800",
    "nul\0",
    "two\nlines",
]
LOG = ["", "nul\0", "\ud800", ".", "no/such/log"]
PAIRS = ["", "d", "=3", "d=", "d=x", "d=0", "d=1.5", "d=1e400", "d=\ud800", "d=nul\0", "d=" + "9" * 30,
         "d=" + "9" * 5000, "xyzzy=1", "steps=5", "rule=rtrl", "\ud800=1", "two\nlines=1",
         "x" * 9000]  # fmt: skip

CHOICES = {
    "network": TEXT,
    "settings": TEXT,
    "steps": COUNT,
    "hidden": COUNT,
    "learning_rate": [*NUMBER, "inf"],
    "optimizer": TEXT,
    "clip": ["three", "", "nan", "-inf", "-1", "0", "1,5", "\ud800"],
    "weight_decay": [*NUMBER, "inf"],
    "schedule": TEXT,
    "schedule_steps": COUNT,
    "reduction": TEXT,
    "window": COUNT,
    "batch": COUNT,
    "dtype": [*TEXT, "int8", ">f8", "float64,5"],
    "criterion": TEXT,
    "tailored": ["", "1"],
    "check_bounds": ["", "1"],
    "verbose": ["", "1"],
    "options": PAIRS,
}
EXPERIMENT = {"rule": TEXT, "task": TEXT, **CHOICES}
FLAG = ["", "1"]

# A run that can go on, in a folder that is removed at the end of the process
KEPT = tempfile.TemporaryDirectory(prefix="rnnsim-tests-")
with patch.object(numba.config, "DISABLE_JIT", 1):
    rnnsim.run("bptt", "delayed-xor", steps=8, hidden=2, window=4, save=KEPT.name, callback_every=4,
               callback=lambda seen: bool(seen.step >= 4))  # fmt: skip
RESULTS = f"{KEPT.name}/results.sqlite"
Store(Path(RESULTS)).close()

# Of each verb: the words that it cannot do without, by name, and for each parameter what is wrong.
TABLE: dict[str, tuple[dict[str, str], dict[str, list[str]]]] = {
    "run": (
        {"rule": "bptt", "task": "delayed-xor"},
        {**EXPERIMENT, "seed": SEED, "keep": TEXT, "no_stop": FLAG, "as_json": FLAG, "monitor": TEXT,
         "monitor_every": COUNT, "keep_every": COUNT, "patience": SEED, "plot": FIGURE,
         "plot_behaviour": FIGURE,
         "config": [*FOLDER, "no such file", "."], "log": LOG, "save": FOLDER,
         "checkpoint_every": [*EVERY, "4"]},
    ),
    "resume": (
        {"folder": KEPT.name},
        {"folder": [*FOLDER, "no such folder", "."], "steps": [*COUNT, "3", "4"], "as_json": FLAG,
         "log": LOG, "checkpoint_every": EVERY, "verbose": FLAG, "plot": FIGURE,
         "plot_behaviour": FIGURE},
    ),
    "predict": (
        {"folder": KEPT.name, "file": str(ROOT / "pyproject.toml")},
        {"folder": [*FOLDER, "no such folder", "."], "file": [*FOLDER, "no such file"],
         "out": ["", "found", "found.xyz", "no/such/found.csv", "nul\0.csv", "\ud800.csv", "."],
         "level": [*NUMBER, "inf", "0", "1", "90"], "learn": FLAG, "save": [*FOLDER, "run"],
         "as_json": FLAG},
    ),
    "evaluate": (
        {"folder": KEPT.name},
        {"folder": [*FOLDER, "no such folder", "."], "file": [*FOLDER, "no such file"], "form": TEXT,
         "out": ["", "no/such/found", "nul\0", "\ud800", "."], "level": [*NUMBER, "inf", "0", "1", "90"],
         "as_json": FLAG},
    ),
    "plot": (
        {"runs": KEPT.name, "out": "figure.png"},
        {"runs": [*FOLDER, "no such folder", "."], "out": FIGURE, "what": TEXT,
         "steps": [*COUNT, "1", "60"]},
    ),
    "sweep": (
        {"what": "bptt delayed-xor"},
        {**CHOICES, "what": [*TEXT, "bptt", "sweep.toml", "bptt:h delayed-xor"], "seeds": COUNT,
         "jobs": COUNT, "control": FLAG, "tune": FLAG, "retry": FLAG, "as_json": FLAG,
         "grid": ["", "window", "=3", "window=", "window=x", "xyzzy=1", "seed=1", "\ud800=1", "d=nul\0",
                  "two\nlines=1"],
         "out": ["", "nul\0", "\ud800", ".", "no/such/found.sqlite"],
         "dask": ["", "xyzzy", "\ud800", "nul\0", "two\nlines"]},
    ),
    "summary": (
        {"file": RESULTS},
        {"file": [*FOLDER, "no such file", ".", str(ROOT / "pyproject.toml")], "format": TEXT,
         "as_json": FLAG},
    ),
    "compare": (
        {"task": "delayed-xor", "rules": "rtrl bptt"},
        {**CHOICES, "rules": [*TEXT, "rtrl", "rtrl:h=3", "rtrl:", "truncated-bptt:h"], "task": TEXT,
         "seeds": COUNT, "as_json": FLAG, "plot": FIGURE,
         "save": ["", "nul\0", "\ud800", "found", "no/such/found.json"]},
    ),
    "rules": ({"name": "bptt"}, {"name": [*TEXT, "delayed-xor"], "as_json": FLAG}),
    "check": (
        {"name": "bptt"},
        {"name": TEXT, "task": TEXT, "seed": SEED, "reference": [*TEXT, "truncated-bptt"],
         "options": PAIRS, "verbose": ["", "1"], "as_json": FLAG},
    ),
    "tasks": ({"name": "delayed-xor"}, {"name": [*TEXT, "bptt"], "as_json": FLAG}),
    "compile": (
        {"rules": "bptt"},
        {"rules": TEXT, "tasks": TEXT, "all_tasks": FLAG, "jobs": COUNT, "verbose": FLAG,
         "as_json": FLAG},
    ),
    "cache": ({}, {"clear": FLAG, "folder": FLAG, "as_json": FLAG}),
    "bench": ({"rules": "bptt"}, {"rules": TEXT, "task": TEXT, "compare": TEXT, "quick": FLAG,
                                   "as_json": FLAG}),
    **{verb: ({"name": "own", "folder": "own"}, {"name": [*NEW, *taken], "folder": FOLDER})
       for verb, taken in (("new-rule", ["import", "json", "bptt"]), ("new-task", ["adding"]),
                           ("new-network", ["recurrent"]))},
}  # fmt: skip
# By what a message names a parameter, besides its name and its option.
ALIASES = {
    "settings": ("setting",), "options": ("-o ", "option"), "rules": ("rule", "option"),
    "tasks": ("task",), "task": ("standard input",), "name": ("rule", "task"),
    "plot": ("draw", "figure"),
    "plot_behaviour": ("draw", "figure"), "reference": ("rule",),
    "compare": ("git",), "save": ("run", "comparison"), "monitor_every": ("--monitor",),
    "folder": ("saved run", "folder of a run"), "file": ("FILE",), "what": ("figure", "sweep", "task"),
    "grid": ("window", "option", "single run"), "dask": ("Dask",),
    "out": ("forecasts", "results", "report", "figure", "draw"),
    "runs": ("saved run", "folder of a run"),
}  # fmt: skip


BESIDE = {
    "schedule_steps": ["--schedule", "linear"],
    "monitor_every": ["--monitor", "state"],
}  # what a parameter needs to be looked at
SHORT = {
    verb: ["--steps", "1"] for verb in ("run", "sweep", "compare")
}  # where something is not refused


class Case(NamedTuple):
    verb: str
    parameter: str
    value: str


def command_of(verb: str) -> click.Command:
    command: click.Command = import_module(f"rnnsim.cli.{verb.replace('-', '_')}").command
    return command


def words_of(case: Case) -> list[str]:
    """The command line of a case."""
    needed, _ = TABLE[case.verb]
    parameters = {each.name: each for each in command_of(case.verb).params}
    words = [case.verb, *SHORT.get(case.verb, []), *BESIDE.get(case.parameter, [])]
    positional: list[str] = []
    given = {name: text.split(" ") for name, text in needed.items()}
    for name, values in {**given, case.parameter: [case.value]}.items():
        if isinstance(parameters[name], click.Argument):
            positional += values
            continue
        option = parameters[name].opts[-1]
        flag = getattr(parameters[name], "is_flag", False)
        words += [f"{option}={value}" for value in values] if flag else [option, *values]
    return [*words, "--", *positional]


CASES = [
    Case(verb, parameter, value)
    for verb, (_, parameters) in TABLE.items()
    for parameter, values in parameters.items()
    for value in values
]


def refused(result: Result, *subjects: str) -> list[str]:
    """What is wrong with the way in which a command line is refused."""
    text = result.stderr.rstrip("\n")
    found = [] if result.exit_code == 2 else [f"the status is {result.exit_code}"]
    if not isinstance(result.exception, SystemExit):
        found.append(f"it raises {result.exception!r}")
    if result.stdout:
        found.append(f"it prints {result.stdout!r}")
    if not text.startswith("rnnsim: "):
        found.append(f"it does not say who says so: {text!r}")
    return [*found, *wrong_with_text(text, *subjects)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.verb}-{case.parameter}")
def test_what_is_wrong_is_refused(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if case.verb != "compile":  # which compiles nothing otherwise
        request.getfixturevalue("uncompiled")
    monkeypatch.chdir(ROOT if case.parameter == "compare" else tmp_path)
    result = CliRunner().invoke(main, words_of(case))
    option = next(each.opts[-1] for each in command_of(case.verb).params if each.name == case.parameter)
    assert refused(result, case.parameter, option, *ALIASES.get(case.parameter, ())) == []
    assert not os.environ.get("RNNSIM_CHECK_BOUNDS")  # nothing is left behind
    assert not list(tmp_path.iterdir())


def test_every_parameter_of_every_verb_is_in_the_table() -> None:
    assert set(TABLE) == set(VERBS)
    for verb, (_, parameters) in TABLE.items():
        assert {each.name for each in command_of(verb).params} == set(parameters), verb
    assert len(CASES) > 400


def test_what_is_not_said_well_is_found() -> None:
    """The control: what the tests above reject."""
    well = "steps is 0; it must be at least 1"
    assert wrong_with_text(well, "steps") == []
    assert wrong_with_text(f"{well}\nsee --help", "steps") == []
    for badly in (
        f"{well}\n\nsee --help", f"{well}\nor\nnot", "", "steps: 0", "is it 0?", f"{well} \ud800",
        f"Traceback (most recent call last):\n{well}", f"RnnsimError('{well}')", f"{well}{'.' * 900}",
    ):  # fmt: skip
        assert len(wrong_with_text(badly, "steps")) >= 1, badly

    @click.command("bad")
    @click.argument("how")
    def bad(how: str) -> None:
        click.echo("steps are odd", err=how != "out")
        if how == "raise":
            raise KeyError(how)
        sys.exit(0 if how == "zero" else 2)

    for how, what in (("raise", "raises"), ("zero", "status"), ("out", "prints"), ("two", "who says")):
        found = refused(CliRunner().invoke(bad, [how]), "steps")
        assert any(what in line for line in found), found


# --- options of rules, tasks and optimizers ----------------------------------------------------------


def option_cases() -> Iterator[tuple[list[str], str]]:
    """For each rule, task and optimizer by name, each of its options as no option of its type can be."""
    registry = installed()
    for name, entry in registry.rules.items():
        yield from ((["run", name, "delayed-xor"], option) for option in odd_pairs(entry.thing))
    for name, entry in registry.tasks.items():
        yield from ((["run", "bptt", name], option) for option in odd_pairs(entry.thing))
    for name, thing in OPTIMIZERS.items():
        words = ["run", "bptt", "delayed-xor", "--optimizer", name]
        yield from ((words, option) for option in odd_pairs(thing))
    for name, entry in registry.networks.items():
        words = ["run", "bptt", "delayed-xor", "--network", name]
        yield from ((words, option) for option in odd_pairs(entry.thing.choices))


def odd_pairs(thing: Any) -> Iterator[str]:
    for option, hint in get_type_hints(thing).items():
        if option not in thing.defaults():
            continue
        kinds = get_args(hint) or (hint,)
        if str in kinds and hint is not str:
            values = []  # any text may be right
        elif get_origin(hint) is Literal or {bool, int, float} & {*kinds}:
            values = ["xyzzy", "", "\ud800", "1e400", "nan", *(["9" * 30] if float not in kinds else [])]
        else:
            values = ["xyzzy", "\ud800", "two\nlines"] if hint is not str else []
        yield from (f"{option}={value}" for value in values)


@pytest.mark.parametrize(("words", "option"), [*option_cases()])
def test_a_wrong_option_is_refused(
    words: list[str], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [*words, "-o", option])
    name = option.partition("=")[0]
    assert refused(result, name, name.rpartition("_")[2], "sigma", "scheme") == []


# --- the environment ---------------------------------------------------------------------------------

BAD_SETTINGS = {
    "NUMBA_NUM_THREADS": ["0", "-1", "many", "1.5", "1000000", "9" * 5000],
    "NUMBA_OPT": ["9", "fast"],
    "NUMBA_THREADING_LAYER": ["xyzzy", "omp,tbb"],
    "NUMBA_THREADING_LAYER_PRIORITY": ["tbb", "tbb omp omp"],
    "RNNSIM_VECTOR_BITS": ["128", "wide"],
    "RNNSIM_VERBOSE": ["yes", "2"],
}


@pytest.mark.parametrize(
    ("name", "text"), [(k, v) for k, values in BAD_SETTINGS.items() for v in values]
)
def test_a_setting_that_numba_cannot_use_is_named(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(BAD_SETTINGS) == set(SETTINGS)
    monkeypatch.setenv(name, text)
    with pytest.raises(RnnsimError) as caught:
        load_numba()
    assert wrong_with_text(str(caught.value), name) == []


def test_settings_that_numba_can_use_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control."""
    good = {"NUMBA_NUM_THREADS": "2", "NUMBA_OPT": "max", "NUMBA_THREADING_LAYER": "OMP",
            "NUMBA_THREADING_LAYER_PRIORITY": "workqueue omp tbb",
            "RNNSIM_VECTOR_BITS": "256", "RNNSIM_VERBOSE": "1"}  # fmt: skip
    for name, text in good.items():
        monkeypatch.setenv(name, text)
    load_numba()


def in_process(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "0", **variables}
    return run(sys.executable, "-m", "rnnsim", *words, env=environment)


A_RUN = ("run", "bptt", "delayed-xor", "--steps", "2", "--hidden", "2")


@pytest.mark.parametrize(
    ("name", "text"),
    [("NUMBA_DISABLE_JIT", "maybe"), ("NUMBA_THREADING_LAYER", "xyzzy"), ("RNNSIM_NUM_THREADS", "0"),
     ("RNNSIM_COMPILER", "slow"), ("RNNSIM_CACHE_SIZE", "much"), ("RNNSIM_VECTOR_BITS", "128")],
)  # fmt: skip
def test_a_bad_setting_is_one_line(name: str, text: str) -> None:
    done = in_process(*A_RUN, **{name: text})
    assert (done.returncode, done.stdout) == (2, "")
    said = [line for line in done.stderr.splitlines() if not line.startswith("compiling ")]
    assert wrong_with_text("\n".join(said), name) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [("rules",), ("--help",), ("run", "--help"), A_RUN])
def test_output_that_cannot_be_written_is_one_line(words: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "rnnsim", *words]
        environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
        done = run(*command, env=environment, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr == "rnnsim: the output cannot be written: No space left on device\n"


# --- memory ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(
    "words",
    [["--hidden", "90000000"],
     ["--window", "9" * 15, "--steps", "9" * 15], ["-o", "d=" + "9" * 15],
     ["--network", "fast-weight", "-o", "fast_hidden=90000000,90000000"]],
)  # fmt: skip
def test_memory_that_cannot_be_had_is_one_line(words: list[str]) -> None:
    with warnings.catch_warnings():
        result = CliRunner().invoke(main, ["run", "bptt", "delayed-xor", *words])
    assert refused(result, "not enough memory", "number of fast weights") == []
