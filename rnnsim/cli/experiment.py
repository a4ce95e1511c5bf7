"""The arguments and options that are common to the verbs that train networks."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any

import click

from rnnsim.compiler.bounds import CHECK
from rnnsim.compiler.explaining import VERBOSE
from rnnsim.errors import RnnsimError, shown


def switches_on(variable: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    """Make the callback of a flag that sets a variable, for this process and those that it starts."""

    def switch(context: click.Context, _: click.Parameter, given: bool) -> None:
        if given:
            before, os.environ[variable] = os.environ.get(variable, ""), "1"
            context.call_on_close(lambda: os.environ.update({variable: before}))

    return switch


verbose = click.option(
    "--verbose", is_flag=True, expose_value=False, callback=switches_on(VERBOSE),
    help="Show all that Numba says of a kernel that it cannot compile.",
)  # fmt: skip


CHOICES = (
    click.option("--network", metavar="KIND", help="Kind of network: recurrent, gru or fast-weight."),
    click.option("--settings", metavar="NAME", help="Which of the task's settings supply the defaults."),
    click.option("--steps", type=int, metavar="N", help="Maximum number of time steps."),
    click.option("--hidden", type=int, metavar="N", help="Number of hidden units."),
    click.option("--learning-rate", type=float, metavar="ETA"),
    click.option("--optimizer", metavar="NAME", help="sgd, momentum, rmsprop or adam."),
    click.option("--clip", type=float, metavar="NORM", help="Maximum gradient norm; inf for none."),
    click.option("--weight-decay", type=float, default=0.0, metavar="RATE",
                 help="Part of the weights that an update takes away, times the learning rate."),
    click.option("--schedule", default="constant", metavar="NAME",
                 help="How the learning rate falls: constant, linear, cosine or step."),
    click.option("--schedule-steps", type=int, metavar="N", help="Over so many steps; by default all."),
    click.option("--reduction", default="sum", metavar="NAME",
                 help="The gradient is a sum over the steps of a window, or a mean over its targets."),
    click.option("--window", type=int, metavar="N", help="Steps between updates; 1 is on-line."),
    click.option("--batch", type=int, metavar="N", help="Number of sequences in parallel."),
    click.option("--dtype", metavar="NAME", help="float64 or float32."),
    click.option("--criterion", metavar="NAME", help="Which of the task's criteria counts as solved."),
    click.option("--tailored", is_flag=True,
                 help="Compile for the exact sizes: small networks learn up to five times as fast."),
    click.option("--check-bounds", is_flag=True, expose_value=False, callback=switches_on(CHECK),
                 help="Check all indices: slow, but names the line of one that is out of bounds."),
    verbose,
    click.option("-o", "options", multiple=True, metavar="NAME=VALUE",
                 help="An option of the rule, the task, the optimizer or the network (activation, leak, "
                      "loss, scheme, gain, architecture, tau, ...); may be repeated."),
)  # fmt: skip


def choices(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    return added(command, CHOICES)


def experiment(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments RULE and TASK and the options to a command."""
    return added(command, (click.argument("rule"), click.argument("task"), *CHOICES))


def added(command: Callable[..., Any], parameters: Sequence[Any]) -> Callable[..., Any]:
    """Add parameters to a command, in this order."""
    for parameter in reversed(parameters):
        command = parameter(command)
    return command


def named_options(
    pairs: tuple[str, ...], option: str = "-o", form: str = "NAME=VALUE"
) -> dict[str, Any]:
    """Parse the NAME=VALUE pairs of ``-o``, or of another option that has such.

    Raises
    ------
    RnnsimError
        If one is malformed, or a name is given twice.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise RnnsimError(f"{option} takes {form}, not {shown(pair)}")
        name = name.strip().replace("-", "_")
        if name in found:
            raise RnnsimError(f"{option} {name} is given twice: {shown(found[name])} and {shown(value)}")
        found[name] = value
    return found


def check_options(options: dict[str, Any], *functions: Callable[..., Any]) -> None:
    """Refuse names that are parameters of ``functions``: they have their own option, or none.

    Raises
    ------
    RnnsimError
        If there is such a name.
    """
    known = {name for function in functions for name in inspect.signature(function).parameters}
    if taken := sorted(options.keys() & known):
        raise RnnsimError("-o is for options of the rule, the task, the optimizer and the network; "
                          f"{taken[0]} is none (--help has the others)")  # fmt: skip
