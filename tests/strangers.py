"""Plugins as a stranger would write them, laid out as pip would install them."""

from __future__ import annotations

import textwrap
from pathlib import Path

ONE_STEP = '''
"""A rule as a stranger would write it: each error is blamed on its own step alone."""

from typing import NamedTuple

import numpy as np

import rnnsim
from rnnsim.kernels import kernel
from rnnsim.rule import Cost, Rule


class Nothing(NamedTuple):
    empty: np.ndarray


class OneStep(Rule, frozen=True):
    """Blame each step for its own error alone."""

    name = "one-step"
    claim = "truncated"
    cost = Cost(time="n^2", memory="n")
    needs = ("immediate",)

    def memory(self, network, batch, window, rng):
        return Nothing(np.zeros(1))

    def credit(self, network):
        immediate = network.immediate

        @kernel
        def credit(params, trajectory, window, memory, grad):
            B = trajectory.error.shape[1]
            for t in range(window.first, window.first + window.length):
                immediate(params, trajectory, t, 0, B, trajectory.error[t], grad)

        return credit


@rnnsim.hookimpl
def rnnsim_rules(register):
    register(OneStep)
'''


def install(folder: Path, name: str, code: str, version: str = "1.2") -> Path:
    """Lay out a distribution with one plugin module; give its file."""
    module = name.replace("-", "_")
    file = folder / f"{module}.py"
    file.write_text(textwrap.dedent(code))
    info = folder / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[rnnsim]\nplugin = {module}\n")
    return file
