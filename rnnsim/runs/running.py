"""A whole run: training a network on a task by a rule, and the result."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from rnnsim import checks, folders
from rnnsim.compiler import checking_bounds
from rnnsim.criterion import Criterion
from rnnsim.errors import RnnsimError, RnnsimWarning, reports_memory
from rnnsim.network import Network
from rnnsim.options import Options
from rnnsim.rule import Rule
from rnnsim.runs import figures
from rnnsim.runs.advice import what_to_try, worse_end
from rnnsim.runs.progress import progress_bar
from rnnsim.task import Task
from rnnsim.training.best import Best
from rnnsim.training.evaluation import Evaluation
from rnnsim.training.experiment import Experiment, configure
from rnnsim.training.monitors import STEP, Monitors
from rnnsim.training.observing import curve_metrics
from rnnsim.training.optimizers import Optimizer
from rnnsim.training.schedules import NAMES
from rnnsim.training.task_training import TaskTraining
from rnnsim.typing import Array, Params
from rnnsim.version import __version__

LONGEST = 10_000  # characters of a network's description in a saved run


@dataclass
class Run:
    """The result of a run.

    Attributes
    ----------
    experiment : Experiment
        The configuration of the run.
    solved_at : int or None
        The 1-based number of the step that completed the task's criterion.
    loss : float
        The final loss per target, on held-out data.
    params : NamedTuple of arrays
        The trained parameters.
    held_out : Evaluation
        The final loss and score on held-out data.
    metrics : dict of arrays
        The learning curve: ``step`` (the last step of each point), ``loss`` per target, and the
        task's score per target under its name.
        With monitors, what each recorded under its name, and the steps of the records
        (``monitor_step``).
    best : Best or None
        With ``keep="best"``, the parameters that did best on validation data, their step and loss.
    """

    experiment: Experiment
    params: Params
    solved_at: int | None
    steps: int  # number of steps done
    seconds: float  # run time, excluding compilation
    held_out: Evaluation
    metrics: dict[str, Array] = field(repr=False)
    best: Best | None = field(default=None, repr=False)

    @property
    def loss(self) -> float:
        return self.held_out.loss

    @property
    def steps_per_second(self) -> float:
        return self.steps / self.seconds

    @property
    def monitored(self) -> dict[str, Array]:
        """The part of ``metrics`` that monitors recorded, with the steps of the records."""
        of_curve = ("step", "loss", self.experiment.task.score)
        return {name: array for name, array in self.metrics.items() if name not in of_curve}

    def summary(self) -> str:
        """Summarise the result in a few lines."""
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
        if self.best is not None and self.best.step < self.steps:
            lines.append(
                f"best on validation data: loss {self.best.loss:.4g} after {self.best.step:,} steps, "
                "whose weights are kept"
            )
        elif worse := worse_end(experiment, self.metrics):
            lines.append(worse)
        if not self.solved_at:
            lines.append(what_to_try(experiment, self.metrics, self.loss))
        lines += self._said_by_monitors()
        if radius is not None:
            stable = "stable" if radius < 1 else "some are unstable"
            lines.insert(2, f"steady states: spectral radius at most {radius:.3g}, {stable}")
        return "\n".join(lines)

    def _said_by_monitors(self) -> list[str]:
        """A line for each monitor of a number: its first and its last record."""
        steps = self.monitored.get(STEP)
        return [
            f"{name}: {values[0]:.4g} after {steps[0]:,} steps, {values[-1]:.4g} after {steps[-1]:,}"
            for name, values in self.monitored.items()
            if steps is not None and name != STEP and values.ndim == 1
        ]

    def plot(self, path: str | Path | None = None, *, behaviour: bool = False) -> Any:
        """Draw the learning curve, and save it if ``path`` is given.

        With ``behaviour``, draw what the trained network does instead (:meth:`plot_behaviour`).

        Returns
        -------
        matplotlib.figure.Figure
        """
        if checks.boolean("behaviour", behaviour):
            return self.plot_behaviour(path)
        return figures.learning_curve(self.experiment, self.metrics, self.solved_at, path)

    def plot_behaviour(self, path: str | Path | None = None, steps: int = 60) -> Any:
        """Draw what the trained network does on held-out data, and save it if ``path`` is given.

        The inputs are at the top, below them the state over time as an image (the fast weights of a
        fast-weight network), and at the bottom outputs and targets.

        Parameters
        ----------
        path : path, optional
            Where to save the figure.
        steps : int
            Number of steps to draw.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return figures.behaviour(self.experiment, self.params, self.steps, path, shown=steps)

    def save(self, folder: str | Path) -> Path:
        """Write ``run.toml``, ``metrics.csv`` and ``params.safetensors`` into a folder.

        A run that is there already is replaced as a whole, or stands.

        Raises
        ------
        RnnsimError
            If the folder cannot be written to.
        """
        params: dict[str, Array] = self.params._asdict()
        if self.best is not None:
            best = self.best.params._asdict()
            params |= {f"{folders.BEST}{name}": array for name, array in best.items()}
        monitored = self.monitored
        curve = {name: array for name, array in self.metrics.items() if name not in monitored}
        params |= {f"{folders.MONITOR}{name}": monitored[name].astype(float) for name in monitored}
        return folders.save(folder, _summary(self), curve, params)


@reports_memory
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
    learning_rate: Any = None,
    clip: float | None = None,
    weight_decay: float = 0.0,
    schedule: str = "constant",
    schedule_steps: int | None = None,
    reduction: str = "sum",
    window: int | None = None,
    batch: int | None = None,
    dtype: Any = None,
    params: Params | None = None,
    criterion: str | Criterion | None = None,
    stop: bool = True,
    tailored: bool = False,
    keep: str = "last",
    monitor: Any = None,
    monitor_every: int | None = None,
    save: str | Path | None = None,
    progress: bool = False,
    check_bounds: bool = False,
    **options: Any,
) -> Run:
    """Train a network on a task by a learning rule.

    Arguments that are not given take the values that the task suggests for the rule: settings that
    work, and by ``settings="published"`` those of a paper, where there is one.

    Parameters
    ----------
    rule : str or Rule
        A name (``rnnsim.rules()``), or a rule object.
    task : str or Task
        A name (``rnnsim.tasks()``), or a task object.
    network : str or Network, optional
        A kind, ``recurrent`` or ``fast-weight``, or a network object that fits the task; by default
        the kind that the rule is for.
    settings : str, optional
        Which of the task's settings supply the defaults, where it has several for the kind of network
        (``tuned``, ``published``); by default the first of them.
    steps : int, optional
        Maximum number of time steps; each advances all ``batch`` sequences by one step.
    seed : int
        Seed of the initial weights and of all random draws: the same seed gives the same result, to
        the last bit.
    hidden : int, optional
        Number of hidden units; a fast-weight network may have none.
    optimizer : str or Optimizer, optional
        ``sgd``, ``momentum``, ``rmsprop`` or ``adam``, or an optimizer object.
    learning_rate : float, or mapping or NamedTuple of floats and arrays, optional
        One for all parameters, or one for each by name (a number, or an array of its shape); 0 freezes,
        and so does leaving a parameter out of a mapping.
    clip : float, optional
        Maximum norm of the gradient, which is scaled down to it; ``inf`` for no clipping.
    weight_decay : float
        Each update takes this part of the weights away, times the learning rate; not by way of the
        gradient [Loshchilov & Hutter 2019].
    schedule : "constant", "linear", "cosine" or "step"
        How the learning rate falls: to 0 over ``schedule_steps``, or to a tenth after each of them.
    schedule_steps : int, optional
        By default all steps of the run, or for ``step`` a third of them.
    reduction : "sum" or "mean"
        Whether the gradient of a window is a sum over its steps, so that it grows with the window, or a
        mean over its targets.
    window : int, optional
        Steps between updates: 1 is on-line learning. By default an episode, or in a stream without
        episodes what the task or the rule suggests.
    batch : int, optional
        Number of sequences that are processed in parallel.
    dtype : "float64" or "float32", optional
    params : NamedTuple of arrays, optional
        The parameters to begin with, such as those of another run; by default they are drawn.
    criterion : str or Criterion, optional
        The criterion by which the task counts as solved: the name of one of the task's, or an object.
    stop : bool
        Whether to stop at the very step at which the task counts as solved.
    tailored : bool
        Whether to compile the loop for the exact array sizes: small networks then learn up to five
        times as fast, but each size is compiled separately. Sums may differ by rounding.
    keep : "last" or "best"
        With ``best``, the result has the parameters that did best on validation data beside the last;
        they are looked at about fifty times in ``steps``.
    monitor : str, sequence of str, or mapping, optional
        What to record into ``metrics`` while the network learns: names, or a mapping from a name of
        yours to a name or a function. A function is given a :class:`~rnnsim.training.monitors.Seen`
        (``step``, ``params``, ``grad``, ``state``, ``network``; arrays that cannot be written to), and
        returns a number or an array. The names are ``params``, ``grad``, ``state``,
        ``spectral-radius`` (of W), and those of single arrays: ``params.W``, ``grad.b``. The run is the
        same to the bit without them.
    monitor_every : int, optional
        Steps between records, which are made at the end of a window, and at the end of the run; by
        default a hundredth of ``steps``.
    save : path, optional
        A folder to save the run in. If it cannot be written to any more at the end (the disk is full), a
        warning says so, and the result is returned all the same.
    progress : bool
        Whether to show a progress bar, if on a terminal.
    check_bounds : bool
        Whether indices are checked, which takes longer: an error then names the line of one that is
        out of bounds.
    **options
        Options of the rule, the task, the optimizer, and the network: ``loss``, and ``scheme`` and
        ``gain`` of its initial weights; for a recurrent network ``activation`` and ``leak``; for a
        fast-weight network ``architecture``, ``sigma``, ``tau`` and the others of its class.

    Returns
    -------
    Run

    Raises
    ------
    RnnsimError
        If an argument is invalid.
    Diverged
        If a loss or a parameter is not finite, with the step at which that happened.
    NoSteadyState
        If a network does not converge to a steady state.
    """
    checks.boolean("progress", progress)
    if monitor_every is not None and monitor is None:
        raise RnnsimError("monitor_every is given, and there is nothing to record: give monitor, too")
    if save is not None:
        folders.check_writable(save)
    with checking_bounds(check_bounds):
        experiment = configure(
            rule, task, network=network, settings=settings, steps=steps, seed=seed, hidden=hidden,
            optimizer=optimizer, learning_rate=learning_rate, clip=clip, weight_decay=weight_decay,
            schedule=schedule, schedule_steps=schedule_steps, reduction=reduction, window=window,
            batch=batch, dtype=dtype, params=params, criterion=criterion, stop=stop, tailored=tailored,
            keep=keep, options=options,
        )  # fmt: skip
        monitors = None if monitor is None else Monitors(experiment, monitor, monitor_every)
        trainer = TaskTraining(experiment, monitors)
        with progress_bar(trainer, shown=progress) as show:
            for _ in trainer.chunks():
                show()
        result = result_of(trainer)
    if save is not None:
        try:
            result.save(save)
        except RnnsimError as error:
            warnings.warn(f"{error}; its method save tries again", RnnsimWarning, stacklevel=2)
    return result


def result_of(trainer: TaskTraining) -> Run:
    """Make the result of a run from its trainer, evaluating the network as it is now."""
    experiment = trainer.experiment
    metrics = curve_metrics(trainer.curve, trainer.step, experiment.task.score)
    if trainer.monitors is not None:
        metrics |= trainer.monitors.metrics()
    return Run(
        experiment=experiment,
        params=trainer.params,
        solved_at=trainer.solved_at,
        steps=trainer.step,
        seconds=max(trainer.seconds, 1e-9),
        held_out=trainer.evaluate(),
        metrics=metrics,
        best=trainer.best,
    )


def _summary(run: Run) -> dict[str, Any]:
    experiment = run.experiment
    result = {
        "solved_at": run.solved_at,
        "steps": run.steps,
        "seconds": run.seconds,
        "loss": run.loss if math.isfinite(run.loss) else None,
        experiment.task.score: run.held_out.score if math.isfinite(run.held_out.score) else None,
        "best_step": run.best.step if run.best else None,
        "best_loss": run.best.loss if run.best else None,
    }
    return {
        "rnnsim": __version__,
        "rule": _named(experiment.rule),
        "task": _named(experiment.task),
        "optimizer": _named(experiment.optimizer),
        "network": shortened(repr(experiment.network)),
        "initial_weights": dict(experiment.init),
        "criterion": str(experiment.criterion),
        "settings": {
            "name": experiment.settings,
            **{
                name: getattr(experiment, name)
                for name in (
                    "seed",
                    "steps",
                    "window",
                    "batch",
                    "clip",
                    "weight_decay",
                    "reduction",
                    "stop",
                    "tailored",
                    "keep",
                )
            },
            "learning_rate": _rate(experiment),
            "schedule": NAMES[experiment.schedule.kind],
            "schedule_steps": experiment.schedule.steps,
        },
        "result": result,
    }


def _rate(experiment: Experiment) -> Any:
    """The learning rate, or that of each parameter."""
    rate = experiment.learning_rate
    return rate._asdict() if hasattr(rate, "_asdict") else rate


def _named(thing: Options) -> dict[str, Any]:
    options = msgspec.structs.asdict(thing)
    unlimited = [
        name for name, value in options.items() if isinstance(value, float) and value == math.inf
    ]
    return {"name": thing.name, **{name: options[name] for name in options if name not in unlimited}}


def shortened(text: str) -> str:
    """A description with an end: that of a network may list thousands of units."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
