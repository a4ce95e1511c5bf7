"""``rnnsim compile``, ``rnnsim cache``, and what a run says of being compiled."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import pytest
from click.testing import CliRunner, Result
from processes import run

from rnnsim.cli import main
from rnnsim.compiler import compiled, kernel_files
from rnnsim.registry import installed
from rnnsim.runs.compilation import fitting_tasks, suggested_tasks
from rnnsim.runs.progress import compilation_announced

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

COMPILING = "compiling {}, which takes some seconds; {}\n"
DONE = "the next run finds it done"


def rnnsim_(*args: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, args)


def new_process(*args: str, **variables: str) -> tuple[int, str, str]:
    """Run a command in a process that has nothing compiled in it."""
    done = run(sys.executable, "-m", "rnnsim", *args, env={**os.environ, **variables})
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("RNNSIM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("RNNSIM_CACHE_SIZE", raising=False)
    return tmp_path / "cache"


# --- rnnsim compile --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "task"),
    [
        ("recurrent-backprop", "steady-state-xor"),
        ("fast-weights-1", "flip-flop"),
    ],
)
def test_a_run_compiles_nothing_that_was_compiled_before(rule: str, task: str) -> None:
    status, out, err = new_process("compile", rule, "--task", task)
    assert (status, err) == (0, "")
    assert re.fullmatch(rf"{rule} on {task}: (\d+\.\d s|already compiled)\n", out), out
    assert new_process("compile", rule, "--task", task) == (
        0,
        f"{rule} on {task}: already compiled\n",
        "",
    )
    status, _, err = new_process("run", rule, task, "--steps", "300")
    assert (status, err) == (0, "")


def test_the_first_run_says_that_it_compiles_and_the_next_does_not(empty: Path) -> None:
    """And by itself it keeps all that ``rnnsim compile`` does."""
    command = ("run", "truncated-bptt", "delayed-xor", "--steps", "300")
    status, first, err = new_process(*command)
    assert (status, err) == (0, COMPILING.format("truncated-bptt", DONE))
    status, second, err = new_process(*command)
    assert (status, err) == (0, "")
    assert first.splitlines()[:2] == second.splitlines()[:2]
    told = "truncated-bptt on delayed-xor: already compiled\n"
    assert new_process("compile", "truncated-bptt", "--task", "delayed-xor") == (0, told, "")
    kernels = {file.kernel for file in kernel_files.files()}
    assert kernels == {"truncated-bptt.loop", "delayed-xor.fill", "error.scores", "threads.touch_all"}


def test_the_tasks_of_a_rule_are_those_that_suggest_it() -> None:
    assert suggested_tasks("recurrent-backprop") == ["steady-state-xor", "pattern-completion"]
    assert {"delayed-xor", "flip-flop"} <= set(suggested_tasks("rtrl"))
    assert "adding" not in suggested_tasks("rtrl")
    assert len(suggested_tasks("rtrl-block")) == 1  # which no task suggests
    for rule in installed().rules:
        found = suggested_tasks(rule)
        assert found
        assert set(found) <= set(fitting_tasks(rule, installed().tasks))


def plans(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What is to be compiled, in place of compiling it."""
    import rnnsim.runs.compilation

    found: dict[str, list[str]] = {}
    monkeypatch.setattr(
        rnnsim.runs.compilation, "compile_all", lambda plan, jobs: found.update(plan) or []
    )
    return found


ALL = [name for name in installed().tasks if name != "table"]  # which needs a file
STEADY = ["steady-state-xor", "pattern-completion"]


@pytest.mark.parametrize(
    ("args", "rules", "tasks"),
    [
        ("rtrl-block", ["rtrl-block"], ["flip-flop"]),
        ("bptt rtrl --task adding --task copy", ["bptt", "rtrl"], ["adding", "copy"]),
        ("recurrent-backprop --all-tasks", ["recurrent-backprop"], STEADY),
        ("bptt --all-tasks", ["bptt"], [name for name in ALL if name not in STEADY]),
    ],
)
def test_what_is_compiled(
    args: str, rules: list[str], tasks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = plans(monkeypatch)
    assert rnnsim_("compile", *args.split()).exit_code == 0
    assert found == {rule: tasks for rule in rules}


def test_all_rules_are_compiled_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = plans(monkeypatch)
    assert rnnsim_("compile").exit_code == 0
    assert found == {rule: suggested_tasks(rule) for rule in installed().rules}
    assert rnnsim_("compile", "--task", "pattern-completion").exit_code == 0
    assert {rule: tasks for rule, tasks in found.items() if tasks} == {
        "recurrent-backprop": ["pattern-completion"]
    }


def test_processes_share_the_rules() -> None:
    status, out, err = new_process(
        "compile", "bptt", "truncated-bptt", "--task", "delayed-xor", "--jobs", "2"
    )
    assert (status, err) == (0, "")
    assert sorted(line.split(":")[0] for line in out.splitlines()) == [
        "bptt on delayed-xor", "truncated-bptt on delayed-xor"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["rtlr"], "no rule is called 'rtlr'; did you mean rtrl"),
        (["rtrl", "--task", "addding"], "no task is called 'addding'; did you mean adding"),
        (["rtrl", "--task", "adding", "--all-tasks"], "give --task or --all-tasks, not both"),
        (["rtrl", "--jobs", "0"], "jobs is 0; it must be at least 1"),
        (["rtrl", "--task", "steady-state-xor"], "rtrl on steady-state-xor: rtrl needs a task of time"),
        (["bptt", "--task", "table"], "bptt on table: the task table needs data"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)  # fmt: skip
def test_bad_input_is_one_clear_line(args: list[str], message: str) -> None:
    result = rnnsim_("compile", *args)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith(f"rnnsim: {message}")


def test_where_nothing_is_kept_compiling_is_refused(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    result = rnnsim_("compile", "rtrl")
    assert (result.exit_code, result.stderr) == (
        2,
        "rnnsim: NUMBA_DISABLE_JIT is set, and so nothing is compiled\n",
    )
    monkeypatch.undo()
    monkeypatch.setenv("RNNSIM_CACHE_DIR", str(empty))
    empty.write_text("a file")
    result = rnnsim_("compile", "rtrl")
    assert result.exit_code == 2
    assert result.stderr == f"rnnsim: nothing can be kept in {empty}: compiling is of no use\n"


# --- what is said ----------------------------------------------------------------------------------


def in_its_way(factor: float, compiled_before: Any = None) -> Callable[[float], float]:
    """A kernel that is another for each factor."""
    if compiled_before is None:
        return lambda x: factor * x
    return lambda x: factor * compiled_before(x)


@pytest.mark.parametrize("owner", ["my-rule", ""])
def test_it_is_said_once_and_not_when_it_is_found(
    owner: str, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with compilation_announced():
        assert compiled(in_its_way(2.0 + bool(owner)), owner)(1.0) == 2.0 + bool(owner)
        assert compiled(in_its_way(4.0 + bool(owner)), owner)(1.0) == 4.0 + bool(owner)
        assert compiled(in_its_way(4.0 + bool(owner)), owner)(1.0) == 4.0 + bool(owner)
    assert capsys.readouterr().err == COMPILING.format(owner or "<lambda>", DONE)


@pytest.mark.parametrize("size", ["0", "512"])
def test_what_cannot_be_kept_is_not_promised(
    size: str, empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RNNSIM_CACHE_SIZE", size)
    if size != "0":
        empty.write_text("a file in the place of the folder")
    with compilation_announced():
        compiled(in_its_way(6.0 + float(size)), "my-rule")(1.0)
    then = f"so will the next run: nothing can be kept in {empty}"
    assert capsys.readouterr().err == COMPILING.format("my-rule", then)


def test_what_calls_a_user_s_compiled_function_is_kept_too(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is compiled anew, as part of what calls it."""
    compiled_before = numba.njit(lambda x: x + 1.0)
    compiled_before(1.0)
    with compilation_announced():
        assert compiled(in_its_way(8.0, compiled_before), "my-rule")(1.0) == 16.0
    assert capsys.readouterr().err == COMPILING.format("my-rule", "the next run finds it done")
    assert list(empty.iterdir())


# --- rnnsim cache ----------------------------------------------------------------------------------


def test_the_cache_is_shown_and_cleared(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNSIM_CACHE_SIZE", "100")
    assert rnnsim_("cache").stdout == f"0 files, 0.0 MB of at most 100 MB in {empty}\n"
    for number, (kernel, size) in enumerate(
        [("rtrl.loop", 10**6), ("rtrl.loop", 10**6), ("adding.fill", 10**5)]
    ):
        path = kernel_files.path_of(kernel, f"{number}" * 64)
        assert kernel_files.write(path, bytes(size))
        os.utime(path, (10**9 + 86400 * number, 10**9 + 86400 * number))
    monkeypatch.setenv("TZ", "UTC")
    import time

    time.tzset()
    shown = rnnsim_("cache").stdout.splitlines()
    assert shown == [
        "adding.fill      1 file, 0.1 MB  last used 2001-09-11 01:46",
        "rtrl.loop       2 files, 2.0 MB  last used 2001-09-10 01:46",
        f"3 files, 2.1 MB of at most 100 MB in {empty}",
    ]
    assert rnnsim_("cache", "--folder").stdout == f"{empty}\n"
    assert rnnsim_("cache", "--clear").stdout == f"removed 3 files, 2.1 MB from {empty}\n"
    assert list(empty.iterdir()) == []


def test_a_bound_that_is_no_number_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNSIM_CACHE_SIZE", "half")
    for args in (
        ["cache"],
        ["run", "bptt", "delayed-xor", "--steps", "10", "--leak", "1"],
        ["compile", "bptt"],
    ):
        result = rnnsim_(*args)
        assert result.exit_code == 2
    assert result.stderr.startswith("rnnsim: RNNSIM_CACHE_SIZE is 'half'; it is a number of megabytes")
