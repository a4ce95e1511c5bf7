"""The arguments and options that a verb has which trains networks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import click

from rnnsim.errors import RnnsimError

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
    click.option("--tailored", is_flag=True,
                 help="Compile for these very sizes: small networks learn up to three times as fast."),
    click.option("-o", "options", multiple=True, metavar="NAME=VALUE",
                 help="An option of the rule, the task, the optimizer or the network (activation, leak, "
                      "loss, scheme, gain, architecture, tau, ...); may be repeated."),
)  # fmt: skip


def experiment(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments and options that every run has."""
    for parameter in reversed(EXPERIMENT):
        command = parameter(command)
    return command


def named_options(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read the NAME=VALUE of ``-o``."""
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


def check_options(options: dict[str, Any], *functions: Callable[..., Any]) -> None:
    """Refuse what has an option of the command line of its own, or none."""
    known = {name for function in functions for name in inspect.signature(function).parameters}
    if taken := sorted(options.keys() & known):
        raise RnnsimError("-o is for options of the rule, the task, the optimizer and the network; "
                          f"{taken[0]} is none (--help has the others)")  # fmt: skip
