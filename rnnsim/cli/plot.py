"""``rnnsim plot``: draw a figure of runs, or of a sweep."""

from __future__ import annotations

from contextlib import ExitStack

import click

from rnnsim.cli.forecasting import loaded, rows_of
from rnnsim.cli.summary import draw_sweep, is_results
from rnnsim.errors import RnnsimError, shown_path


@click.command("plot")
@click.argument("runs", metavar="RUN... [FILE]", nargs=-1, required=True)
@click.option("--out", metavar="FILE", required=True, help="Where to draw it (.png, .svg, .pdf).")
@click.option("--what", metavar="NAME", help="One of the figures above; by default forecast where FILE "
              "is given, else the curve.")  # fmt: skip
@click.option("--steps", type=int, metavar="N", help="Steps of held-out data to draw; by default 60, or "
              "200 of trajectories.")  # fmt: skip
def command(runs: tuple[str, ...], out: str, what: str | None, steps: int | None) -> None:
    """Draw a figure of RUN, a folder, into a file; or of several, named by what they differ by.

    \b
    Of learning, of one run or several (seeds as their median and quartiles):
      curve         loss, score and monitors over the steps
      gradients     norms of the gradient over the steps (run --monitor grad-norm)
    Of the network:
      weights       matrices, their distributions, eigenvalues, singular values
    Of what it does on held-out data:
      behaviour     inputs, hidden activity as an image, outputs and targets
      fast-weights  the fast weights over time, below the events
      trajectories  the path of the state in the plane of its principal
                    components; several runs in one plane
    Of forecasts of your own data, from the rows of FILE or else its test part:
      forecast      forecasts with their intervals, and the truth
      errors        errors by horizon, beside those of simple methods
      confusion     which class was held to be which
    Of a sweep, whose file of results is given in place of RUN:
      curves        the loss over the steps, by task and rule
      rates         what came of each learning rate
      solved        the share of seeds that have solved the task by each step
    """
    from rnnsim.runs.figures import figure_type

    figure_type(out)
    if sweeps := [word for word in runs if is_results(word)]:
        if len(runs) > 1 or steps is not None:
            raise RnnsimError(f"{shown_path(sweeps[0])} holds a sweep; the figure of one takes no other "
                              "runs, no rows, and no --steps")  # fmt: skip
        draw_sweep(sweeps[0], out, what)
        return
    folders, data = _sorted_out(runs)
    if what is None:
        what = "curve" if data is None else "forecast"
    with ExitStack() as opened:
        first, *others = [opened.enter_context(loaded(folder)) for folder in folders]
        first.plot(out, what=what, data=rows_of(data), beside=others, steps=steps)


def _sorted_out(words: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    """The folders of runs, and the file of rows, if the last word is one and not a run."""
    from rnnsim.runs.run_folder import holds_run

    if len(words) > 1 and not holds_run(words[-1]):
        return words[:-1], words[-1]
    return words, None
