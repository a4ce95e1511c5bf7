"""``rnnsim predict``: forecast from other rows of the data that a run was trained on."""

from __future__ import annotations

from typing import Any

import click

from rnnsim.cli.forecasting import LEVEL, RUN, checked_level, loaded, rows_of
from rnnsim.cli.printing import as_json, print_json
from rnnsim.errors import RnnsimError, shown_path


@click.command("predict")
@RUN
@click.argument("file", metavar="FILE")
@click.option("--out", metavar="FILE", help="Write the forecasts into a file (.csv, .parquet).")
@LEVEL
@click.option("--learn", is_flag=True, help="Read a line, print a line, at once, and learn from each "
              "target when it is known.")  # fmt: skip
@click.option("--save", metavar="DIR", help="With --learn: keep the run with what it has learnt.")
@as_json
def command(
    folder: str,
    file: str,
    out: str | None,
    level: float,
    learn: bool,
    save: str | None,
    as_json: bool,
) -> None:
    """Forecast from the rows of FILE with the network of RUN, a folder; - is standard input.

    The table of forecasts is printed as CSV, or written to a file, a line for each row of FILE (of
    several horizons for each horizon and column of it): the row and its time, the time that the forecast
    is of ("for"), and in the column's unit the forecast, its interval (low, high), and the truth as far
    as FILE has it; of classes their probabilities. The network begins anew at the first row of FILE,
    which should be some rows before those that matter.
    """
    checked_level(level)
    data = rows_of(file)
    if learn:
        _learn(folder, file, level, out, save, as_json)
        return
    if save is not None:
        raise RnnsimError("--save is for --learn, without which nothing is learnt; give both")
    if out is not None:
        from rnnsim.data.forecast import check_savable

        check_savable(out)
    with loaded(folder) as run:
        found = run.forecaster().forecast(data, level)
    if out is not None:
        found.save(out)
    if as_json:
        print_json(_as_dict(found, out))
    elif out is None:
        click.echo(found.as_csv(), nl=False)
    else:
        click.echo(f"{found.title}: {shown_path(out)}")


def _as_dict(found: Any, out: str | None) -> dict[str, Any]:
    frame = found.frame()
    return {
        "columns": found.targets, "horizons": found.horizons, "classes": found.classes or None,
        "level": found.level, "out": out, "rows": len(found),
        "forecasts": None if out is not None else frame.to_dicts(),
    }  # fmt: skip


def _learn(
    folder: str, file: str, level: float, out: str | None, save: str | None, as_json: bool
) -> None:
    """Forecast line by line."""
    if out is not None or as_json:
        raise RnnsimError("--learn prints each line as it comes, as text; --out and --json are not "
                          "offered with it (> FILE lets a shell write into a file)")  # fmt: skip
    from rnnsim.cli.line_by_line import forecast_lines

    forecast_lines(folder, file, level, save)
