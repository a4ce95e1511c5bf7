"""The compiled loop with its arrays: what a learner, a run and a benchmark advance."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.compiler import Bound, bind_arguments, frozen, rebind
from rnnsim.compiler.environment import load_numba
from rnnsim.errors import Diverged
from rnnsim.network import Network, Stream, empty_stream
from rnnsim.numerics.blas import load_blas
from rnnsim.numerics.threads import cores, work_context
from rnnsim.rule import Rule
from rnnsim.training.divergence import bounds_hint
from rnnsim.training.learning_rates import rates_of
from rnnsim.training.loop import (
    DIVERGED,
    FAILED,
    RUNNING,
    Plan,
    Training,
    loop_kernel,
    new_clock,
    specialised_loop,
    trajectory_rows,
)
from rnnsim.training.observing import Observer
from rnnsim.training.optimizers import Optimizer
from rnnsim.training.rule_parts import allocate_memory
from rnnsim.training.schedules import Schedule
from rnnsim.training.sequences import fresh_values, multiplications, refresh, set_arrays
from rnnsim.typing import Array, Kernel, Params, State, Trajectory

FORWARD_ROWS = 64  # rows of the trajectory of a forward pass


class Settings(NamedTuple):
    """How a network learns.

    Attributes
    ----------
    window, batch, steps, seed : int
        Steps between updates, B, the maximum number of steps, and the seed of rules that draw numbers.
    learning_rate : float, or mapping or NamedTuple of floats and arrays
    clip, weight_decay : float
    schedule : Schedule
    mean, stop, tailored : bool
        Whether the gradient is a mean over targets, the loop stops where the observer says that the task
        is solved, and it is compiled for the exact sizes of the arrays.
    """

    window: int
    batch: int
    steps: int
    seed: int
    learning_rate: Any
    clip: float
    weight_decay: float
    schedule: Schedule
    mean: bool
    stop: bool
    tailored: bool


class Advance:
    """Advances a network by a rule, in compiled code.

    Parameters
    ----------
    network : Network
    rule : Rule
    optimizer : Optimizer
    observer : Observer
    settings : Settings
    flat_params : (n_params,) array
        The parameters, which are updated in place.
    state : State
        Which moves in place.
    before : Advance, optional
        One of the same network, rule and optimizer, with a window of another length, where this one goes
        on, with empty memory.
    stream : Stream, optional
        The one that it will be given; for a loop that is ``tailored``, all have its shape.
    like : Advance, optional
        One of the same kind and sizes, whose compiled loop this one takes, with what functions referred
        to then: looking that up takes longer than a short run.

    Attributes
    ----------
    training : Training
        All arrays, which the loop updates.
    seconds : float
        Time in the loop so far, excluding compilation.
    """

    def __init__(
        self, network: Network, rule: Rule, optimizer: Optimizer, observer: Observer,
        settings: Settings, flat_params: Array, state: State, stream: Stream | None = None,
        before: Advance | None = None, like: Advance | None = None,
    ) -> None:  # fmt: skip
        load_numba()
        load_blas()
        cores()  # a setting of threads that cannot be used is refused, also where none is needed
        self.network, self.rule, self.settings = network, rule, settings
        self.training = allocate(network, rule, optimizer, observer, settings, flat_params, state)
        self._fresh = fresh_values(self.training.memory) if rule.carries else []
        first = stream or empty_stream(1, settings.batch, network.n_in, network.n_out, network.dtype)
        self._loop: Kernel
        self._run: Bound
        if like is not None:
            self._loop, self._run = like._loop, rebind(like._run, self.training, first)
        else:
            self._loop = (  # another might find that what functions refer to has changed
                before._loop
                if before is not None
                else frozen(loop_kernel(network, rule, optimizer, observer.observe))
            )
            self._run = self._bind(self._for_sizes(stream), first)
        if before is not None:
            self.training.clock.step[0] = before.step
            set_arrays(self.training.optimizer_memory, before.training.optimizer_memory)
        self._context = work_context(multiplications(network, settings.window * settings.batch))
        self.seconds = 0.0

    def _for_sizes(self, stream: Stream | None) -> Kernel:
        """The loop, for the exact sizes of all arrays if it is tailored."""
        tailored = self.settings.tailored
        return specialised_loop(self._loop, self.training, stream) if tailored else self._loop

    def _bind(self, loop: Kernel, stream: Stream) -> Bound:
        return bind_arguments(loop, self.training, stream, owner=self.rule.name)

    def forget(self) -> None:
        """Let the rule's memory be as it was at first, and the trajectory without history."""
        refresh(self._fresh)
        self.training.clock.held[0] = 0

    @property
    def step(self) -> int:
        """Number of steps done."""
        return int(self.training.clock.step[0])

    def run(self, stream: Any, until: int) -> int:
        """Learn from the rows ``clock.row``, ... of a stream, until a step or its end; the code.

        Raises
        ------
        Diverged
            If a loss or a parameter is not finite, with the step at which that happened.
        RnnsimError
            If the rule fails, for example because there is no steady state.
        """
        if stream is not self._run.values[1]:
            self._run = rebind(self._run, stream)
        start = time.perf_counter()
        with self._context:
            code: int = self._run(until)
        self.seconds += time.perf_counter() - start
        if code >= DIVERGED:
            self._raise(code)
        return code

    def run_rows(self, stream: Any, begin: int, end: int) -> int:
        """Learn from the rows begin, ..., end - 1 of a stream, window by window."""
        clock = self.training.clock
        clock.row[0], clock.filled[0] = begin, end
        return self.run(stream, self.settings.steps)

    def forward_pass(
        self, state: State, trajectory: Trajectory, params: Params | None = None
    ) -> Forward:
        """Make a forward pass over other sequences, by the same compiled loop.

        ``params`` are other parameters, as kernels take them, in place of those that learn.
        """
        return Forward(self, state, trajectory, params)

    def _raise(self, code: int) -> None:
        rule, training = self.rule, self.training
        at = int(training.clock.stopped_at[0])
        if code == DIVERGED:
            raise Diverged(f"the run diverged at step {at}: a loss or a weight is not finite; try a "
                           f"learning rate below {training.plan.rate:g}, or clip"
                           f"{bounds_hint(self.network, rule)}")  # fmt: skip
        error = rule.explain(code - FAILED, training.memory, at)
        raise type(error)(f"at step {at}: {error}")


def forward_training(
    owner: Advance, state: State, trajectory: Trajectory, params: Params | None = None
) -> Training:
    """The arrays of a loop that runs another state forward, with the same parameters or others.

    Its gradient, which is 0, is not that of the last window, which monitors see.
    """
    rule, now, (rows, batch) = owner.rule, owner.training, trajectory.states.shape[:2]
    memory = now.memory
    if type(rule).learn is not Rule.learn:  # its forward pass may use its memory
        memory = rule.memory(owner.network, batch, rows, np.random.default_rng(0))
    flat_grad = aligned_zeros(now.flat_grad.shape, now.flat_grad.dtype)
    return now._replace(
        plan=now.plan._replace(learns=False, steps=rows), clock=new_clock(), state=state,
        params=now.params if params is None else params, trajectory=trajectory, memory=memory,
        flat_grad=flat_grad, grad=owner.network.kernel_params(flat_grad),
    )  # fmt: skip


class Forward:
    """Runs a network forward by a loop that is compiled already, without learning."""

    def __init__(
        self, owner: Advance, state: State, trajectory: Trajectory, params: Params | None = None
    ) -> None:
        self._training = forward_training(owner, state, trajectory, params)
        rows, batch = trajectory.states.shape[:2]
        self._rule, self._clock, self._rows = owner.rule, self._training.clock, rows
        self._run = self._bound(owner)
        self._context = work_context(multiplications(owner.network, rows * batch))

    def _bound(self, owner: Advance) -> Bound:
        """The owner's loop; compiled for other arrays, if it is tailored or they are of other types."""
        stream = owner._run.values[1]
        if not owner.settings.tailored:
            with suppress(TypeError):
                return rebind(owner._run, self._training, stream)
        return bind_arguments(owner._loop, self._training, stream, owner=owner.rule.name)

    def run(self, stream: Stream, begin: int, end: int) -> None:
        """Run over the rows begin, ..., end - 1, as many at a time as the trajectory has."""
        most, clock = self._rows, self._clock
        if stream is not self._run.values[1]:
            self._run = rebind(self._run, stream)
        with self._context:
            for row in range(begin, end, most):
                clock.row[0], clock.filled[0] = row, min(row + most, end)
                code = self._run(most)
                if code != RUNNING:
                    raise self._rule.explain(code - FAILED, self._training.memory, row - begin + 1)


def allocate(
    network: Network, rule: Rule, optimizer: Optimizer, observer: Observer, settings: Settings,
    flat_params: Array, state: State,
) -> Training:  # fmt: skip
    """Allocate and initialise all arrays."""
    window, batch, dtype = settings.window, settings.batch, network.dtype
    rate, scales = rates_of(network, settings.learning_rate)
    plan = Plan(
        steps=settings.steps,
        window=window,
        rows=rule.rows(window),
        history=min(rule.history(window), settings.steps),
        rate=rate,
        schedule=settings.schedule,
        decay=settings.weight_decay,
        clip=settings.clip,
        mean=settings.mean,
        stop=settings.stop,
        learns=True,
    )
    flat_grad = aligned_zeros(flat_params.shape, dtype)
    return Training(
        plan=plan,
        clock=new_clock(),
        flat_params=flat_params,
        params=network.kernel_params(flat_params),
        flat_grad=flat_grad,
        grad=network.kernel_params(flat_grad),
        clipping=np.ones(1),
        scales=scales,
        previous=np.zeros_like(scales),
        state=state,
        trajectory=network.trajectory(trajectory_rows(plan), batch),
        memory=allocate_memory(rule, network, batch, window, np.random.default_rng([settings.seed, 3])),
        optimizer_memory=optimizer.memory(flat_params.size, dtype),
        observed=observer.memory,
    )
