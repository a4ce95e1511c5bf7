"""What several runs differ by, which tells them apart in a figure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec
import numpy as np

from rnnsim.data.forecasting import called
from rnnsim.errors import shown, shown_path
from rnnsim.options import Options
from rnnsim.training.experiment import Experiment
from rnnsim.training.schedules import NAMES

SETTINGS = ("learning_rate", "window", "batch", "clip", "weight_decay", "reduction", "criterion",
            "stop", "tailored", "keep", "keep_every", "patience", "steps")  # fmt: skip
OWNERS = ("name", "rule", "task", "found", "network", "optimizer", "setting")  # the main ones first
BARE = ("rule", "task", "network", "data")  # said without their names

Key = tuple[str, str]  # what has an option, and the option
Facts = Mapping[Key, str]
DATA: Key = ("found", "data")


class Told(Protocol):
    """What tells runs apart."""

    experiment: Experiment
    folder: Path | None
    steps: int


R = TypeVar("R", bound=Told)


class Group(NamedTuple, Generic[R]):
    """Runs that differ by their seed alone.

    Attributes
    ----------
    label : str
        What tells them from the others; empty where there are no others.
    runs : list
    """

    label: str
    runs: list[R]


def groups_of(runs: Sequence[R]) -> list[Group[R]]:
    """Put runs that differ by their seed alone together, and name the groups by what they differ by.

    A run that differs by nothing from another is named by its folder, and stands by itself.

    Parameters
    ----------
    runs : sequence of runs

    Returns
    -------
    list of Group
        In the order of their first runs.
    """
    labels = _differences(_facts_of(runs))
    numbered: dict[tuple[str, ...], list[int]] = {}
    for i, label in enumerate(labels):
        numbered.setdefault(label, []).append(i)
    found = []
    several_seeds = len({run.experiment.seed for run in runs}) > 1
    for label, numbers in numbered.items():
        own = [runs[i] for i in numbers]
        if len({run.experiment.seed for run in own}) < len(own):
            found += [Group(_named(label, _place(runs[i], i)), [runs[i]]) for i in numbers]
        elif len(own) > 1:
            found.append(Group(_named(label, f"{len(own)} seeds"), own))
        else:
            seed = (f"seed {own[0].experiment.seed}",) if several_seeds else ()
            found.append(Group(_named(label, *seed), own))
    return found


def names_of(runs: Sequence[Told]) -> list[str]:
    """Name each run by what it differs by from the others: the seed and, if need be, its folder too."""
    labels = _differences(_facts_of(runs))
    if len({run.experiment.seed for run in runs}) > 1:
        labels = [(*label, f"seed {run.experiment.seed}") for label, run in zip(labels, runs)]
    return [
        _named(label, *((_place(run, i),) if labels.count(label) > 1 else ()))
        for i, (label, run) in enumerate(zip(labels, runs))
    ]


def _named(label: tuple[str, ...], *more: str) -> str:
    return ", ".join([*label, *more])


def _place(run: Told, i: int) -> str:
    return f"run {i + 1}" if run.folder is None else shown_path(run.folder)


def _differences(facts: Sequence[Facts]) -> list[tuple[str, ...]]:
    """Of each run what tells it from the others: no more than that takes, the main things first."""
    labels: list[tuple[str, ...]] = [()] * len(facts)
    keys = dict.fromkeys(key for of_run in facts for key in of_run)
    for key in sorted(keys, key=lambda key: OWNERS.index(key[0])):
        told = dict[tuple[str, ...], set[str | None]]()
        for label, of_run in zip(labels, facts):
            told.setdefault(label, set()).add(of_run.get(key))
        labels = [
            (*label, _said(key, of_run[key])) if len(told[label]) > 1 and key in of_run else label
            for label, of_run in zip(labels, facts)
        ]
    return labels


def _said(key: Key, value: str) -> str:
    owner, option = key
    return value if option in BARE and owner in ("name", "found") else f"{option}={value}"


def _facts_of(runs: Sequence[Told]) -> list[Facts]:
    """Everything that determines each run but its seed, as text; the main things come first.

    Data under one name are numbered where tasks did not find the same in them.
    """
    found = [_comparable(run.experiment.task.facts) for run in runs]
    numbers = {each: f"data {i + 1}" for i, each in enumerate(dict.fromkeys(found))}
    return [_facts(run.experiment) | {DATA: numbers[each]} for run, each in zip(runs, found)]


def _comparable(value: Any) -> Hashable:
    """Mappings, sequences and arrays as something that is equal where they are."""
    if isinstance(value, Mapping):
        return tuple(sorted((name, _comparable(each)) for name, each in value.items()))
    if isinstance(value, list | tuple):
        return tuple(map(_comparable, value))
    if isinstance(value, np.ndarray):
        return (value.shape, repr(value.tolist()))  # as text, nan is equal to nan
    return repr(value)


def _facts(experiment: Experiment) -> dict[Key, str]:
    """All of the experiment but what the task found in data."""
    rule, task, network, sized = experiment.rule, experiment.task, experiment.network, experiment.sized
    schedule = experiment.schedule
    facts: dict[Key, str] = {
        ("name", "rule"): rule.name, ("name", "task"): called(task), ("name", "network"): network.kind,
        **_options("rule", rule), **_options("task", task),
    }  # fmt: skip
    if sized is None:  # it was given, made
        facts["network", "units"] = str(network.n_state)
    else:
        facts["network", "hidden"] = str(sized.hidden)
        given = {**type(network).choices.defaults(), **sized.options, **experiment.init}
        facts |= {("network", name): _text(value) for name, value in given.items()}
    facts["name", "dtype"] = network.dtype.name
    facts["name", "optimizer"] = experiment.optimizer.name
    facts |= _options("optimizer", experiment.optimizer)
    facts |= {("setting", name): _text(getattr(experiment, name)) for name in SETTINGS}
    facts["setting", "schedule"] = NAMES[schedule.kind]
    facts["setting", "schedule_steps"] = str(schedule.steps)
    return facts


def _options(owner: str, thing: Options) -> dict[Key, str]:
    return {(owner, name): _text(value) for name, value in msgspec.structs.asdict(thing).items()}


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else shown(value)
