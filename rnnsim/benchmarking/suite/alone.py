"""One rule, or one network, over a sequence with fixed weights: no task, no optimizer."""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.compiler import compiled, known_about, specialise
from rnnsim.kernels import kernel
from rnnsim.network import Network, Stream
from rnnsim.numerics.threads import shared_work
from rnnsim.rule import Rule, Window
from rnnsim.typing import Array, Kernel, Memory, Params, State, Trajectory


class Work(NamedTuple):
    """A sequence, and the arrays and settings that a rule needs to process it."""

    params: Params
    state: State
    stream: Stream
    trajectory: Trajectory
    memory: Memory
    grad: Params
    window: int
    history: int


@cache
def over_sequence(learn: Kernel, keep_history: Kernel) -> Kernel:
    """Make the kernel that runs a rule over a sequence, window by window, until one fails."""

    @kernel
    def over_sequence(work: Work) -> int:
        params, state, stream, trajectory, memory, grad, window, history = work
        steps, held = stream.losses.size, 0
        for row in range(0, steps, window):
            count = min(window, steps - row)
            now = Window(held, count, row, row + count == steps, True)
            code = learn(params, state, stream, row, trajectory, now, memory, grad)
            if code != 0:
                return int(code)
            held += count
            if held > 2 * history:  # seldom, as in the training loop, since moving is costly
                keep_history(trajectory, held - history, history)
                held = history
        return 0

    return over_sequence


def specialised_over_sequence(run: Kernel, work: Work) -> Kernel:
    """Make the same kernel, compiled for the exact sizes of these arrays and windows."""
    tailored = specialise(Work(*known_about(work))._replace(window=work.window, history=work.history))

    @kernel(inlines_all=True)
    def specialised_over_sequence(work: Work) -> int:
        return int(run(tailored(work)))

    return specialised_over_sequence


def small(network: Network) -> Array:
    """Flat weights that are small enough for every network to converge to a steady state."""
    flat = network.pack(network.init())
    flat /= 2
    return flat


def history_rows(rule: Rule, window: int) -> int:
    """Rows of a trajectory that holds a window and the history before it, which is seldom moved."""
    return 2 * rule.history(window) + rule.rows(window)


def alone(network: Network, rule: Rule, window: int) -> Callable[[Stream], None]:
    """Make a function that runs a rule over a sequence, in windows of ``window`` steps."""
    flat = small(network)
    kernel_params = network.kernel_params(flat)
    grad = network.kernel_params(aligned_zeros(flat.shape, flat.dtype))
    history = rule.history(window)
    state, trajectory = network.state(1), network.trajectory(history_rows(rule, window), 1)
    memory = rule.memory(network, 1, window, np.random.default_rng(0))
    run = compiled(over_sequence(rule.learn(network), network.keep_history))

    def learn(stream: Stream) -> None:
        with shared_work():
            code = run(Work(kernel_params, state, stream, trajectory, memory, grad, window, history))
        if code:
            raise rule.explain(code, memory, 1)

    return learn


def forward_alone(network: Network, window: int) -> Callable[[Stream], None]:
    """Make a function that runs a network forward over a sequence, ``window`` steps at a time."""
    kernel_params = network.kernel_params(small(network))
    state, trajectory = network.state(1), network.trajectory(window, 1)
    run = compiled(forward_over_sequence(network.forward))

    def forward(stream: Stream) -> None:
        with shared_work():
            run(kernel_params, state, stream, trajectory, window)

    return forward


@cache
def forward_over_sequence(forward: Kernel) -> Kernel:
    """Make the kernel that runs a network over a sequence, window by window."""

    @kernel
    def forward_over_sequence(
        params: Params, state: State, stream: Stream, trajectory: Trajectory, window: int
    ) -> None:
        steps = stream.losses.size
        for row in range(0, steps, window):
            forward(params, state, stream, row, trajectory, 0, min(window, steps - row))

    return forward_over_sequence


def first(stream: Stream, steps: int) -> Stream:
    """The first ``steps`` steps of a sequence."""
    return Stream(*(part[:steps] for part in stream))


_held: list[bytearray] = []


def scatter() -> None:
    """Randomise where in memory later arrays are allocated.

    A loop can take a fifth longer if its arrays begin in the middle of a cache line. Otherwise that
    would depend on accidents such as the length of the path to Python, which are the same in every
    process of one revision and differ between revisions.
    """
    sizes = np.random.default_rng().integers(1, 4096, 1000)
    blocks = [bytearray(int(size)) for size in sizes]
    _held.extend(blocks[::2])  # the others are freed and leave holes


class Timed(NamedTuple):
    """Work to be timed, and its number of steps."""

    work: Callable[[], None]
    steps: int


LEAST = 1e-3  # minimum duration of a timed call, in seconds
LENGTHS = (100, 500, 2_500, 12_500)  # candidate numbers of steps; the first that lasts so long is used


def timed(work: Callable[[Stream], None], stream: Stream) -> Timed:
    """Bind work to a part of a stream that takes a millisecond; this also compiles and warms up."""
    for steps in LENGTHS:
        part = first(stream, steps)
        call = partial(work, part)
        if min(timeit.repeat(call, number=1, repeat=2)) > LEAST:
            break
    return Timed(call, steps)


class PerStep:
    """A benchmark whose timer is divided by its number of steps, so that asv's times are per step."""

    steps = 1  # steps of a timed call; set by setup
    warmup_time = 0.0  # setup has already called everything twice
    repeat = (3, 20, 0.3)
    rounds = 2
    timeout = 600

    def timer(self) -> float:
        return time.perf_counter() / self.steps
