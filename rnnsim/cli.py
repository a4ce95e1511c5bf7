"""The command line: ``rnnsim run``, ``rnnsim sweep``, ``rnnsim rules``, ``rnnsim tasks``."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable
from typing import Any

import click

from rnnsim import __version__, registry
from rnnsim.bench_command import bench
from rnnsim.errors import RnnsimError, RnnsimWarning
from rnnsim.options import Options
from rnnsim.task import Task


class Group(click.Group):
    """Commands whose errors are one clear line and exit status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("default", RnnsimWarning)
                warnings.showwarning = _show_warning  # type: ignore[assignment]
                return super().invoke(ctx)
        except RnnsimError as error:
            click.echo(f"rnnsim: {error}", err=True)
            sys.exit(2)
        except MemoryError as error:
            click.echo(f"rnnsim: not enough memory: {error}", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            click.echo("rnnsim: interrupted", err=True)
            sys.exit(130)


def _show_warning(message: Any, *_: Any) -> None:
    click.echo(f"rnnsim: note: {message}", err=True)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rnnsim")
def main() -> None:
    """Recurrent learning rules by name.

    Pick a rule (rnnsim rules) and a task (rnnsim tasks), and watch the network learn:

    \b
        rnnsim run rtrl delayed-xor
    """


main.add_command(bench)


EXPERIMENT = (
    click.argument("rule"),
    click.argument("task"),
    click.option("--network", metavar="KIND", help="Kind of network: recurrent or fast-weight."),
    click.option("--settings", metavar="NAME", help="Which of the task's settings fill in the rest."),
    click.option("--steps", type=int, metavar="N", help="Most time steps."),
    click.option("--hidden", type=int, metavar="N", help="Number of hidden units."),
    click.option("--learning-rate", type=float, metavar="ETA"),
    click.option("--optimizer", metavar="NAME", help="sgd, momentum, rmsprop or adam."),
    click.option("--clip", type=float, metavar="NORM", help="Longest gradient; inf for no clipping."),
    click.option("--window", type=int, metavar="N", help="Steps between updates; 1 is on-line."),
    click.option("--batch", type=int, metavar="N", help="Sequences side by side."),
    click.option("--dtype", metavar="NAME", help="float64 or float32."),
    click.option("--criterion", metavar="NAME", help="By which of the task's criteria it is solved."),
    click.option("-o", "options", multiple=True, metavar="NAME=VALUE",
                 help="An option of the rule, the task, the optimizer or the network (activation, leak, "
                      "loss, scheme, gain, architecture, tau, ...); may be repeated."),
)  # fmt: skip


def experiment(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments and options that every run has."""
    for parameter in reversed(EXPERIMENT):
        command = parameter(command)
    return command


@main.command()
@experiment
@click.option("--seed", type=int, default=0, show_default=True, help="Of the weights and all draws.")
@click.option("--no-stop", is_flag=True, help="Go on after the task is solved.")
@click.option("--save", metavar="DIR", help="Folder to save the run in.")
@click.option("--plot", metavar="FILE", help="Draw the learning curve into a file (.png, .svg, .pdf).")
@click.option(
    "--plot-behaviour",
    metavar="FILE",
    help="Draw what the trained network does: events, state, output and target.",
)
def run(
    rule: str,
    task: str,
    options: tuple[str, ...],
    no_stop: bool,
    plot: str | None,
    plot_behaviour: str | None,
    **given: Any,
) -> None:
    """Train a network on TASK by RULE.

    What is not given is what the task suggests for the rule.
    """
    chosen = _options(options)
    for file in (plot, plot_behaviour):
        if file is not None:
            from rnnsim.plots import figure_type

            figure_type(file)  # refuse the file before the work, not after it
    from rnnsim.progress import compilation_announced
    from rnnsim.run import run as run_rule

    _check_options(chosen, run_rule)
    with compilation_announced():
        result = run_rule(rule, task, stop=not no_stop, progress=True, **given, **chosen)
    if plot is not None:
        result.plot(plot)
    if plot_behaviour is not None:
        result.plot_behaviour(plot_behaviour)
    click.echo(result.summary())


@main.command()
@experiment
@click.option("--seeds", type=int, default=100, show_default=True, help="How many: 0, 1, ....")
@click.option("--control", is_flag=True, help="Do it all again with a learning rate of 0.")
@click.option("--jobs", type=int, default=1, show_default=True, help="Processes that share the work.")
def sweep(rule: str, task: str, options: tuple[str, ...], **given: Any) -> None:
    """Train on TASK by RULE for many seeds.

    Prints at which step the task was solved: quantiles over the seeds, those that never solved it
    counting as the latest.
    """
    chosen = _options(options)
    from rnnsim.progress import compilation_announced
    from rnnsim.run import run as run_rule
    from rnnsim.sweep import sweep as sweep_rule

    _check_options(chosen, run_rule, sweep_rule)
    with compilation_announced():
        result = sweep_rule(rule, task, progress=True, **given, **chosen)
    click.echo(result.summary())


def _options(pairs: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise RnnsimError(f"-o takes NAME=VALUE, not {pair!r}")
        option = name.strip().replace("-", "_")
        if option in found:
            raise RnnsimError(f"-o {option} is given twice: {found[option]!r} and {value!r}")
        found[option] = value
    return found


def _check_options(options: dict[str, Any], *functions: Callable[..., Any]) -> None:
    """Refuse what has an option of the command line of its own, or none."""
    known = {name for function in functions for name in inspect.signature(function).parameters}
    if taken := sorted(options.keys() & known):
        raise RnnsimError("-o is for options of the rule, the task, the optimizer and the network; "
                          f"{taken[0]} is none (--help has the others)")  # fmt: skip


@main.command()
@click.argument("name", required=False)
def rules(name: str | None) -> None:
    """List the learning rules, or tell all about one."""
    entries = registry.installed().rules
    if name is not None:
        rule = registry.lookup("rule", name)
        click.echo(_heading(name, f"{rule.claim}, time per step O({rule.cost.time}), "
                            f"memory O({rule.cost.memory})", entries[name]))  # fmt: skip
        click.echo(_documentation(rule))
        return
    for name, entry in entries.items():
        rule = entry.thing
        cost = f"{rule.claim}, time per step O({rule.cost.time}), memory O({rule.cost.memory})"
        click.echo(f"{_heading(name, cost, entry)}\n    {rule.summary()}.")


@main.command()
@click.argument("name", required=False)
def tasks(name: str | None) -> None:
    """List the tasks, or tell all about one."""
    entries = registry.installed().tasks
    if name is not None:
        task = registry.lookup("task", name)
        click.echo(_heading(name, "", entries[name]))
        click.echo(_documentation(task))
        return
    for name, entry in entries.items():
        click.echo(f"{_heading(name, '', entry)}\n    {entry.thing.summary()}.")
        for line in _standing(entry.thing):
            click.echo(f"    {line}")


def _heading(name: str, what: str, entry: registry.Entry) -> str:
    origin = f"[{entry.distribution} {entry.version}]"
    return f"{click.style(name, bold=True)}  {what}{'  ' if what else ''}{origin}"


def _documentation(thing: type[Options]) -> str:
    """The docstring and the options."""
    lines = [inspect.cleandoc(thing.__doc__ or "")]
    descriptions = thing.describe()
    defaults = thing.defaults()
    if defaults:
        lines.append("\nOptions (-o NAME=VALUE):")
    for option, default in defaults.items():
        shown = "" if default in (None, "") else f" [{default}]"
        if choices := thing.choices_of(option):
            shown += f" ({' | '.join(choices)})"
        lines.append(f"  {option}{shown}  {descriptions.get(option, '')}")
    if standing := _standing(thing) if issubclass(thing, Task) else []:
        lines += ["", *standing]
    return "\n".join(lines)


def _settings(task: Task) -> dict[str, list[str]]:
    """The names of a task's settings by kind of network, where there are several or special ones."""
    found = {}
    for entry in registry.installed().rules.values():
        names = list(task.suggestions(entry.thing.name, entry.thing.kind))
        if names != ["default"]:
            found[entry.thing.kind] = names
    return found


def _standing(task: type[Task]) -> list[str]:
    """Criteria, baseline and what was reached, of a task at its default options."""
    try:
        made = task()
        several = len(made.criteria) > 1
        lines = [
            f"solved{f' ({name})' if several else ''}: {criterion}"
            for name, criterion in made.criteria.items()
        ]
        lines.append(f"baseline loss per target: {made.baseline:.4g}")
        lines += [f"published: {rule} within {step:,} steps" for rule, step in made.published.items()]
        lines += [f"settings for a {kind} network: {', '.join(names)}"
                  for kind, names in _settings(made).items()]  # fmt: skip
    except RnnsimError:  # it cannot be made without options, or without data
        lines = []
    except Exception as error:  # noqa: BLE001 (a stranger's task may fail in any way)
        lines = [f"cannot be made: {type(error).__name__}: {error}"]
    return lines + ([f"reached: {task.reached}"] if task.reached else [])
