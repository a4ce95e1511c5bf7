# mypy: disable-error-code="no-untyped-call"
"""A batch in shards: a core takes some sequences through a whole window, in memory of its own.

Where two cores write rows next to one another, each has its prefetching take lines from the other: with
32 sequences of 32 units they need up to twice as long as they should, and five times where the host has
put them far apart. So each shard has its stream, trajectory, memory and gradient, as if it were a batch
by itself, one behind the other in memory. The gradient of the whole batch, a mean over sequences, is the
mean of theirs.

The sizes alone decide how many shards there are: the same sums, however many cores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.kernels import fieldwise, kernel, native
from rnnsim.network import Network, Stream, empty_stream
from rnnsim.numerics.linalg import LEAST_ROWS, parts_of
from rnnsim.numerics.parallel import in_parallel
from rnnsim.rule import DONE, Window
from rnnsim.typing import Array, Integers, Kernel, Memory, Params, State, Trajectory


class Sharded(NamedTuple):
    """The memory of a rule; fields of shards hold those of the first, then of the second, and so on."""

    whole: Memory  # of the batch, where it is not cut
    begins: Integers  # (shards,) the first sequence of each; empty where the batch is not cut
    streams: Stream
    trajectories: Trajectory
    memories: Memory
    grads: Params


def number_of_shards(batch: int, work: int) -> int:
    """Into how many shards of one size a batch is cut, of so many multiplications in a window."""
    for shards in range(parts_of(batch, work), batch // LEAST_ROWS + 1):
        if batch % shards == 0:
            return shards
    return 1


def sharded_memory(
    network: Network, batch: int, window: int, memory: Callable[[int], Memory]
) -> Sharded:
    """Allocate a rule's memory and what its shards need.

    Parameters
    ----------
    network : Network
        One that ``shares``.
    batch, window : int
    memory : Callable
        Allocates the rule's memory for so many sequences.
    """
    shards = number_of_shards(batch, window * batch * network.n_drive**2)
    if shards == 1:
        whole, shards, size, rows = memory(batch), 0, 1, 1
    else:
        whole, size, rows = repeated(memory(1), memory(1), 0), batch // shards, window

    def stream(rows: int) -> Stream:
        return empty_stream(rows, size, network.columns[0], network.n_out, network.dtype)

    def trajectory(rows: int) -> Trajectory:
        return network.trajectory(rows, size)._replace(single_threaded=np.ones(1, np.bool_))

    own, grad = memory(size), network.kernel_params(aligned_zeros((network.n_params,), network.dtype))
    return Sharded(
        whole,
        np.arange(shards) * size,
        repeated(stream(rows), stream(1), shards),
        repeated(trajectory(rows), trajectory(1), shards),
        repeated(own, own, shards),
        repeated(grad, grad, shards),
    )


def repeated(fields: Any, sample: Any, times: int) -> Any:
    """A NamedTuple of arrays so many times, one behind the other. Numbers stay what they are.

    What is zero in ``sample``, the same for one step, is zero: memory that nobody touches costs nothing.
    """

    def again(x: Any, few: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return x
        out = aligned_zeros((times * len(x), *x.shape[1:]), x.dtype)
        if few.any():
            out.reshape(times, *x.shape)[:] = x
        return out

    return type(fields)(*map(again, fields, sample))


def sharded_learn(learn: Kernel) -> Kernel:
    """Make a rule's ``learn``, its memory being :class:`Sharded`, of that for a batch which is not cut.

    A shard's trajectory is ``single_threaded``: its core then gives no work to others.
    """

    @kernel(allocates=False, inlined=False)
    def learn_shard(
        i: int,
        params: Params,
        state: State,
        stream: Stream,
        row: int,
        count: int,
        memory: Sharded,
    ) -> None:
        begins, shards = memory.begins, memory.begins.size
        own, grad = share(memory.streams, i, shards), share(memory.grads, i, shards)
        take(stream, row, count, begins[i], own)
        clear(grad)
        learn(
            params, share(state, i, shards), own, 0, share(memory.trajectories, i, shards),
            Window(0, count, 0, False, True), share(memory.memories, i, shards), grad,
        )  # fmt: skip
        copy_sequences(own.outputs, 0, 0, stream.outputs, row, begins[i], count)

    @kernel(allocates=False)
    def learn_in_shards(
        params: Params,
        state: State,
        stream: Stream,
        row: int,
        trajectory: Trajectory,
        window: Window,
        memory: Sharded,
        grad: Params,
    ) -> int:
        shards, count = memory.begins.size, window.length
        if shards == 0 or not window.learns:
            return int(learn(params, state, stream, row, trajectory, window, memory.whole, grad))
        in_parallel(learn_shard, shards, params, state, stream, row, count, memory)
        for i in range(shards):
            add(share(memory.grads, i, shards), 1 / shards, grad)
        add_losses(memory.streams.losses, shards, count, stream.losses, row)
        return DONE

    return learn_in_shards


@kernel(allocates=False)
def take(stream: Stream, row: int, count: int, begin: int, own: Stream) -> None:
    """Copy rows of some sequences, from ``begin`` on, into a shard's own stream."""
    copy_sequences(stream.inputs, row, begin, own.inputs, 0, 0, count)
    copy_sequences(stream.targets, row, begin, own.targets, 0, 0, count)
    copy_sequences(stream.mask, row, begin, own.mask, 0, 0, count)
    copy_sequences(stream.resets, row, begin, own.resets, 0, 0, count)


@kernel(allocates=False)
def add_losses(losses: Array, shards: int, count: int, out: Array, row: int) -> None:
    """The losses of the shards' steps, summed, from ``row`` on."""
    steps = losses.size // shards
    for t in range(count):
        out[row + t] = 0
        for i in range(shards):
            out[row + t] += losses[i * steps + t]


@native("fields.copy_sequences")
def copy_sequences(
    x: Array, row: int, begin: int, out: Array, to: int, begin_there: int, count: int
) -> None:
    """Copy ``count`` rows of sequences, as many as the array with fewer has; x and out (T, B, ...)."""
    b = min(x.shape[1], out.shape[1])
    source = x[row : row + count, begin : begin + b]
    out[to : to + count, begin_there : begin_there + b] = source


# --- of all arrays in a NamedTuple ---


@native("fields.share")
@fieldwise
def share(x: Array, i: int, shards: int) -> Array:
    """The i-th share of the rows of an array."""
    own = len(x) // shards
    return x[i * own : (i + 1) * own]


@native("fields.add")
@fieldwise
def add(x: Array, factor: float, out: Array) -> Array:
    """``out += factor x``."""
    out += x.dtype.type(factor) * x
    return out


@native("fields.clear")
@fieldwise
def clear(x: Array) -> Array:
    """``x = 0``."""
    x[...] = 0
    return x
