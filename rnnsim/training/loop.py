"""The learning loop, compiled as a whole: no Python code runs per time step.

    for each window of steps:
        learn       run the network and compute the rule's gradient         (parameters are fixed)
        observe     record the learning curve; check whether the task is solved or the run diverged
        update      apply the optimizer

The loop keeps all of its state in arrays (:class:`Clock` among them), so that it can be left and
resumed at any window: the result does not depend on how a run is cut into chunks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnsim.compiler import known_about, specialise
from rnnsim.criterion import Criterion
from rnnsim.kernels import kernel
from rnnsim.network import Network, Stream
from rnnsim.rule import Rule, Window
from rnnsim.training.optimizers import Optimizer, clip_norm
from rnnsim.typing import Array, Kernel, Memory, Params, State, Trajectory

CURVE = 512  # points of the learning curve; when they are used up, neighbours are merged in pairs

# return codes of the loop; a rule's own error codes are added to FAILED
RUNNING, SOLVED, DIVERGED, FAILED = 0, 1, 2, 100


class Plan(NamedTuple):
    """Settings that are constant over a run."""

    steps: int  # maximum number of steps
    window: int  # steps between updates, at most
    rows: int  # rows of the trajectory that a window needs
    history: int  # rows before the window that the rule reads
    rate: float  # the learning rate
    clip: float  # maximum norm of the gradient
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


class Curve(NamedTuple):
    """The learning curve: sums over equal numbers of steps."""

    every: Array  # (1,) steps per point
    loss: Array  # (CURVE,) sum of mask * loss
    weight: Array  # (CURVE,) sum of mask
    score: Array  # (CURVE,) sum of scores
    targets: Array  # (CURVE,) number of targets


class Training(NamedTuple):
    """All arrays and settings that the loop reads and writes."""

    plan: Plan
    clock: Clock
    flat_params: Array  # (n_params,)
    params: Params  # the same numbers as views
    flat_grad: Array  # (n_params,)
    grad: Params  # the same numbers as views
    state: State
    stream: Stream
    trajectory: Trajectory
    memory: Memory  # the rule's
    optimizer_memory: Memory  # the optimizer's
    criterion_memory: Memory  # the criterion's
    curve: Curve


def trajectory_rows(plan: Plan) -> int:
    """Rows of the trajectory to allocate: with twice the history, so that it is seldom moved."""
    return 2 * plan.history + plan.rows


def new_clock() -> Clock:
    """Make the clock of step 0."""
    return Clock(*(np.zeros(1, np.int64) for _ in Clock._fields))


def new_curve() -> Curve:
    """Make an empty learning curve."""
    return Curve(np.ones(1, np.int64), *(np.zeros(CURVE) for _ in range(4)))


def specialised_loop(loop: Kernel, training: Training) -> Kernel:
    """Make a loop that is compiled for the exact sizes of these arrays and windows."""
    of_plan = Plan(*[None] * len(Plan._fields))._replace(**{  # type: ignore[arg-type]
        name: getattr(training.plan, name) for name in ("window", "rows", "history")
    })  # fmt: skip
    tailored = specialise(Training(*known_about(training))._replace(plan=of_plan))

    @kernel(inlines_all=True)
    def specialised_loop(training: Training, until: int) -> int:
        return int(loop(tailored(training), until))

    return specialised_loop


def loop_kernel(
    network: Network, rule: Rule, optimizer: Optimizer, criterion: Criterion, score: Kernel
) -> Kernel:
    """Make the kernel ``loop(training, until) -> code``.

    It runs until ``until`` steps are done or the stream is used up.
    """
    learn, keep_history, update = rule.learn(network), network.keep_history, optimizer.update()
    observe = observe_kernel(criterion.met(), score)

    @kernel(allocates=False)
    def loop(training: Training, until: int) -> int:
        """Compiled without reference counting, which would cost as much as a small network's step."""
        (plan, clock, flat_params, params, flat_grad, grad, state, stream, trajectory, memory,
         optimizer_memory, criterion_memory, curve) = training  # fmt: skip
        while clock.step[0] < until and clock.row[0] < clock.filled[0]:
            row, held, step = clock.row[0], clock.held[0], clock.step[0]
            length = window_length(plan, clock, stream)
            window = Window(held, length, step, step + length == plan.steps, plan.learns)
            for i in range(flat_grad.size):
                flat_grad[i] = 0
            code = learn(params, state, stream, row, trajectory, window, memory, grad)
            if code != 0:
                clock.stopped_at[0] = step + 1
                return int(FAILED + code)
            if not plan.learns:
                return RUNNING
            code = observe(plan, clock, stream, length, criterion_memory, curve)
            if code != RUNNING:
                return int(code)
            clip_norm(flat_grad, plan.clip)
            update(flat_params, flat_grad, optimizer_memory, plan.rate)
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


@kernel(allocates=False, reassociates=True)
def all_finite(flat_params: Array) -> bool:
    """Whether all parameters are finite; a sum that overflows counts as divergence too."""
    total = 0.0
    for i in range(flat_params.size):
        total += flat_params[i]
    return bool(np.isfinite(total))


@kernel(allocates=False)
def window_length(plan: Plan, clock: Clock, stream: Stream) -> int:
    """The number of steps of the next window: it ends with the stream's rows, the run, or an episode."""
    row = clock.row[0]
    if not plan.learns:
        return int(clock.filled[0])
    if plan.window == 1:  # a constant in a specialised loop
        return 1
    longest = min(plan.window, clock.filled[0] - row, plan.steps - clock.step[0])
    for i in range(longest):
        if stream.ends[row + i]:
            return i + 1
    return int(longest)


def observe_kernel(met: Kernel, score: Kernel) -> Kernel:
    """Make the kernel that records the steps of a window and applies the criterion to each."""

    @kernel(allocates=False)
    def observe(
        plan: Plan, clock: Clock, stream: Stream, length: int, criterion_memory: Memory, curve: Curve
    ) -> int:
        for i in range(length):
            t, step = clock.row[0] + i, clock.step[0] + i + 1
            if not np.isfinite(stream.losses[t]):
                clock.stopped_at[0] = step
                return DIVERGED
            point = curve_point(curve, step)
            curve.loss[point] += stream.losses[t]
            for b in range(stream.mask.shape[1]):
                if stream.mask[t, b] > 0:
                    curve.weight[point] += stream.mask[t, b]
                    curve.score[point] += score(stream, t, b)
                    curve.targets[point] += 1
            if clock.solved_at[0] == 0 and met(criterion_memory, stream, t):
                clock.solved_at[0] = step
                if plan.stop:  # the update of this window is not applied
                    clock.step[0] = step
                    return SOLVED
        return RUNNING

    return observe


@kernel(allocates=False)
def curve_point(curve: Curve, step: int) -> int:
    """Return the learning curve's point for a step, merging points in pairs if it is beyond the last."""
    point = (step - 1) // curve.every[0]
    if point < CURVE:
        return int(point)
    for sums in (curve.loss, curve.weight, curve.score, curve.targets):
        for i in range(CURVE // 2):
            sums[i] = sums[2 * i] + sums[2 * i + 1]
        for i in range(CURVE // 2, CURVE):
            sums[i] = 0
    curve.every[0] *= 2
    return CURVE // 2
