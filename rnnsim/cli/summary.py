"""``rnnsim summary``: what the runs of a sweep come to; and their figures, for ``rnnsim plot``."""

from __future__ import annotations

import click

from rnnsim import checks
from rnnsim.cli.printing import as_json, print_summary


@click.command("summary")
@click.argument("file")
@click.option("--format", "format", metavar="NAME", default="text", show_default=True,
              help="text, csv (all numbers), markdown, or latex (with booktabs).")  # fmt: skip
@as_json
def command(file: str, format: str, as_json: bool) -> None:
    """Print a table of the results in FILE, which a sweep has written or writes.

    Each cell (a rule, a task and settings) has a row: over its seeds, how many solved the task, and the
    median and the quartiles of the steps to solve it, and of loss and score on test data. The rules of
    a task are ranked, and each is tested against the best over the same seeds.
    """
    from rnnsim.sweeps.result import Sweep
    from rnnsim.sweeps.tables import check_format

    check_format(format)
    sweep = Sweep.load(file)
    print_summary(as_json, sweep.as_dict, lambda: sweep.summary(format))


def is_results(file: str) -> bool:
    """Whether this is a file that a sweep has written, and not the folder of a run."""
    from rnnsim.sweeps import store

    return store.is_results(checks.path("the folder of a run", file))


def draw_sweep(file: str, out: str, what: str | None) -> None:
    """Draw a figure of the results in a file."""
    from rnnsim.sweeps.result import Sweep

    Sweep.load(file).plot(out, "curves" if what is None else what)
