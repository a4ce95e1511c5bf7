"""``rnnsim run``: train a network."""

from __future__ import annotations

from typing import Any

import click

from rnnsim.cli.experiment import check_options, experiment, named_options
from rnnsim.cli.kept import kept
from rnnsim.cli.printing import as_json, print_summary
from rnnsim.folders import check_writable
from rnnsim.runs.progress import compilation_announced
from rnnsim.runs.running import run


@click.command("run")
@experiment
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the weights and all draws."
)
@click.option("--no-stop", is_flag=True, help="Continue after the task is solved.")
@click.option(
    "--keep",
    default="last",
    metavar="NAME",
    help="The weights to keep: last, or best, those that did best on validation data, beside the last.",
)
@click.option(
    "--monitor",
    multiple=True,
    metavar="NAME",
    help="Record this while it learns: params, grad, state, spectral-radius, params.W, ...; with --save "
    "all of it is kept; may be repeated.",
)
@click.option("--monitor-every", type=int, metavar="N", help="Steps between records.")
@as_json
@click.option("--save", metavar="DIR", help="Folder to save the run in.")
@click.option("--plot", metavar="FILE", help="Draw the learning curve into a file (.png, .svg, .pdf).")
@click.option(
    "--plot-behaviour",
    metavar="FILE",
    help="Draw what the trained network does: events, state, output and target.",
)
def command(
    rule: str,
    task: str,
    options: tuple[str, ...],
    no_stop: bool,
    monitor: tuple[str, ...],
    as_json: bool,
    save: str | None,
    plot: str | None,
    plot_behaviour: str | None,
    **given: Any,
) -> None:
    """Train a network on TASK by RULE.

    Options that are not given take the values that the task suggests for the rule.
    """
    chosen = named_options(options)
    for file in (plot, plot_behaviour):
        if file is not None:
            from rnnsim.runs.figures import figure_type

            figure_type(file)  # refuse the file before training, not after
    check_options(chosen, run)
    if save is not None:
        check_writable(save)
    with compilation_announced():
        result = run(
            rule, task, stop=not no_stop, monitor=monitor or None, progress=True, **given, **chosen
        )
    with kept((result.save, save), (result.plot, plot), (result.plot_behaviour, plot_behaviour)):
        print_summary(as_json, result.as_dict, result.summary)
