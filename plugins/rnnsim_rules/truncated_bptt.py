"""Truncated back-propagation through time, BPTT(h, h') [WP90] (theory.md 1.3).

At t = h', 2h', ... and at the end, the errors of the steps since the previous such time are swept
back from t through the steps t, t-1, ..., t-h+1; x(t-h) counts as a constant. An error at tau passes
through h - (t - tau) steps. The grid counts from the stream's first step, whatever the windows are,
so a sweep may reach into the history of a window, and the last errors of a window may be swept in the
next one.

Where h' does not divide T, the sweep at the end goes back h steps as well. Truncation is often written
as "detach the state every h steps", with h' = h: the last chunk is then shorter, and its sweep ends
where it begins. With ``last=chunk`` the sweep at the end goes back to the last multiple of h' only.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import msgspec
import numpy as np

from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.network import Network
from rnnsim.options import Count
from rnnsim.rule import Cost, Rule, Window
from rnnsim.typing import Integers, Kernel, Memory, Params, Trajectory
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
    chunk : bool
        Whether the sweep at the end goes back to the last multiple of h' only.
    swept : (1,) int array
        The number of steps whose errors are swept.
    """

    sweep: Sweep
    h: int
    h_prime: int
    chunk: bool
    swept: Integers


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
    last: Annotated[
        Literal["full", "chunk"],
        msgspec.Meta(
            description="how far the sweep at the end goes back: full, h steps; chunk, to the last "
            "multiple of h_prime, as if the state were detached there"
        ),
    ] = "full"

    def __post_init__(self) -> None:
        if self.h_prime is not None and self.h_prime > self.h:
            raise RnnsimError(f"h_prime is {self.h_prime}; it must be at most h, which is {self.h}")

    def history(self, window: int) -> int:
        return self.h - 1  # a sweep may start at a window's first step

    def online_window(self, network: Network) -> int | None:
        return self.h_prime or self.h

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        sweep, chunk = sweep_memory(network, batch, self.h), self.last == "chunk"
        return TruncatedSweep(sweep, self.h, self.h_prime or self.h, chunk, np.zeros(1, np.int64))

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
            if window.step == 0:
                memory.swept[0] = 0
            for i in range(window.length):
                now, t = window.step + i + 1, window.first + i
                on_grid = now % memory.h_prime == 0
                if on_grid or (window.last and i == window.length - 1):
                    own = now - memory.swept[0]
                    depth = min(memory.h, t + 1)  # fewer than h rows at the beginning of the stream
                    if memory.chunk and not on_grid:
                        depth = min(depth, now % memory.h_prime)
                    memory.sweep.adjoint[0] = 0
                    sweep(params, trajectory, t + 1 - depth, depth, own, memory.sweep, grad)
                    memory.swept[0] = now

        return credit
