"""The width of vectors: chosen by the processor, and without any effect on results."""

from __future__ import annotations

import os
import sys

import processes
import pytest

from rnnsim.compiler import machine
from rnnsim.compiler.machine import vector_bytes


def processor(vendor: str, family: int, flags: str) -> str:
    return (f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: 17\n"
            f"flags\t\t: fpu {flags} sse\n")  # fmt: skip


AMD, INTEL, WIDE = "AuthenticAMD", "GenuineIntel", "avx2 avx512f avx512vl"


@pytest.mark.parametrize(
    ("found", "chosen", "other", "width"),
    [
        (processor(AMD, 26, WIDE), None, None, 64),
        (processor(AMD, 25, WIDE), None, None, 32),  # in two halves
        (processor(AMD, 26, "avx2"), None, None, 32),  # a virtual machine that hides them
        (processor(INTEL, 6, WIDE), None, None, 32),  # not measured
        (processor(INTEL, 6, WIDE), "512", None, 64),
        (processor(AMD, 26, WIDE), "256", None, 32),
        (processor(AMD, 26, WIDE), None, "haswell", 32),
        ("", None, None, 32),
        ("", "512", "haswell", 64),
    ],
)
def test_the_width_by_processor(found: str, chosen: str | None, other: str | None, width: int) -> None:
    assert vector_bytes(found, chosen, other) == width


def test_this_processor_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    if machine.CPUINFO.exists():
        assert "processor" in machine.described_processor()
    monkeypatch.setattr(machine, "CPUINFO", machine.CPUINFO / "nothing")
    assert machine.described_processor() == ""


GRADIENTS = """
import numpy as np, rnnsim
from rnnsim.compiler import VECTOR
rng = np.random.default_rng(0)
u, d = rng.standard_normal((9, 1, 3)), rng.standard_normal((9, 1, 2))
recurrent = rnnsim.RecurrentNetwork(3, 21, 2)
found = rnnsim.gradient(recurrent, recurrent.init(seed=0), u, d, rule="rtrl")
fast = rnnsim.FastWeightNetwork(n_slow_in=3, n_in=3, n_out=2, slow_hidden=(11,))
other = rnnsim.gradient(fast, fast.init(seed=0), u, d, rule="fast-weights-1")
print(VECTOR, *(part.tobytes().hex() for part in (*found.grads, *other.grads)))
"""


@pytest.mark.skipif(bool(os.environ.get("NUMBA_DISABLE_JIT")), reason="nothing is compiled")
def test_results_are_the_same_to_the_last_bit() -> None:
    """By kernels of either width, which share a folder of compiled kernels."""
    said = {}
    for bits in ("256", "512"):
        environment = {**os.environ, "RNNSIM_VECTOR_BITS": bits}
        done = processes.run(sys.executable, "-c", GRADIENTS, env=environment)
        assert done.returncode == 0, done.stderr
        width, *said[bits] = done.stdout.split()
        assert int(width) * 8 == int(bits)
    assert said["256"] == said["512"]
    assert any(set(part) != {"0"} for part in said["256"])
