"""The learning loop, compiled as a whole: no Python code runs per time step.

    for each window of steps:
        learn       run the network and compute the rule's gradient         (parameters are fixed)
        observe     check whether the network diverged; of a run: the learning curve, the criterion
        update      apply the optimizer

The loop keeps all of its state in arrays (:class:`Clock` among them), so that it can be left and
resumed at any window: the result does not depend on how a run is cut into chunks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnsim.compiler import known_about, specialise
from rnnsim.kernels import kernel
from rnnsim.network import Network, Stream
from rnnsim.numerics.linalg import all_finite
from rnnsim.rule import Rule, Window
from rnnsim.training.optimizers import Optimizer, clip_norm
from rnnsim.training.rule_parts import kernel_of
from rnnsim.training.schedules import Schedule, factor
from rnnsim.typing import Array, Kernel, Memory, Params, State, Trajectory

# return codes of the loop; a rule's own error codes are added to FAILED
RUNNING, SOLVED, DIVERGED, FAILED = 0, 1, 2, 100


class Plan(NamedTuple):
    """Settings that are constant over a run."""

    steps: int  # maximum number of steps
    window: int  # steps between updates, at most
    rows: int  # rows of the trajectory that a window needs
    history: int  # rows before the window that the rule reads
    rate: float  # the learning rate
    schedule: Schedule  # by which it changes
    decay: float  # of the weights, times the learning rate
    clip: float  # maximum norm of the gradient
    mean: bool  # whether the gradient is a mean over a window's targets, and not a sum over time
    stop: bool  # whether to stop once the task is solved
    learns: bool  # if not, there is only a forward pass over the stream's rows, as one window


class Clock(NamedTuple):
    """The progress of a run; each field is an array of one number, which the loop updates."""

    step: Array  # steps done
    row: Array  # rows of the stream done
    filled: Array  # rows of the stream filled
    held: Array  # rows of the trajectory that hold history
    solved_at: Array  # the step that completed the criterion, or 0
    stopped_at: Array  # the step at which something went wrong, or 0
    last: Array  # 1 if no step comes after the next window, though the run goes on


class Training(NamedTuple):
    """All arrays and settings that the loop reads and writes."""

    plan: Plan
    clock: Clock
    flat_params: Array  # (n_params,)
    params: Params  # the same numbers as views
    flat_grad: Array  # (n_params,)
    grad: Params  # the same numbers as views
    clipping: Array  # (1,) by what the last gradient was multiplied, or 1
    scales: Array  # (n_params,) of the learning rate, or none
    previous: Array  # (n_params,) workspace, or none
    state: State
    trajectory: Trajectory
    memory: Memory  # the rule's
    optimizer_memory: Memory  # the optimizer's
    observed: Memory  # the observer's


def trajectory_rows(plan: Plan) -> int:
    """Rows of the trajectory to allocate: with twice the history, so that it is seldom moved."""
    return 2 * plan.history + plan.rows


def new_clock() -> Clock:
    """Make the clock of step 0."""
    return Clock(*(np.zeros(1, np.int64) for _ in Clock._fields))


def specialised_loop(loop: Kernel, training: Training, stream: Stream | None) -> Kernel:
    """Make a loop that is compiled for the exact sizes of these arrays and windows.

    Without a stream, its number of rows is left open.
    """
    of_plan = Plan(*[None] * len(Plan._fields))._replace(**{  # type: ignore[arg-type]
        name: getattr(training.plan, name) for name in ("window", "rows", "history")
    })  # fmt: skip
    tailored = specialise(Training(*known_about(training))._replace(plan=of_plan))
    of_rows = any_rows if stream is None else specialise(Stream(*known_about(stream)))

    @kernel(inlines_all=True)
    def specialised_loop(training: Training, stream: Stream, until: int) -> int:
        return int(loop(tailored(training), of_rows(stream), until))

    return specialised_loop


@kernel(allocates=False)
def any_rows(stream: Stream) -> Stream:
    """A stream as it is."""
    return stream


def loop_kernel(network: Network, rule: Rule, optimizer: Optimizer, observe: Kernel) -> Kernel:
    """Make the kernel ``loop(training, stream, until) -> code``.

    It runs until ``until`` steps are done or the stream is used up. ``observe`` is that of an
    :class:`rnnsim.training.observing.Observer`.
    """
    learn, keep_history, update = kernel_of(rule, network), network.keep_history, optimizer.update()

    @kernel(allocates=False)
    def loop(training: Training, stream: Stream, until: int) -> int:
        """Compiled without reference counting, which would cost as much as a small network's step."""
        (plan, clock, flat_params, params, flat_grad, grad, clipping, scales, previous, state,
         trajectory, memory, optimizer_memory, observed) = training  # fmt: skip
        while clock.step[0] < until and clock.row[0] < clock.filled[0]:
            row, held, step = clock.row[0], clock.held[0], clock.step[0]
            length = window_length(plan, clock, stream)
            is_last = step + length == plan.steps or clock.last[0] == 1
            window = Window(held, length, step, is_last, plan.learns)
            for i in range(flat_grad.size):
                flat_grad[i] = 0
            code = learn(params, state, stream, row, trajectory, window, memory, grad)
            if code != 0:
                clock.stopped_at[0] = step + 1
                return int(FAILED + code)
            if not plan.learns:
                return RUNNING
            code = observe(plan.stop, clock, stream, length, observed)
            if code != RUNNING:
                return int(code)
            if plan.mean:
                divide(flat_grad, weight_of(stream, row, length))
            remember(scales, flat_params, flat_grad, previous)
            clipping[0] = clip_norm(flat_grad, plan.clip)
            rate = plan.rate * factor(plan.schedule, step)
            if plan.decay > 0:
                decay(flat_params, rate * plan.decay)
            update(flat_params, flat_grad, optimizer_memory, rate)
            scale_update(scales, previous, flat_params)
            clock.step[0] += length
            clock.row[0] += length
            if not all_finite(flat_params):
                clock.stopped_at[0] = clock.step[0]
                return DIVERGED
            clock.held[0] = move_history(plan, trajectory, held + length)
        return RUNNING

    @kernel(allocates=False)
    def move_history(plan: Plan, trajectory: Trajectory, held: int) -> int:
        """Move the history to the front once the next window would not fit behind it."""
        if held <= 2 * plan.history:
            return held
        keep_history(trajectory, held - plan.history, plan.history)
        return plan.history

    return loop


@kernel(allocates=False)
def weight_of(stream: Stream, row: int, length: int) -> float:
    """The sum of the weights of a window's targets, a mean over sequences; 1 if there are none."""
    total = 0.0
    B = stream.mask.shape[1]
    for t in range(row, row + length):
        for b in range(B):
            total += stream.mask[t, b]
    return total / B if total > 0 else 1.0


@kernel(allocates=False)
def divide(x: Array, weight: float) -> None:
    for i in range(x.size):
        x[i] /= weight


@kernel(allocates=False)
def decay(flat_params: Array, amount: float) -> None:
    """Decay of the weights, apart from the gradient and its clipping [Loshchilov & Hutter 2019]."""
    for i in range(flat_params.size):
        flat_params[i] -= amount * flat_params[i]


@kernel(allocates=False)
def remember(scales: Array, flat_params: Array, flat_grad: Array, previous: Array) -> None:
    """Before an update with scales: keep the parameters; frozen ones have no part in the norm."""
    for i in range(scales.size):
        previous[i] = flat_params[i]
        if scales[i] == 0:
            flat_grad[i] = 0


@kernel(allocates=False)
def scale_update(scales: Array, previous: Array, flat_params: Array) -> None:
    """Scale what an update has changed, which every optimizer makes proportional to its rate."""
    for i in range(scales.size):
        if scales[i] == 0:
            flat_params[i] = previous[i]
        else:
            flat_params[i] = previous[i] + scales[i] * (flat_params[i] - previous[i])


@kernel(allocates=False)
def window_length(plan: Plan, clock: Clock, stream: Stream) -> int:
    """The number of steps of the next window: it ends with the stream's rows, the run, or an episode."""
    row = clock.row[0]
    if not plan.learns:
        return int(clock.filled[0] - row)
    if plan.window == 1:  # a constant in a specialised loop
        return 1
    longest = min(plan.window, clock.filled[0] - row, plan.steps - clock.step[0])
    for i in range(longest):
        if stream.ends[row + i]:
            return i + 1
    return int(longest)
