"""Instructions: what is counted is what users call, the same each time, and 3% more is noticed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import llvmlite.binding
import numba
import pytest

from benchmarks import check
from rnnsim import registry
from rnnsim.benchmarking.instructions import benchmark, by_benchmark, count_both
from rnnsim.benchmarking.suite import callgrind, counted, instructions
from rnnsim.benchmarking.through_asv import Key
from rnnsim.benchmarking.verdict import Verdict
from rnnsim.compiler import machine
from rnnsim.errors import RnnsimError

RULES = sorted(registry.installed().rules)
needs_valgrind = pytest.mark.skipif(callgrind.missing() is not None, reason=str(callgrind.missing()))

# a kernel that repeats some work, so many times as it is told
PROGRAM = """
import numpy as np
from suite import callgrind
from rnnsim.compiler import compiled
from rnnsim.kernels import kernel

@kernel
def work(times, x):
    for _ in range(times):
        for i in range(1, x.size):
            x[i] = 0.5 * x[i - 1] + x[i]

run, x = compiled(work), np.zeros(100)
callgrind.measure({times: lambda times=times: run(int(times), x) for times in sys.argv[1:]})
"""


@needs_valgrind
def test_a_kernel_takes_the_same_number_each_time_and_three_percent_more_are_noticed() -> None:
    first, second = (callgrind.run(f"exec({PROGRAM!r})", ["1000", "1030"]) for _ in range(2))
    assert first["1000"] > 99 * 1000
    assert second == pytest.approx(first, rel=1e-3)
    assert first["1030"] == pytest.approx(1.03 * first["1000"], rel=3e-3)


@needs_valgrind
def test_a_program_that_fails_is_a_line() -> None:
    with pytest.raises(RnnsimError, match=r"^instructions cannot be counted: ZeroDivisionError: .*$"):
        callgrind.run("1 / 0")


@pytest.mark.parametrize(("features", "width"), [(None, 4), ("+avx,+avx512vl", 4), ("+avx2", 2)])
def test_tiles_are_those_of_the_processor_that_is_compiled_for(
    features: str | None, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what is compiled natively would be compiled anew under valgrind, which has no AVX-512."""
    monkeypatch.setattr(numba.config, "CPU_FEATURES", features)
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: {"avx512vl": True})
    assert machine.vectors() == width


def test_of_a_call_the_fewest_instructions_count_without_those_of_counting() -> None:
    def dump(label: str, total: int) -> str:
        return f"version: 1\ndesc: Trigger: Client Request: {label}\nfn=x\ntotals: {total}\n"

    at_the_end = "desc: Trigger: Program termination\ntotals: 7\n"
    dumps = [dump("", 12), dump("a/1", 150), dump("", 10), dump("a/1", 110), at_the_end]
    assert callgrind.counts(dumps) == {"a/1": 100}


def test_a_step_is_what_more_steps_take() -> None:
    found = counted.figures({"a/step 8/1": 1000, "a/step 8/101": 3000, "a/loss/1": 70, "b/learn/2": 8})
    assert found == {"a": {"step 8": 20.0, "loss": 70.0}, "b": {"learn": 4.0}}


@pytest.mark.parametrize("rule", RULES)
def test_what_is_counted_is_tracked(
    rule: str, uncompiled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call can be made, and each has a benchmark of the suite that reads its count."""
    monkeypatch.setattr(counted, "STEPS", {3: 2, 4: 2})
    monkeypatch.setattr(counted, "CALLED", 4)
    calls = counted.steps(rule) | counted.functions(rule)
    for call in calls.values():
        call()
    found = {label.split("/")[1]: 0.0 for label in calls}
    tracked = {f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}.{name}"
               for kind in (instructions.Step, instructions.Call) for name in vars(kind)
               if name.startswith("track_")}  # fmt: skip
    assert {key[0] for key in by_benchmark({rule: found})} == tracked
    assert benchmark(rule, "step 4") == ("instructions.Step.track_instructions", (rule, 4))


def test_each_part_of_a_rule_is_counted_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    asked: list[Sequence[str]] = []

    def count(rules: Sequence[str], parts: Sequence[str]) -> counted.Found:
        asked.append(parts)
        return {rules[0]: {"step 8": 5.0, "step 32": 6.0} if parts == ["steps"] else {"loss": 7.0}}

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(counted, "count", count)
    assert instructions.Step().track_instructions(RULES[0], 8) == 5.0
    assert instructions.Step().track_instructions(RULES[0], 32) == 6.0
    assert instructions.Call().track_loss(RULES[0]) == 7.0
    assert asked == [["steps"], ["functions"]]


class Installed:
    """In the place of a suite in an environment of its own."""

    def __init__(self, name: str, rules: Sequence[str]) -> None:
        self.name, self.rules, self.environment = name, rules, self

    def selection(self) -> list[Key]:
        return [("figures.Memory.track_bytes", (rule, 8)) for rule in self.rules]

    def find_executable(self, name: str) -> str:
        return f"{self.name}/{name}"


def test_the_rules_of_both_revisions_are_counted_by_the_python_of_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def count(rules: Sequence[str], python: str) -> counted.Found:
        assert rules == ["a"]
        return {"a": {"loss": {"old/python": 5.0, "new/python": 6.0}[python]}}

    monkeypatch.setattr(callgrind, "missing", lambda: None)
    monkeypatch.setattr(counted, "count", count)
    sides: Any = Installed("old", ["a"]), Installed("new", ["a", "b"])
    found = count_both(*sides, ["a", "b"], say=lambda line: None)
    assert found == ({("instructions.Call.track_loss", ("a",)): (5.0, 6.0)}, [])


# --- where there is no valgrind ---


@pytest.fixture
def no_valgrind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callgrind.shutil, "which", lambda name: None)


@pytest.mark.usefixtures("no_valgrind")
def test_without_valgrind_benchmarks_are_skipped_and_a_comparison_says_so() -> None:
    with pytest.raises(NotImplementedError, match="not counted"):
        instructions.Step().setup(RULES[0], 8)
    anything: Any = None
    found = count_both(anything, anything, RULES, print)
    assert found.pairs == {}
    assert found.missing == [callgrind.missing()]


@pytest.mark.usefixtures("no_valgrind")
def test_without_valgrind_the_record_of_instructions_is_not_asked_for() -> None:
    figures = {"figures.Memory.track_bytes": {"a": 1.0}, "instructions.Call.track_loss": {"a": 2.0}}
    assert [*check.recorded_here({"figures": figures})] == ["figures.Memory.track_bytes"]


# --- what is said ---


def test_with_other_versions_instructions_are_told_and_fail_nothing() -> None:
    record = {"versions": {**check.versions(), "numba": "0.1"}}
    counted = "instructions.Call.track_loss(a) is 3; recorded is 2, give or take 1%"
    other = "figures.Memory.track_bytes(a, 8) is new: 3"
    wrong, (said, *told) = check.divided([counted, other], record)
    assert (wrong, told) == ([other], [counted])
    assert said.startswith("counted with numba ")
    assert "python" not in said
    assert check.divided([other], record) == ([other], [])
    assert check.divided([counted, other], {"versions": check.versions()}) == ([counted, other], [])


def test_more_instructions_are_worse_and_come_first() -> None:
    keys = [benchmark("a", what) for what in ("step 8", "step 32", "loss", "learn")]
    pairs = dict(zip(keys, [(1000.0, 1030.0), (1000.0, 1005.0), (1000.0, 1045.0), (1000.0, 900.0)]))
    verdict = Verdict("title", [], instructions=pairs)
    assert verdict.worse == ["instructions.Step.track_instructions(a, 8)"]
    title, total, first, second, *_ = verdict.report().splitlines()
    assert (title, total) == ("title", "instructions: 4 counts, 2 of them the same within 1%, "
                              "those of a call within 5%")  # fmt: skip
    assert first.split()[-4:] == ["1,000", "->", "1,030", "+3.0%"]
    assert second.split()[-1] == "-10.0%"
