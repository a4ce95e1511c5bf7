"""The classes of tests and the plugin of pytest, as the tests of a plugin's author use them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from processes import run

TWO_LINES = """
from rnnsim.testing import RuleTests


class TestRule(RuleTests):
    rule = "{rule}"
    networks = ["recurrent"]
"""
BROKEN = """
from rnnsim.testing import RuleTests, NetworkTests, TaskTests
from rnnsim.testing.sweeps import Backwards


class Silent(Backwards, frozen=True):
    name = "silent"

    def learn(self, network):
        learn = super().learn(network)

        def silent(params, state, stream, row, trajectory, window, memory, grad):
            code = learn(params, state, stream, row, trajectory, window, memory, grad)
            grad.b[:] = 0
            return code

        return silent


class TestSilent(RuleTests):
    rule = Silent
    networks = ["recurrent"]


class TestNetwork(NetworkTests):
    network = "recurrent"


class TestTask(TaskTests):
    task = "delayed-xor"
    options = {"d": 3}
"""


def pytest_in(folder: Path, text: str, *arguments: str) -> str:
    (folder / "test_it.py").write_text(text)
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments)
    return run(*command, cwd=folder, env=environment).stdout


def test_two_lines_give_an_item_for_each_check(tmp_path: Path) -> None:
    chosen = "differences or reference or writes"
    output = pytest_in(tmp_path, TWO_LINES.format(rule="bptt"), "-v", "-k", chosen)
    assert "test_it.py::TestRule::test[differences, recurrent plain] PASSED" in output
    assert "rnnsim: claimed and measured" in output
    assert "TestRule: ok     writes, recurrent plain: claimed" in output
    assert " failed" not in output


def test_a_failure_says_what_was_claimed_and_what_was_measured(tmp_path: Path) -> None:
    chosen = "writes or scaling or chunks"
    output = pytest_in(tmp_path, BROKEN, "-q", "-k", chosen)
    assert "measured  never written: b" in output
    assert "claimed   a finite gradient of each array" in output
    assert "report.py" not in output  # no code of the kit
    assert "3 failed, 7 passed" in output
    assert "claimed and measured" not in output


def test_a_rule_that_does_not_exist_is_an_error_of_collection(tmp_path: Path) -> None:
    output = pytest_in(tmp_path, TWO_LINES.format(rule="btpp"), "-q")
    assert "did you mean bptt" in output


@pytest.mark.parametrize("name", ["pytest", "rnnsim.testing", "numba"])
def test_importing_rnnsim_does_not_import_the_kit(name: str) -> None:
    code = f"import sys, rnnsim; print({name!r} in sys.modules)"
    assert run(sys.executable, "-c", code, check=True).stdout.strip() == "False"


def test_the_kit_needs_no_pytest() -> None:
    code = "import sys, rnnsim.testing; print('pytest' in sys.modules, rnnsim.testing.check_rule)"
    assert run(sys.executable, "-c", code, check=True).stdout.startswith("False")
