"""Training on a task: its stream of data, in chunks, and the network that learns from it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from rnnsim.compiler import compiled
from rnnsim.criterion import SCORES, HeldOut
from rnnsim.network import Stream, empty_stream
from rnnsim.training.advancing import Advance, Settings
from rnnsim.training.best import Best, Validation
from rnnsim.training.evaluation import Evaluation, evaluate
from rnnsim.training.experiment import Experiment
from rnnsim.training.loop import RUNNING, SOLVED, Training
from rnnsim.training.monitors import Monitors
from rnnsim.training.observing import recording
from rnnsim.typing import Params, State, Trajectory

# Results do not depend on these.
CHUNK = 1024  # a stream holds at least about this many steps
STREAM = 1 << 19  # bytes up to which a stream holds more, at most sixteen times as many
INTERVAL = 0.01  # seconds of compiled code between returns to Python


class TaskTraining:
    """An experiment in progress.

    Parameters
    ----------
    experiment : Experiment
    monitors : Monitors, optional

    Attributes
    ----------
    experiment : Experiment
    stream : Stream
        The data that are being learnt.
    advance : Advance
        The network and the compiled loop.
    curve : Curve
        The learning curve so far.
    seconds : float
        Run time so far, excluding compilation.
    """

    def __init__(self, experiment: Experiment, monitors: Monitors | None = None) -> None:
        self.experiment, self.monitors = experiment, monitors
        network, task, batch = experiment.network, experiment.task, experiment.batch
        observer = recording(experiment.criterion, SCORES[task.score])
        self.stream, self.curve = task_stream(experiment), observer.memory.curve
        self._filling = 0.0
        self.advance = Advance(
            network, experiment.rule, experiment.optimizer, observer, settings_of(experiment),
            network.pack(experiment.initial_params()), network.state(batch), self.stream,
        )  # fmt: skip
        self._fill = compiled(task.fill(), task.name)
        self._source = task.source(np.random.default_rng([experiment.seed, 1]), batch, network.dtype)
        self.advance.run(self.stream, 0)  # compiles, without doing a step
        self._refill()
        self._validation = Validation(experiment, self.advance) if experiment.keep == "best" else None
        if monitors is not None:
            monitors.begin(network, self.training)
        self._filling = self.advance.seconds = 0.0  # the first calls compiled too

    @property
    def training(self) -> Training:
        """All arrays of the network and the loop."""
        return self.advance.training

    @property
    def seconds(self) -> float:
        return self.advance.seconds + self._filling

    @property
    def step(self) -> int:
        """Number of steps done."""
        return self.advance.step

    @property
    def solved_at(self) -> int | None:
        """The 1-based step that completed the criterion, or None."""
        return int(self.training.clock.solved_at[0]) or None

    @property
    def params(self) -> Params:
        """A copy of the current parameters."""
        return self.experiment.network.views(self.training.flat_params.copy())

    @property
    def best(self) -> Best | None:
        """The parameters that did best so far, if they are kept."""
        return self._validation.best if self._validation else None

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
        every = [looks.every for looks in (held_out, self._validation, self.monitors) if looks]
        code, most = RUNNING, chunk or CHUNK
        while code != SOLVED and self.step < experiment.steps:
            if clock.row[0] == clock.filled[0]:
                self._refill()
            before = self.step
            looks = [(before // steps + 1) * steps for steps in every]
            until = min([experiment.steps, before + most, *looks])
            start = self.advance.seconds
            code = self._learn(until)
            if chunk is None and self.advance.seconds - start < INTERVAL / 2:
                most = min(2 * most, experiment.steps)
            if held_out and _passed(held_out.every, before, self.step):
                code = self._check_held_out(held_out)
            ends = code == SOLVED or self.step >= experiment.steps
            if self._validation and (ends or _passed(self._validation.every, before, self.step)):
                self._validation.look()
            if self.monitors and (ends or _passed(self.monitors.every, before, self.step)):
                self.monitors.look(self.step)
            yield

    def _learn(self, until: int) -> int:
        """Learn from the rows of the stream until a step or its end; the code of the loop."""
        return self.advance.run(self.stream, until)

    def _refill(self) -> None:
        clock = self.training.clock
        start = time.perf_counter()
        clock.filled[0] = self._fill(self._source, self.stream, len(self.stream.losses))
        clock.row[0] = 0
        self._filling += time.perf_counter() - start

    def _check_held_out(self, criterion: HeldOut) -> int:
        """Evaluate a criterion on held-out data; return SOLVED if the run is to stop."""
        score = self.evaluate(criterion.score).score
        if self.solved_at is None and criterion.reached(score):
            self.training.clock.solved_at[0] = self.step
            if self.experiment.stop:
                return SOLVED
        return RUNNING

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
        self.advance.forward_pass(state, trajectory).run(stream, 0, len(trajectory.states))


def _passed(every: int, before: int, now: int) -> bool:
    """Whether a multiple of so many steps lies between two steps."""
    return now // every > before // every


def settings_of(experiment: Experiment) -> Settings:
    """How the network of an experiment learns."""
    return Settings(
        window=experiment.window,
        batch=experiment.batch,
        steps=experiment.steps,
        seed=experiment.seed,
        learning_rate=experiment.learning_rate,
        clip=experiment.clip,
        weight_decay=experiment.weight_decay,
        schedule=experiment.schedule,
        mean=experiment.reduction == "mean",
        stop=experiment.stop,
        tailored=experiment.tailored,
    )


def task_stream(experiment: Experiment) -> Stream:
    """Allocate the rows that a task is to fill at a time; windows and episodes are not cut."""
    task, network, batch = experiment.task, experiment.network, experiment.batch
    unit = task.episode_length or experiment.window
    row_bytes = batch * (task.n_in + 2 * task.n_out) * network.dtype.itemsize
    rows = unit * max(1, max(CHUNK, min(16 * CHUNK, STREAM // row_bytes)) // unit)
    return empty_stream(rows, batch, task.n_in, task.n_out, network.dtype, legal=task.has_legal)
