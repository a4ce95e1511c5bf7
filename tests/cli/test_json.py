"""``--json``: one strict JSON document on standard output, of every verb that has a summary."""

from __future__ import annotations

import inspect
import json
import sys
import warnings
from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from forecast_task import Waves, as_text, register, table
from processes import run

import rnnsim
from rnnsim.benchmarking.through_asv import Row
from rnnsim.benchmarking.verdict import Judged, Times, Verdict
from rnnsim.cli import VERBS, main, printing
from rnnsim.compiler import kernel_files, listeners
from rnnsim.errors import RnnsimWarning
from rnnsim.registry import installed
from rnnsim.runs.compilation import Compilation
from rnnsim.sweeps.store import Store
from rnnsim.sweeps.sweeping import sweep
from rnnsim.testing import Check, Measured

pytestmark = pytest.mark.usefixtures("uncompiled")

SMALL = ("--hidden", "2", "--window", "6", "--steps", "60")
RUN = ("run", "bptt", "delayed-xor", *SMALL)
# A command line of every verb that has a summary, and those that have none: they only write files.
LINES: dict[str, Sequence[str]] = {
    "run": RUN,
    "resume": ("resume", "run", "--steps", "70"),
    "predict": ("predict", "waves", "waves.csv"),
    "evaluate": ("evaluate", "waves"),
    "sweep": ("sweep", "bptt", "delayed-xor", *SMALL, "--seeds", "2", "--control", "--jobs", "1"),
    "summary": ("summary", "results.sqlite"),
    "compare": ("compare", "bptt", "rtrl", "--task", "delayed-xor", *SMALL),
    "rules": ("rules",),
    "tasks": ("tasks",),
    "check": ("check", "delayed-xor"),
    "compile": ("compile", "bptt", "--task", "delayed-xor"),
    "cache": ("cache",),
    "bench": ("bench", "rtrl", "--quick"),
}
WITHOUT = {"new-rule": "write_project", "new-task": "write_project", "new-network": "write_project",
           "plot": ".plot("}  # fmt: skip

FINDINGS = [Check("right", "all well", lambda: Measured("all well")),
            Check("beside", "time", lambda: Measured("1 us", None))]  # fmt: skip
WRONG = Check("wrong", "the gradient", lambda: Measured("another", False))


def rnnsim_(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def document(text: str) -> Any:
    """The one document that a text is."""
    assert text.endswith("\n")
    assert text.count("\n") == 1
    return json.loads(text, parse_constant=pytest.fail)


def told(*args: str, status: int = 0) -> Any:
    """What a command prints with ``--json``."""
    result = rnnsim_(*args, "--json")
    assert result.exit_code == status, result.output
    return document(result.stdout)


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of work that takes long: checks, compilation, and measurements."""
    monkeypatch.setattr("rnnsim.testing.checking.task_checks", lambda *_, **__: FINDINGS)
    monkeypatch.setattr(
        "rnnsim.runs.compilation.compile_all", lambda *_: [Compilation("bptt", "delayed-xor", 1.5)]
    )

    class Suite:
        benchmarks = ("speed.Step.time_step",)

        def __init__(self, select: Any) -> None:
            pass

        def run(self, only: Any, rounds: Any) -> list[Row]:
            return [Row("speed.Step.time_step", ("rtrl", 8), 1e-6),
                    Row("figures.Memory.track_bytes", ("rtrl", 8), float("nan")),
                    Row("figures.Exponents.track_time_exponent", ("rtrl",), 3.9)]  # fmt: skip

    monkeypatch.setattr("rnnsim.benchmarking.through_asv.Suite", Suite)


def called(verb: str, *more: str) -> Result:
    """Run the command line of a verb."""
    with pytest.MonkeyPatch.context() as compiling:
        if verb == "compile":  # which refuses where nothing is compiled
            compiling.setattr("numba.config.DISABLE_JIT", 0)
        return rnnsim_(*LINES[verb], *more)


@pytest.fixture
def a_run(uncompiled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run to go on with, in the current folder."""
    monkeypatch.chdir(tmp_path)
    assert rnnsim_(*RUN, "--save", "run").exit_code == 0


def run_to_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run on data of one's own, and other rows of them."""
    register(monkeypatch)
    rnnsim.run("bptt", Waves(), steps=20, save="waves")
    Path("waves.csv").write_text(as_text(table(3, rows=10)))


@pytest.mark.usefixtures("stand_ins", "a_run")
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in WITHOUT])
def test_every_verb_with_a_summary_prints_it_as_json(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if verb in ("predict", "evaluate"):
        run_to_be_asked(monkeypatch)
    if verb == "summary":
        Store(Path("results.sqlite")).close()
    result = called(verb, "--json")
    assert result.exit_code == 0, result.output
    document(result.stdout)
    command = import_module(f"rnnsim.cli.{verb}").command
    (option,) = [each for each in command.params if each.name == "as_json"]
    assert (option.opts, option.is_flag) == (["--json"], True)
    assert option.help == shared().help


def shared() -> click.Option:
    """The one option that verbs share."""
    option = printing.as_json(click.Command("any", callback=None)).params[0]
    assert isinstance(option, click.Option)
    return option


def test_verbs_without_a_summary_are_those_that_write_files() -> None:
    assert {*LINES} | {*WITHOUT} == {*VERBS}
    for verb, writes in WITHOUT.items():
        command = import_module(f"rnnsim.cli.{verb.replace('-', '_')}").command
        assert writes in inspect.getsource(command.callback)
        assert not any(each.name == "as_json" for each in command.params)


def test_two_documents_or_none_would_be_noticed() -> None:
    """The control."""
    for text in ("", "{}", "{}\n{}\n", "note\n{}\n", '{"loss": NaN}\n', "[-Infinity]\n"):
        with pytest.raises((AssertionError, json.JSONDecodeError, pytest.fail.Exception)):
            document(text)


# --- what is in it -------------------------------------------------------------------------------------


def test_a_run(tmp_path: Path) -> None:
    found = told(*RUN, "--seed", "3", "--save", str(tmp_path / "run"), "--monitor", "spectral-radius")
    same = rnnsim.run("bptt", "delayed-xor", hidden=2, window=6, steps=60, seed=3,
                      monitor="spectral-radius").as_dict()  # fmt: skip
    for own in ("seconds", "steps_per_second", "folder"):
        del found[own], same[own]
    assert found == same
    assert (tmp_path / "run").is_dir()


def test_a_sweep() -> None:
    found = told(*LINES["sweep"])
    same = sweep("bptt", "delayed-xor", 2, hidden=2, window=6, steps=60, control=True)
    assert found == same.as_dict()


def test_notes_are_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_with_a_note(*args: Any, **given: Any) -> rnnsim.Run:
        warnings.warn("it is odd", RnnsimWarning, stacklevel=1)
        for tell in listeners:
            tell("bptt.loop", True)
        return rnnsim.run(*args, **given)

    monkeypatch.setattr(sys.modules["rnnsim.cli.run"], "run", run_with_a_note)
    result = rnnsim_(*RUN, "--json")
    assert document(result.stdout)["steps"] == 60
    note, compiling = result.stderr.splitlines()
    assert note == "rnnsim: note: it is odd"
    assert compiling.startswith("compiling bptt.loop")


@pytest.mark.parametrize("verb", ["rules", "cache"])
def test_nothing_is_imported_for_it(verb: str) -> None:
    code = "import atexit, sys; atexit.register(lambda: print('numba' in sys.modules)); " \
           f"from rnnsim.cli import main; main([{verb!r}, '--json'])"  # fmt: skip
    text, numba = run(sys.executable, "-c", code, check=True).stdout.splitlines()
    assert document(f"{text}\n")
    assert numba == "False"


def test_an_error_is_no_document() -> None:
    result = rnnsim_("run", "btpp", "delayed-xor", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "did you mean bptt" in result.stderr


def test_a_check_that_fails_has_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnsim.testing.checking.task_checks", lambda *_, **__: [*FINDINGS, WRONG])
    result = rnnsim_("check", "delayed-xor", "--json")
    assert result.exit_code == 1
    assert document(result.stdout) == {
        "subject": "delayed-xor",
        "passed": False,
        "findings": [
            {"check": "right", "claimed": "all well", "measured": "all well", "passed": True},
            {"check": "beside", "claimed": "time", "measured": "1 us", "passed": None},
            {"check": "wrong", "claimed": "the gradient", "measured": "another", "passed": False},
        ],
    }
    assert len(result.stderr.splitlines()) == 3  # a line for each check as it is done


def test_what_cannot_be_compiled_is_in_it(stand_ins: None, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = [Compilation("bptt", "copy", 0.0), Compilation("bptt", "adding", 0.0, "it is odd")]
    monkeypatch.setattr("rnnsim.runs.compilation.compile_all", lambda *_: outcomes)
    result = called("compile", "--json")
    assert result.exit_code == 2
    assert document(result.stdout) == [
        {"rule": "bptt", "task": "copy", "seconds": 0.0, "error": None},
        {"rule": "bptt", "task": "adding", "seconds": 0.0, "error": "it is odd"},
    ]
    assert "rnnsim: bptt on adding: it is odd" in result.stderr.splitlines()


def test_rules_and_tasks() -> None:
    rules, tasks = told("rules"), told("tasks")
    assert [each["name"] for each in rules] == [*installed().rules]
    assert [each["name"] for each in tasks] == [*installed().tasks]
    for each in rules:
        assert each["claim"] == installed().rules[each["name"]].thing.claim
        assert {"package", "version", "summary", "network", "time_per_step", "memory"} <= set(each)
    assert told("rules", "truncated-bptt") in rules
    assert told("rules", "truncated-bptt")["options"]["h"] == {
        "default": 20, "choices": None, "description": "how many steps each sweep goes back",
    }  # fmt: skip
    xor, table = told("tasks", "delayed-xor"), told("tasks", "table")
    assert xor in tasks
    assert xor["criteria"] == {"default": "error within 0.2 for 100 steps in a row"}
    assert (xor["baseline"], xor["needs"], xor["problem"]) == (0.125, None, None)
    assert "path" in table["needs"]
    assert "baseline" not in table


def test_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNSIM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("RNNSIM_CACHE_SIZE", "inf")
    assert told("cache", "--folder") == {"folder": str(tmp_path / "cache")}
    for digest in "ab":
        assert kernel_files.write(kernel_files.path_of("bptt.loop", digest * 40), b"code")
    found = told("cache")
    size = sum(file.size for file in kernel_files.files())
    (kernel,) = found.pop("kernels")
    folder = str(tmp_path / "cache")
    assert found == {"folder": folder, "most_bytes": None, "files": 2, "bytes": size}
    assert datetime.fromisoformat(kernel.pop("last_used")).tzinfo is not None
    assert kernel == {"kernel": "bptt.loop", "files": 2, "bytes": size}
    assert told("cache", "--clear") == {"folder": folder, "removed": {"files": 2, "bytes": size}}
    assert told("cache")["kernels"] == []


def test_measurements(stand_ins: None) -> None:
    found = told("bench", "rtrl", "--quick", "--task", "adding")
    (rule,) = found["rules"]
    assert (rule["rule"], rule["task"], rule["package"]) == ("rtrl", "adding", "rnnsim")
    assert rule["measured"] == [
        {"benchmark": "speed.Step.time_step", "params": [8], "value": 1e-6},
        {"benchmark": "figures.Exponents.track_time_exponent", "params": [], "value": 3.9},
    ]
    assert found["failures"] == []
    assert found["machine"]


def test_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    key = ("speed.Step.time_step", ("rtrl", 8))
    slower = Judged(key, own=Times((1.0,) * 12, (2.0,) * 12))
    verdict = Verdict("this against that", [slower], {key: (3.0, 4.0)}, ["callgrind"], {key: (10, 20)})

    def compare(revision: str, rules: Sequence[str], say: Any) -> Verdict:
        say(f"installing {revision}")
        return verdict

    monkeypatch.setattr("rnnsim.benchmarking.compare.compare", compare)
    result = rnnsim_("bench", "rtrl", "--compare", "HEAD", "--json")
    name = "speed.Step.time_step(rtrl, 8)"
    assert (result.exit_code, result.stderr) == (1, "installing HEAD\n")
    assert document(result.stdout) == {
        "title": "this against that", "worse": [name] * 3,
        "times": [{"name": name, "before": 1.0, "after": 2.0, "rounds": 12, "opinion": "worse"}],
        "figures": [{"name": name, "before": 3.0, "after": 4.0}],
        "instructions": [{"name": name, "before": 10, "after": 20}],
        "missing": ["callgrind"],
    }  # fmt: skip
