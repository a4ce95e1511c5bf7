"""``rnnsim evaluate``: say how good the forecasts of a run are."""

from __future__ import annotations

from functools import partial

import click

from rnnsim.cli.forecasting import LEVEL, RUN, checked_level, loaded, rows_of
from rnnsim.cli.printing import as_json, print_json


@click.command("evaluate")
@RUN
@click.argument("file", metavar="[FILE]", required=False)
@click.option("--format", "form", default="text", show_default=True, metavar="NAME",
              help="text, csv or markdown.")  # fmt: skip
@click.option("--out", metavar="FILE", help="Write it into a file.")
@LEVEL
@as_json
def command(
    folder: str, file: str | None, form: str, out: str | None, level: float, as_json: bool
) -> None:
    """Say how good the forecasts of RUN, a folder, are, beside those of simple methods.

    By column and horizon, in the column's unit: of the rows of FILE, which has values of the targets, or
    else of the test part of the data of RUN. RMSE and MAE are errors, nRMSE is RMSE over the standard
    deviation of the truth, jitter the mean absolute difference of successive forecasts, coverage the
    share of truths in their intervals; of classes there are accuracy, cross-entropy and confusions.
    """
    from rnnsim import checks
    from rnnsim.cli.kept import kept
    from rnnsim.runs.forecast_reports import FORMS, check_place

    checks.known_name("--format", form, FORMS)
    checked_level(level)
    data = rows_of(file)
    if out is not None:
        check_place(out)
    with loaded(folder) as run:
        report = run.evaluate(data, level=level)
    with kept((partial(report.save, form=form), out)):
        if as_json:
            print_json(report.as_dict())
        elif out is None:
            click.echo(report.as_text(form), nl=False)
