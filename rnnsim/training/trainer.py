"""A run in progress: its arrays, and the compiled loop that advances it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.compiler import bind_arguments, compiled
from rnnsim.compiler.environment import load_numba
from rnnsim.criterion import SCORES, HeldOut
from rnnsim.errors import Diverged
from rnnsim.network import Stream, empty_stream
from rnnsim.numerics.threads import shared_work
from rnnsim.rule import Rule
from rnnsim.training.divergence import bounds_hint
from rnnsim.training.evaluation import Evaluation, evaluate
from rnnsim.training.experiment import Experiment
from rnnsim.training.loop import (
    DIVERGED,
    FAILED,
    RUNNING,
    SOLVED,
    Curve,
    Plan,
    Training,
    loop_kernel,
    new_clock,
    new_curve,
    specialised_loop,
    trajectory_rows,
)
from rnnsim.typing import Array, Params, State, Trajectory

# Results do not depend on these.
CHUNK = 1024  # a stream holds at least about this many steps
STREAM = 1 << 19  # bytes up to which a stream holds more, at most sixteen times as many
INTERVAL = 0.01  # seconds of compiled code between returns to Python


class Trainer:
    """The arrays of a run, and the compiled kernels that advance it.

    Parameters
    ----------
    experiment : Experiment

    Attributes
    ----------
    training : Training
        The arrays, which the loop updates.
    seconds : float
        Run time so far, excluding compilation.
    """

    def __init__(self, experiment: Experiment) -> None:
        load_numba()
        self.experiment = experiment
        network, rule, task = experiment.network, experiment.rule, experiment.task
        self._fill = compiled(task.fill(), task.name)
        self._source = task.source(
            np.random.default_rng([experiment.seed, 1]), experiment.batch, network.dtype
        )
        self.training = allocate(experiment)
        loop = loop_kernel(network, rule, experiment.optimizer, experiment.criterion, SCORES[task.score])
        self._generic_loop = loop  # for arrays of any size
        if experiment.tailored:
            loop = specialised_loop(loop, self.training)
        self._loop = bind_arguments(loop, self.training, rule.name)
        self.seconds = 0.0
        with shared_work():
            self._loop(0)  # compiles, without doing a step
        self._refill()
        self.seconds = 0.0  # the first refill compiled too

    @property
    def step(self) -> int:
        """Number of steps done."""
        return int(self.training.clock.step[0])

    @property
    def solved_at(self) -> int | None:
        """The 1-based step that completed the criterion, or None."""
        return int(self.training.clock.solved_at[0]) or None

    @property
    def params(self) -> Params:
        """A copy of the current parameters."""
        return self.experiment.network.views(self.training.flat_params.copy())

    def chunks(self, chunk: int | None = None) -> Iterator[None]:
        """Run to the end, yielding after every ``chunk`` steps, or by default at short intervals.

        Raises
        ------
        Diverged
            If a loss or a parameter is not finite, with the step at which that happened.
        RnnsimError
            If the rule fails, for example because there is no steady state.
        """
        experiment, clock = self.experiment, self.training.clock
        held_out = experiment.criterion if isinstance(experiment.criterion, HeldOut) else None
        code, most = RUNNING, chunk or CHUNK
        while code != SOLVED and self.step < experiment.steps:
            if clock.row[0] == clock.filled[0]:
                self._refill()
            before = self.step
            until = min(experiment.steps, before + most)
            if held_out:
                until = min(until, (before // held_out.every + 1) * held_out.every)
            start = time.perf_counter()
            with shared_work():
                code = self._loop(until)
            seconds = time.perf_counter() - start
            self.seconds += seconds
            if chunk is None and seconds < INTERVAL / 2:
                most = min(2 * most, experiment.steps)
            self._raise(code)
            if held_out and self.step // held_out.every > before // held_out.every:
                code = self._check_held_out(held_out)
            yield

    def _refill(self) -> None:
        clock, stream = self.training.clock, self.training.stream
        start = time.perf_counter()
        clock.filled[0] = self._fill(self._source, stream, len(stream.losses))
        clock.row[0] = 0
        self.seconds += time.perf_counter() - start

    def _check_held_out(self, criterion: HeldOut) -> int:
        """Evaluate a criterion on held-out data; return SOLVED if the run is to stop."""
        score = self.evaluate(criterion.score).score
        if self.solved_at is None and criterion.reached(score):
            self.training.clock.solved_at[0] = self.step
            if self.experiment.stop:
                return SOLVED
        return RUNNING

    def _raise(self, code: int) -> None:
        experiment = self.experiment
        at = int(self.training.clock.stopped_at[0])
        if code == DIVERGED:
            raise Diverged(f"the run diverged at step {at}: a loss or a weight is not finite; try a "
                           f"learning rate below {experiment.learning_rate:g}, or clip"
                           f"{bounds_hint(experiment.network, experiment.rule)}")  # fmt: skip
        if code >= FAILED:
            error = experiment.rule.explain(code - FAILED, self.training.memory, at)
            raise type(error)(f"at step {at}: {error}")

    def evaluate(self, score: str | None = None) -> Evaluation:
        """Evaluate the current network on held-out data, by default with the task's score."""
        experiment = self.experiment
        return evaluate(
            experiment.network, self.params, experiment.task, experiment.seed,
            score or experiment.task.score, self._forward_pass,
        )  # fmt: skip

    def _forward_pass(
        self, params: Params, state: State, stream: Stream, trajectory: Trajectory
    ) -> None:
        """Run the network over data without learning, by the loop, which is compiled already."""
        experiment, now, (rows, batch) = self.experiment, self.training, trajectory.states.shape[:2]
        rule, clock = experiment.rule, new_clock()
        clock.filled[0] = rows
        memory = now.memory
        if type(rule).learn is not Rule.learn:  # its forward pass may use its memory
            memory = rule.memory(experiment.network, batch, rows, np.random.default_rng(0))
        forward_only = now._replace(
            plan=now.plan._replace(learns=False, steps=rows), clock=clock, params=params,
            state=state, stream=stream, trajectory=trajectory, memory=memory,
        )  # fmt: skip
        code = bind_arguments(self._generic_loop, forward_only, rule.name)(rows)
        if code != RUNNING:
            raise rule.explain(code - FAILED, memory, 1)


def allocate(experiment: Experiment) -> Training:
    """Allocate and initialise all arrays of a run."""
    network, rule, task, batch = experiment.network, experiment.rule, experiment.task, experiment.batch
    window = experiment.window
    plan = Plan(
        steps=experiment.steps,
        window=window,
        rows=rule.rows(window),
        history=min(rule.history(window), experiment.steps),
        rate=experiment.learning_rate,
        clip=experiment.clip,
        stop=experiment.stop,
        learns=True,
    )
    flat_params = network.pack(experiment.initial_params())
    flat_grad = aligned_zeros(flat_params.shape, flat_params.dtype)
    unit = task.episode_length or window  # windows and episodes are not cut
    row_bytes = batch * (task.n_in + 2 * task.n_out) * network.dtype.itemsize
    rows = unit * max(1, max(CHUNK, min(16 * CHUNK, STREAM // row_bytes)) // unit)
    return Training(
        plan=plan,
        clock=new_clock(),
        flat_params=flat_params,
        params=network.kernel_params(flat_params),
        flat_grad=flat_grad,
        grad=network.kernel_params(flat_grad),
        state=network.state(batch),
        stream=empty_stream(rows, batch, task.n_in, task.n_out, network.dtype, legal=task.has_legal),
        trajectory=network.trajectory(trajectory_rows(plan), batch),
        memory=rule.memory(network, batch, window, np.random.default_rng([experiment.seed, 3])),
        optimizer_memory=experiment.optimizer.memory(flat_params.size, network.dtype),
        criterion_memory=experiment.criterion.memory(),
        curve=new_curve(),
    )


def curve_metrics(curve: Curve, steps: int, score: str) -> dict[str, Array]:
    """Compute the learning curve from the loop's sums, leaving out points without targets.

    Parameters
    ----------
    curve : Curve
    steps : int
        Number of steps done.
    score : str
        The name of the task's score.

    Returns
    -------
    dict of arrays
        ``step`` (the last step of each point), ``loss`` and the score, per target.
    """
    every = int(curve.every[0])
    points = -(-steps // every)
    step = np.minimum((np.arange(points) + 1) * every, steps)
    some = curve.targets[:points] > 0
    return {
        "step": step[some],
        "loss": curve.loss[:points][some] / curve.weight[:points][some],
        score: curve.score[:points][some] / curve.targets[:points][some],
    }
