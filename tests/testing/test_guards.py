"""What compiled code writes and reads outside its arrays is found."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from kit import run

from rnnsim.kernels import kernel
from rnnsim.network import Network
from rnnsim.rule import Cost, Rule
from rnnsim.testing.cases import networks_of
from rnnsim.testing.checking import rule_checks
from rnnsim.testing.guards import PATTERNS, Guards
from rnnsim.typing import Kernel


class Two(NamedTuple):
    whole: np.ndarray
    part: np.ndarray
    other: np.ndarray
    number: int


def two() -> Two:
    whole = np.arange(12.0)
    return Two(whole, whole[2:8].reshape(2, 3), np.ones(3, np.float32), 4)


def test_copies_are_equal_and_share_what_is_shared() -> None:
    given, guards = two(), Guards(PATTERNS[0])
    found = guards.copy(given, "two")
    assert type(found) is Two
    assert found.number == 4
    for old, new in zip(given[:3], found[:3], strict=True):
        assert np.array_equal(old, new)
        assert (old.dtype, old.flags.c_contiguous) == (new.dtype, new.flags.c_contiguous)
        assert not np.shares_memory(old, new)
    found.part[0, 0] = -1
    assert found.whole[2] == -1
    assert guards.damage() == []


@pytest.mark.parametrize("place", [-1, 12], ids=["before", "behind"])
def test_what_is_written_around_an_array_is_found(place: int) -> None:
    guards = Guards(PATTERNS[0])
    found = guards.copy(two(), "two")
    buffer = found.other.base
    buffer[found.other.ctypes.data - buffer.ctypes.data + place] = 5
    assert guards.damage() == ["two.other"]


def test_read_only_arrays_stay_so() -> None:
    constant = np.arange(3)
    constant.flags.writeable = False
    assert not Guards(PATTERNS[0]).copy((constant,), "x")[0].flags.writeable


class Astray(NamedTuple):
    numbers: np.ndarray
    does: np.ndarray  # 0: nothing wrong; 1: writes outside; 2: reads outside


class Stray(Rule, frozen=True):
    """Its index is one too large, if it is asked to be wrong."""

    name = "stray"
    claim = "approximate"
    cost = Cost(time="n", memory="1")

    does: int = 0

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Astray:
        return Astray(np.ones(4), np.full(1, self.does))

    def credit(self, network: Network) -> Kernel:
        @kernel(allocates=False)
        def credit(params: Any, trajectory: Any, window: Any, memory: Astray, grad: Any) -> None:
            last = memory.numbers.size - (1 if memory.does[0] == 0 else 0)
            if memory.does[0] == 2:
                grad.b[0] += memory.numbers[last]
            else:
                memory.numbers[last] = 1.0

        return credit


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="plain Python checks indices")
@pytest.mark.parametrize(
    ("does", "passed", "saying"),
    [(0, True, "nothing outside"), (1, False, "writes outside memory.numbers"), (2, False, "reads")],
)
def test_stray_indices_of_compiled_code_are_found(does: int, passed: bool, saying: str) -> None:
    networks = [networks_of("recurrent")["recurrent plain"]]
    (finding,) = run(rule_checks(Stray(does=does), networks=networks), "arrays")
    assert (finding.passed, finding.measured.startswith(saying)) == (passed, True), str(finding)


@pytest.mark.usefixtures("uncompiled")
def test_stray_indices_of_plain_python_are_errors() -> None:
    networks = [networks_of("recurrent")["recurrent plain"]]
    (finding,) = run(rule_checks(Stray(does=1), networks=networks), "arrays")
    assert finding.passed is False
    assert "IndexError" in finding.measured
