"""What a run is to do: the user's choices, and the task's suggestions where there are none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rnnsim import checks, registry
from rnnsim.criteria import Criterion
from rnnsim.errors import RnnsimError, UnknownName
from rnnsim.names import nearest
from rnnsim.network import Network
from rnnsim.optimizers import Optimizer, make_optimizer, optimizer_type
from rnnsim.recurrent import RecurrentNetwork
from rnnsim.rule import Rule
from rnnsim.task import Suggestion, Task
from rnnsim.typing import Params

DEFAULT_WINDOW = 20  # steps between updates where nobody says anything


@dataclass(frozen=True)
class Experiment:
    """Everything that determines a run."""

    rule: Rule
    task: Task
    network: Network
    init: Mapping[str, Any]  # options of ``network.init``
    optimizer: Optimizer
    criterion: Criterion
    seed: int
    steps: int  # the most time steps
    window: int  # steps between updates
    batch: int  # sequences side by side
    learning_rate: float
    clip: float  # the longest gradient; inf: no clipping
    stop: bool  # where the task counts as solved

    def initial_params(self) -> Params:
        """Draw the initial parameters."""
        return self.network.init(self.seed, **self.init)


def configure(
    rule: str | Rule,
    task: str | Task,
    *,
    network: Network | None = None,
    steps: int | None = None,
    seed: int = 0,
    hidden: int | None = None,
    optimizer: str | Optimizer | None = None,
    learning_rate: float | None = None,
    clip: float | None = None,
    window: int | None = None,
    batch: int | None = None,
    dtype: Any = None,
    criterion: str | Criterion | None = None,
    stop: bool = True,
    options: Mapping[str, Any] | None = None,
) -> Experiment:
    """Resolve the arguments of :func:`rnnsim.run`.

    Raises
    ------
    RnnsimError
        If one cannot be used, or does not fit the others.
    """
    of_rule, of_task, of_optimizer = _split(rule, task, optimizer, options or {})
    chosen_rule = registry.make_rule(rule, of_rule)
    chosen_task = registry.make_task(task, of_task)
    suggested = chosen_task.suggestion(chosen_rule.name)
    net = _network(chosen_rule, chosen_task, suggested, network, hidden, dtype)
    limit = suggested.clip if clip is None else clip
    rate = suggested.learning_rate if learning_rate is None else learning_rate
    return Experiment(
        rule=chosen_rule,
        task=chosen_task,
        network=net,
        init=suggested.init if network is None else {},
        optimizer=make_optimizer(optimizer or suggested.optimizer, of_optimizer),
        criterion=_criterion(chosen_task, criterion),
        seed=checks.whole("seed", seed, 0),
        steps=checks.whole("steps", suggested.steps if steps is None else steps, 1),
        window=_window(chosen_rule, chosen_task, suggested, net, window),
        batch=checks.whole("batch", suggested.batch if batch is None else batch, 1),
        learning_rate=checks.real("learning_rate", rate),
        clip=math.inf if limit in (None, math.inf) else checks.real("clip", limit, above=0),
        stop=bool(stop),
    )


def _split(
    rule: str | Rule, task: str | Task, optimizer: str | Optimizer | None, options: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Give each option to the one that knows it."""
    owners: list[tuple[Any, dict[str, Any]]] = [
        (registry.lookup("rule", rule) if isinstance(rule, str) else None, {}),
        (registry.lookup("task", task) if isinstance(task, str) else None, {}),
        (optimizer_type(optimizer) if isinstance(optimizer, str) else None, {}),
    ]
    for given, value in options.items():
        name = given.replace("-", "_")
        knowing = [(owner, own) for owner, own in owners if owner and name in owner.defaults()]
        if not knowing:
            known = [option for owner, _ in owners if owner for option in owner.defaults()]
            what = " and ".join(owner.name for owner, _ in owners[:2] if owner)
            raise UnknownName(nearest(f"option of {what}", name, known))
        if len(knowing) > 1:
            raise RnnsimError(f"{' and '.join(owner.name for owner, _ in knowing)} both have an option "
                              f"{name}; pass one of them as an object, with its own")  # fmt: skip
        knowing[0][1][name] = value
    return owners[0][1], owners[1][1], owners[2][1]


def _network(
    rule: Rule,
    task: Task,
    suggested: Suggestion,
    network: Network | None,
    hidden: int | None,
    dtype: Any,
) -> Network:
    if network is None:
        size = suggested.hidden if hidden is None else checks.whole("hidden", hidden, 1)
        given = {"dtype": dtype or "float64", **suggested.network}
        network = RecurrentNetwork(task.n_in, size, task.n_out, **given)
    elif hidden is not None or dtype is not None:
        raise RnnsimError("hidden and dtype are those of the network that is given; leave them out")
    if (network.n_in, network.n_out) != (task.n_in, task.n_out):
        raise RnnsimError(
            f"{task.name} has {task.n_in} inputs and {task.n_out} outputs; "
            f"the network has {network.n_in} and {network.n_out}"
        )
    if rule.settles != task.steady:
        kind = "whose patterns are held fixed" if rule.settles else "of time steps"
        near = [
            name
            for name, entry in registry.installed().tasks.items()
            if entry.thing.steady == rule.settles
        ]
        raise RnnsimError(f"{rule.name} needs a task {kind}, which {task.name} is not; there are "
                          f"{', '.join(near)}")  # fmt: skip
    rule.check_network(network)
    return network


def _criterion(task: Task, criterion: str | Criterion | None) -> Criterion:
    if criterion is None:
        return task.criterion
    if isinstance(criterion, str):
        criteria = task.criteria
        if criterion not in criteria:
            raise UnknownName(nearest(f"criterion of {task.name}", criterion, criteria))
        return criteria[criterion]
    return criterion


def _window(rule: Rule, task: Task, suggested: Suggestion, network: Network, window: int | None) -> int:
    if window is not None:
        return checks.whole("window", window, 1)
    return suggested.window or task.episode_length or rule.online_window(network) or DEFAULT_WINDOW
