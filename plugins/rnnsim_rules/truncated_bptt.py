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

from rnnsim.arrays import aligned_zeros
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.network import Network
from rnnsim.numerics.linalg import add_to
from rnnsim.options import Count
from rnnsim.rule import Cost, DataGrads, Rule, Window
from rnnsim.typing import Array, Integers, Kernel, Memory, Params, Trajectory
from rnnsim_rules.bptt import (
    Sweep,
    SweepForData,
    inputs_grad_kernel,
    sweep_kernel,
    sweep_memory,
    sweep_memory_for_data,
)


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


class TruncatedSweepForData(NamedTuple):
    """The memory of sweeps that compute the gradient with respect to the data, too.

    Attributes
    ----------
    sweep : SweepForData
    h, h_prime, chunk, swept
        As in :class:`TruncatedSweep`.
    initial_state : (B, N) array
        The sum of the adjoints of the sweeps that reach the first step, each dE/dstate(0) of its errors.
    """

    sweep: SweepForData
    h: int
    h_prime: int
    chunk: bool
    swept: Integers
    initial_state: Array


@kernel(allocates=False)
def leave_adjoint(memory: TruncatedSweep, first: int) -> None:
    """Nobody asks for the gradient with respect to the initial state."""


@kernel(allocates=False)
def add_adjoint(memory: TruncatedSweepForData, first: int) -> None:
    """After a sweep back to row ``first``: the adjoint that leaves row 0 is dE/dstate(0)."""
    if first == 0:
        for b in range(memory.initial_state.shape[0]):
            add_to(memory.initial_state[b], memory.sweep.adjoint[0, b, 0])


def credit_kernel(sweep: Kernel, end_sweep: Kernel) -> Kernel:
    """Make ``credit`` from a sweep and what follows each of them."""

    @kernel(allocates=False)
    def credit(
        params: Params, trajectory: Trajectory, window: Window, memory: TruncatedSweep, grad: Params
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
                end_sweep(memory, t + 1 - depth)
                memory.swept[0] = now

    return credit


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

    def reach(self, network: Network) -> int:
        """Of a sequence of at most h steps every sweep goes back to the first step.

        With ``last=chunk`` the sweep at the end may not, if the sequence is longer than h'.
        """
        return (self.h_prime or self.h) if self.last == "chunk" else self.h

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        sweep, chunk = sweep_memory(network, batch, self.h), self.last == "chunk"
        return TruncatedSweep(sweep, self.h, self.h_prime or self.h, chunk, np.zeros(1, np.int64))

    def credit(self, network: Network) -> Kernel:
        return credit_kernel(sweep_kernel(network), leave_adjoint)

    def for_data(self) -> Rule:
        return TruncatedBPTTForData(**msgspec.structs.asdict(self))


class TruncatedBPTTForData(TruncatedBPTT, frozen=True):
    """The same with what truncation leaves of the gradient with respect to inputs and initial state."""

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        _, h, h_prime, chunk, swept = super().memory(network, batch, window, rng)
        sweep = sweep_memory_for_data(network, batch, self.h, window)
        initial_state = aligned_zeros((batch, network.n_state), network.dtype)
        return TruncatedSweepForData(sweep, h, h_prime, chunk, swept, initial_state)

    def credit(self, network: Network) -> Kernel:
        return credit_kernel(sweep_kernel(network, inputs_grad=inputs_grad_kernel(network)), add_adjoint)

    def data_grads(self, memory: Memory) -> DataGrads:
        return DataGrads(memory.sweep.inputs.copy(), memory.initial_state.copy())

    def without_data(self, memory: Memory) -> Memory:
        adjoint, delta, _ = memory.sweep
        return TruncatedSweep(Sweep(adjoint, delta), *memory[1:-1])
