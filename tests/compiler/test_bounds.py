"""Indices that are checked: the line of one that is out of bounds is named."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numba
import pytest
from processes import run

from rnnsim import RecurrentNetwork
from rnnsim.registry import make_rule
from rnnsim.rule import Rule
from rnnsim.training.divergence import bounds_hint

needs_jit = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="NumPy checks indices by itself")

SCRIPT = """
import numpy as np
from rnnsim import RnnsimError
from rnnsim.compiler import compiled
from rnnsim.kernels import kernel
from rnnsim.numerics.parallel import in_parallel
from rnnsim.numerics.views import as_vector

@kernel(allocates=False)
def third(i, x, out):
    out[i] = x[2]  # line 11

@kernel(allocates=False)
def thirds(x, out):
    in_parallel(third, out.size, as_vector(x), out)

@kernel
def put_last(x):
    x[-1] = 5.0

x, out = np.arange(3.0), np.zeros(2)
compiled(thirds)(x, out)
compiled(put_last)(x)
print(out, x)
try:
    compiled(thirds)(x[:2], out)
    print("silent")
except RnnsimError as error:
    print(error)
"""


def said(folder: Path, **environment: str) -> list[str]:
    script = folder / "script.py"
    script.write_text(SCRIPT.lstrip())
    environment = {**os.environ, "RNNSIM_CACHE_DIR": str(folder), **environment}
    done = run(sys.executable, str(script), env=environment, check=True, timeout=300)
    return done.stdout.splitlines()


@needs_jit
def test_the_line_of_an_index_out_of_bounds_is_named(tmp_path: Path) -> None:
    """Also in shared work; the controls: indices from the end are right; unchecked, nothing is said."""
    right = "[2. 2.] [0. 1. 5.]"
    line = f"{tmp_path / 'script.py'}, line 10, in third: an index is out of bounds for axis 0"
    assert said(tmp_path, RNNSIM_CHECK_BOUNDS="1") == [right, line]
    assert said(tmp_path, RNNSIM_CHECK_BOUNDS="1") == [right, line]  # from the cache
    assert said(tmp_path, RNNSIM_CHECK_BOUNDS="0") == [right, "silent"]


@needs_jit
def test_the_plain_back_end_finds_it_too(tmp_path: Path) -> None:
    found = said(tmp_path, RNNSIM_CHECK_BOUNDS="1", RNNSIM_COMPILER="plain")
    assert found[1] == "index is out of bounds"


def test_messages_of_divergence_point_to_it_where_the_rule_is_a_users() -> None:
    own = make_rule("bptt", {})

    class Mine(type(own), frozen=True):  # type: ignore[misc]
        """A user's."""

    mine: Rule = Mine()
    network = RecurrentNetwork(1, 1, 1)
    assert bounds_hint(network, own) == bounds_hint(network) == ""
    activation = (lambda a: a, lambda a: 1.0)
    for hint in (
        bounds_hint(network, mine), bounds_hint(RecurrentNetwork(1, 1, 1, activation=activation), own)
    ):  # fmt: skip
        assert "check_bounds=True (--check-bounds)" in hint
