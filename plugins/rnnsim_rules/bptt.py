"""Back-propagation through time [Seung] (theory.md 1.2).

The adjoint lambda(t) = dE/dx(t) is swept back from the end of the window:

    (10) lambda(t) = dE/dx(t) + (1-alpha) lambda(t+1) + alpha W^T D(t+1) lambda(t+1),
         s(t) = alpha D(t) lambda(t)
    (9)  dE/dW = sum_t s(t) x(t-1)^T,   dE/db = sum_t s(t),   dE/dU = sum_t s(t) u(t)^T

Exact for the errors of the window; no credit goes to the steps before it. The states of the whole
window are stored, or with ``checkpoint`` those of a segment of about sqrt(T) steps and the state that
enters each segment: the segments are run anew, the last one first.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Annotated, NamedTuple

import msgspec
import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.kernels import kernel
from rnnsim.network import Network, Stream
from rnnsim.numerics.linalg import copy, parts_of
from rnnsim.numerics.parallel import in_parts
from rnnsim.numerics.shards import sharded_learn, sharded_memory
from rnnsim.rule import DONE, Cost, Rule, Window
from rnnsim.typing import Array, Kernel, Memory, Params, State, Trajectory

ROWS = 128  # of a chunk of the sweep, where the network is not larger


class Sweep(NamedTuple):
    """What a backward sweep holds. It goes chunk by chunk: delta is then in the cache."""

    adjoint: Array  # (2, B, 1, N) dE/dstate(t) and dE/dstate(t-1), in turn
    delta: Array  # (steps of a chunk, B, 1, K) s(t)


class CheckpointedSweep(NamedTuple):
    """A sweep, and the states to run the segments from."""

    sweep: Sweep
    checkpoints: State  # a state of the network for each segment: fields (segments, ...)
    length: int  # of a segment


def segment_length(window: int) -> int:
    """The length c of the segments of T steps: T/c checkpoints and c rows are fewest at sqrt(T)."""
    return max(1, math.isqrt(window - 1) + 1)


def sweep_memory(network: Network, batch: int, steps: int) -> Sweep:
    """Allocate the memory of a sweep over at most so many steps.

    A chunk has as many rows as the gradient of W: that one is in the way no more than they are.
    """
    chunk = min(steps, -(-max(ROWS, network.n_drive) // batch))
    return Sweep(
        adjoint=aligned_zeros((2, batch, 1, network.n_state), network.dtype),
        delta=aligned_zeros((chunk, batch, 1, network.n_drive), network.dtype),
    )


@cache
def sweep_chunk_kernel(vjp: Kernel) -> Kernel:
    """Make ``sweep_chunk``, which takes the adjoint of some sequences back through a chunk.

    It starts at the adjoint in ``adjoint[0]``, which the later steps have left, and leaves there that of
    the step before the first. The errors of the last ``own`` of the steps are swept.
    """

    @kernel(allocates=False, inlined=False)
    def sweep_chunk(
        params: Params,
        trajectory: Trajectory,
        first: int,
        count: int,
        own: int,
        memory: Sweep,
        begin: int,
        end: int,
    ) -> None:
        """Sweep the sequences begin, ..., end - 1."""
        for back in range(count):  # from adjoint[0] to adjoint[1] and back, and so on
            after, before = memory.adjoint[back % 2], memory.adjoint[1 - back % 2]
            t, delta = first + count - 1 - back, memory.delta[count - 1 - back]
            vjp(params, trajectory, t, begin, end, back < own, after, delta, before)
        if count % 2 == 1:
            copy(memory.adjoint[1, begin:end], memory.adjoint[0, begin:end])

    return sweep_chunk


def sweep_chunk_all_kernel(network: Network) -> Kernel:
    """Make the same for all sequences, which cores share where the network's kernels can."""
    sweep_chunk = sweep_chunk_kernel(network.vjp)

    @kernel(allocates=False)
    def sweep_chunk_shared(
        params: Params, trajectory: Trajectory, first: int, count: int, own: int, memory: Sweep
    ) -> None:
        _, B, _, K = memory.delta.shape
        parts = 1 if trajectory.single_threaded[0] else parts_of(B, count * B * K * K)
        in_parts(sweep_chunk, B, parts, params, trajectory, first, count, own, memory)

    @kernel(allocates=False)
    def sweep_chunk_all(
        params: Params, trajectory: Trajectory, first: int, count: int, own: int, memory: Sweep
    ) -> None:
        sweep_chunk(params, trajectory, first, count, own, memory, 0, memory.delta.shape[1])

    return sweep_chunk_shared if network.shares else sweep_chunk_all


@kernel(allocates=False)
def no_readout_grad(
    params: Params, trajectory: Trajectory, first: int, count: int, grad: Params
) -> None:
    """The retrieval's own parameters have their gradient elsewhere."""


def sweep_kernel(network: Network, readout_grad: Kernel = no_readout_grad) -> Kernel:
    """Make the backward sweep over rows first, ..., first + count - 1, chunk by chunk.

    ``readout_grad`` of a chunk is done with it, while its states are in the cache.
    """
    sweep_chunk, collect = sweep_chunk_all_kernel(network), network.collect

    @kernel(allocates=False)
    def sweep(
        params: Params,
        trajectory: Trajectory,
        first: int,
        count: int,
        own: int,
        memory: Sweep,
        grad: Params,
    ) -> None:
        most, swept = memory.delta.shape[0], 0
        while swept < count:
            steps = min(most, count - swept)
            begin = first + count - swept - steps
            sweep_chunk(params, trajectory, begin, steps, own - swept, memory)
            collect(params, trajectory, begin, memory.delta[:steps], grad)
            readout_grad(params, trajectory, begin, steps, grad)
            swept += steps

    return sweep


def learn_kernel(network: Network) -> Kernel:
    """Make ``learn``: forward, and back through all steps."""
    forward, constrain = network.forward, network.constrain
    sweep = sweep_kernel(network, network.readout_grad)

    @kernel(allocates=False, inlined=not network.shares)
    def learn(
        params: Params,
        state: State,
        stream: Stream,
        row: int,
        trajectory: Trajectory,
        window: Window,
        memory: Sweep,
        grad: Params,
    ) -> int:
        first, count = window.first, window.length
        forward(params, state, stream, row, trajectory, first, count)
        if window.learns:
            memory.adjoint[0] = 0
            sweep(params, trajectory, first, count, count, memory, grad)
            constrain(trajectory, grad)
        return DONE

    return learn


def checkpointed_learn_kernel(network: Network) -> Kernel:
    """Make ``learn`` from checkpoints: segments are run anew, the last one first."""
    forward, constrain, save, restore = network.forward, network.constrain, network.save, network.restore
    sweep = sweep_kernel(network, network.readout_grad)

    @kernel(allocates=False)
    def learn(
        params: Params,
        state: State,
        stream: Stream,
        row: int,
        trajectory: Trajectory,
        window: Window,
        memory: CheckpointedSweep,
        grad: Params,
    ) -> int:
        if not window.learns:
            forward(params, state, stream, row, trajectory, window.first, window.length)
            return DONE
        length = memory.length
        segments = (window.length + length - 1) // length
        for i in range(segments):
            save(state, memory.checkpoints, i)
            count = min(length, window.length - i * length)
            forward(params, state, stream, row + i * length, trajectory, window.first, count)
        save(state, memory.checkpoints, segments)  # where the next window goes on
        memory.sweep.adjoint[0] = 0
        for i in range(segments - 1, -1, -1):
            count = min(length, window.length - i * length)
            if i < segments - 1:  # the last segment is still there
                restore(memory.checkpoints, i, state)
                forward(params, state, stream, row + i * length, trajectory, window.first, count)
            sweep(params, trajectory, window.first, count, count, memory.sweep, grad)
        restore(memory.checkpoints, segments, state)
        constrain(trajectory, grad)
        return DONE

    return learn


class BPTT(Rule, frozen=True):
    """Back-propagation through time."""

    name = "bptt"
    claim = "exact"
    cost = Cost(time="n^2", memory="n T")
    needs = ("vjp", "collect")
    carries = False

    checkpoint: Annotated[
        bool,
        msgspec.Meta(description="store O(sqrt T) states, and run the network forwards once more"),
    ] = False

    def rows(self, window: int) -> int:
        return segment_length(window) if self.checkpoint else window

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        rows = self.rows(window)
        if self.checkpoint:
            segments = -(-window // rows)
            states = network.states(segments + 1, batch)
            return CheckpointedSweep(sweep_memory(network, batch, rows), states, rows)
        if network.shares:
            return sharded_memory(network, batch, window, lambda size: sweep_memory(network, size, rows))
        return sweep_memory(network, batch, rows)

    def learn(self, network: Network) -> Kernel:
        if self.checkpoint:
            return checkpointed_learn_kernel(network)
        if network.shares:
            return sharded_learn(learn_kernel(network))
        return learn_kernel(network)
