"""Back-propagation through time [Seung] (theory.md 1.2).

The adjoint lambda(t) = dE/dx(t) is swept back from the end of the window:

    (10) lambda(t) = dE/dx(t) + (1-alpha) lambda(t+1) + alpha W^T D(t+1) lambda(t+1),
         s(t) = alpha D(t) lambda(t)
    (9)  dE/dW = sum_t s(t) x(t-1)^T,   dE/db = sum_t s(t),   dE/dU = sum_t s(t) u(t)^T

Exact for the errors of the window; the sweep does not reach steps before it. The states of the whole
window are stored, or with ``checkpoint`` those of a segment of about sqrt(T) steps and the state before
each segment: the segments are then recomputed, the last one first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Annotated, NamedTuple

import msgspec
import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.kernels import kernel
from rnnsim.network import Network, Stream
from rnnsim.numerics.linalg import copy, parts_of
from rnnsim.numerics.parallel import in_parts
from rnnsim.numerics.shards import Sharded, joined, sharded_learn, sharded_memory
from rnnsim.rule import DONE, Cost, DataGrads, Rule, Window
from rnnsim.typing import Array, Kernel, Memory, Params, State, Trajectory

ROWS = 128  # the smallest number of rows, steps times sequences, of a chunk of the sweep


class Sweep(NamedTuple):
    """The memory of a backward sweep, which goes chunk by chunk so that delta stays in the cache.

    Attributes
    ----------
    adjoint : (2, B, 1, N) array
        dE/dstate(t) and dE/dstate(t-1), alternating.
    delta : (steps of a chunk, B, 1, K) array
        s(t).
    """

    adjoint: Array
    delta: Array


class SweepForData(NamedTuple):
    """The memory of a sweep that computes the gradient with respect to the inputs, too.

    Attributes
    ----------
    adjoint, delta : arrays
        As in :class:`Sweep`. After the sweep ``adjoint[0]`` is dE/dstate before its first step.
    inputs : (T, B, m) array
        dE/du(t), a row for each row of the trajectory.
    """

    adjoint: Array
    delta: Array
    inputs: Array


class CheckpointedSweep(NamedTuple):
    """A sweep, and the states from which segments are recomputed.

    Attributes
    ----------
    sweep : Sweep or SweepForData
    checkpoints : NamedTuple of arrays
        The state before each segment, and that after the last.
    length : int
        The number of steps of a segment.
    """

    sweep: Sweep | SweepForData
    checkpoints: State
    length: int


def segment_length(window: int) -> int:
    """The length c of segments of T steps: T/c checkpoints and c rows are fewest at c = sqrt(T)."""
    return max(1, math.isqrt(window - 1) + 1)


def sweep_memory(network: Network, batch: int, steps: int) -> Sweep:
    """Allocate the memory of a sweep over at most ``steps`` steps.

    A chunk has at least as many rows as the gradient of W, so that the traffic for adding to the
    gradient does not dominate.
    """
    chunk = min(steps, -(-max(ROWS, network.n_drive) // batch))
    return Sweep(
        adjoint=aligned_zeros((2, batch, 1, network.n_state), network.dtype),
        delta=aligned_zeros((chunk, batch, 1, network.n_drive), network.dtype),
    )


def sweep_memory_for_data(network: Network, batch: int, steps: int, rows: int) -> SweepForData:
    """The same with the gradient with respect to the inputs of ``rows`` steps."""
    inputs = aligned_zeros((rows, batch, max(network.columns)), network.dtype)
    return SweepForData(*sweep_memory(network, batch, steps), inputs)


@cache
def sweep_chunk_kernel(vjp: Kernel) -> Kernel:
    """Make ``sweep_chunk``, which propagates the adjoint of some sequences back through a chunk.

    ``adjoint[0]`` is dE/dstate after the chunk, through later steps, and on return that before the
    chunk. The errors of the last ``own`` steps are added.
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
        for back in range(count):  # adjoint[0] and adjoint[1] alternate
            after, before = memory.adjoint[back % 2], memory.adjoint[1 - back % 2]
            t, delta = first + count - 1 - back, memory.delta[count - 1 - back]
            vjp(params, trajectory, t, begin, end, back < own, after, delta, before)
        if count % 2 == 1:
            copy(memory.adjoint[1, begin:end], memory.adjoint[0, begin:end])

    return sweep_chunk


def sweep_chunk_all_kernel(network: Network) -> Kernel:
    """Make the same for all sequences, divided among threads where the network ``shares``."""
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
    """The gradient of the parameters of the retrieval is added elsewhere."""


@kernel(allocates=False)
def no_inputs_grad(
    params: Params, trajectory: Trajectory, first: int, count: int, own: int, memory: Sweep
) -> None:
    """Nobody asks for the gradient with respect to the inputs."""


def inputs_grad_kernel(network: Network) -> Kernel:
    """Make ``inputs_grad``: that of a swept chunk, added to what earlier sweeps of its steps gave."""
    collect_inputs = network.collect_inputs

    @kernel(allocates=False)
    def inputs_grad(
        params: Params, trajectory: Trajectory, first: int, count: int, own: int, memory: SweepForData
    ) -> None:
        memory.inputs[first + max(0, count - own) : first + count] = 0  # this sweep is their first
        out = memory.inputs[first : first + count]
        collect_inputs(params, trajectory, first, own, memory.delta[:count], out)

    return inputs_grad


def sweep_kernel(
    network: Network, readout_grad: Kernel = no_readout_grad, inputs_grad: Kernel = no_inputs_grad
) -> Kernel:
    """Make the backward sweep over rows first, ..., first + count - 1, chunk by chunk.

    ``readout_grad`` and ``inputs_grad`` of a chunk follow at once, while its states are in the cache.
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
            inputs_grad(params, trajectory, begin, steps, own - swept, memory)
            swept += steps

    return sweep


def learn_kernel(network: Network, inputs_grad: Kernel = no_inputs_grad) -> Kernel:
    """Make ``learn``: a forward pass, then a backward sweep over all steps."""
    forward, constrain = network.forward, network.constrain
    sweep = sweep_kernel(network, network.readout_grad, inputs_grad)

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


def segment_kernel(network: Network) -> Kernel:
    """Make the sweep of a segment, whose first step is step ``begin`` of the window, from 0."""
    sweep = sweep_kernel(network, network.readout_grad)

    @kernel(allocates=False)
    def sweep_segment(
        params: Params, trajectory: Trajectory, first: int, count: int, begin: int, memory: Sweep,
        grad: Params,
    ) -> None:  # fmt: skip
        sweep(params, trajectory, first, count, count, memory, grad)

    return sweep_segment


def segment_kernel_for_data(network: Network) -> Kernel:
    """Make the same with the gradient with respect to the inputs of the segment."""
    sweep = sweep_kernel(network, network.readout_grad, inputs_grad_kernel(network))

    @kernel(allocates=False)
    def sweep_segment(
        params: Params, trajectory: Trajectory, first: int, count: int, begin: int, memory: SweepForData,
        grad: Params,
    ) -> None:  # fmt: skip
        own = SweepForData(memory.adjoint, memory.delta, memory.inputs[begin : begin + count])
        sweep(params, trajectory, first, count, count, own, grad)

    return sweep_segment


def checkpointed_learn_kernel(network: Network, sweep_segment: Kernel) -> Kernel:
    """Make ``learn`` from checkpoints: segments are recomputed, the last one first."""
    forward, constrain, save, restore = network.forward, network.constrain, network.save, network.restore

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
        save(state, memory.checkpoints, segments)  # the state of the next window
        memory.sweep.adjoint[0] = 0
        for i in range(segments - 1, -1, -1):
            count = min(length, window.length - i * length)
            if i < segments - 1:  # the trajectory still holds the last segment
                restore(memory.checkpoints, i, state)
                forward(params, state, stream, row + i * length, trajectory, window.first, count)
            sweep_segment(params, trajectory, window.first, count, i * length, memory.sweep, grad)
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
        return self._memory(network, batch, window, lambda size: sweep_memory(network, size, rows))

    def _memory(
        self, network: Network, batch: int, window: int, sweep: Callable[[int], Sweep | SweepForData]
    ) -> Memory:
        """The memory, ``sweep`` being that of so many sequences."""
        if self.checkpoint:
            rows = self.rows(window)
            segments = -(-window // rows)
            return CheckpointedSweep(sweep(batch), network.states(segments + 1, batch), rows)
        if network.shares:
            return sharded_memory(network, batch, window, sweep)
        return sweep(batch)

    def learn(self, network: Network) -> Kernel:
        if self.checkpoint:
            return checkpointed_learn_kernel(network, segment_kernel(network))
        learn = learn_kernel(network)
        return sharded_learn(learn) if network.shares else learn

    def for_data(self) -> Rule:
        return BPTTForData(**msgspec.structs.asdict(self))


class BPTTForData(BPTT, frozen=True):
    """The same with the gradient with respect to inputs and initial state, eq. (10) at step 1."""

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        rows = self.rows(window)
        return self._memory(
            network, batch, window, lambda size: sweep_memory_for_data(network, size, rows, window)
        )

    def learn(self, network: Network) -> Kernel:
        if self.checkpoint:
            return checkpointed_learn_kernel(network, segment_kernel_for_data(network))
        learn = learn_kernel(network, inputs_grad_kernel(network))
        return sharded_learn(learn) if network.shares else learn

    def data_grads(self, memory: Memory) -> DataGrads:
        """The adjoint that leaves step 1 is dE/dstate(0)."""
        if isinstance(memory, Sharded):
            shards = memory.begins.size
            if shards > 0:
                own = memory.memories
                adjoint = joined(own.adjoint, shards)
                return DataGrads(joined(own.inputs, shards), adjoint[0, :, 0])
            sweep = memory.whole
        else:
            sweep = memory.sweep if isinstance(memory, CheckpointedSweep) else memory
        return DataGrads(sweep.inputs.copy(), sweep.adjoint[0, :, 0].copy())
