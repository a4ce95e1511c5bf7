"""Figures, by matplotlib (the extra ``plot``), imported late."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnsim.errors import RnnsimError

if TYPE_CHECKING:
    from rnnsim.run import Run

FORMATS = ("png", "svg", "pdf")


def figure_type(path: str | Path | None = None) -> Any:
    """Give matplotlib's Figure, if there is one, and if it can be written to ``path``.

    Raises
    ------
    RnnsimError
        If matplotlib is not installed, has no such format, or there is no such folder.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise RnnsimError("figures need matplotlib: pip install 'rnnsim[plot]'") from None
    if path is not None:
        ending = Path(path).suffix.lower().lstrip(".")
        if ending not in FORMATS:
            raise RnnsimError(f"cannot draw into {path}: the file must end in .{', .'.join(FORMATS)}")
        if not Path(path).parent.is_dir():
            raise RnnsimError(f"cannot draw into {path}: there is no folder {Path(path).parent}")
    return Figure


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
        If matplotlib is not installed, or the file cannot be written.
    """
    Figure = figure_type(path)
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
        try:
            figure.savefig(path, dpi=150)
        except OSError as error:
            raise RnnsimError(f"cannot draw into {path}: {error.strerror or error}") from None
    return figure
