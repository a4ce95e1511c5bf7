"""Figures, by matplotlib (the extra ``plot``), imported late."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnsim.errors import RnnsimError

if TYPE_CHECKING:
    from rnnsim.run import Run


def learning_curve(run: Run, path: str | Path | None = None) -> Any:
    """Draw loss and score over the steps, with the baseline and the step of the solution.

    Parameters
    ----------
    run : Run
    path : path, optional
        Where to save the figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    RnnsimError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise RnnsimError("figures need matplotlib: pip install 'rnnsim[plot]'") from None
    experiment = run.experiment
    score = experiment.task.score
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(run.metrics["step"], run.metrics["loss"], color="C0", lw=1)
    upper.axhline(experiment.task.baseline, color="0.5", ls="--", lw=1, label="best constant answer")
    upper.set(ylabel="loss per target", yscale="log")
    lower.plot(run.metrics["step"], run.metrics[score], color="C1", lw=1)
    lower.set(ylabel=score, xlabel="time step")
    if run.solved_at is not None:
        for axes in (upper, lower):
            axes.axvline(run.solved_at, color="C2", lw=1.5, label=f"solved at step {run.solved_at:,}")
    upper.legend(loc="lower left", fontsize="small")
    figure.suptitle(f"{experiment.rule.name} on {experiment.task.name}")
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure
