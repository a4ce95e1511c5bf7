"""A cell of a sweep: one setting, which is run for each of the seeds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np

from rnnsim.data.forecasting import called, forecasts_numbers
from rnnsim.errors import RnnsimError
from rnnsim.rule import Rule
from rnnsim.runs.comparing import labels
from rnnsim.runs.provenance import plugin_versions
from rnnsim.runs.run_file import file_of
from rnnsim.sweeps.store import Cell
from rnnsim.task import Task
from rnnsim.training.as_data import OWN
from rnnsim.training.checkpoints import digest, digests
from rnnsim.training.experiment import Experiment, configure_from
from rnnsim.typing import Array

NRMSE = "nRMSE"  # root mean squared error over the standard deviation
OF_SIZE = ("hidden", "initial_weights")  # by which no kernel is compiled anew


@dataclass(frozen=True, eq=False)  # one is the same only as itself: it may hold arrays
class Recipe:
    """The arguments of an experiment, which can be sent to another process.

    Attributes
    ----------
    rule, task
        As for :func:`rnnsim.run`.
    choices : mapping
        Its other arguments and options.
    varied : tuple of str
        The names of those that the plan varies.
    label : str
        What the plan calls it.
    """

    rule: str | Rule
    task: Any
    choices: Mapping[str, Any]
    varied: tuple[str, ...] = ()
    label: str = ""

    def experiment(self) -> Experiment:
        """Configure the experiment with seed 0.

        Raises
        ------
        RnnsimError
            If it cannot be carried out.
        """
        return configure_from(self.rule, self.task, self.choices)

    def at(self, rate: float) -> Recipe:
        """The same with another learning rate."""
        return replace(self, choices={**self.choices, "learning_rate": rate})

    @property
    def names(self) -> tuple[str, str]:
        """What the rule and the task are called, where there may be no experiment."""
        return _name(self.rule), _name(self.task)


@dataclass(frozen=True)
class Planned:
    """A cell before it has a number.

    Attributes
    ----------
    recipe : Recipe
    cell : Cell
        What is kept of it.
    key : str
        By which it is found again.
    kernels : str
        Cells for which it is the same are compiled alike.
    data : str
        A digest of the user's data that the task is of; nothing where it makes its own.
    problem : str
        Why it cannot be carried out.
    """

    recipe: Recipe = field(repr=False)
    cell: Cell
    key: str
    kernels: str = ""
    data: str = ""
    problem: str = ""


def planned(
    recipe: Recipe, place: int, role: str, choice: Mapping[str, Any] | None = None
) -> tuple[Planned, Experiment | None]:
    """Configure a cell; one that cannot be carried out has a problem, and no experiment.

    Raises
    ------
    UnknownName
        If there is no such rule, task or option: it is misspelt for all.
    """
    try:
        experiment = recipe.experiment()
    except RnnsimError as error:
        if type(error) is not RnnsimError:
            raise
        return _refused(recipe, place, role, str(error)), None
    data = _as_data(experiment)
    meaning, rate = str(experiment.criterion), experiment.learning_rate
    rule, task = labels([experiment.rule])[0], name_of_task(experiment.task)
    cell = Cell(
        0, place, role, recipe.label, rule, task, _varied(recipe, experiment),
        rate if isinstance(rate, float) else None, experiment.steps, meaning,
        experiment.task.published.get(experiment.rule.name), choice, data, _score(experiment.task),
    )  # fmt: skip
    key = _key([role, recipe.label, data, meaning])
    return Planned(recipe, cell, key, _kernels(data, meaning), data["data"]), experiment


def _as_data(experiment: Experiment) -> dict[str, Any]:
    """Everything that determines a run but its seed, with a digest in place of each array."""
    arrays: dict[str, Array] = {}
    data: dict[str, Any] = msgspec.to_builtins(file_of(experiment, arrays))
    del data["settings"]["seed"]
    data |= {"data": digest_of_data(experiment.task), "plugins": plugin_versions(experiment)}
    if experiment.params is not None:
        params = {name: {"array": name} for name in arrays if name.startswith("initial.")}
        data["settings"]["params"] = {"array": _key(_with_digests(params, arrays))}
    found: dict[str, Any] = _with_digests(data, arrays)
    return found


def _with_digests(value: Any, arrays: Mapping[str, Array]) -> Any:
    if isinstance(value, Mapping):
        if value.keys() == {"array"} and value["array"] in arrays:
            array = arrays[value["array"]]
            return {"array": f"{array.dtype} {array.shape} {digest(array)}"}
        return {name: _with_digests(part, arrays) for name, part in value.items()}
    return [_with_digests(part, arrays) for part in value] if isinstance(value, list) else value


def digest_of_data(task: Task) -> str:
    """A digest of the user's data, of all parts; nothing if the task makes its own.

    A file may change and keep its name, or be another on another machine.
    """
    if not task.takes_data:
        return ""
    parts: list[Any] = []
    for held_out in (False, True):
        parts.append(task.source(np.random.default_rng(0), 1, np.float64, held_out=held_out))
    parts.append(task.validation_source(np.random.default_rng(0), 1, np.float64))
    return _key([digests(part) for part in parts])


def _refused(recipe: Recipe, place: int, role: str, problem: str) -> Planned:
    varied = {name: recipe.choices[name] for name in recipe.varied if name in recipe.choices}
    shown = {name: _plain(value) for name, value in varied.items()}
    cell = Cell(0, place, role, recipe.label, *recipe.names, shown, None, 0, "", None, None, {})
    about = [*cell._replace(place=0), {name: repr(value) for name, value in recipe.choices.items()}]
    return Planned(recipe, cell, _key(about), problem=problem)


def _varied(recipe: Recipe, experiment: Experiment) -> dict[str, Any]:
    """What the plan varies, but for what the names of rule and task say already, and the rate."""
    task = experiment.task
    of_task = ("data",) if task.takes_data else task.defaults()  # of data, the name says no option
    said = {"learning_rate", *experiment.rule.defaults(), *of_task}
    return {
        name: _plain(recipe.choices[name])
        for name in recipe.varied
        if name in recipe.choices and name not in said
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)


def _score(task: Task) -> str:
    """What the score is called: of numbers of the user's own, it is that of the forecasts."""
    return NRMSE if forecasts_numbers(task) else task.score


def name_of_task(task: Task) -> str:
    """The name of a task, with its options where they are not the defaults; or its data."""
    if task.takes_data:
        return called(task)
    defaults, given = type(task).defaults(), msgspec.structs.asdict(task)
    changed = [f"{name}={value}" for name, value in given.items() if value != defaults.get(name)]
    return f"{task.name}:{','.join(changed)}" if changed else task.name


def _name(thing: Any) -> str:
    return thing if isinstance(thing, str) else str(getattr(thing, "name", type(thing).__name__))


def _key(data: Any) -> str:
    return hashlib.blake2b(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _kernels(data: Mapping[str, Any], meaning: str) -> str:
    """What decides which kernels are compiled: no numbers but those among options."""
    network, settings = data["network"], data["settings"]
    parts = [data["rule"], data["task"], data["optimizer"]["name"], network, meaning]
    if settings["tailored"]:
        parts.append(settings)  # compiled for the sizes of all arrays
    else:
        parts[3] = {name: value for name, value in network.items() if name not in OF_SIZE}
        parts.append([settings.get(name) for name in ("schedule", "reduction", "keep")])
    return _key(parts)


def check_kept(cell: Planned) -> None:
    """Refuse a cell whose runs could not be told from those of another in a file.

    Raises
    ------
    RnnsimError
        If it has a rule, a task, a network or a criterion that is registered nowhere.
    """
    data = cell.cell.experiment
    own = [
        name
        for name, value in (
            *((name, data.get(name, {}).get("name")) for name in ("rule", "task", "optimizer")),
            ("network", data.get("network", {}).get("kind")),
            ("criterion", data.get("settings", {}).get("criterion")),
        )
        if value == OWN
    ]
    if own:
        raise RnnsimError(f"the {own[0]} of this sweep is one of your own, which a file of results "
                          "cannot describe; leave the file out, or register it in a plugin")  # fmt: skip
