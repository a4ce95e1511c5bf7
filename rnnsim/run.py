"""A whole run: a rule, a task, a network, and what became of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rnnsim.arrays import aligned_zeros
from rnnsim.binding import bound
from rnnsim.criteria import SCORES, Criterion, HeldOut
from rnnsim.errors import Diverged
from rnnsim.evaluate import Evaluation, evaluate
from rnnsim.experiment import Experiment, configure
from rnnsim.files import prepare
from rnnsim.kernels import compiled
from rnnsim.loop import (
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
    tailored_loop,
    trajectory_rows,
)
from rnnsim.network import Network, Stream, empty_stream
from rnnsim.optimizers import Optimizer
from rnnsim.progress import progress_bar
from rnnsim.rule import Rule
from rnnsim.task import Task
from rnnsim.threads import shared_work
from rnnsim.typing import Array, Params, State, Trajectory

# No result depends on these.
CHUNK = 1024  # about how many steps a stream holds at least
STREAM = 1 << 19  # bytes of a stream that holds more, up to sixteen times as many
LOOK = 0.01  # seconds between looks from outside


@dataclass
class Run:
    """What a run came to.

    Attributes
    ----------
    solved_at : int or None
        The 1-based number of the step that completed the task's criterion.
    loss : float
        The final loss per target, on held-out data.
    params : NamedTuple of arrays
    metrics : dict of arrays
        The learning curve: ``step`` (the last step of each point), ``loss`` per target, and the
        task's score per target under its name.
    """

    experiment: Experiment
    params: Params
    solved_at: int | None
    steps: int  # how many were done
    seconds: float  # that they took, compilation apart
    held_out: Evaluation
    metrics: dict[str, Array] = field(repr=False)

    @property
    def loss(self) -> float:
        return self.held_out.loss

    @property
    def steps_per_second(self) -> float:
        return self.steps / self.seconds

    def summary(self) -> str:
        """Say in a few lines what the run came to."""
        experiment, task = self.experiment, self.experiment.task
        solved = f"solved at step {self.solved_at:,}" if self.solved_at else "not solved"
        radius = self.held_out.spectral_radius
        lines = [
            f"{experiment.rule.name} on {task.name}, seed {experiment.seed}: {solved} "
            f"({self.steps:,} steps; solved means: {experiment.criterion})",
            f"held-out loss {self.loss:.4g} per target (best constant answer {task.baseline:.4g}), "
            f"{task.score} {self.held_out.score:.4g}",
            f"{self.steps_per_second:,.0f} steps per second",
        ]
        if radius is not None:
            stable = "stable" if radius < 1 else "some are unstable"
            lines.insert(2, f"steady states: spectral radius at most {radius:.3g}, {stable}")
        return "\n".join(lines)

    def plot(self, path: str | Path | None = None, *, behaviour: bool = False) -> Any:
        """Draw the learning curve, and save it if ``path`` is given.

        With ``behaviour``, draw what the trained network does (:meth:`plot_behaviour`).

        Returns
        -------
        matplotlib.figure.Figure
        """
        from rnnsim.plots import learning_curve

        return self.plot_behaviour(path) if behaviour else learning_curve(self, path)

    def plot_behaviour(self, path: str | Path | None = None, steps: int = 60) -> Any:
        """Draw what the trained network does on held-out data, and save it if ``path`` is given.

        Events above, the state over time as an image (of a fast-weight network: its fast weights),
        output and target below.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from rnnsim.plots import behaviour

        return behaviour(self, path, steps)

    def save(self, folder: str | Path) -> Path:
        """Write ``run.toml``, ``metrics.csv`` and ``params.safetensors`` into a folder."""
        from rnnsim.files import save

        return save(self, folder)


def run(
    rule: str | Rule,
    task: str | Task,
    *,
    network: str | Network | None = None,
    settings: str | None = None,
    steps: int | None = None,
    seed: int = 0,
    hidden: int | None = None,
    optimizer: str | Optimizer | None = None,
    learning_rate: float | None = None,
    clip: float | None = None,
    window: int | None = None,
    batch: int | None = None,
    dtype: Any = None,
    criterion: str | Criterion | None = None,
    stop: bool = True,
    tailored: bool = False,
    save: str | Path | None = None,
    progress: bool = False,
    **options: Any,
) -> Run:
    """Train a network on a task by a learning rule.

    What is not given is what the task suggests for the rule: the published settings, where there are
    any.

    Parameters
    ----------
    rule, task : str
        Their names (``rnnsim.rules()``, ``rnnsim.tasks()``), or ones that are made.
    network : str or Network, optional
        Its kind, ``recurrent`` or ``fast-weight``, or one that is made and fits the task; by default
        of the kind that the rule is for.
    settings : str, optional
        Which of the task's settings fill in what is not given, where it has several for the kind of
        network (``published``, ``tuned``); by default the first of them.
    steps : int, optional
        The most time steps; at each, ``batch`` sequences go one step on.
    seed : int
        Of the initial weights and of all draws: the same seed gives the same result, to the bit.
    hidden : int, optional
        The number of hidden units; a fast-weight network may have none.
    optimizer : str, optional
        ``sgd``, ``momentum``, ``rmsprop`` or ``adam``.
    learning_rate : float, optional
    clip : float, optional
        The longest gradient, a longer one being scaled down; ``inf`` for none.
    window : int, optional
        Steps between updates: 1 is on-line learning. By default an episode, or in a stream without
        end what the task or the rule suggests.
    batch : int, optional
        Sequences side by side.
    dtype : "float64" or "float32", optional
    criterion : str, optional
        By which of the task's criteria it counts as solved.
    stop : bool
        Whether to stop at the very step at which the task counts as solved.
    tailored : bool
        Whether to compile the loop for these very sizes: small networks then learn up to three times as
        fast, and each size compiles for itself. Sums are rounded otherwise, in the last place.
    save : path, optional
        A folder to save the run in.
    progress : bool
        Whether to show a progress bar, if on a terminal.
    **options
        Options of the rule, the task, the optimizer, and of the network: ``loss``, and ``scheme`` and
        ``gain`` of its initial weights; for a recurrent one ``activation`` and ``leak``; for a
        fast-weight one ``architecture``, ``sigma``, ``tau`` and the others of its class.

    Returns
    -------
    Run

    Raises
    ------
    RnnsimError
        If an argument cannot be used. :class:`Diverged`, naming the step, if a number stops being
        finite; :class:`NoSteadyState` if a network that is to settle does not.
    """
    trainer = Trainer(configure(
        rule, task, network=network, settings=settings, steps=steps, seed=seed, hidden=hidden,
        optimizer=optimizer, learning_rate=learning_rate, clip=clip, window=window, batch=batch,
        dtype=dtype, criterion=criterion, stop=stop, tailored=tailored, options=options,
    ))  # fmt: skip
    if save is not None:
        prepare(save)
    with progress_bar(trainer, shown=progress) as show:
        for _ in trainer.chunks():
            show()
    result = trainer.result()
    if save is not None:
        result.save(save)
    return result


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
            loop = tailored_loop(loop, self.training)
        self._loop = bound(loop, self.training, rule.name)
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
        return self.experiment.network.views(self.training.theta.copy())

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
        code = bound(self._any_loop, going, rule.name)(rows)
        if code != RUNNING:
            raise rule.explain(code - FAILED, memory, 1)

    def result(self) -> Run:
        """What the run came to."""
        experiment = self.experiment
        return Run(
            experiment=experiment,
            params=self.params,
            solved_at=self.solved_at,
            steps=self.step,
            seconds=max(self.seconds, 1e-9),
            held_out=self.evaluate(),
            metrics=curve_metrics(self.training.curve, self.step, experiment.task.score),
        )


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
    theta = network.pack(experiment.initial_params())
    slope = aligned_zeros(theta.shape, theta.dtype)
    whole = task.episode_length or window  # windows and episodes are never cut by the stream's rows
    row_bytes = batch * (task.n_in + 2 * task.n_out) * network.dtype.itemsize
    rows = whole * max(1, max(CHUNK, min(16 * CHUNK, STREAM // row_bytes)) // whole)
    return Training(
        plan=plan,
        clock=new_clock(),
        theta=theta,
        params=network.operands(theta),
        slope=slope,
        grad=network.operands(slope),
        state=network.state(batch),
        stream=empty_stream(rows, batch, task.n_in, task.n_out, network.dtype, legal=task.has_legal),
        trajectory=network.trajectory(trajectory_rows(plan), batch),
        memory=rule.memory(network, batch, window, np.random.default_rng([experiment.seed, 3])),
        moments=experiment.optimizer.memory(theta.size, network.dtype),
        judge=experiment.criterion.memory(),
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
