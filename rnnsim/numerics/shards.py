"""Shards of a batch: a thread takes some sequences through a whole window, in memory of its own.

Where two cores write adjacent rows, the prefetcher of each takes cache lines from the other: with 32
sequences of 32 units they need up to twice as long as without, and five times as long where the host has
placed them far apart. So each shard has its own stream, trajectory, memory and gradient, as if it were a
batch, and those of all shards are stored one after another. The gradient of the whole batch, a mean over
sequences, is the mean of the shards' gradients.

The number of shards depends on the sizes and not on the number of cores, so that sums are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.kernels import kernel, native
from rnnsim.network import Network, Stream, empty_stream
from rnnsim.numerics.fields import add, clear, share
from rnnsim.numerics.linalg import LEAST_ROWS, parts_of
from rnnsim.numerics.parallel import in_parallel
from rnnsim.rule import DONE, Window
from rnnsim.typing import Array, Integers, Kernel, Memory, Params, State, Trajectory


class Sharded(NamedTuple):
    """The memory of a rule whose batch may be divided into shards.

    Attributes
    ----------
    whole : NamedTuple
        The rule's memory where the batch is not divided.
    begins : (shards,) int array
        The first sequence of each shard; empty where the batch is not divided.
    streams, trajectories, memories, grads : NamedTuples of arrays
        Those of the shards, concatenated along the first axis of each array.
    """

    whole: Memory
    begins: Integers
    streams: Stream
    trajectories: Trajectory
    memories: Memory
    grads: Params


def number_of_shards(batch: int, work: int) -> int:
    """The number of shards, of equal size, of a batch with ``work`` multiplications per window."""
    for shards in range(parts_of(batch, work), batch // LEAST_ROWS + 1):
        if batch % shards == 0:
            return shards
    return 1


def sharded_memory(
    network: Network, batch: int, window: int, memory: Callable[[int], Memory]
) -> Sharded:
    """Allocate a rule's memory and that of its shards.

    Parameters
    ----------
    network : Network
        One that ``shares``.
    batch, window : int
    memory : Callable
        Allocates the rule's memory for a given number of sequences.
    """
    shards = number_of_shards(batch, window * batch * network.n_drive**2)
    if shards == 1:
        whole, shards, size, rows = memory(batch), 0, 1, 1
    else:
        whole, size, rows = repeated(memory(1), memory(1), 0), batch // shards, window

    def stream(rows: int) -> Stream:
        return empty_stream(
            rows, size, network.columns[0], network.n_out, network.dtype, output_mask=True
        )

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


def has_shards(memory: Memory) -> bool:
    """Whether a batch is divided; its shards then have trajectories of their own."""
    return isinstance(memory, Sharded) and memory.begins.size > 0


def repeated(fields: Any, sample: Any, times: int) -> Any:
    """Repeat the arrays of a NamedTuple along their first axes; numbers are kept.

    ``sample`` is the same for one step: arrays that are zero there are not copied, because memory costs
    nothing until it is first written to.
    """

    def repeat(x: Any, small: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return x
        out = aligned_zeros((times * len(x), *x.shape[1:]), x.dtype)
        if small.any():
            out.reshape(times, *x.shape)[:] = x
        return out

    return type(fields)(*map(repeat, fields, sample))


def joined(x: Array, shards: int) -> Array:
    """The mean gradient with respect to what each sequence has of its own, from those of the shards.

    Parameters
    ----------
    x : (shards R, b, ...) array
        An array of ``memories``; of each shard the derivative of its own mean over b sequences.
    shards : int

    Returns
    -------
    (R, shards b, ...) array
        The derivative of the mean over the whole batch.
    """
    of_shards: Array = np.concatenate(np.split(x, shards), axis=1)
    return of_shards / shards


def sharded_learn(learn: Kernel) -> Kernel:
    """Make ``learn`` of a rule whose memory is :class:`Sharded` from that for an undivided batch.

    The trajectories of shards are ``single_threaded``: each shard runs on one thread.
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
        load_shard(stream, row, count, begins[i], own)
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
def load_shard(stream: Stream, row: int, count: int, begin: int, own: Stream) -> None:
    """Copy ``count`` rows of the sequences from ``begin`` on into the shard's stream ``own``."""
    copy_sequences(stream.inputs, row, begin, own.inputs, 0, 0, count)
    copy_sequences(stream.targets, row, begin, own.targets, 0, 0, count)
    copy_sequences(stream.mask, row, begin, own.mask, 0, 0, count)
    copy_sequences(stream.resets, row, begin, own.resets, 0, 0, count)
    own.masks_outputs[0] = stream.masks_outputs[0]
    for t in range(count):
        own.gives_error[t] = stream.gives_error[row + t]
    if stream.masks_outputs[0]:
        copy_sequences(stream.output_mask, row, begin, own.output_mask, 0, 0, count)


@kernel(allocates=False)
def add_losses(losses: Array, shards: int, count: int, out: Array, row: int) -> None:
    """Write the losses of ``count`` steps, summed over the shards, to rows ``row``, ... of out."""
    steps = losses.size // shards
    for t in range(count):
        out[row + t] = 0
        for i in range(shards):
            out[row + t] += losses[i * steps + t]


@native("fields.copy_sequences")
def copy_sequences(
    x: Array, row: int, begin: int, out: Array, out_row: int, out_begin: int, count: int
) -> None:
    """Copy ``count`` rows; x and out (T, B, ...), and the smaller B is the number of sequences."""
    b = min(x.shape[1], out.shape[1])
    source = x[row : row + count, begin : begin + b]
    out[out_row : out_row + count, out_begin : out_begin + b] = source
