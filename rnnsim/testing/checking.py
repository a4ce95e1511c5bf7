"""The public functions: check a rule, a network or a task."""

from __future__ import annotations

from typing import Any

from rnnsim import checks as arguments
from rnnsim import registry
from rnnsim.errors import RnnsimError, UnknownName, nearest, reports_memory, shown
from rnnsim.network import Network
from rnnsim.rule import Rule
from rnnsim.task import Task
from rnnsim.testing import costs, estimates, gradients, learning, memory, networks, tasks
from rnnsim.testing.report import Check, Report, findings
from rnnsim.testing.subject import Networks, subject


def rule_checks(
    rule: str | Rule | type[Rule],
    *,
    networks: Networks = None,
    task: str | Task | None = None,
    seed: int = 0,
    reference: str = "bptt",
    draws: int = estimates.DRAWS,
    **options: Any,
) -> list[Check]:
    """The checks that :func:`check_rule` runs; the arguments are its own."""
    arguments.whole("seed", seed, 0)
    arguments.whole("draws", draws, 2)
    made = subject(rule, options, networks, reference, seed)
    chosen = None if task is None else registry.make_task(task, {})
    return [
        *gradients.checks(made),
        *estimates.checks(made, draws),
        *memory.checks(made),
        *costs.checks(made),
        *learning.checks(made, chosen),
    ]


@reports_memory
def check_rule(
    rule: str | Rule | type[Rule],
    *,
    networks: Networks = None,
    task: str | Task | None = None,
    seed: int = 0,
    reference: str = "bptt",
    draws: int = estimates.DRAWS,
    **options: Any,
) -> Report:
    """Measure what a learning rule claims.

    Its gradient is compared with finite differences of the loss and with another exact rule, on every
    network that it says it can train, with masks, resets, a leak and batches, whole and in windows and
    pieces; as far as its claim goes: ``truncated`` up to its reach; ``unbiased`` in the mean over
    independent draws (theory.md 5); ``approximate`` is reported, and has to learn a task. Then what it
    touches and keeps, and how its costs grow with n. Kernels run uncompiled, but for the checks that
    say otherwise.

    Parameters
    ----------
    rule : str, Rule or type of Rule
        The name or the class of a rule, whose options are given by keyword, or a rule object.
    networks : iterable of str and Network, optional
        Kinds of networks, or networks in float64 that are made; by default all kinds that are installed.
    task : str or Task, optional
        The task that it has to learn, whatever its claim; by default the first that suggests it, or the
        smallest that suits it, if it claims nothing else.
    seed : int
        Of parameters, sequences and draws.
    reference : str
        The name of an exact rule with which exact gradients are computed, where it trains the network
        and is not the rule itself.
    draws : int
        The number of draws of a rule that is unbiased.
    **options
        Options of the rule.

    Returns
    -------
    Report
        ``passed``, ``failures`` and ``findings``; as text a line for each finding.

    Raises
    ------
    RnnsimError
        If an argument has a wrong type, name or value, or the rule can train none of the networks.
    """
    made = rule_checks(
        rule, networks=networks, task=task, seed=seed, reference=reference, draws=draws, **options
    )
    return Report(name_of(rule), [*findings(made)])


def network_checks(network: str | Network | type[Network], *, seed: int = 0) -> list[Check]:
    """The checks that :func:`check_network` runs; the arguments are its own."""
    arguments.whole("seed", seed, 0)
    is_class = isinstance(network, type) and issubclass(network, Network)
    if not is_class and not isinstance(network, str | Network):
        raise RnnsimError(f"network is a kind, a class of networks or one that is made, not "
                          f"{shown(network)}")  # fmt: skip
    return [*networks.checks(network, seed)]


@reports_memory
def check_network(network: str | Network | type[Network], *, seed: int = 0) -> Report:
    """Measure whether a network's primitives are its derivatives, and its losses and errors scaled.

    Each primitive that it offers is compared with finite differences and with the others; then whole
    sequences: gradients made of the primitives, the scaling over the batch, masks, resets, rows that are
    kept, states that are saved, compiled code and float32.

    Parameters
    ----------
    network : str, Network or type of Network
        A kind of networks, of which some are made, with each choice that it offers; or one that is made,
        in float64.
    seed : int
        Of parameters and sequences.

    Returns
    -------
    Report

    Raises
    ------
    RnnsimError
        If an argument has a wrong type, name or value.
    """
    return Report(name_of(network), [*findings(network_checks(network, seed=seed))])


def task_checks(task: str | Task | type[Task], *, seed: int = 0, **options: Any) -> list[Check]:
    """The checks that :func:`check_task` runs; the arguments are its own."""
    arguments.whole("seed", seed, 0)
    return [*tasks.checks(tasks.made_task(task, options), seed)]


@reports_memory
def check_task(task: str | Task | type[Task], *, seed: int = 0, **options: Any) -> Report:
    """Measure whether a task's stream, baseline, criterion and suggestions are what it says.

    Parameters
    ----------
    task : str, Task or type of Task
        The name or the class of a task, whose options are given by keyword, or a task object.
    seed : int
        Of its data.
    **options
        Options of the task.

    Returns
    -------
    Report

    Raises
    ------
    RnnsimError
        If an argument has a wrong type, name or value.
    """
    return Report(name_of(task), [*findings(task_checks(task, seed=seed, **options))])


def name_of(thing: Any) -> str:
    """The name of a rule, a task or a network."""
    if isinstance(thing, str):
        return thing
    return str(getattr(thing, "name", "") or getattr(thing, "kind", ""))


def kind_of(name: str) -> str:
    """Whether a name is that of a rule, a task or a network.

    Raises
    ------
    UnknownName
        If it is none of these.
    """
    installed = registry.installed()
    known: list[str] = []
    for kind in registry.KINDS:
        if name in installed.of(kind):
            return kind
        known += installed.of(kind)
    for doubt in installed.doubts:
        if doubt.name == name:  # a plugin offers it, but it cannot be used
            raise RnnsimError(doubt.why)
    message = nearest("rule, task or network", name, known)
    if "did you mean" not in message:  # it has all names, which are many
        message = f"{message.partition(';')[0]}; there are those that rnnsim rules and rnnsim tasks list"
    raise UnknownName(message)
