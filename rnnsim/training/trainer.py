"""A run in the making: its arrays, and the compiled loop that carries it on."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.compiler.binding import bind_arguments
from rnnsim.compiler.compose import compiled
from rnnsim.criterion import SCORES, HeldOut
from rnnsim.errors import Diverged
from rnnsim.network import Stream, empty_stream
from rnnsim.numerics.threads import shared_work
from rnnsim.rule import Rule
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

# No result depends on these.
CHUNK = 1024  # about how many steps a stream holds at least
STREAM = 1 << 19  # bytes of a stream that holds more, up to sixteen times as many
LOOK = 0.01  # seconds between looks from outside


class Trainer:
    """The arrays of a run, and the compiled kernels that carry it on."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        network, rule, task = experiment.network, experiment.rule, experiment.task
        self._fill = compiled(task.fill(), task.name)
        self._source = task.source(
            np.random.default_rng([experiment.seed, 1]), experiment.batch, network.dtype
        )
        self.training = allocate(experiment)
        loop = loop_kernel(network, rule, experiment.optimizer, experiment.criterion, SCORES[task.score])
        self._any_loop = loop  # for arrays of any size
        if experiment.tailored:
            loop = specialised_loop(loop, self.training)
        self._loop = bind_arguments(loop, self.training, rule.name)
        self.seconds = 0.0
        with shared_work():
            self._loop(0)  # compiles, and does no step
        self._refill()
        self.seconds = 0.0  # from here on: the run, compilation apart

    @property
    def step(self) -> int:
        """How many steps are done."""
        return int(self.training.clock.step[0])

    @property
    def solved_at(self) -> int | None:
        return int(self.training.clock.solved_at[0]) or None

    @property
    def params(self) -> Params:
        """A copy of the parameters as they are now."""
        return self.experiment.network.views(self.training.flat_params.copy())

    def chunks(self, chunk: int | None = None) -> Iterator[None]:
        """Carry the run on to its end, giving way after ``chunk`` steps, or from time to time.

        Raises
        ------
        Diverged
            At the step at which a number stops being finite.
        RnnsimError
            Whatever the rule has to say, such as that there is no steady state.
        """
        experiment, clock = self.experiment, self.training.clock
        held_out = experiment.criterion if isinstance(experiment.criterion, HeldOut) else None
        code, most = 0, chunk or CHUNK
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
            if chunk is None and seconds < LOOK / 2:
                most = min(2 * most, experiment.steps)
            self._raise(code)
            if held_out and self.step // held_out.every > before // held_out.every:
                code = self._look(held_out)
            yield

    def _refill(self) -> None:
        clock, stream = self.training.clock, self.training.stream
        start = time.perf_counter()
        clock.filled[0] = self._fill(self._source, stream, len(stream.losses))
        clock.row[0] = 0
        self.seconds += time.perf_counter() - start

    def _look(self, criterion: HeldOut) -> int:
        """Whether a criterion on held-out data is met."""
        score = self.evaluate(criterion.score).score
        if self.solved_at is None and criterion.reached(score):
            self.training.clock.solved_at[0] = self.step
            if self.experiment.stop:
                return SOLVED
        return 0

    def _raise(self, code: int) -> None:
        experiment = self.experiment
        at = int(self.training.clock.stopped_at[0])
        if code == DIVERGED:
            raise Diverged(f"the run diverged at step {at}: a loss or a weight is not finite; try a "
                           f"learning rate below {experiment.learning_rate:g}, or clip")  # fmt: skip
        if code >= FAILED:
            error = experiment.rule.explain(code - FAILED, self.training.memory, at)
            raise type(error)(f"at step {at}: {error}")

    def evaluate(self, score: str | None = None) -> Evaluation:
        """Evaluate the network as it is on held-out data."""
        experiment = self.experiment
        return evaluate(
            experiment.network, self.params, experiment.task, experiment.seed,
            score or experiment.task.score, self._go_through,
        )  # fmt: skip

    def _go_through(self, params: Params, state: State, stream: Stream, trajectory: Trajectory) -> None:
        """Take a network through data by the loop, as a rule compiled already, without learning."""
        experiment, now, (rows, batch) = self.experiment, self.training, trajectory.states.shape[:2]
        rule, clock = experiment.rule, new_clock()
        clock.filled[0] = rows
        memory = now.memory
        if type(rule).learn is not Rule.learn:  # it may use its memory before it learns
            memory = rule.memory(experiment.network, batch, rows, np.random.default_rng(0))
        going = now._replace(
            plan=now.plan._replace(learns=False, steps=rows), clock=clock, params=params,
            state=state, stream=stream, trajectory=trajectory, memory=memory,
        )  # fmt: skip
        code = bind_arguments(self._any_loop, going, rule.name)(rows)
        if code != RUNNING:
            raise rule.explain(code - FAILED, memory, 1)


def allocate(experiment: Experiment) -> Training:
    """Allocate all the arrays of a run, at its beginning."""
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
    whole = task.episode_length or window  # windows and episodes are never cut by the stream's rows
    row_bytes = batch * (task.n_in + 2 * task.n_out) * network.dtype.itemsize
    rows = whole * max(1, max(CHUNK, min(16 * CHUNK, STREAM // row_bytes)) // whole)
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
    """Make the learning curve of the sums that the loop wrote, points without targets left out."""
    every = int(curve.every[0])
    points = -(-steps // every)
    step = np.minimum((np.arange(points) + 1) * every, steps)
    some = curve.targets[:points] > 0
    return {
        "step": step[some],
        "loss": curve.loss[:points][some] / curve.weight[:points][some],
        score: curve.score[:points][some] / curve.targets[:points][some],
    }
