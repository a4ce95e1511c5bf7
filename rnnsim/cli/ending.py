"""How a verb that carries out a run ends: figures, the summary, and what to do if it was interrupted."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import click

from rnnsim.cli.failures import say
from rnnsim.cli.kept import kept
from rnnsim.cli.printing import print_summary
from rnnsim.errors import RnnsimWarning, shown_path
from rnnsim.runs.progress import compilation_announced
from rnnsim.runs.result import Run
from rnnsim.runs.stopping import Stopped

FIGURES = (
    click.option("--plot", metavar="FILE",
                 help="Draw the learning curve into a file (.png, .svg, .pdf)."),
    click.option("--plot-behaviour", metavar="FILE",
                 help="Draw what the trained network does: events, state, output and target."),
)  # fmt: skip
EVERY = click.option(
    "--checkpoint-every", metavar="N|TIME",
    help="Steps between checkpoints of a run that is saved, a time such as 30s or 5min, or never; by "
    "default 30s, and at most a hundredth of the time.",
)  # fmt: skip


LOG = click.option(
    "--log", metavar="FILE",
    help="Write the learning curve into a file as the run goes, a line of JSON for each point.",
)  # fmt: skip


def check_figures(*figures: str | None) -> None:
    """Refuse files that cannot be drawn into: before training, not after.

    Raises
    ------
    RnnsimError
        If there is one.
    """
    for file in figures:
        if file is not None:
            from rnnsim.runs.figures import figure_type

            figure_type(file)


def carried_out(
    make: Callable[[], Run], save: Any, as_json: bool, plot: str | None, plot_behaviour: str | None
) -> None:
    """Carry out a run, draw its figures and print its summary; exit where it was interrupted.

    Parameters
    ----------
    make : Callable
        Carries it out and saves it.
    save : path or None
        Where; this is tried again if it could not be saved.
    as_json : bool
        Whether the summary is printed as JSON.
    plot, plot_behaviour : str or None
    """
    stopped = None
    with compilation_announced(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*; its method save tries again", RnnsimWarning)
        try:
            result = make()
        except Stopped as error:
            stopped, result = error, error.run
    again = save if save is not None and result.folder is None else None
    with kept((result.save, again), (result.plot, plot), (result.plot_behaviour, plot_behaviour)):
        print_summary(as_json, result.as_dict, result.summary)
    if stopped is not None:
        say(f"{stopped.word} after {result.steps:,} steps" + _how_to_go_on(result))
        sys.exit(128 + stopped.number)


def _how_to_go_on(result: Run) -> str:
    if result.folder is None:
        return "; it was not saved (--save DIR saves a run, which can then go on)"
    if result.outcome != "interrupted":
        return ""
    return f"; to go on: rnnsim resume {shown_path(result.folder)}"
