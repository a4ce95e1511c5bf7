"""``rnnsim compare``: several rules on one trajectory."""

from __future__ import annotations

from typing import Any

import click

from rnnsim.cli.experiment import check_options, choices, named_options
from rnnsim.cli.kept import kept
from rnnsim.cli.printing import as_json, print_summary
from rnnsim.runs.progress import compilation_announced
from rnnsim.runs.running import run


@click.command("compare")
@click.argument("rules", nargs=-1, required=True, metavar="RULE...")
@click.option("--task", required=True, metavar="TASK", help="The task that they learn.")
@choices
@click.option("--seeds", type=int, default=1, show_default=True, help="Number of seeds: 0, 1, ....")
@as_json
@click.option("--save", metavar="FILE", help="Save the same JSON in a file (.json).")
@click.option("--plot", metavar="FILE", help="Draw the comparison into a file (.png, .svg, .pdf).")
def command(
    rules: tuple[str, ...],
    task: str,
    options: tuple[str, ...],
    as_json: bool,
    save: str | None,
    plot: str | None,
    **given: Any,
) -> None:
    """Compare RULEs: their gradients on one trajectory, and how each learns.

    The first RULE leads a run; before each update the others compute their gradients with the same
    weights from the same data, in the windows of the first. Printed are the alignment and the ratio of
    norms of each pair, over the parameters that rules write, and how each learns when it leads. A RULE
    may have options:

    \b
        rnnsim compare rtrl truncated-bptt:h=6,h_prime=1 --task delayed-xor
    """
    from rnnsim.runs.comparing import compare
    from rnnsim.runs.comparison import check_json

    chosen = named_options(options)
    check_options(chosen, run, compare)
    if plot is not None:
        from rnnsim.runs.figures import figure_type

        figure_type(plot)  # refuse the file before training, not after
    if save is not None:
        check_json(save)
    with compilation_announced():
        result = compare(rules, task, progress=True, **given, **chosen)
    with kept((result.save, save), (result.plot, plot)):
        print_summary(as_json, result.as_dict, result.summary)
