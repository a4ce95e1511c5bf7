"""What is measured: rules, tasks that suit them, and networks by size, all from the registry."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import numpy as np

from rnnsim import registry
from rnnsim.errors import RnnsimError
from rnnsim.network import Network
from rnnsim.rule import Rule
from rnnsim.task import Suggestion
from rnnsim.training import experiment
from rnnsim.typing import Array, Params

SIZES = (8, 32, 64)
FEW = 2  # inputs and outputs of a network whose size is its number of hidden units
SWEEP = 50  # steps of a window for rules without a preferred interval between updates
CHOICE = "RNNSIM_BENCH_TASK"  # the task that rules are measured on, for the processes of asv

RULES = sorted(registry.installed().rules)


@cache
def stands_alone(task: str) -> bool:
    """Whether a task works without options, such as the path of a file."""
    try:
        return int(registry.make_task(task, {}).n_in) > 0
    except Exception:  # noqa: BLE001 (a plugin's task may fail in any way)
        return False


TASKS = sorted(name for name in registry.installed().tasks if stands_alone(name))


def suggestion(task: str, rule: str) -> Suggestion:
    """What a task suggests for a rule and its kind of network."""
    return experiment.first_suggestion(registry.make_rule(rule, {}), registry.make_task(task, {}))


def suits(task: str, rule: str) -> bool:
    """Whether a rule can train on a task, with the task's settings for the rule's kind of network.

    The run itself is not configured, since that may read a data set and this is called at each import.
    """
    try:
        return experiment.suits(registry.make_rule(rule, {}), registry.make_task(task, {}))
    except Exception:  # noqa: BLE001 (plugins may fail in any way)
        return False


def skip_unless_complete(task: str) -> None:
    """Skip a benchmark whose task needs a package that is not installed, in the way asv defines."""
    try:
        registry.make_task(task, {}).criterion  # noqa: B018 (reads the task's data, if it has any)
    except RnnsimError as error:
        raise NotImplementedError(str(error)) from None


def task_for(rule: str) -> str:
    """The task that a rule is measured on: the chosen one if it suits, or else the smallest that does.

    Preferably that is one that suggests the rule. It is never that of a stranger: what is installed
    beside a rule does not change what is measured of it.
    """
    return _task_for(rule, os.environ.get(CHOICE, ""))


@cache
def _task_for(rule: str, chosen: str) -> str:
    if chosen in TASKS and suits(chosen, rule):
        return chosen
    installed = registry.installed()
    near = {registry.OWN, installed.rules[rule].distribution}

    def order(task: str) -> tuple[bool, int, str]:
        made = registry.make_task(task, {})
        return suggestion(task, rule).rule != rule, made.n_in + made.n_out, task

    suiting = [
        task for task in TASKS if installed.tasks[task].distribution in near and suits(task, rule)
    ]
    if not suiting:
        raise RnnsimError(f"no task of rnnsim suits the rule {rule}: give one by --task")
    return min(suiting, key=order)


def has_task(rule: str) -> bool:
    """Whether there is a task that a rule is measured on."""
    try:
        return bool(task_for(rule))
    except RnnsimError:
        return False


def pairs() -> list[str]:
    """Each rule on its task, and each task by the rule that it suggests."""
    chosen = {(rule, task_for(rule)) for rule in RULES if has_task(rule)}
    for task in TASKS:
        rule = registry.make_task(task, {}).suggestion("").rule
        if rule in RULES and suits(task, rule):
            chosen.add((rule, task))
    return [f"{rule} on {task}" for rule, task in sorted(chosen)]


def network_of(kind: str, n: int, **options: Any) -> Network:
    """A network of size n: n hidden units if these are its state, else n inputs and outputs."""
    made = registry.network_type(kind)
    few, more = (made.sized(FEW, hidden, FEW, **options).n_state for hidden in (n, n + 1))
    return made.sized(FEW, n, FEW, **options) if few < more else made.sized(n, 0, n, **options)


def rule_and_network(rule: str, n: int) -> tuple[Rule, Network]:
    """A rule with its default options, and a network of size n that it can train."""
    made = registry.make_rule(rule, {})
    network = network_of(made.kind, n, **made.network)
    made.check_network(network)
    return made, network


def window_for(rule: Rule, network: Network) -> int:
    """The number of steps between updates that the rule prefers."""
    return rule.online_window(network) or SWEEP


def random_data(network: Network, steps: int, batch: int = 1) -> tuple[Array, Array]:
    """Random sequences: inputs (T, B, m) and targets (T, B, k)."""
    rng = np.random.default_rng(0)
    shapes = ((steps, batch, columns) for columns in (network.columns[0], network.n_out))
    inputs, targets = (rng.standard_normal(shape) / 2 for shape in shapes)
    return inputs.astype(network.dtype), targets.astype(network.dtype)


def small_params(network: Network) -> Params:
    """Weights that are small enough for every network to converge to a steady state."""
    return network.views(network.pack(network.init()) / 2)
