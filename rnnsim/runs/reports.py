"""What is said of a run: its summary in a few lines, plain data, and what a notebook shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import msgspec

from rnnsim.data.calibration import Calibration
from rnnsim.data.forecasting import Forecasting
from rnnsim.errors import RnnsimError
from rnnsim.options import Options
from rnnsim.runs import curve_figures, forecast_summaries, html_tables
from rnnsim.runs.advice import what_to_try, worse_end
from rnnsim.runs.curves import Learnt
from rnnsim.runs.forecast_reports import Report
from rnnsim.runs.plain_data import plain
from rnnsim.runs.provenance import Provenance, versions
from rnnsim.training.best import Best
from rnnsim.training.evaluation import Evaluation
from rnnsim.training.experiment import Experiment
from rnnsim.training.monitors import STEP
from rnnsim.training.schedules import NAMES
from rnnsim.typing import Array

LONGEST = 10_000  # characters of a network's description

SETTINGS = (
    "window",
    "batch",
    "clip",
    "weight_decay",
    "reduction",
    "stop",
    "tailored",
    "keep",
    "keep_every",
    "patience",
)


class Reported(Learnt, Protocol):
    """What is told of a run: attributes of :class:`~rnnsim.runs.result.Run`."""

    seconds: float
    held_out: Evaluation
    best: Best | None
    outcome: str
    provenance: Provenance
    calibration: Calibration | None

    @property
    def steps_per_second(self) -> float: ...
    @property
    def monitored(self) -> dict[str, Array]: ...
    def evaluate(self) -> Report: ...


# --- in a few lines -----------------------------------------------------------------------------------


def summary(run: Reported) -> str:
    """Summarise the result in a few lines."""
    own_data = isinstance(run.experiment.task, Forecasting)
    lines = [*(forecast_summaries.lines(run, _steps(run)) if own_data else _lines(run))]
    lines += [
        f"{name}: {ends['first']:.4g} after {ends['first_step']:,} steps, "
        f"{ends['last']:.4g} after {ends['last_step']:,}"
        for name, ends in ends_of_monitors(run).items()
    ]
    if (forecasts := _of_forecasts(run)) is not None:
        told = forecasts if isinstance(forecasts, str) else forecasts.brief()
        lines.append(f"\n{forecast_summaries.title(run)}\n\n{told}")
    return "\n".join(lines)


def _lines(run: Reported) -> Iterator[str]:
    """What is said of a run that is to solve a task."""
    experiment, task, held_out = run.experiment, run.experiment.task, run.held_out
    solved = f"solved at step {run.solved_at:,}" if run.solved_at else "not solved"
    yield (
        f"{experiment.rule.name} on {task.name}, seed {experiment.seed}: {solved} "
        f"({_steps(run)}; solved means: {experiment.criterion})"
    )
    if not math.isnan(held_out.loss):  # without data that are held out, or before the end, there is none
        yield (
            f"held-out loss {held_out.loss:.4g} per target (best constant answer {task.baseline:.4g}), "
            f"{task.score} {held_out.score:.4g}"
        )
    if held_out.spectral_radius is not None:
        yield f"steady states: {_stability(held_out.spectral_radius)}"
    yield f"{run.steps_per_second:,.0f} steps per second"
    if run.best is not None and run.best.step < run.steps:
        yield (
            f"best on validation data: loss {run.best.loss:.4g} after {run.best.step:,} steps, "
            "whose weights are kept"
        )
    elif worse := worse_end(experiment, run.metrics):
        yield worse
    if not run.solved_at and run.outcome == "complete":
        yield what_to_try(experiment, run.metrics, held_out.loss)


def _of_forecasts(run: Reported) -> Report | str | None:
    """How good forecasts of the user's data are; why that cannot be said; None where there are none."""
    if not isinstance(run.experiment.task, Forecasting) or run.outcome == "running":
        return None
    try:
        return run.evaluate()
    except RnnsimError as error:  # the data are gone, or there is no test part
        return f"cannot be scored: {error}"


def _steps(run: Reported) -> str:
    """How many steps were done, and why not more."""
    if run.outcome in ("complete", "solved"):
        return f"{run.steps:,} steps"
    why = ""
    if run.outcome == "stopped early":
        looks = run.experiment.patience
        why = f": {looks} look{'s' * (looks > 1)} at validation data without an improvement"
    return f"{run.steps:,} of {run.experiment.steps:,} steps, {run.outcome}{why}"


def _stability(radius: float) -> str:
    return f"spectral radius at most {radius:.3g}, {'stable' if radius < 1 else 'some are unstable'}"


def ends_of_monitors(run: Reported) -> dict[str, dict[str, Any]]:
    """Of each monitor of a number: its first and its last record, and after how many steps each was."""
    steps = run.monitored.get(STEP)
    if steps is None or not len(steps):
        return {}
    return {
        name: {"first": values[0], "first_step": int(steps[0]),
               "last": values[-1], "last_step": int(steps[-1])}
        for name, values in run.monitored.items()
        if name != STEP and values.ndim == 1
    }  # fmt: skip


# --- plain data ---------------------------------------------------------------------------------------


def as_dict(run: Reported) -> dict[str, Any]:
    """The result of a run as plain data; see :meth:`rnnsim.Run.as_dict`."""
    experiment, held_out, best = run.experiment, run.held_out, run.best
    forecasts = _of_forecasts(run)
    found: dict[str, Any] = plain({
        **described(experiment),
        "versions": run.provenance.versions or versions(experiment),
        "seed": experiment.seed,
        "outcome": run.outcome,
        "folder": None if run.folder is None else str(run.folder),
        "solved_at": run.solved_at,
        "steps": run.steps,
        "seconds": run.seconds,
        "steps_per_second": run.steps_per_second,
        "loss": held_out.loss,
        "score": experiment.task.score,
        experiment.task.score: held_out.score,
        "spectral_radius": held_out.spectral_radius,
        "best": None if best is None else {"step": best.step, "loss": best.loss},
        "monitored": ends_of_monitors(run),
        "data": forecast_summaries.as_dict(run) if isinstance(experiment.task, Forecasting) else None,
        "forecasts": forecasts.as_dict() if isinstance(forecasts, Report) else None,
    })  # fmt: skip
    return found


def described(experiment: Experiment) -> dict[str, Any]:
    """What determines a run but its seed, as plain data, and what its result is compared with."""
    task, schedule, rate = experiment.task, experiment.schedule, experiment.learning_rate
    found: dict[str, Any] = plain({
        "rule": experiment.rule.name,
        "task": task.name,
        "network": experiment.network.kind,
        "options": {"rule": _options(experiment.rule), "task": _options(task),
                    "optimizer": _options(experiment.optimizer),
                    "initial_weights": experiment.init,
                    "network": _shortened(repr(experiment.network))},
        "settings": {
            "name": experiment.settings,
            "steps": experiment.steps,
            **{name: getattr(experiment, name) for name in SETTINGS},
            "dtype": experiment.network.dtype.name,
            "optimizer": experiment.optimizer.name,
            "learning_rate": rate._asdict() if hasattr(rate, "_asdict") else rate,
            "schedule": NAMES[schedule.kind],
            "schedule_steps": schedule.steps if schedule.kind else None,
        },
        "criterion": str(experiment.criterion),
        "baseline": task.baseline,
        "versions": versions(experiment),
    })  # fmt: skip
    return found


def _options(thing: Options) -> Mapping[str, Any]:
    return msgspec.structs.asdict(thing)


def _shortened(text: str) -> str:
    """A description with an end: that of a network may list thousands of units."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


# --- in a notebook ------------------------------------------------------------------------------------


def as_html(run: Reported) -> str:
    """A small table with the learning curve beneath it."""
    experiment = run.experiment
    rows = [("rule", experiment.rule.name)]
    if isinstance(experiment.task, Forecasting):
        rows += forecast_summaries.pairs(run, _steps(run))
    else:
        rows += _pairs(run)
    rows += [("steps per second", f"{run.steps_per_second:,.0f}"), ("seed", str(experiment.seed))]
    rows += [
        (name, f"{ends['first']:.4g} to {ends['last']:.4g}")
        for name, ends in ends_of_monitors(run).items()
    ]
    forecasts = _of_forecasts(run)
    beside = forecasts._repr_html_() if isinstance(forecasts, Report) else ""
    if not len(run.metrics["step"]):
        return html_tables.pairs([*rows, ("learning curve", "no step with a target yet")]) + beside
    curve = html_tables.picture(lambda: curve_figures.learning_curves([run]), "learning curve")
    return html_tables.pairs(rows) + beside + curve


def _pairs(run: Reported) -> list[tuple[str, str]]:
    """What is shown of a run that is to solve a task."""
    task, held_out = run.experiment.task, run.held_out
    found = [
        ("task", task.name),
        ("solved at step", f"{run.solved_at:,}" if run.solved_at else "not solved"),
        ("steps", _steps(run).removesuffix(" steps")),
        ("loss per target", f"{held_out.loss:.4g} (best constant answer {task.baseline:.4g})"),
        (task.score, f"{held_out.score:.4g}"),
    ]
    if held_out.spectral_radius is not None:
        found.append(("steady states", _stability(held_out.spectral_radius)))
    return found
