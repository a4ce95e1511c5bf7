"""``rnnsim run``: train a network."""

from __future__ import annotations

from functools import partial
from typing import Any

import click
from click.core import ParameterSource

from rnnsim.cli.ending import EVERY, FIGURES, LOG, carried_out, check_figures
from rnnsim.cli.experiment import added, check_options, choices, named_options
from rnnsim.cli.printing import as_json
from rnnsim.folders import check_writable
from rnnsim.runs.running import arguments_to_repeat, run


class RunCommand(click.Command):
    """Needs a rule and a task, unless a file says them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        given = ctx.params
        if not ctx.resilient_parsing and given["config"] is None and given["task"] is None:
            raise click.MissingParameter(
                ctx=ctx, param_hint="RULE TASK, or --config FILE", param_type="argument"
            )
        return rest


@click.command("run", cls=RunCommand)
@click.argument("rule", required=False)
@click.argument("task", required=False)
@choices
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the weights and all draws."
)
@click.option("--no-stop", is_flag=True, help="Continue after the task is solved.")
@click.option(
    "--keep",
    metavar="NAME",
    help="The weights to keep: last, or best, those that did best on validation data, beside the last.",
)
@click.option("--keep-every", type=int, metavar="N", help="Steps between looks which are best.")
@click.option("--patience", type=int, metavar="N",
              help="End after so many of these looks without an improvement; 0: do not.")  # fmt: skip
@click.option(
    "--monitor",
    multiple=True,
    metavar="NAME",
    help="Record this while it learns: params, grad, state, grad-norm, spectral-radius, params.W, ...; "
    "with --save all of it is kept; may be repeated.",
)
@click.option("--monitor-every", type=int, metavar="N", help="Steps between records.")
@click.option("--config", metavar="FILE", help="Repeat the run of this file (run.toml); RULE, TASK and "
              "options change what it says.")  # fmt: skip
@as_json
@LOG
@click.option("--save", metavar="DIR", help="Folder to keep the run in, from its beginning.")
@EVERY
@lambda command: added(command, FIGURES)
@click.pass_context
def command(
    context: click.Context,
    /,
    rule: str | None,
    task: str | None,
    options: tuple[str, ...],
    no_stop: bool,
    monitor: tuple[str, ...],
    config: str | None,
    as_json: bool,
    save: str | None,
    plot: str | None,
    plot_behaviour: str | None,
    **given: Any,
) -> None:
    """Train a network on TASK by RULE.

    TASK is the name of a task, or your own data to be forecast: a file, several with commas between
    them, a folder, or - for standard input (rnnsim tasks table has the options of this).
    Options that are not given take the values that the task suggests for the rule.
    """
    chosen = named_options(options)
    check_figures(plot, plot_behaviour)
    check_options(chosen, run)
    if save is not None:
        check_writable(save)
    if config is None:
        arguments = {**given, "rule": rule, "task": task, "stop": not no_stop}
    else:
        arguments = {name: given[name] for name in given if _is_given(context, name)}
        arguments |= {name: x for name, x in (("rule", rule), ("task", task)) if x is not None}
        arguments |= {"stop": False} if no_stop else {}
    if monitor:
        arguments["monitor"] = monitor
    arguments |= chosen
    if config is not None:
        arguments = arguments_to_repeat(config, arguments)
    make = partial(run, **{**arguments, "save": save, "progress": True})
    carried_out(make, save, as_json, plot, plot_behaviour)


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE
