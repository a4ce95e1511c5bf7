"""Truncated back-propagation through time, BPTT(h, h') [WP90] (theory.md 1.3).

At t = h', 2h', ... and at the end, the errors of the steps since the previous such time are swept
back from t through the steps t, t-1, ..., t-h+1; x(t-h) counts as a constant. An error at tau passes
through h - (t - tau) steps. The grid counts from the stream's first step, whatever the windows are,
so a sweep may reach into the history of a window, and the last errors of a window may be swept in the
next one.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
import numpy as np

from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.network import Network
from rnnsim.options import Count
from rnnsim.rule import Cost, Rule, Window
from rnnsim.typing import Kernel, Memory, Params, Trajectory
from rnnsim_rules.bptt import Sweep, sweep_kernel, sweep_memory


class TruncatedSweep(NamedTuple):
    """The memory of the sweeps.

    Attributes
    ----------
    sweep : Sweep
    h : int
        The number of steps of a sweep.
    h_prime : int
        The number of steps between sweeps.
    """

    sweep: Sweep
    h: int
    h_prime: int


class TruncatedBPTT(Rule, frozen=True):
    """Truncated back-propagation through time, BPTT(h, h')."""

    name = "truncated-bptt"
    claim = "truncated"
    cost = Cost(time="n^2 h / h'", memory="n h")
    needs = ("vjp", "collect")

    h: Annotated[int, msgspec.Meta(ge=1, description="how many steps each sweep goes back")] = 20
    h_prime: Annotated[
        Count | None,
        msgspec.Meta(description="how many steps lie between sweeps, at most h (default: h)"),
    ] = None

    def __post_init__(self) -> None:
        if self.h_prime is not None and self.h_prime > self.h:
            raise RnnsimError(f"h_prime is {self.h_prime}; it must be at most h, which is {self.h}")

    def history(self, window: int) -> int:
        return self.h - 1  # a sweep may start at a window's first step

    def online_window(self, network: Network) -> int | None:
        return self.h_prime or self.h

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        return TruncatedSweep(sweep_memory(network, batch, self.h), self.h, self.h_prime or self.h)

    def credit(self, network: Network) -> Kernel:
        sweep = sweep_kernel(network)

        @kernel(allocates=False)
        def credit(
            params: Params,
            trajectory: Trajectory,
            window: Window,
            memory: TruncatedSweep,
            grad: Params,
        ) -> None:
            h, h_prime = memory.h, memory.h_prime
            swept = window.step - window.step % h_prime  # errors of earlier steps are swept already
            for i in range(window.length):
                now = window.step + i + 1
                if now % h_prime == 0 or (window.last and i == window.length - 1):
                    t = window.first + i
                    depth = min(h, t + 1)  # fewer than h rows at the beginning of the stream
                    memory.sweep.adjoint[0] = 0
                    sweep(params, trajectory, t + 1 - depth, depth, now - swept, memory.sweep, grad)
                    swept = now

        return credit
