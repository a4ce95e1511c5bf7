"""One cache of machine code for the whole test run; how many examples hypothesis draws; fixtures.

Which tests a process runs where several share them; and that none waits for ever.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from rnnsim.compiler.bounds import checked
from rnnsim.registry import installed

HOLD_ASSERTS = ("cases", "fast_weight_cases", "naive_fast_weights", "plain_loop")  # but no tests
pytest.register_assert_rewrite(*HOLD_ASSERTS)

CACHE_DIR = "RNNSIM_CACHE_DIR"
FEW_HELD_OUT = ("delayed-xor", "flip-flop", "n-bit-memory", "reber", "steady-state-xor",
                "variable-binding")  # fmt: skip
AT_MOST = 1200  # seconds for a test; the longest take some tens of them on a busy machine

JIT = not numba.config.DISABLE_JIT

# No deadline, and no haste: the first example of a composition compiles it.
COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("local", max_examples=30 if JIT else 10, **COMMON)
settings.register_profile("ci", max_examples=30 if JIT else 10, derandomize=True, **COMMON)
settings.register_profile("thorough", max_examples=200, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "local"))


def pytest_configure(config: pytest.Config) -> None:
    """Choose the folder before any worker of xdist starts: they inherit the environment."""
    if os.environ.get(CACHE_DIR):
        return
    cache = getattr(config, "cache", None)  # absent under -p no:cacheprovider
    if cache is not None:
        os.environ[CACHE_DIR] = str(cache.mkdir("rnnsim-kernels"))
    else:
        os.environ[CACHE_DIR] = config.rnnsim_cache = tempfile.mkdtemp(prefix="rnnsim-kernels-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if folder := getattr(config, "rnnsim_cache", None):
        shutil.rmtree(folder, ignore_errors=True)
        del os.environ[CACHE_DIR]


# --- how far LLVM optimises ---

# Optimising takes two thirds of a compilation. Here the question is what is done with what kernels
# compute, and steps are few; everywhere else machine code is tested as users run it: where it computes
# gradients, where networks learn, and where the compiler is the question.
UNOPTIMISED = (  # how the names of these tests begin
    "benchmarking/test_bench.py", "runs/test_compare.py", "runs/test_folders.py",
    "runs/test_monitors.py", "runs/test_run.py", "scaffold/", "training/test_delayed_targets.py",
    "training/test_gradient_function.py",
    "training/test_handing_on.py", "training/test_masks.py", "training/test_with_respect_to.py",
    "test_plugin_mistakes.py", "test_registry.py",
    "runs/test_compile.py::test_a_run", "runs/test_compile.py::test_the_first_run",
    "runs/test_compile.py::test_processes",
)  # fmt: skip
LEVEL = "NUMBA_OPT"
CHOSEN = LEVEL in os.environ  # by who runs the tests


def file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0].removeprefix("tests/")


def is_optimised(nodeid: str) -> bool:
    return not nodeid.removeprefix("tests/").startswith(UNOPTIMISED)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Set the level before any fixture compiles; processes that a test starts inherit it.

    What is optimised comes first (``turn_of``): it finds nothing in this process that is not.
    """
    level = None if is_optimised(item.nodeid) else "0"
    if not CHOSEN and os.environ.get(LEVEL) != level:
        os.environ.pop(LEVEL, None)
        if level is not None:
            os.environ[LEVEL] = level
        numba.config.reload_config()
    return (yield)


# --- which process runs a test, under pytest -n ---

TOGETHER = {  # files whose tests compile the same
    "recurrent gradients": ("rules/test_each_rule.py", "rules/test_gradients.py",
                            "rules/test_truncated.py", "rules/test_unbiased.py",
                            "numerics/test_shards.py"),
    "fast-weight gradients": ("rules/test_fast_weights.py", "networks/test_fast_weight_network.py",
                              "numerics/test_threads.py"),
    "loops": ("training/test_loop.py", "training/test_errors.py"),
    "runs": ("runs/test_run.py", "runs/test_folders.py"),
}  # fmt: skip
BY_CASE = ("training/test_learning.py",)  # what is in the brackets of the name tells what is compiled
# Their tests have nothing compiled in common, or start processes that compile: they are shared evenly.
APART = ("compiler/test_cache.py", "compiler/test_specialising.py", "runs/test_compile.py")
GROUPS = {file: group for group, files in TOGETHER.items() for file in files}
# The longest come first. The kit's checks come late among what is optimised: by then the kernels that
# they compile have been kept by other tests.
FIRST = ("recurrent gradients", "fast-weight gradients", "networks/test_gru.py",
         "rules/test_equilibrium.py", "loops", "runs/test_sweep.py",
         "training/test_with_respect_to.py", "benchmarking/test_bench.py")  # fmt: skip
LATER = ("compiler/", "networks/test_networks_conform.py", "rules/test_rules_conform.py")


def group_of(nodeid: str) -> str:
    """One process runs the tests of a group, one after the other: what they share is compiled once."""
    file = file_of(nodeid)
    if file in BY_CASE:
        return file + nodeid.partition("[")[2]
    return nodeid if file in APART else GROUPS.get(file, file)


def turn_of(nodeid: str) -> tuple[bool, int]:
    """When a test comes: those of the same turn stay in the order of their files."""
    group, file = group_of(nodeid), file_of(nodeid)
    if group in FIRST:
        return not is_optimised(nodeid), FIRST.index(group) - len(FIRST)
    late = next((i for i, name in enumerate(LATER, start=1) if file.startswith(name)), 0)
    return not is_optimised(nodeid), late


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.option.dist != "load":  # the default
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        """Groups in the order in which their tests have been collected."""

        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return Groups(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs uncompiled in any case, so that it can be chosen; let the longest come first."""
    for item in items:
        if {"uncompiled", "soon"} & {*getattr(item, "fixturenames", ())}:
            item.add_marker("uncompiled")
    items.sort(key=lambda item: turn_of(item.nodeid))


# --- no test waits for ever ---


@contextmanager
def _not_for_ever() -> Iterator[None]:
    """Let a test fail that takes longer than ``AT_MOST``: it waits for a process, say."""

    def fail(*_: object) -> None:
        pytest.fail(f"it took more than {AT_MOST} seconds")

    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(AT_MOST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, Any, Any]:
    with _not_for_ever():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    with _not_for_ever():
        return (yield)


# --- fixtures, and what is printed ---


def surroundings() -> dict[str, Any]:
    """What decides how the process compiles, and is to be the same after each test."""
    prefixes = ("NUMBA_", "RNNSIM_")
    found = {name: text for name, text in os.environ.items() if text and name.startswith(prefixes)}
    return found | {"uncompiled": numba.config.DISABLE_JIT, "checked": checked()}


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """A test that changed how kernels are compiled would make others fail, far from itself."""
    before = surroundings()
    yield
    assert surroundings() == before


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run kernels as the plain Python that they are, where compiling them would only take time."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)


def register_script(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the task ``script``, which is soon evaluated uncompiled; and fill few rows ahead."""
    from plain_loop import Script

    from rnnsim import registry
    from rnnsim.training import task_rows

    monkeypatch.setattr(task_rows, "CHUNK", 16)
    monkeypatch.setattr(task_rows, "STREAM", 0)

    known = registry.installed()
    entry = registry.Entry(Script, "acme-tasks", "1.0")
    with_it = dataclasses.replace(known, tasks={**known.tasks, Script.name: entry})
    monkeypatch.setattr(registry, "installed", lambda: with_it)


@pytest.fixture(scope="module")
def soon() -> Iterator[None]:
    """There is the task ``script``, uncompiled, also for what the tests of a module have in common."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        register_script(monkeypatch)
        monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
        yield


def wave(rows: int = 500) -> np.ndarray:
    t = np.arange(rows)
    return np.stack([np.sin(t / 7), 5 + 3 * np.cos(t / 11)], axis=1)


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What a task cannot be made without."""
    path = tmp_path_factory.mktemp("table") / "wave.csv"
    path.write_text("\n".join(["day,x,y", *(f"d{i},{x},{y}" for i, (x, y) in enumerate(wave()))]))
    return {"table": {"path": str(path)}}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have measured (``record_property("learning", ...)``)."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    lines = [value for report in reports for name, value in report.user_properties if name == "learning"]
    if lines:
        terminalreporter.section("learning, over seeds")
        for line in sorted(lines):
            terminalreporter.write_line(line)


@pytest.fixture
def few_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge runs on few held-out data, which takes less time where nothing is compiled."""
    for name in FEW_HELD_OUT:
        monkeypatch.setattr(installed().tasks[name].thing, "held_out_shape", lambda self: (20, 1))
