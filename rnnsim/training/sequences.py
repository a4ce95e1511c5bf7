"""A rule over a sequence with fixed parameters: the arrays that it takes, and the compiled pass."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.compiler import NUMBERS, bind_arguments, is_plain, known_about, specialise
from rnnsim.kernels import kernel
from rnnsim.network import Network, Stream, empty_stream
from rnnsim.numerics.linalg import all_finite, copy
from rnnsim.numerics.shards import has_shards
from rnnsim.numerics.threads import work_context
from rnnsim.numerics.views import as_vector
from rnnsim.rule import DONE, Rule, Window, nbytes
from rnnsim.training.rule_parts import allocate_memory, kernel_of
from rnnsim.typing import Array, Integers, Kernel, Memory, Params, State, Trajectory

NOT_FINITE = -1  # what a pass returns where an array that it was to look at is not finite
DIVERGED = -2  # and where a loss or the gradient is not; a rule's own codes are positive


class Work(NamedTuple):
    """The arrays and settings of a pass.

    Attributes
    ----------
    flat_params, flat_grad : (n_params,) arrays
    params, grad : NamedTuples of arrays
        The same numbers, as kernels take them.
    state : NamedTuple of arrays
    trajectory : NamedTuple
    memory : NamedTuple
        The rule's.
    progress : (2,) int array
        The number of rows of history in the trajectory, and of steps so far.
    loss : (1,) array
        The sum of the losses of the last call.
    window, history : int
    """

    flat_params: Array
    params: Params
    flat_grad: Array
    grad: Params
    state: State
    trajectory: Trajectory
    memory: Memory
    progress: Integers
    loss: Array
    window: int
    history: int


@kernel(allocates=False)
def are_finite(flat_params: Array, stream: Stream) -> bool:
    """Whether all parameters, inputs and targets are finite."""
    return (
        all_finite(flat_params)
        and all_finite(as_vector(stream.inputs))
        and all_finite(as_vector(stream.targets))
    )


def pass_kernel(network: Network, rule: Rule) -> Kernel:
    """Make ``over(work, stream, begin, end, looks, out) -> code``.

    It runs a rule over the rows begin, ..., end - 1 of a stream, window by window, until one fails. The
    gradient is written to ``out``. With ``looks``, nothing is done where parameters, inputs or targets
    are not finite.
    """
    learn, keep_history = kernel_of(rule, network), network.keep_history

    @kernel(allocates=False)
    def over(work: Work, stream: Stream, begin: int, end: int, looks: bool, out: Array) -> int:
        (flat_params, params, flat_grad, grad, state, trajectory, memory, progress, loss, window,
         history) = work  # fmt: skip
        if looks and not are_finite(flat_params, stream):
            return NOT_FINITE
        for i in range(flat_grad.size):
            flat_grad[i] = 0
        for row in range(begin, end, window):
            held, step, count = progress[0], progress[1], min(window, end - row)
            if held > 2 * history:  # seldom, since moving is costly
                keep_history(trajectory, held - history, history)
                held = history
            now = Window(held, count, step, row + count == stream.losses.size, True)
            code = learn(params, state, stream, row, trajectory, now, memory, grad)
            if code != DONE:
                progress[1] = row
                return int(code)
            progress[0], progress[1] = held + count, step + count
        loss[0] = 0
        for t in range(begin, end):
            loss[0] += stream.losses[t]
        copy(flat_grad, out)
        return DONE if np.isfinite(loss[0]) and all_finite(flat_grad) else DIVERGED

    return over


def specialised_pass(over: Kernel, work: Work) -> Kernel:
    """Make the same kernel, compiled for the exact sizes of these arrays and windows."""
    tailored = specialise(Work(*known_about(work))._replace(window=work.window, history=work.history))

    @kernel(inlines_all=True)
    def specialised_pass(
        work: Work, stream: Stream, begin: int, end: int, looks: bool, out: Array
    ) -> int:
        return int(over(tailored(work), stream, begin, end, looks, out))

    return specialised_pass


class Unfinished(NamedTuple):
    """What a learner keeps beside its rule.

    Attributes
    ----------
    rows : Stream
        The rows of the window that is not complete.
    is_open : bool
        Whether the last of them waits for its target.
    begun : State
        The state before them.
    line : tuple
        With a delay, the number of rows that wait for their targets, and their arrays.
    """

    rows: Stream
    is_open: bool
    begun: State
    line: tuple[Any, ...] = ()


@dataclass
class Carried:
    """What a rule keeps of a sequence for the steps that follow; ``memory`` of a gradient.

    Attributes
    ----------
    rule : Rule
    batch : int
        B.
    window : int
        The number of steps that the rule sees at a time.
    steps : int
        The number of steps so far.
    memory : NamedTuple or None
        The rule's own, if it carries any.
    history : NamedTuple or None
        A trajectory of the last rows, if the rule reads them.
    held : int
        The number of these rows.
    unfinished : Unfinished or None
        Of a learner, what is not learnt yet.
    """

    rule: Rule
    batch: int
    window: int
    steps: int
    memory: Memory | None = None
    history: Trajectory | None = None
    held: int = 0
    unfinished: Unfinished | None = None


class Shape(NamedTuple):
    """What the arrays of a pass depend on.

    Attributes
    ----------
    steps, batch : int
        T and B.
    window : int
        The number of steps that the rule sees at a time.
    before : int
        The number of earlier steps that it may read.
    """

    steps: int
    batch: int
    window: int
    before: int


class Pass:
    """A rule over sequences of one shape: its arrays, allocated once, and the compiled kernel.

    Attributes
    ----------
    views : NamedTuple of arrays
        The parameters, in the form that users give them.
    stream : Stream
        Where outputs and losses are written; a mask of ones, and no resets.
    begin : NamedTuple of arrays
        The state at which sequences begin.
    """

    def __init__(
        self, network: Network, rule: Rule, shape: Shape, seed: int, over: Kernel, tailored: bool
    ) -> None:
        steps, batch, window, before = shape
        self.network, self.rule, self.shape = network, rule, shape
        flat, grad = (aligned_zeros((network.n_params,), network.dtype) for _ in range(2))
        history = min(rule.history(window), before + steps - 1)  # the last window may be one step long
        memory = allocate_memory(rule, network, batch, window, np.random.default_rng(seed))
        rows = 1 if has_shards(memory) else min(2 * history + rule.rows(window), before + steps)
        self.views, self.begin = network.views(flat), network.state(batch)
        self.stream = empty_stream(steps, batch, 0, network.n_out, network.dtype)
        self.work = Work(
            flat, network.kernel_params(flat), grad, network.kernel_params(grad), network.state(batch),
            network.trajectory(rows, batch), memory, np.zeros(2, np.int64), np.zeros(1), window, history,
        )  # fmt: skip
        self._draws = not is_plain(self.work.memory)  # it has a random generator
        self._first = deepcopy(self.work.memory) if self._draws else None
        self._fresh = fresh_values(self.work.memory) if rule.carries else []
        self._over = specialised_pass(over, self.work) if tailored else over
        self._run = bind_arguments(self._over, self.work, owner=rule.name)
        self._context = work_context(multiplications(network, steps * batch))
        self.nbytes = sum(map(nbytes, (self.work, self.stream)))

    def start(self, state: State, before: Carried | None) -> None:
        """Set the state, and the rule's memory: that of the steps before, or as it is at first."""
        work = self.work
        for array, value in zip(work.state, state):
            array[...] = value
        work.progress[:] = 0
        if self._draws:
            kept = self._first if before is None or before.memory is None else before.memory
            self.work = work._replace(memory=deepcopy(kept))
            self._run = bind_arguments(self._over, self.work, owner=self.rule.name)
        elif before is None or before.memory is None:
            refresh(self._fresh)
        else:
            set_arrays(work.memory, before.memory)
        if before is not None:
            work.progress[1] = before.steps
            if before.history is not None:
                copy_rows(before.history, work.trajectory, before.held)
                work.progress[0] = before.held

    def run(self, stream: Stream, begin: int, end: int, looks: bool, out: Array) -> int:
        """Process the rows begin, ..., end - 1; ``out`` and the code are as in :func:`pass_kernel`."""
        with self._context:
            code: int = self._run(stream, begin, end, looks, out)
        return code

    def carried(self) -> Carried:
        """What the rule keeps for the steps that follow, in arrays of its own."""
        work, (_, batch, window, _) = self.work, self.shape
        found = Carried(self.rule, batch, window, int(work.progress[1]))
        keep_copies(found, self.network, work.memory, work.trajectory, int(work.progress[0]))
        return found


def keep_copies(
    carried: Carried, network: Network, memory: Memory, trajectory: Trajectory, held: int
) -> None:
    """Copy what a rule that carries memory needs: that, and of ``held`` rows those of its history."""
    rule = carried.rule
    if rule.carries:
        carried.memory = copied(memory)
        carried.held = min(rule.history(carried.window), held)
    if carried.held:
        carried.history = network.trajectory(carried.held, carried.batch)
        copy_rows(trajectory, carried.history, carried.held, held - carried.held)


def multiplications(network: Network, rows: int) -> int:
    """About how many multiplications so many rows take at most: no rule takes more than RTRL."""
    return rows * network.n_params * network.n_state


def fresh_values(memory: Memory) -> list[tuple[Array, Any]]:
    """The arrays of a memory, each with what it holds now: 0, or a copy."""
    return [(x, x.copy() if x.any() else 0) for x in arrays_in(memory) if x.size]


def refresh(fresh: list[tuple[Array, Any]]) -> None:
    """Let arrays hold what they held when ``fresh_values`` was called."""
    for array, value in fresh:
        array[...] = value


def arrays_in(value: Any) -> list[Array]:
    """All arrays in nested tuples, in order."""
    if isinstance(value, np.ndarray):
        return [value]
    return [x for part in value for x in arrays_in(part)] if isinstance(value, tuple) else []


def generators_in(value: Any) -> list[np.random.Generator]:
    """All random generators in nested tuples, in order."""
    if isinstance(value, np.random.Generator):
        return [value]
    parts = value if isinstance(value, tuple) else ()
    return [generator for part in parts for generator in generators_in(part)]


def set_arrays(own: Any, values: Any) -> None:
    """Copy the arrays of a NamedTuple, or of nested ones, into those of another."""
    for array, value in zip(arrays_in(own), arrays_in(values)):
        array[...] = value


def copied(value: Any) -> Any:
    """A copy of nested tuples of arrays, numbers and random generators."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, tuple):
        parts = map(copied, value)
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value if type(value) in NUMBERS else deepcopy(value)


def copy_rows(old: Trajectory, new: Trajectory, count: int, first: int = 0) -> None:
    """Copy rows first, ..., first + count - 1 of a trajectory to the front of another."""
    for x, y in zip(arrays_in(old), arrays_in(new)):
        if has_steps(x, old) and has_steps(y, new):
            y[:count] = x[first : first + count]


def has_steps(x: Array, trajectory: Trajectory) -> bool:
    """Whether an array of a trajectory has a row for each step and sequence.

    Others may have such a shape by chance: those that are constant cannot be written to, and workspace
    may be copied too.
    """
    return x.shape[:2] == trajectory.states.shape[:2] and x.flags.writeable
