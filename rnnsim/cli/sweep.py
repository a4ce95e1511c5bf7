"""``rnnsim sweep``: train a network once for each of many seeds."""

from __future__ import annotations

from typing import Any

import click

from rnnsim.cli.experiment import check_options, experiment, named_options
from rnnsim.cli.printing import as_json, print_summary
from rnnsim.runs.progress import compilation_announced
from rnnsim.runs.running import run


@click.command("sweep")
@experiment
@click.option("--seeds", type=int, default=100, show_default=True, help="Number of seeds: 0, 1, ....")
@click.option("--control", is_flag=True, help="Repeat all runs with a learning rate of 0.")
@click.option("--jobs", type=int, default=1, show_default=True, help="Number of processes.")
@as_json
def command(rule: str, task: str, options: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Train on TASK by RULE for many seeds.

    Prints the step at which the task was solved, as quantiles over the seeds; those that never solve
    it count as the latest.
    """
    from rnnsim.runs.sweeps import Incomplete, sweep  # late: multiprocessing is needed by no other verb

    chosen = named_options(options)
    check_options(chosen, run, sweep)
    with compilation_announced():
        try:
            result = sweep(rule, task, progress=True, **given, **chosen)
        except Incomplete as incomplete:
            print_summary(as_json, incomplete.sweep.as_dict, incomplete.sweep.summary)
            raise
    print_summary(as_json, result.as_dict, result.summary)
