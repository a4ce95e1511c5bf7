"""Benchmarks: what they choose and count, that failures are seen, and that a verdict can be believed."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from processes import run

from benchmarks import check
from rnnsim import registry
from rnnsim.benchmarking import compare, revisions
from rnnsim.benchmarking.suite import choices, operations, speed
from rnnsim.benchmarking.suite.timing import LENGTHS
from rnnsim.benchmarking.through_asv import Key, Row, Suite, failures, of_rules
from rnnsim.benchmarking.verdict import (
    LEAST,
    MOST,
    REACHED,
    Judged,
    Opinion,
    Times,
    Verdict,
    is_suspect,
    needs_more,
    opinion,
)
from rnnsim.cli import main

PLUGIN = Path(__file__).parents[1] / "example_plugin"
RULES = sorted(registry.installed().rules)


def distribution(folder: Path, name: str, *modules: str) -> None:
    """Lay out a distribution with some modules of the example plugin."""
    about = folder / f"{name.replace('-', '_')}-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    points = "\n".join(f"{module} = {module}" for module in modules)
    (about / "entry_points.txt").write_text(f"[rnnsim]\n{points}\n")
    for module in modules:
        shutil.copy(PLUGIN / f"{module}.py", folder)


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example plugin, installed for new processes alone."""
    distribution(tmp_path, "rnnsim-one-step", "one_step")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, *arguments)


# --- what is measured ---


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_task_and_networks_of_every_size(rule: str) -> None:
    assert choices.suits(choices.task_for(rule), rule)
    few, many = (choices.rule_and_network(rule, n)[1].n_state for n in choices.SIZES[:2])
    assert few < many


def test_every_task_is_run_by_some_rule() -> None:
    run = {pair.partition(" on ")[2] for pair in choices.pairs()}
    assert run == {*choices.TASKS}
    assert "table" not in run  # it needs a file


@pytest.mark.parametrize("rule", RULES)
def test_what_is_timed_is_what_users_call(
    rule: str, uncompiled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each benchmark of a rule does its work, through the public functions."""
    for benchmark, name in ((speed.Step(), "time_step"), (speed.Learn(), "time_learn")):
        benchmark.setup(rule, 4)
        getattr(benchmark, name)(rule, 4)
        assert benchmark.steps in LENGTHS
    calls = speed.Call()
    calls.setup(rule, 4)
    for name in ("time_gradient", "time_gradient_function", "time_learner_step"):
        getattr(calls, name)(rule, 4)
    monkeypatch.setattr(speed.Loop, "steps", 20)
    loop = speed.Loop()
    loop.setup(rule, 4)
    loop.time_loop(rule, 4)
    assert loop.trainer.step >= 20


@pytest.mark.parametrize("pair", choices.pairs())
def test_each_rule_runs_its_task_and_each_task_by_its_rule(pair: str, uncompiled: None) -> None:
    """Every run that ``speed.WholeRun`` times, a few steps of it."""
    trainer = speed.endless(*pair.split(" on "))
    next(trainer.chunks(3))
    assert trainer.step >= 3


def test_each_benchmark_is_run_once_and_figures_of_every_rule() -> None:
    """By ``benchmarks.check``, which leaves out what is timed of other rules."""
    rows = Suite(select=check.select()).selection()
    assert {name for name, _ in rows} == {*Suite().benchmarks}
    timed = [params for name, params in rows if name == "speed.Step.time_step"]
    assert timed == [(RULES[0], choices.SIZES[0])]
    figures = {params[0] for name, params in rows if name == "figures.Learning.track_final_loss"}
    assert figures == {*RULES}


def test_a_strangers_rule_is_in_the_suites(stranger: Path) -> None:
    done = python("-c", "from rnnsim.benchmarking.suite import speed, figures, starting; "
                  "print(speed.Step.params[0], figures.Memory.params[0], starting.FirstRun.params, "
                  "speed.WholeRun.params)")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("'one-step'") == 3
    assert "'one-step on " in done.stdout


TASKS = """
from rnnsim.benchmarking.suite.choices import task_for
print(task_for("one-step"), task_for("bptt"))
"""


@pytest.mark.parametrize("of_rule", [False, True])
def test_the_default_is_no_task_of_another_plugin(
    of_rule: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it suggests the rule; the control: one of the rule's own package is taken then."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    packages = [("one_step", "smoothing_task")] if of_rule else [("one_step",), ("smoothing_task",)]
    for i, modules in enumerate(packages):
        distribution(tmp_path, f"package-{i}", *modules)
    task = tmp_path / "smoothing_task.py"
    text = task.read_text()
    for rule in ("one-step", "bptt"):
        task.write_text(text.replace("Suggestion(h", f'Suggestion(rule="{rule}", h'))
        of_one_step, of_bptt = python("-c", TASKS).stdout.split()
        assert (of_one_step == "smoothing") == of_rule
        assert of_bptt != "smoothing"


def test_a_task_that_is_chosen_is_the_one(monkeypatch: pytest.MonkeyPatch) -> None:
    default = choices.task_for("rtrl")
    monkeypatch.setenv(choices.CHOICE, "adding")
    assert (default, choices.task_for("rtrl")) != ("adding", "adding")
    assert choices.task_for("rtrl") == "adding"
    assert choices.task_for("recurrent-backprop") != "adding"  # which it cannot learn
    monkeypatch.setenv(choices.CHOICE, "")
    assert choices.task_for("rtrl") == default


# --- counting operations ---


def test_operations_of_a_product_are_counted() -> None:
    x, y = operations.counting((np.ones((3, 4)), np.ones((4, 5))))
    before = operations.Number.operations
    product = np.dot(x, y)
    assert operations.Number.operations - before == 3 * 4 * 5 + 3 * 3 * 5
    np.testing.assert_array_equal(product.astype(float), np.full((3, 5), 4.0))


@given(st.floats(-9, 9), st.floats(-9, 9))
def test_numbers_that_count_are_numbers(a: float, b: float) -> None:
    counting = operations.Number(a)
    for other in (b, np.float64(b), operations.Number(b)):
        before = operations.Number.operations
        found = [
            counting + other,
            other + counting,
            counting - other,
            other - counting,
            other * counting,
        ]
        assert operations.Number.operations - before == 5
        assert all(type(number) is operations.Number for number in found)
        assert found == [a + b, b + a, a - b, b - a, b * a]


def test_elimination_solves() -> None:
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((6, 6)), rng.standard_normal(6)
    A[0, 0] = 0  # there must be pivoting
    found = operations.eliminate(*operations.counting((A, b)))
    np.testing.assert_allclose(found.astype(float), np.linalg.solve(A, b), rtol=1e-9)


@pytest.mark.parametrize(("rule", "p"), [("bptt", 2), ("rtrl-block", 3), ("rtrl", 4)])
def test_exponents_are_those_of_the_theory(rule: str, p: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MOST", 3e6)
    assert p - 0.45 < operations.operations_exponent(rule) <= p


# --- the figures that are free of noise ---

BOUNDS = {"figures.Memory.track_bytes": {}, "figures.Learning.track_steps_to_solve": {"relative": 0.1}}
FIGURES = {"figures.Memory.track_bytes": {"rtrl, 8": 1000.0},
           "figures.Learning.track_steps_to_solve": {"rtrl": 500.0}}  # fmt: skip


def changed(benchmark: str, params: str, value: float | None) -> list[str]:
    """What is said where one figure is another, or gone."""
    found = {name: dict(values) for name, values in FIGURES.items()}
    if value is None:
        del found[benchmark][params]
    else:
        found[benchmark][params] = value
    return check.changes(found, FIGURES, BOUNDS)


def test_figures_as_recorded_are_accepted() -> None:
    assert check.changes(FIGURES, FIGURES, BOUNDS) == []
    assert changed("figures.Learning.track_steps_to_solve", "rtrl", 540.0) == []


@pytest.mark.parametrize(
    ("benchmark", "params", "value", "words"),
    [
        ("figures.Memory.track_bytes", "rtrl, 8", 1001.0, "is 1001; recorded is 1000, exactly"),
        ("figures.Learning.track_steps_to_solve", "rtrl", 560.0, "recorded is 500, give or take 10%"),
        ("figures.Memory.track_bytes", "rtrl, 8", None, "is gone; it was 1000"),
        ("figures.Memory.track_bytes", "bptt, 8", 7.0, "is new: 7"),
    ],
)
def test_figures_beyond_their_bounds_are_refused(
    benchmark: str, params: str, value: float | None, words: str
) -> None:
    (said,) = changed(benchmark, params, value)
    assert words in said


def test_figures_are_recorded_of_every_rule() -> None:
    record = check.json.loads(check.FIGURES.read_text())
    assert record["figures"].keys() == record["bounds"].keys()
    own = check.ours(registry.installed().rules.items())
    for benchmark, values in record["figures"].items():
        wanted = {min(own)} if benchmark.startswith("instructions.Call.") else {*own}
        assert {params.partition(",")[0] for params in values} == wanted, benchmark


def test_a_benchmark_that_raises_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "some.py").write_text(
        "class Some:\n    params = [1, 2]\n    def track_it(self, n):\n        return 1 / (n - 1)\n"
    )
    rows = Suite(folder=folder).run(quick=True)
    assert [row.value for row in rows] == [None, 1.0]
    (said,) = failures(rows)
    assert said == "some.Some.track_it(1) failed: ZeroDivisionError: division by zero"


# --- the verdict ---

# What 302 processes measured of identical code while others computed (load 6 to 10 on two cores): their
# least time over the row's least of all, at each tenth.
DISTURBED = (1.0, 1.01, 1.03, 1.06, 1.09, 1.17, 1.41, 1.81, 2.1, 3.52, 10.52)
ROWS = 14


def disturbed(rng: np.random.Generator, factor: float = 1.0) -> float:
    return factor * float(np.interp(rng.random(), np.linspace(0, 1, len(DISTURBED)), DISTURBED))


class Side:
    """In the place of a suite: rows whose times are drawn."""

    def __init__(self, rng: np.random.Generator, factors: Sequence[float], size: float = 100.0) -> None:
        self.rng, self.size = rng, size
        self.factors = {("speed.Step.time_step", ("a", i)): f for i, f in enumerate(factors)}

    def selection(self) -> list[Key]:
        return [*self.factors]

    @contextmanager
    def opened(self) -> Iterator[Callable[[Key], Row]]:
        def run(key: Key) -> Row:
            if math.isnan(self.factors[key]):
                return Row(*key, None, error="Traceback\nValueError: no")
            time = 1e-6 * disturbed(self.rng, self.factors[key])
            return Row(*key, time, (time, 1.5 * time))

        yield run

    def run(self, *, only: Sequence[str], quick: bool) -> list[Row]:
        return [Row("figures.Memory.track_bytes", ("a", 8), self.size)]


def judged(seed: int, after: Sequence[float], size: float = 100.0) -> Verdict:
    rng = np.random.default_rng(seed)
    before = Side(rng, [1.0] * len(after))
    sides: Any = (before, Side(rng, after, size))
    return compare.judge(*sides, "title", say=lambda line: None)


def test_identical_code_is_seldom_called_worse() -> None:
    alarms = sum(bool(judged(seed, [1.0] * ROWS).worse) for seed in range(400))
    assert alarms / 400 < 0.04  # at a bound of 1 in 20


def test_a_slowdown_of_a_quarter_is_nearly_always_caught() -> None:
    caught = [judged(seed, [1.25]).worse for seed in range(300)]
    assert sum(map(len, caught)) / 300 > 0.93  # at a bound of 9 in 10


def test_a_plain_comparison_would_cry_wolf() -> None:
    """The noise is such that the rule has something to do: medians of as many processes mislead."""
    rng = np.random.default_rng(0)

    def ratio() -> float:
        sides = [np.median([disturbed(rng) for _ in range(4)]) for _ in range(2)]
        return float(sides[1] / sides[0])

    alarms = sum(any(ratio() > 1.1 for _ in range(ROWS)) for _ in range(100))
    assert alarms > 90


def test_what_is_faster_is_called_better_and_nothing_worse() -> None:
    verdict = judged(0, [0.6, 1.0, 1.0])
    assert verdict.worse == []
    assert "faster by more than 10%:\n  speed.Step.time_step(a, 0)" in verdict.report()


def test_a_row_that_fails_is_missing_and_said_to_be() -> None:
    verdict = judged(0, [1.0, math.nan])
    assert [row.key[1] for row in verdict.rows] == [("a", 0)]
    assert "speed.Step.time_step(a, 1) failed: ValueError: no" in verdict.report()


def test_more_memory_is_worse_less_is_not() -> None:
    assert judged(0, [1.0], size=120.0).worse == ["figures.Memory.track_bytes(a, 8)"]
    assert judged(0, [1.0], size=80.0).worse == []
    assert "100 -> 80" in judged(0, [1.0], size=80.0).report()


def test_a_report_names_the_row_both_times_and_the_rounds() -> None:
    own = Times((1e-6,) * LEAST, (1.3e-6,) * LEAST)
    row = Judged(("speed.Step.time_step", ("rtrl", 8)), own, own)
    report = Verdict("this against that", [row]).report()
    assert report.startswith("this against that\nslower by more than 10%:\n")
    (line,) = (line for line in report.splitlines() if line.startswith("  speed"))
    assert line.split() == ["speed.Step.time_step(rtrl,", "8)", "1", "us", "->", "1.3", "us", "+30%",
                            str(LEAST), "rounds"]  # fmt: skip
    assert report.endswith("1 times measured, 0 of them the same within 10%; 1 worse")


TIMES = st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=MOST)


@given(TIMES, TIMES, st.floats(1e-3, 1e3))
def test_opinions_know_neither_the_unit_nor_an_order(
    before: list[float], after: list[float], unit: float
) -> None:
    own = Times(tuple(before), tuple(after))
    other = {Opinion.WORSE: Opinion.BETTER, Opinion.BETTER: Opinion.WORSE}
    there, back = opinion(own), opinion(Times(own.after, own.before))
    assert back is other.get(there, there)
    assert opinion(Times(tuple(reversed(before)), own.after)) is there
    if there in other:
        assert own.settled
        assert is_suspect(own)


@given(TIMES)
def test_one_lucky_process_is_no_floor(times: list[float]) -> None:
    lucky = (min(times) / 2, *times)
    few = Times((1.0,) * REACHED, lucky)
    assert few.settled == (sum(time <= 1.08 * lucky[0] for time in lucky) >= REACHED)
    assert opinion(Times((1.0,) * LEAST, (0.5, *(1.0,) * LEAST))) is Opinion.UNCLEAR


def test_rounds_come_to_an_end() -> None:
    scattered = Times(tuple(2.0 ** (i + 1) for i in range(MOST)), (1.0,) * MOST)
    assert not needs_more(scattered)
    assert opinion(scattered) is Opinion.UNCLEAR
    assert needs_more(Times(scattered.before[:-1], scattered.after[:-1]))


def test_a_suspect_that_turns_out_the_same_is_let_go() -> None:
    same = Times((1.0, 1.5, 1.2, 1.3), (1.02, 1.9, 1.4, 1.5))
    assert not needs_more(same)
    assert opinion(same) is Opinion.SAME
    assert needs_more(Times(same.before, (1.2, *same.after[1:])))


# --- revisions ---


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The example plugin in a repository of its own."""
    root = tmp_path / "repository"
    shutil.copytree(PLUGIN, root, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    for command in (["init", "--quiet"], ["add", "--all"], ["-c", "user.name=a", "-c", "user.email=a@b",
                    "commit", "--quiet", "--message", "first"]):  # fmt: skip
        run("git", *command, cwd=root, check=True)
    return root


def test_a_snapshot_has_what_is_not_committed_and_leaves_no_trace(repository: Path) -> None:
    project = revisions.project_here(repository)
    head = revisions.resolve(project, "HEAD")
    assert project == revisions.Project("rnnsim-one-step", repository, "")
    assert revisions.snapshot(project) == head
    (repository / "one_step.py").write_text("changed = True\n")
    (repository / "new.py").write_text("new = True\n")
    status = revisions.git(repository, "status", "--porcelain")
    commit = revisions.snapshot(project)
    assert revisions.git(repository, "show", f"{commit}:one_step.py") == "changed = True"
    assert revisions.git(repository, "show", f"{commit}:new.py") == "new = True"
    assert revisions.git(repository, "status", "--porcelain") == status
    assert revisions.resolve(project, "HEAD") == head


def test_a_revision_is_installed_without_the_network(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")  # where nobody listens
    monkeypatch.setenv("PIP_RETRIES", "0")
    project = revisions.project_here(repository)
    revisions.check_builds_here(project)
    select = [rf"^speed\.Step.*{rule}" for rule in of_rules(["one-step"])]
    suite = revisions.installed(project, revisions.resolve(project, "HEAD"), tmp_path / "env", select)
    assert suite.selection() == [("speed.Step.time_step", ("one-step", n)) for n in choices.SIZES]
    where = suite.environment.run(["-c", "import one_step; print(one_step.__file__)"], cwd=str(tmp_path))
    assert str(tmp_path / "env") in where
    with suite.opened() as run:
        row = run(suite.selection()[0])
    assert row.error == ""
    assert 1e-9 < min(row.samples) < 1e-3


# --- the command ---


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["bench", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_mistakes_are_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "rtrl" in refused("rtlr")
    assert "did you mean adding" in refused("rtrl", "--task", "addding")
    assert "needs a task of time steps" in refused("rtrl", "--task", "steady-state-xor")
    other = refused("fast-weights-1", "--task", "delayed-xor")
    assert "fast-weights-1 is not measured on delayed-xor, which is for another kind of net" in other
    assert not os.environ.get(choices.CHOICE)
    monkeypatch.chdir(tmp_path)
    assert "not a git repository" in refused("rtrl", "--compare", "HEAD")
    monkeypatch.setitem(sys.modules, "asv", None)
    assert refused("rtrl") == ("rnnsim: benchmarks run through asv, and asv is not installed: "
                               "pip install 'rnnsim[bench]'\n")  # fmt: skip


def test_a_revision_that_is_not_there_is_one_line(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    assert "nowhere" in refused("rtrl", "--compare", "nowhere")
    build = (
        (repository / "pyproject.toml").read_text().replace("hatchling.build", "absent_backend.build")
    )
    (repository / "pyproject.toml").write_text(build)
    assert "is built by absent_backend, which is not installed here: pip install hatchling" in refused(
        "rtrl", "--compare", "HEAD"
    )


def test_a_strangers_rule_is_measured(stranger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for instructions, of which test_instructions.py has more: valgrind is not found."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    done = python("-m", "rnnsim", "bench", "one-step", "--quick", "--task", "flip-flop")
    assert done.returncode == 0, done.stderr
    assert "one-step [rnnsim-one-step 0.1.0], on flip-flop where a task is needed" in done.stdout
    for label in ("n = 8", "step alone", "whole loop", "memory", "grows as", "learns", "first run"):
        assert label in done.stdout
    assert "nan" not in done.stdout
    assert os.environ["PYTHONPATH"] == str(stranger)
