"""Training on a task: its stream of data, in chunks, and the network that learns from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from rnnsim.checks import LARGEST
from rnnsim.criterion import SCORES, HeldOut
from rnnsim.folders import problem_reported
from rnnsim.network import Stream
from rnnsim.training.advancing import Advance, Settings
from rnnsim.training.best import Best, Validation
from rnnsim.training.checkpoints import Checkpoint, check_clock, copied_arrays
from rnnsim.training.delays import DelayedAdvance
from rnnsim.training.evaluation import TEST, VALIDATION, Evaluation, evaluate
from rnnsim.training.experiment import Experiment
from rnnsim.training.loop import Training, window_length
from rnnsim.training.loop_arrays import (
    alike,
    generator_arrays,
    loop_arrays,
    named_arrays,
    set_generators,
    set_loop_arrays,
)
from rnnsim.training.monitors import Monitors
from rnnsim.training.observing import Curve, curve_metrics, half_evaluation, recording, watching
from rnnsim.training.seen import Seen, looks_at
from rnnsim.training.sequences import generators_in
from rnnsim.training.task_rows import rows_of
from rnnsim.typing import Array, Params, State, Trajectory

INTERVAL = 0.01  # seconds of compiled code between returns to Python; results do not depend on it


class Looker(Protocol):
    """What looks at an experiment in progress between chunks of compiled code, and changes nothing."""

    def next_cut(self, step: int) -> int:
        """A later step at which a chunk is to end, with its window; any large number if none has to."""

    def look(self, trainer: TaskTraining, before: int, ended: bool) -> bool:
        """Look after the chunk that began ``before``; say whether the run is to end.

        It is called before the first step too, with a chunk of no steps, and at the end of the run with
        ``ended``: a second time after the same step, if a looker has ended the run.
        """


class Every(NamedTuple):
    """Sees a run at the end of the window that reaches a multiple of so many steps, and at its end.

    So what it sees does not depend on how the run is cut into chunks.
    """

    steps: int
    see: Callable[[TaskTraining], None]
    at_end: bool = True
    at_start: bool = False  # whether it sees the run before its first step, too

    def next_cut(self, step: int) -> int:
        return multiple_after(step, self.steps)

    def look(self, trainer: TaskTraining, before: int, ended: bool) -> bool:
        due = trainer.step >= self.next_cut(before) or (self.at_start and trainer.step == 0)
        if due or (ended and self.at_end):
            self.see(trainer)
        return False


class TaskTraining:
    """An experiment in progress.

    Parameters
    ----------
    experiment : Experiment
    monitors : Monitors, optional
    lookers : sequence of Looker
        What else looks at it, in this order.
    resumable : bool
        Whether a checkpoint is kept from which the run can go on once it has ended.
    like : TaskTraining, optional
        One of the same experiment but for its seed, whose compiled loop this one takes.

    Attributes
    ----------
    experiment : Experiment
    acting : State or None
        With delayed targets, the state at the present rows, ahead of that which learns.
    advance : Advance
        The network and the compiled loop.
    curve : Curve
        The learning curve so far.
    seconds : float
        Run time so far, excluding compilation.
    at_end : Checkpoint or None
        From where it can go on, if it is ``resumable`` and has ended: before its last window, or where
        a looker ended it.
    """

    def __init__(
        self,
        experiment: Experiment,
        monitors: Monitors | None = None,
        lookers: Sequence[Looker] = (),
        *,
        resumable: bool = False,
        like: TaskTraining | None = None,
    ) -> None:
        self.experiment, self.monitors = experiment, monitors
        self._resumable = resumable
        self.at_end: Checkpoint | None = None
        network, task, batch = experiment.network, experiment.task, experiment.batch
        kept = (task.kept_outputs, batch, task.n_out) if task.kept_outputs else (0, 0, 0)
        observer = recording(experiment.criterion, SCORES[task.score], kept)
        self._observed, self._rows = observer.memory, rows_of(experiment, resumable)
        self.curve: Curve = observer.memory.curve
        self.acting: State | None = None
        kind: Any = partial(Advance, like=None if like is None else like.advance)
        if task.target_delay:
            self.acting = network.state(batch)
            kind, observer = partial(DelayedAdvance, self.acting, observer), watching()
        self.advance: Advance = kind(
            network, experiment.rule, experiment.optimizer, observer, settings_of(experiment),
            network.pack(experiment.initial_params()), network.state(batch), self._rows.given,
        )  # fmt: skip
        self.advance.run(self._rows.given, 0)  # compiles, without doing a step
        self._refill()
        self._validation = Validation(experiment, self.advance) if experiment.keep == "best" else None
        self._show = looks_at(experiment, self.training, self.acting or self.training.state)
        self._lookers = [*self._own_lookers(), *lookers]
        self._asked_to_end = False
        self._rows.seconds = self.advance.seconds = 0.0  # the first calls compiled too

    @property
    def stream(self) -> Stream:
        """The data that are being learnt."""
        return self._rows.learnt

    @property
    def training(self) -> Training:
        """All arrays of the network and the loop."""
        return self.advance.training

    @property
    def seconds(self) -> float:
        return self.advance.seconds + self._rows.seconds

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

    @property
    def ended(self) -> bool:
        """Whether the run is over: all steps are done, the task is solved, or something ended it."""
        solved = self.experiment.stop and self.solved_at is not None
        over = solved or self._asked_to_end or self.step >= self.experiment.steps
        return over or self.stopped_early

    @property
    def stopped_early(self) -> bool:
        """Whether looks at validation data were no improvement for longer than there is patience."""
        return self._validation is not None and self._validation.is_exhausted

    @property
    def said(self) -> Array | None:
        """A copy of what was said at the steps so far, (kept, B, k), if the task keeps it."""
        return self._observed.said[: self.step].copy() if self.experiment.task.kept_outputs else None

    def metrics(self) -> dict[str, Array]:
        """Compute the learning curve so far, and give what was recorded beside it."""
        found = curve_metrics(self.curve, self.step, self.experiment.task.score)
        for recorded in (self._validation, self.monitors):
            found |= recorded.metrics() if recorded is not None else {}
        return found

    def seen(self, ended: bool = False) -> Seen:
        """What monitors and callbacks see now."""
        return self._show(self.step, ended, self.metrics)

    def chunks(self, chunk: int | None = None) -> Iterator[None]:
        """Run to the end, yielding after every ``chunk`` steps, or by default at short intervals.

        Raises
        ------
        Diverged
            If a loss or a parameter is not finite, with the step at which that happened.
        RnnsimError
            If the rule fails, for example because there is no steady state.
        """
        steps, clock, most = self.experiment.steps, self.training.clock, chunk or 1
        self._look(self.step)
        while not self.ended:
            if clock.row[0] == clock.filled[0]:
                self._refill()
            before, seconds = self.step, self.advance.seconds
            cuts = [looker.next_cut(before) for looker in self._lookers]
            until = min([steps, before + most, *cuts])
            self._learn(self._before_last_window(until) if self._resumable else until)
            if chunk is None:
                most = chunk_after(most, self.advance.seconds - seconds)
            self._look(before)
            yield

    def _look(self, before: int) -> None:
        """Let everything look after a chunk, and once more if that ends the run."""
        ended = self.ended
        for looker in self._lookers:
            self._asked_to_end |= looker.look(self, before, ended)
        if self.ended and not ended:
            if self._resumable:  # what is seen at the end is not seen by a run that goes on
                self.at_end = self.checkpoint()
            for looker in self._lookers:
                looker.look(self, self.step, True)

    def _learn(self, until: int) -> int:
        """Learn from the rows of the stream until a step or its end; the code of the loop."""
        return self.advance.run(self._rows.given, until)

    def _refill(self) -> None:
        self._rows.refill(self.training.clock)

    def _before_last_window(self, until: int) -> int:
        """Stop before the last window, and keep a checkpoint there."""
        steps, training = self.experiment.steps, self.training
        if self.step < steps - self.experiment.window:
            return min(until, steps - self.experiment.window)
        if self.step + window_length(training.plan, training.clock, self.stream) >= steps:
            self.at_end = self.checkpoint()
        return self.step + 1

    # --- checkpoints ---

    def checkpoint(self) -> Checkpoint:
        """What the run needs to go on from here; it is between two windows."""
        training = self.training
        arrays = loop_arrays(self.experiment.network, training, self.experiment.rule.carries)
        arrays |= self._ahead() | generator_arrays(generators_in(training.memory))
        source, data = self._rows.arrays(training.clock)
        if self._validation:
            arrays |= self._validation.arrays()
        records = self.monitors.records if self.monitors else 0
        arrays = copied_arrays(arrays | source)
        return Checkpoint(self.step, self.seconds, arrays, data, self.best, records)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of such a run; nothing has been learnt yet.

        Raises
        ------
        RnnsimError
            If the data of the run have changed, or it is a checkpoint of another run.
        """
        training, (_, seconds, arrays, data, best, _) = self.training, checkpoint
        self._rows.check_unchanged(data)
        with problem_reported("this run cannot go on from its checkpoint"):
            set_loop_arrays(self.experiment.network, training, self.experiment.rule.carries, arrays)
            check_clock(training.clock, checkpoint.step)
            set_generators(generators_in(training.memory), arrays)
            for name, own in self._ahead().items():
                own[...] = alike(name, own, arrays)
            self._rows.restore(arrays, data, training.clock)
            if self._validation:
                self._validation.go_on(arrays, best)
        self.advance.seconds, self._rows.seconds = seconds, 0.0

    def _ahead(self) -> dict[str, Array]:
        """With delayed targets: the acting state, and what was recorded of what it said."""
        if self.acting is None:
            return {}
        return named_arrays({"acting": self.acting, "observed": self._observed})

    # --- what looks at it ---

    def _own_lookers(self) -> Iterator[Looker]:
        criterion, validation, monitors = self.experiment.criterion, self._validation, self.monitors
        if isinstance(criterion, HeldOut):
            yield Every(criterion.every, partial(check_held_out, criterion), at_end=False)
        if validation is not None:
            yield Every(validation.every, lambda trainer: validation.look(trainer.ended), at_start=True)
        if monitors is not None:
            yield Every(monitors.every, lambda trainer: monitors.look(trainer.seen(trainer.ended)))

    def evaluate(
        self, score: str | None = None, part: int = TEST, params: Params | None = None
    ) -> Evaluation:
        """Evaluate the network on a part of the data, with its present parameters or others.

        By default with the task's score. Where outputs count as they were made, the second half of the
        learning curve is the test, and the first is what choices are made by.
        """
        experiment = self.experiment
        if experiment.task.kept_outputs and part in (TEST, VALIDATION):
            return half_evaluation(self.curve, self.step, late=part == TEST)
        return evaluate(
            experiment.network, params or self.params, experiment.task, experiment.seed,
            score or experiment.task.score, self._forward_pass, part,
        )  # fmt: skip

    def evaluate_kept(self, part: int = TEST) -> Evaluation:
        """Evaluate the parameters that the run keeps: those that did best, or else the last."""
        if self.best is None:
            return self.evaluate(part=part)
        return self.evaluate(part=part, params=self.best.params)

    def _forward_pass(
        self, params: Params, state: State, stream: Stream, trajectory: Trajectory
    ) -> None:
        """Run the network over data without learning, by the loop, which is compiled already."""
        self.advance.forward_pass(state, trajectory, params).run(stream, 0, len(trajectory.states))


def chunk_after(steps: int, seconds: float) -> int:
    """The steps of the next chunk, after one of so many that took so long."""
    if seconds < INTERVAL / 2:
        return min(2 * steps, LARGEST)
    return max(1, steps // 2) if seconds > 2 * INTERVAL else steps


def multiple_after(step: int, of: int) -> int:
    """The first multiple of a number of steps after a step."""
    return (step // of + 1) * of


def check_held_out(criterion: HeldOut, trainer: TaskTraining) -> None:
    """Evaluate a criterion on validation data, which may solve the task."""
    score = trainer.evaluate(criterion.score, VALIDATION).score
    if trainer.solved_at is None and criterion.reached(score):
        trainer.training.clock.solved_at[0] = trainer.step


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
