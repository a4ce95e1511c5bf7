"""One cache of machine code for the whole test run; how many examples hypothesis draws; fixtures."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

HOLD_ASSERTS = ("cases", "fast_weight_cases", "naive_fast_weights", "plain_loop")  # but no tests
pytest.register_assert_rewrite(*HOLD_ASSERTS)

CACHE_DIR = "RNNSIM_CACHE_DIR"

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


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run kernels as the plain Python that they are, where compiling them would only take time."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)


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
