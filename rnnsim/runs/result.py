"""The result of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from rnnsim import checks, folders
from rnnsim.options import Options
from rnnsim.runs import figures, reports
from rnnsim.training.best import Best
from rnnsim.training.evaluation import Evaluation
from rnnsim.training.experiment import Experiment
from rnnsim.training.observing import curve_metrics
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
        return reports.summary(self)

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data: text, numbers, and None where there is none or it is not finite.

        Returns
        -------
        dict
            ``rule``, ``task`` and ``network`` (its kind) by name, and their ``options``, of which those
            of the network are a description; ``settings`` (``steps`` is the most that there may be),
            ``criterion``, ``baseline``, ``seed``, ``versions``. Of the result: ``solved_at`` (None: it
            is not solved), ``steps``, ``seconds``, ``steps_per_second``, ``loss``, the score under its
            own name, which ``score`` tells, ``spectral_radius`` (of steady states), ``best`` (its
            ``step`` and ``loss``) and ``monitored`` (of each monitor of a number, the ``first`` and the
            ``last`` record and their steps).
        """
        return reports.as_dict(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return reports.as_html(self)

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
