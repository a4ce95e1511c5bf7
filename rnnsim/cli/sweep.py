"""``rnnsim sweep``: train networks with many settings and seeds."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from rnnsim.cli.experiment import added, check_options, choices, named_options
from rnnsim.cli.failures import say
from rnnsim.cli.printing import as_json, print_summary
from rnnsim.errors import RnnsimError, shown, shown_path
from rnnsim.runs.progress import compilation_announced
from rnnsim.runs.running import run

PLAN = (
    click.option("--seeds", type=int, metavar="N", help="Number of seeds: 0, 1, ...; by default 10."),
    click.option("--control", is_flag=True, help="Repeat all runs with a learning rate of 0."),
    click.option("--tune/--no-tune", default=None,
                 help="Whether a learning rate is chosen for each rule, from the same budget; if there "
                      "are several rules and no rate is given, it is."),
    click.option("--grid", multiple=True, metavar="NAME=V1,V2",
                 help="Values of an argument or an option that are varied; may be repeated."),
)  # fmt: skip
PLACE = (
    click.option("--out", metavar="FILE", help="Where the results are kept (SQLite); results that are "
                 "there are not computed again. By default beside FILE.toml, as FILE.sqlite."),
    click.option("--retry", is_flag=True, help="Try runs again that are recorded as failed."),
    click.option("--jobs", type=int, metavar="N",
                 help="Number of processes; by default one for each core, of one thread."),
    click.option("--dask", metavar="ADDRESS", help="Send the runs to the workers of a Dask scheduler."),
)  # fmt: skip


@click.command("sweep")
@click.argument("what", nargs=-1, required=True, metavar="FILE.toml | RULE... TASK")
@choices
@lambda command: added(command, (*PLAN, *PLACE))
@as_json
def command(
    what: tuple[str, ...],
    options: tuple[str, ...],
    grid: tuple[str, ...],
    out: str | None,
    jobs: int | None,
    dask: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Train with many settings and seeds: what a FILE says, or RULEs on a TASK.

    A run that fails is recorded, and the others go on. With a file of results, a sweep that was
    interrupted goes on by the same command.

    \b
        rnnsim sweep rtrl bptt delayed-xor --seeds 20 --out xor.sqlite
        rnnsim summary xor.sqlite
        rnnsim sweep plan.toml --dask tcp://10.0.0.1:8786

    A file has rules and tasks, and may have what follows them here:

    \b
        rules = ["rtrl", "truncated-bptt:h=6", {name = "snap", n = [1, 2]}]
        tasks = ["delayed-xor", "adding:length=20"]
        seeds = 10                # 0, ..., 9; or a list
        control = true            # again with a learning rate of 0
        [settings]                # arguments and options for all
        steps = 20000
        [grid]                    # every combination; draws = 40 draws some
        window = [1, 5, 20]
        [tune]                    # for each rule a learning rate of its own
        factors = [0.1, 0.3, 1, 3, 10]
        seeds = 3
    """
    from rnnsim.sweeps.sweeping import sweep

    chosen = named_options(options)
    check_options(chosen, run, sweep)
    source = click.get_current_context().get_parameter_source
    plan = {name: given[name] for name in given if source(name) is ParameterSource.COMMANDLINE}
    plan |= chosen | ({"grid": _axes(grid)} if grid else {})
    if len(what) == 1:
        path = _file(what[0])
        out, plan["rules"] = out or str(path.with_suffix(".sqlite")), str(path)
    else:
        plan |= {"rules": list(what[:-1]), "tasks": what[-1]}
    with compilation_announced():
        try:
            result = sweep(**plan, **_where(jobs, dask), file=out, progress=True)
        except KeyboardInterrupt:
            if out is not None:
                say(f"what is done is in {shown_path(out)}; the same command goes on")
            raise
    print_summary(as_json, result.as_dict, result.summary)
    if out is not None:
        say(f"results: {shown_path(out)}")


def _where(jobs: int | None, dask: str | None) -> dict[str, Any]:
    if dask is None:
        return {"jobs": (os.cpu_count() or 1) if jobs is None else jobs}
    if jobs is not None:
        raise RnnsimError("--jobs is for processes here, and --dask for those of a cluster; give one")
    return {"dask": dask}


def _file(name: str) -> Path:
    if not name.endswith(".toml"):
        raise RnnsimError(f"a sweep is of a file that ends in .toml, or of RULE... TASK; there is only "
                          f"{shown(name)}")  # fmt: skip
    return Path(name)


def _axes(pairs: tuple[str, ...]) -> dict[str, list[Any]]:
    """Parse the NAME=V1,V2 of ``--grid``."""
    found = named_options(pairs, "--grid", "NAME=V1,V2")
    if lacking := [name for name, values in found.items() if not values]:
        raise RnnsimError(f"--grid takes NAME=V1,V2; {shown(lacking[0])} has no values")
    return {name: list(map(_value, values.split(","))) for name, values in found.items()}


def _value(text: str) -> Any:
    """A number, true or false, or text."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return {"true": True, "false": False}.get(text, text)
