"""The result of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from rnnsim import checks, folders
from rnnsim.data.calibration import Calibration
from rnnsim.errors import RnnsimError, reports_memory
from rnnsim.runs import provenance, reports, run_file, run_folder
from rnnsim.runs.answers import Answers
from rnnsim.runs.carrying_out import Around, carry_out
from rnnsim.runs.forecasts import forecaster_of_run
from rnnsim.runs.keeping import kept_alone
from rnnsim.runs.provenance import Provenance
from rnnsim.runs.run_folder import with_prefix
from rnnsim.training.as_data import OWN
from rnnsim.training.best import KEPT, Best, kept
from rnnsim.training.checkpoints import Checkpoint
from rnnsim.training.evaluation import NOT_EVALUATED, Evaluation
from rnnsim.training.experiment import Experiment
from rnnsim.training.learner import Learner
from rnnsim.training.monitors import Monitors, Recorded
from rnnsim.training.schedules import NAMES
from rnnsim.training.task_training import Looker, TaskTraining
from rnnsim.typing import Array, Params


@dataclass
class Run(Answers):
    """The result of a run.

    Attributes
    ----------
    experiment : Experiment
        The configuration of the run.
    solved_at : int or None
        The 1-based number of the step that completed the task's criterion.
    loss : float
        The final loss per target, on held-out data. Of the user's own numbers it is that of what is
        learnt: half of the squares of the rest of the linear path, each output in its standard
        deviation where it is learnt. How good forecasts are, in units, :meth:`evaluate` says.
    params : NamedTuple of arrays
        The trained parameters.
    held_out : Evaluation
        The final loss and score on held-out data.
    metrics : dict of arrays
        The learning curve: ``step`` (the last step of each point), ``loss`` per target, and the
        task's score per target under its name; of the user's own numbers both are scaled as ``loss``.
        With ``keep="best"``, the loss per target on validation data (``validation_loss``) and the
        steps after which it was looked at (``validation_step``).
        With monitors, what each recorded under its name, and the steps of the records
        (``monitor_step``).
    best : Best or None
        With ``keep="best"``, the parameters that did best on validation data, their step and loss.
    outcome : str
        How it ended: ``solved``, ``complete`` (all steps are done), ``interrupted`` (by a signal),
        ``stopped`` (by a callback), ``stopped early`` (there was no improvement on validation data for
        longer than there is ``patience``); or ``running``, of a checkpoint whose run has not ended in
        order.
    checkpoint : Checkpoint or None
        From where it can go on; None once the task is solved, or it has stopped early.
    provenance : Provenance
        Versions, machine, dates and revision.
    recorded : Recorded or None
        Its monitors.
    folder : Path or None
        Where it was saved or loaded from last.
    calibration : Calibration or None
        Of a run on the user's own numbers: what the validation part said of the network, by which its
        forecasts have intervals.
    said : (steps, B, k) array or None
        Of a run that learns the user's rows as they come: what it said of each, before it learnt it.
    """

    experiment: Experiment
    params: Params = field(repr=False)
    solved_at: int | None
    steps: int  # number of steps done
    seconds: float  # run time, excluding compilation
    held_out: Evaluation
    metrics: dict[str, Array] = field(repr=False)
    best: Best | None = field(default=None, repr=False)
    outcome: str = "complete"
    checkpoint: Checkpoint | None = field(default=None, repr=False)
    provenance: Provenance = field(default_factory=Provenance, repr=False)
    recorded: Recorded | None = field(default=None, repr=False)
    folder: Path | None = None
    calibration: Calibration | None = field(default=None, repr=False)
    said: Array | None = field(default=None, repr=False)

    @property
    def loss(self) -> float:
        return self.held_out.loss

    @property
    def steps_per_second(self) -> float:
        return self.steps / self.seconds

    @property
    def monitored(self) -> dict[str, Array]:
        """The part of ``metrics`` that monitors recorded, with the steps of the records."""
        others = ("step", "loss", self.experiment.task.score, *KEPT)
        return {name: array for name, array in self.metrics.items() if name not in others}

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
            ``criterion``, ``baseline``, ``seed``, ``versions``. Of the result: ``outcome``, ``folder``
            (where it is saved), ``solved_at`` (None: it is not solved), ``steps``, ``seconds``,
            ``steps_per_second``, ``loss``, the score under its own name, which ``score`` tells,
            ``spectral_radius`` (of steady states), ``best`` (its ``step`` and ``loss``) and
            ``monitored`` (of each monitor of a number, the ``first`` and the ``last`` record and their
            steps). Of the user's own data (else None), whose ``loss``, score and ``baseline`` are of
            what is learnt, scaled: ``data`` (its ``source``, whether it is learnt ``on_line``, the
            ``learnt_rows``, the ``passes`` over them, and how far the network is ``followed`` beside
            its linear path, from 0 to 1 by ``column`` and ``horizon``), and ``forecasts`` (what
            :meth:`evaluate` says of the test part).
        """
        return reports.as_dict(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return reports.as_html(self)

    # --- fed with other data ---

    def learner(self, **changes: Any) -> Learner:
        """Make a learner that begins with the parameters of this run, to be fed with other data.

        Parameters
        ----------
        **changes
            Arguments of :class:`~rnnsim.Learner` in place of the settings of this run; ``batch`` is 1
            unless it is given.

        Raises
        ------
        RnnsimError
            If an argument is invalid.
        """
        experiment, schedule = self.experiment, self.experiment.schedule
        settings: dict[str, Any] = {
            name: getattr(experiment, name)
            for name in ("optimizer", "learning_rate", "clip", "weight_decay", "reduction", "window")
        }
        settings |= {"params": self.params, "schedule": NAMES[schedule.kind], "seed": experiment.seed}
        if schedule.kind:
            settings["schedule_steps"] = schedule.steps
        made_of = {"network": experiment.network, "rule": experiment.rule}
        return Learner(**{**made_of, **settings, **changes})

    # --- continued ---

    @reports_memory
    def resume(
        self,
        steps: int | None = None,
        *,
        monitor: Any = None,
        callback: Any = None,
        callback_every: int | None = None,
        log: str | Path | None = None,
        save: str | Path | None = None,
        checkpoint_every: int | str | None = None,
        progress: bool = False,
    ) -> Run:
        """Go on: the result is the same, to the last bit, as if the run had never stopped.

        This run stays as it is.

        Parameters
        ----------
        steps : int, optional
            The maximum number of steps in all, in place of that of this run; what else depends on it
            (``schedule_steps``, ``keep_every``, ``monitor_every``) stays.
        monitor : mapping, optional
            The functions among its monitors, if it was loaded: they are not in its folder.
        log : path, optional
            A file for the learning curve; that of this run is continued.
        callback, callback_every, save, checkpoint_every, progress
            As for :func:`rnnsim.run`; it may be saved in the folder from which it was loaded.

        Returns
        -------
        Run

        Raises
        ------
        RnnsimError
            If the run is at its end, or an argument is invalid.
        """
        checks.boolean("progress", progress)
        experiment, checkpoint = self._continued(steps)
        monitors = None
        if self.recorded is not None:
            monitors = Monitors(experiment, self.recorded.again(monitor), self.recorded.every)
            monitors.go_on(self.metrics, checkpoint.records)
        elif monitor is not None:
            raise RnnsimError("this run has no monitors; begin another to record something")
        made = msgspec.structs.replace(
            self.provenance, resumed=[*(self.provenance.resumed or ()), provenance.now()]
        )

        def begin(lookers: Sequence[Looker]) -> TaskTraining:
            trainer = TaskTraining(experiment, monitors, lookers, resumable=True)
            trainer.restore(checkpoint)
            return trainer

        around = Around(save, checkpoint_every, callback, callback_every, log, progress)
        return carry_out(experiment, begin, partial(result_of, made=made), around, checkpoint.step)

    def _continued(self, steps: int | None) -> tuple[Experiment, Checkpoint]:
        """The configuration of a run that goes on, and from where."""
        experiment = self.experiment
        most = experiment.steps if steps is None else checks.whole("steps", steps, 1, checks.LARGEST)
        if self.outcome == "solved":
            raise RnnsimError(f"this run solved its task at step {self.solved_at:,}, where it ended; to "
                              "learn on, begin another with its params")  # fmt: skip
        if self.outcome == "stopped early":
            raise RnnsimError(f"this run ended after {experiment.patience} looks at validation data "
                              "without an improvement; to learn on, begin another with its params, "
                              "or those of its best")  # fmt: skip
        if self.checkpoint is None:
            raise RnnsimError("this run was not saved with what it needs to go on; begin another with "
                              "its params")  # fmt: skip
        if most <= self.steps and (steps is not None or self.outcome == "complete"):
            raise RnnsimError(f"{self.steps:,} steps are done; to go on, give more in all: "
                              f"steps={2 * self.steps}")  # fmt: skip
        return replace(experiment, steps=most), self.checkpoint

    # --- in a folder ---

    def save(self, folder: str | Path) -> Path:
        """Write ``run.toml``, ``metrics.csv`` and ``arrays.safetensors`` into a folder.

        A run that is there already is replaced as a whole, or stands. :func:`rnnsim.load` makes this run
        of it again; it can go on there.

        Raises
        ------
        RnnsimError
            If the folder cannot be written to, or another process is running there.
        """
        path = checks.path("the folder of a run", folder)
        with kept_alone(path):
            self.write(path)
        return path

    def write(self, path: Path, durable: bool = True) -> None:
        """Write it into a folder that nobody else writes to: :meth:`save` looks whether that is so.

        With ``durable``, it is on disk afterwards, whatever happens to the machine.
        """
        with folders.problem_reported(f"cannot save the run in {path}"):
            contents = contents_of(self)
        run_folder.write(path, contents, durable=durable)
        self.folder = path


def result_of(trainer: TaskTraining, outcome: str = "stopped", made: Provenance | None = None) -> Run:
    """Make the result of a run from its trainer.

    The network is evaluated as it is now, unless the run goes on. ``outcome`` holds where neither the
    task is solved, nor all steps are done, nor it stopped early.
    """
    experiment = trainer.experiment
    if trainer.solved_at and experiment.stop:
        outcome, checkpoint = "solved", None
    elif trainer.step >= experiment.steps:
        outcome, checkpoint = "complete", trainer.at_end
    elif outcome != "running" and trainer.stopped_early:
        outcome, checkpoint = "stopped early", None
    else:
        checkpoint = trainer.checkpoint() if outcome == "running" else trainer.at_end
    params, ended, said = trainer.params, outcome != "running", trainer.said
    forecaster = forecaster_of_run(experiment, params, trainer.best, said) if ended else None
    return Run(
        experiment=experiment,
        params=params,
        solved_at=trainer.solved_at,
        steps=trainer.step,
        seconds=max(trainer.seconds, 1e-9),
        held_out=trainer.evaluate() if ended else NOT_EVALUATED,
        metrics=trainer.metrics(),
        best=trainer.best,
        outcome=outcome,
        checkpoint=checkpoint,
        provenance=made or Provenance(),
        recorded=trainer.monitors.recorded if trainer.monitors else None,
        calibration=None if forecaster is None else forecaster.calibration,
        said=said,
    )


def contents_of(run: Run) -> run_folder.Contents:
    """What the folder of a run holds."""
    arrays = with_prefix("params", run.params._asdict())
    experiment, monitored, point = run.experiment, run.monitored, run.checkpoint
    file = run_file.file_of(experiment, arrays)
    file.result = _result_table(run)
    file.provenance = msgspec.structs.replace(run.provenance, saved=provenance.now())
    if run.best is not None:
        arrays |= with_prefix("best", run.best.params._asdict())
    if run.calibration is not None:
        arrays |= with_prefix(run_folder.CALIBRATION, run.calibration._asdict())
    if run.said is not None:
        arrays[run_folder.SAID] = run.said
    if run.recorded is not None:
        file.settings.monitor = {
            name: what if isinstance(what, str) else OWN for name, what in run.recorded.given.items()
        }
        file.settings.monitor_every = run.recorded.every
        arrays |= with_prefix("monitor", {name: x.astype(float) for name, x in monitored.items()})
    if point is not None:
        best = point.best
        file.checkpoint = run_file.CheckpointTable(
            point.step, point.seconds, point.records, point.data,
            best.step if best else None, best.loss if best else None,
        )  # fmt: skip
        own = {name: x for name, x in point.arrays.items()
               if name != run_folder.SAID_SO_FAR or run.said is None}  # fmt: skip
        arrays |= with_prefix("checkpoint", own)
        arrays |= with_prefix("checkpoint.best", best.params._asdict()) if best else {}
    arrays |= kept(run.metrics)
    beside = {*monitored, *KEPT}
    curve = {name: array for name, array in run.metrics.items() if name not in beside}
    return run_folder.Contents(file, curve, arrays)


def _result_table(run: Run) -> run_file.Result:
    def finite(value: float | None) -> float | None:
        return value if value is not None and math.isfinite(value) else None

    best = run.best
    return run_file.Result(
        outcome=run.outcome,
        solved_at=run.solved_at,
        steps=run.steps,
        seconds=run.seconds,
        loss=finite(run.held_out.loss),
        score=finite(run.held_out.score),
        spectral_radius=finite(run.held_out.spectral_radius),
        best_step=best.step if best else None,
        best_loss=best.loss if best else None,
    )
