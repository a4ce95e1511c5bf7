"""The two plainest rules, made of a network's primitives: a sweep backwards, and sensitivities forwards.

A network is checked through them, whatever rules are installed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnsim.kernels import kernel
from rnnsim.network import Network
from rnnsim.rule import Cost, Rule, Window
from rnnsim.typing import Array, Kernel, Memory, Params, Trajectory


class Adjoints(NamedTuple):
    """dE/dstate(t) and dE/dstate(t-1), (2, B, 1, N), and the delta of each step, (T, B, 1, K)."""

    adjoint: Array
    delta: Array


class Backwards(Rule, frozen=True):
    """One sweep of ``vjp`` over the window, then one ``collect``."""

    name = "backwards"
    claim = "exact"
    cost = Cost(time="n^2", memory="n T")
    needs = ("vjp", "collect")
    carries = False

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        return Adjoints(
            np.zeros((2, batch, 1, network.n_state), network.dtype),
            np.zeros((window, batch, 1, network.n_drive), network.dtype),
        )

    def credit(self, network: Network) -> Kernel:
        vjp, collect = network.vjp, network.collect

        @kernel
        def credit(
            params: Params, trajectory: Trajectory, window: Window, memory: Adjoints, grad: Params
        ) -> None:
            batch = memory.adjoint.shape[1]
            memory.adjoint[:] = 0
            for back in range(window.length):
                i = window.length - 1 - back
                after, before = memory.adjoint[back % 2], memory.adjoint[1 - back % 2]
                t, delta = window.first + i, memory.delta[i]
                vjp(params, trajectory, t, 0, batch, True, after, delta, before)
            collect(params, trajectory, window.first, memory.delta[: window.length], grad)

        return credit


class Forwards(Rule, frozen=True):
    """``propagate`` over the window."""

    name = "forwards"
    claim = "exact"
    cost = Cost(time="n^4", memory="n^3")
    needs = ("propagate",)

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        return network.sensitivities(batch, window)

    def credit(self, network: Network) -> Kernel:
        propagate = network.propagate

        @kernel
        def credit(
            params: Params, trajectory: Trajectory, window: Window, memory: Memory, grad: Params
        ) -> None:
            propagate(params, trajectory, window.first, window.length, memory, grad)

        return credit
