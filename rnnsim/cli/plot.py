"""``rnnsim plot``: draw a figure of a run."""

from __future__ import annotations

import click

from rnnsim.cli.forecasting import RUN, loaded, rows_of
from rnnsim.cli.summary import draw_sweep, is_results


@click.command("plot")
@RUN
@click.argument("file", metavar="[FILE]", required=False)
@click.option("--out", metavar="FILE", required=True, help="Where to draw it (.png, .svg, .pdf).")
@click.option("--what", metavar="NAME", help="curve, behaviour, forecast, errors or confusion; by "
              "default forecast where FILE is given, else curve.")  # fmt: skip
def command(folder: str, file: str | None, out: str, what: str | None) -> None:
    """Draw a figure of RUN, a folder, into a file; or of a sweep, whose file of results is given.

    forecast, errors (by horizon, beside simple methods) and confusion (of classes) are for runs on your
    own data: of forecasts from the rows of FILE, or else of the test part of the data of RUN. Of a
    sweep there are curves, rates (what came of each learning rate) and solved (share over time).
    """
    from rnnsim.runs.figures import figure_type

    figure_type(out)
    if file is None and is_results(folder):
        draw_sweep(folder, out, what)
        return
    data = rows_of(file)
    if what is None:
        what = "curve" if file is None else "forecast"
    with loaded(folder) as run:
        run.plot(out, what=what, data=data)
