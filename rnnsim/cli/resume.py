"""``rnnsim resume``: go on with a run."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from rnnsim.cli.ending import EVERY, FIGURES, LOG, carried_out, check_figures
from rnnsim.cli.experiment import added, verbose
from rnnsim.cli.printing import as_json


@click.command("resume")
@click.argument("folder", metavar="DIR")
@click.option("--steps", type=int, metavar="N", help="Maximum number of time steps in all.")
@as_json
@LOG
@EVERY
@verbose
@lambda command: added(command, FIGURES)
def command(
    folder: str,
    steps: int | None,
    as_json: bool,
    plot: str | None,
    plot_behaviour: str | None,
    **given: Any,
) -> None:
    """Go on with the run in DIR, and save it there.

    Whether it was interrupted, killed, or has done its steps and is to do more: the result is the same,
    to the last bit, as if it had never stopped.
    """
    from rnnsim.runs.loading import load

    check_figures(plot, plot_behaviour)
    run = load(folder)
    make = partial(run.resume, steps, save=folder, progress=True, **given)
    carried_out(make, folder, as_json, plot, plot_behaviour)
