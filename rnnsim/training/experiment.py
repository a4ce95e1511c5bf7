"""The configuration of a run: the user's arguments, with the task's suggestions as defaults."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from rnnsim import checks, registry
from rnnsim.criterion import SCORES, Criterion, HeldOut
from rnnsim.errors import RnnsimError, UnknownName, nearest, shown
from rnnsim.network import Network
from rnnsim.options import Options
from rnnsim.rule import Rule
from rnnsim.task import Suggestion, Task
from rnnsim.training.learning_rates import checked_rate
from rnnsim.training.optimizers import Optimizer, make_optimizer, optimizer_type
from rnnsim.training.schedules import REDUCTIONS, Schedule, falling_over, make_schedule
from rnnsim.training.streams import network_loss
from rnnsim.typing import Params

T = TypeVar("T")

KEEP = ("last", "best")
LOOKS = 50  # at validation data, in a run of as many steps as it may have
READOUT = "readout_scale"
INIT = ("scheme", "gain", READOUT)  # options of ``network.init``
DEFAULT_WINDOW = 20  # steps between updates where neither user, task nor rule chooses


class Sized(NamedTuple):
    """How a network was chosen by its kind, beside the inputs and outputs of the task.

    Attributes
    ----------
    hidden : int
    dtype : str
    options : mapping
        Those of the network, given, needed or suggested.
    """

    hidden: int
    dtype: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Experiment:
    """Everything that determines a run."""

    rule: Rule
    task: Task
    network: Network
    settings: str  # the name of the task's suggestion that supplied the defaults
    init: Mapping[str, Any]  # options of ``network.init``
    optimizer: Optimizer
    criterion: Criterion
    seed: int
    steps: int  # maximum number of time steps
    window: int  # steps between updates
    batch: int  # number of sequences
    learning_rate: Any  # a number, or one for each parameter
    clip: float  # maximum norm of the gradient; inf: no clipping
    weight_decay: float
    schedule: Schedule  # of the learning rate
    reduction: str  # of the gradient over a window: sum or mean
    stop: bool  # whether to stop once the task is solved
    tailored: bool  # whether the loop is compiled for the exact array sizes
    keep: str = "last"  # or also the parameters that did best: best
    keep_every: int = 1  # steps between looks which do best
    patience: int = 0  # looks without an improvement after which it ends; 0: never
    sized: Sized | None = None  # how the network was chosen, unless it was given
    params: Params | None = None  # those to begin with, where they are given

    def initial_params(self) -> Params:
        """The parameters that are given, or else draw them."""
        return self.network.init(self.seed, **self.init) if self.params is None else self.params


def configure(
    rule: str | Rule,
    task: Any,
    *,
    network: str | Network | None = None,
    settings: str | None = None,
    steps: int | None = None,
    seed: int = 0,
    hidden: int | None = None,
    optimizer: str | Optimizer | None = None,
    learning_rate: Any = None,
    clip: float | None = None,
    weight_decay: float = 0.0,
    schedule: str = "constant",
    schedule_steps: int | None = None,
    reduction: str = "sum",
    window: int | None = None,
    batch: int | None = None,
    dtype: Any = None,
    params: Params | None = None,
    criterion: str | Criterion | None = None,
    stop: bool = True,
    tailored: bool = False,
    keep: str | None = None,
    keep_every: int | None = None,
    patience: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Experiment:
    """Resolve the arguments of :func:`rnnsim.run`.

    Raises
    ------
    RnnsimError
        If an argument is invalid or does not fit the others.
    """
    given = {name.replace("-", "_"): value for name, value in (options or {}).items()}
    task, given = registry.with_data(task, given)
    chosen_task = _build(registry.make_task, registry.task_type(task), task, given)
    kind = _kind(registry.rule_type(rule), network)
    settings, suggested = _suggestion(chosen_task, registry.rule_type(rule).name, kind, settings)
    optimizer_options = suggested.optimizer_options if optimizer is None else {}
    optimizer = suggested.optimizer if optimizer is None else optimizer
    owners = _owners(rule, task, optimizer, network, kind)
    _check_owned(given, list(owners.values()))
    chosen_rule = _build(registry.make_rule, registry.rule_type(rule), rule, given)
    network_options, init_options = _network_options(owners.get("network"), given)
    if checks.boolean("tailored", tailored) and chosen_task.target_delay:
        raise RnnsimError(
            f"tailored is not offered where targets are known later, as in {chosen_task.name}"
        )
    net, sized = _network(chosen_rule, chosen_task, suggested, network, hidden, dtype, network_options)
    max_steps = checks.whole("steps", suggested.steps if steps is None else steps, 1, checks.LARGEST)
    rate = suggested.learning_rate if learning_rate is None else learning_rate
    length = min(_window(chosen_rule, chosen_task, suggested, net, window), max_steps)
    kept = checks.known_name("keep", suggested.keep if keep is None else keep, KEEP)
    every = suggested.keep_every if keep_every is None else keep_every
    batch = checks.whole("batch", suggested.batch if batch is None else batch, 1, checks.LARGEST_SIZE)
    judged_by = _criterion(chosen_task, criterion)
    _check_data(chosen_task, batch, kept, judged_by)
    return Experiment(
        rule=chosen_rule,
        task=chosen_task,
        network=net,
        settings=settings,
        init={} if isinstance(network, Network) else {**suggested.init, **init_options},
        optimizer=make_optimizer(
            optimizer, {**optimizer_options, **_options_of(owners.get("optimizer"), given)}
        ),
        criterion=judged_by,
        seed=checks.whole("seed", seed, 0),
        steps=max_steps,
        window=length,
        batch=batch,
        learning_rate=checked_rate(net, rate),
        clip=clipping(suggested.clip if clip is None else clip),
        weight_decay=checks.real("weight_decay", weight_decay, at_least=0),
        schedule=make_schedule(schedule, falling_over(schedule, schedule_steps, max_steps)),
        reduction=checks.known_name("reduction", reduction, REDUCTIONS),
        stop=checks.boolean("stop", stop),
        tailored=checks.boolean("tailored", tailored),
        keep=kept,
        keep_every=checks.whole(
            "keep_every", max(max_steps // LOOKS, length) if every is None else every, 1, checks.LARGEST
        ),
        patience=_patience(kept, suggested, patience),
        sized=sized,
        params=None if params is None else net.views(net.pack(params)),
    )


def _patience(keep: str, suggested: Suggestion, patience: int | None) -> int:
    """The looks at validation data without an improvement after which a run ends; 0: it does not."""
    if patience is None:
        patience = suggested.patience if keep == "best" else 0
    if checks.whole("patience", patience, 0, checks.LARGEST) and keep != "best":
        raise RnnsimError("patience is for looks at validation data, which are made with keep='best'")
    return patience


def configure_from(rule: str | Rule, task: Any, choices: Mapping[str, Any]) -> Experiment:
    """Resolve the arguments and the options of :func:`rnnsim.run`, given together.

    Raises
    ------
    RnnsimError
        If one is invalid or does not fit the others.
    """
    arguments = inspect.signature(configure).parameters.keys() - {"rule", "task", "options"}
    named = {name: value for name, value in choices.items() if name in arguments}
    options = {name: value for name, value in choices.items() if name not in arguments}
    return configure(rule, task, options=options, **named)


def with_rule(experiment: Experiment, rule: Rule) -> Experiment:
    """The same experiment by another rule: the same network, data, windows and settings.

    Raises
    ------
    RnnsimError
        If the rule cannot learn the task, train the network or learn in these windows.
    """
    task, network = experiment.task, experiment.network
    _check_fit(rule, task, network)
    _window(rule, task, Suggestion(), network, experiment.window)
    return replace(experiment, rule=rule)


def _kind(rule: type[Rule], network: str | Network | None) -> str:
    """The kind of network: the user's choice, or else the rule's."""
    if isinstance(network, Network):
        return network.kind
    if network is not None and not isinstance(network, str):
        raise RnnsimError("network is the name of a kind, or one that is made, such as a "
                          f"RecurrentNetwork, not {shown(network)}")  # fmt: skip
    return registry.network_type(rule.kind if network is None else network).kind


def first_suggestion(rule: Rule, task: Task) -> Suggestion:
    """What a task suggests by itself for a rule and its kind of network; it may be for another kind."""
    return next(iter(task.suggestions(rule.name, rule.kind).values()))


def suits(rule: Rule, task: Task) -> bool:
    """Whether a rule can train on a task, with the task's settings for the rule's kind of network.

    A run is not configured for it, since that may read a data set.
    """
    timely = rule.online or task.episode_length is not None
    return task.steady == rule.settles and timely and first_suggestion(rule, task).kind == rule.kind


def _suggestion(task: Task, rule: str, kind: str, settings: str | None) -> tuple[str, Suggestion]:
    """Return the name and contents of the chosen settings, by default the task's first."""
    suggestions = task.suggestions(rule, kind)
    name = next(iter(suggestions)) if settings is None else settings
    suggested = suggestions[
        checks.known_name(f"setting of {task.name} ({kind} network)", name, suggestions)
    ]
    if suggested.kind != kind:  # only loss and scale of the readout carry over to another kind
        loss = {name: value for name, value in suggested.network.items() if name == "loss"}
        entry = registry.installed().networks.get(kind)  # one that is made need not be registered
        known = entry.thing.choices.defaults() if entry else {}
        scale = {name: x for name, x in suggested.init.items() if name == READOUT and name in known}
        suggested = suggested._replace(kind=kind, network=loss, init=scale)
    return name, suggested


def _owners(
    rule: str | Rule,
    task: str | Task,
    optimizer: str | Optimizer,
    network: str | Network | None,
    kind: str,
) -> dict[str, type[Options]]:
    """The classes that take options: those given by name, as objects already have theirs."""
    owners: dict[str, type[Options]] = {}
    if isinstance(rule, str):
        owners["rule"] = registry.rule_type(rule)
    if isinstance(task, str):
        owners["task"] = registry.task_type(task)
    if isinstance(optimizer, str):
        owners["optimizer"] = optimizer_type(optimizer)
    if not isinstance(network, Network):
        owners["network"] = registry.network_type(kind).choices
    return owners


def _options_of(owner: type[Options] | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Select the given options that this class defines."""
    has = owner.defaults() if owner else {}
    return {name: value for name, value in given.items() if name in has}


def _build(make: Callable[..., T], owner: type[Options], thing: Any, given: Mapping[str, Any]) -> T:
    """Make a rule or a task from its name and options; an object is passed through."""
    return make(thing, _options_of(owner, given) if isinstance(thing, str) else {})


def _network_options(
    choices: type[Options] | None, given: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split the network's options into those of the network and those of its initial weights."""
    if choices is None:
        return {}, {}
    asked = _options_of(choices, given)
    checked = choices.from_options(asked)
    values = {name: getattr(checked, name) for name in asked}
    return (
        {name: value for name, value in values.items() if name not in INIT},
        {name: value for name, value in values.items() if name in INIT},
    )


def _check_owned(given: Mapping[str, Any], owners: Sequence[type[Options]]) -> None:
    """Refuse options that no class defines, or that two classes do."""
    for name in given:
        having = [owner.name for owner in owners if name in owner.defaults()]
        if not having:
            known = [option for owner in owners for option in owner.defaults()]
            what = ", ".join(owner.name for owner in owners)
            raise UnknownName(
                nearest(f"option of {what}", name, known)
                if known
                else f"no option is called {name!r}; a thing that is made has its own"
            )
        if len(having) > 1:
            raise RnnsimError(f"{' and '.join(having)} both have an option {name}; "
                              "pass one of them as an object, with its own")  # fmt: skip


def _network(
    rule: Rule,
    task: Task,
    suggested: Suggestion,
    network: str | Network | None,
    hidden: int | None,
    dtype: Any,
    chosen: Mapping[str, Any],
) -> tuple[Network, Sized | None]:
    """Make the network, or take the given object, and check that it fits task and rule."""
    sized = None
    if not isinstance(network, Network):
        size = suggested.hidden if hidden is None else hidden
        checks.whole("hidden", size, at_most=checks.LARGEST_SIZE)  # each kind has its own minimum
        needed = rule.network if suggested.kind == rule.kind else {}
        options = {**needed, **suggested.network, **chosen}
        network = registry.network_type(suggested.kind).sized(
            task.n_in, size, task.n_out, dtype="float64" if dtype is None else dtype, **options
        )
        sized = Sized(size, network.dtype.name, options)
    elif hidden is not None or dtype is not None:
        raise RnnsimError("hidden and dtype are those of the network that is given; leave them out")
    _check_fit(rule, task, network)
    return network, sized


def _check_fit(rule: Rule, task: Task, network: Network) -> None:
    if task.n_in not in network.columns or task.n_out != network.n_out:
        columns = " or ".join(map(str, network.columns))
        raise RnnsimError(
            f"{task.name} has {task.n_in} inputs and {task.n_out} outputs; "
            f"the network has {columns} and {network.n_out}, and must have as many"
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
    checks.known_name(f"score of {task.name}", task.score, SCORES)
    if task.masks_outputs and not network.sums_outputs:
        raise RnnsimError(
            f"{task.name} has a mask of each output, which needs a loss that is a sum over outputs; "
            f"{network_loss(network)} is none"
        )
    if task.target_delay and rule.settles:
        raise RnnsimError(f"{task.name} has targets that are known later, and {rule.name} settles: "
                          "it has no time steps")  # fmt: skip
    task.check_network(network)
    rule.check_network(network)


def clipping(limit: float | None) -> float:
    """Check the maximum norm of the gradient; None or inf for no maximum."""
    unlimited = limit is None or (isinstance(limit, float) and limit == math.inf)
    return math.inf if unlimited else checks.real("clip", limit, above=0)


def _criterion(task: Task, criterion: str | Criterion | None) -> Criterion:
    if criterion is None:
        return task.criterion
    if isinstance(criterion, str):
        criteria = task.criteria
        return criteria[checks.known_name(f"criterion of {task.name}", criterion, criteria)]
    has = [callable(getattr(criterion, name, None)) for name in ("met", "memory")]
    if isinstance(criterion, type) or not all(has):
        raise RnnsimError(f"criterion is one of {', '.join(task.criteria)}, or one that is made, "
                          f"not {shown(criterion)}")  # fmt: skip
    return criterion


def _check_data(task: Task, batch: int, keep: str, criterion: Criterion) -> None:
    """Refuse what needs other data than the task has."""
    if task.kept_outputs and batch > 1:  # one of them would have learnt what the others are to forecast
        raise RnnsimError(f"each row is forecast before it is learnt, so that there is one sequence: "
                          f"batch is 1, not {batch}")  # fmt: skip
    if task.validation_shape()[0]:
        return
    if keep == "best" or isinstance(criterion, HeldOut):
        what = "keep=best" if keep == "best" else f"the criterion {criterion}"
        raise RnnsimError(f"{what} needs validation data, of which {task.name} has none here"
                          f"{'; keep=last needs none' * (keep == 'best')}")  # fmt: skip


def _window(rule: Rule, task: Task, suggested: Suggestion, network: Network, window: int | None) -> int:
    if window is not None:
        checks.whole("window", window, 1, checks.LARGEST)
    if not rule.online:
        if task.episode_length is None or window not in (None, task.episode_length):
            raise RnnsimError(
                f"{rule.name} is not on-line: it needs a task of episodes, and leaves window out"
            )
        return task.episode_length
    return (
        window
        or suggested.window
        or task.episode_length
        or rule.online_window(network)
        or DEFAULT_WINDOW
    )
