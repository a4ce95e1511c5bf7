"""What a sweep consists of: rules, tasks and choices, as a grid or drawn at random, and seeds.

A plan can be written as a file, of which everything but rules and tasks may be left out::

    rules = ["rtrl", "truncated-bptt:h=6,h_prime=1", {name = "snap", n = [1, 2]}]
    tasks = ["delayed-xor", "adding:length=20"]
    seeds = 10                      # 0, ..., 9; or a list
    [settings]                      # arguments and options of rnnsim.run for all
    steps = 20000
    [grid]                          # every combination of these values
    window = [1, 5, 20]
    [tune]                          # how each rule gets a learning rate of its own
    factors = [0.1, 0.3, 1, 3, 10]
    seeds = 3

With ``draws = 40``, each rule has as many cells, with the same values, which are drawn: from a list, or
between two bounds, as in ``leak = {low = 0.1, high = 1}`` or, evenly in its logarithm,
``learning_rate = {low = 1e-4, high = 0.1, log = true}``. Several such plans are tables
``[[experiments]]`` of one file; what stands above them holds for each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from rnnsim import checks, files, folders, registry
from rnnsim.errors import RnnsimError, nearest, shown, shown_path
from rnnsim.options import explained
from rnnsim.runs.comparing import name_and_options, rule_of
from rnnsim.runs.seeds import OF_RUN
from rnnsim.sweeps.cells import Recipe

FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0)  # of the learning rate that the task suggests
OWN_OF_PLAN = tuple(name for name in OF_RUN if name not in ("stop", "keep", "patience"))
MOST_CELLS = 1_000_000


class Tune(msgspec.Struct, forbid_unknown_fields=True):
    """How each rule gets a learning rate of its own, all from the same budget.

    Attributes
    ----------
    factors : sequence of float
        The rates that are tried, as factors of the one that the task suggests for the rule.
    rates : sequence of float or None
        The rates themselves, in their place.
    seeds : int
        With how many seeds each is tried; they are others than those of the results.
    """

    factors: Sequence[float] = FACTORS
    rates: Sequence[float] | None = None
    seeds: int = 3


class Plan(msgspec.Struct, forbid_unknown_fields=True):
    """The plan of a sweep.

    Attributes
    ----------
    rules, tasks : sequence
        Names, names with options, mappings with a ``name`` and choices for this rule or task alone (a
        list of values is varied), or objects; a task may be data.
    seeds : int or sequence of int
        How many (0, 1, ...), or which.
    settings : mapping
        Arguments and options of :func:`rnnsim.run` for all cells.
    grid : mapping
        By name, the values of arguments and options that are varied; with ``draws`` also bounds.
    draws : int or None
        How many combinations are drawn at random in place of all.
    draw_seed : int
        The seed of these draws.
    tune : Tune, bool or None
        None: if there are several rules and no learning rate is given.
    control : bool
        Whether each cell is also run with a learning rate of 0.
    label : str
        What it is called in the results.
    """

    rules: Any = ()
    tasks: Any = ()
    seeds: Any = 10
    settings: dict[str, Any] = {}
    grid: dict[str, Any] = {}
    draws: int | None = None
    draw_seed: int = 0
    tune: Tune | bool | None = None
    control: bool = False
    label: str = ""


def plans_of(path: Path) -> list[Plan]:
    """Read the plans of a file.

    Raises
    ------
    RnnsimError
        If it cannot be read, or something in it cannot be used.
    """
    with folders.problem_reported(f"{shown_path(path)} is no file of a sweep"):
        try:
            with path.open("rb") as file:
                content = files.read_at_most(file, folders.MOST)
        except OSError as error:
            raise RnnsimError(f"the file of a sweep {shown_path(path)} cannot be read: "
                              f"{error.strerror or error}") from None  # fmt: skip
        tables = folders.parsed_toml(content, path.name)
        parts = tables.pop("experiments", [{}])
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise ValueError("experiments are tables, [[experiments]]")
        return [_plan(_merged(tables, part)) for part in parts]


def _merged(common: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """What holds for all experiments of a file, and what one of them says in its place."""
    found = {**common, **part}
    for name in ("settings", "grid"):
        tables = [given[name] for given in (common, part) if name in given]
        if len(tables) == 2 and all(isinstance(table, dict) for table in tables):
            found[name] = {**tables[0], **tables[1]}
    return found


def _plan(tables: Mapping[str, Any]) -> Plan:
    known = [field.name for field in msgspec.structs.fields(Plan)]
    for name in tables:
        if name not in known:
            raise ValueError(nearest("key of a sweep's file", name, [*known, "experiments"]))
    try:
        plan = msgspec.convert(tables, Plan)
    except msgspec.ValidationError as error:
        what, where = explained(str(error))
        raise ValueError(f"{where}: {what}" if where else what) from None
    return plan


def check(plan: Plan) -> None:
    """Refuse a plan that cannot be carried out, whatever the rules and tasks are.

    Raises
    ------
    RnnsimError
        If there is something wrong with it.
    """
    for name in ("rules", "tasks"):
        things = getattr(plan, name)
        if not isinstance(things, list | tuple) or not len(things):
            raise RnnsimError(f"{name} is a list of at least one, not {shown(things)}")
    seeds_of(plan)
    if taken := [name for name in OWN_OF_PLAN if name in {**plan.settings, **plan.grid}]:
        raise RnnsimError(f"{taken[0]} is an argument of a single run, and a sweep is of several; leave "
                          "it out")  # fmt: skip
    for name, values in plan.grid.items():
        if not isinstance(name, str):
            raise RnnsimError(f"the names in grid are text, which {shown(name)} is not")
        _check_axis(name, values, plan.draws is not None)
    if plan.draws is not None:
        checks.whole("draws", plan.draws, 1, MOST_CELLS)
        if not plan.grid:
            raise RnnsimError("draws says how often values of the grid are drawn, and there is no grid")
    if isinstance(plan.tune, Tune):
        checks.whole("seeds of tune", plan.tune.seeds, 1, checks.LARGEST_SIZE)
        given = plan.tune.factors if plan.tune.rates is None else plan.tune.rates
        if not len(given):
            raise RnnsimError("tune has no learning rates to try; give at least one, or leave them out")
        for rate in given:
            checks.real("a learning rate of tune", rate, above=0)
    if plan.tune and gives_rate(plan):
        raise RnnsimError("learning_rate is given, and tune is to choose it; leave one of them out")


def gives_rate(plan: Plan) -> bool:
    """Whether a plan has a learning rate, for all or for a rule or a task of its own."""
    own = [thing for thing in (*plan.rules, *plan.tasks) if isinstance(thing, Mapping)]
    return any("learning_rate" in choices for choices in (plan.settings, plan.grid, *own))


def _check_axis(name: str, values: Any, drawn: bool) -> None:
    if isinstance(values, Mapping):
        if not drawn:
            raise RnnsimError(f"{name} in the grid has bounds, from which values are drawn: give draws, "
                              "or a list of values")  # fmt: skip
        if unknown := values.keys() - {"low", "high", "log"}:
            raise RnnsimError(nearest(f"bound of {name}", min(unknown), ["low", "high", "log"]))
        if not {"low", "high"} <= values.keys():
            raise RnnsimError(f"{name} in the grid is a list of values, or has low and high")
        low = checks.real(f"low of {name}", values["low"])
        checks.real(f"high of {name}", values["high"], above=low)
        if values.get("log") and low <= 0:
            raise RnnsimError(f"low of {name} is {low:g}; it must be above 0 where log is true")
    elif not isinstance(values, list | tuple | range | np.ndarray) or not len(values):
        raise RnnsimError(f"{name} in the grid is a list of at least one value, not {shown(values)}")


def seeds_of(plan: Plan) -> list[int]:
    """The seeds of the results."""
    if isinstance(plan.seeds, list | tuple | range | np.ndarray):
        found = [checks.whole("a seed", seed, 0) for seed in _unarrayed(plan.seeds)]
        if not found or len(set(found)) < len(found):
            raise RnnsimError(f"seeds are different whole numbers, at least one, not {shown(found)}")
        return found
    return list(range(checks.whole("seeds", plan.seeds, 1, checks.LARGEST_SIZE)))


def tune_of(given: Any) -> Tune | bool | None:
    """What is said of the choice of learning rates: whether, the rates to try, or all of it.

    Raises
    ------
    RnnsimError
        If it is none of these.
    """
    if given is None or isinstance(given, bool | Tune):
        return given
    table = given if isinstance(given, Mapping) else {"rates": given}
    table = {name: _unarrayed(value) for name, value in table.items()}
    try:
        return msgspec.convert(table, Tune)
    except msgspec.ValidationError as error:
        what, where = explained(str(error))
        raise RnnsimError(f"tune is true, rates to try, or a mapping with rates or factors and seeds; "
                          f"{where}: {what}".removesuffix(": ")) from None  # fmt: skip


def _unarrayed(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


# --- recipes ------------------------------------------------------------------------------------------


def recipes(plan: Plan) -> list[Recipe]:
    """The cells of a plan, without those in which learning rates are tried.

    Raises
    ------
    RnnsimError
        If a choice cannot be used.
    """
    points, found = _points(plan), list[Recipe]()
    for task in plan.tasks:
        for rule in plan.rules:
            for rule_name, of_rule in _spread(rule, "rule"):
                for task_name, of_task in _spread(task, "task"):
                    varied = (*plan.grid, *of_rule, *of_task)
                    for point in points:
                        if len(found) >= MOST_CELLS:
                            raise RnnsimError(f"this sweep has more than {MOST_CELLS:,} cells")
                        choices = {**plan.settings, **point, **of_rule, **of_task}
                        found.append(Recipe(rule_name, task_name, choices, varied, plan.label))
    return found


def _points(plan: Plan) -> list[dict[str, Any]]:
    """The combinations of the values of the grid: all, or some that are drawn."""
    if plan.draws is None:
        return [dict(zip(plan.grid, values)) for values in itertools.product(*plan.grid.values())]
    random = np.random.default_rng(plan.draw_seed)
    return [
        {name: _drawn(values, random) for name, values in plan.grid.items()} for _ in range(plan.draws)
    ]


def _drawn(values: Any, random: np.random.Generator) -> Any:
    """One of some values, or a number between two bounds, whole if both are."""
    if not isinstance(values, Mapping):
        return values[random.integers(len(values))]
    low, high, place = values["low"], values["high"], random.random()
    whole = isinstance(low, int) and isinstance(high, int)
    top = high + 1 if whole else high
    if values.get("log"):
        found = math.exp(math.log(low) + place * (math.log(top) - math.log(low)))
    else:
        found = low + place * (top - low)
    return min(int(found), high) if whole else found


def _spread(thing: Any, kind: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """A rule or a task with each combination of the choices that are its own."""
    if isinstance(thing, Mapping) and "name" in thing and isinstance(thing["name"], str):
        own = {name: values for name, values in thing.items() if name != "name"}
        axes = [values if isinstance(values, list | tuple) else [values] for values in own.values()]
        if empty := [name for name, values in zip(own, axes) if not len(values)]:
            raise RnnsimError(f"{empty[0]} of the {kind} {shown(thing['name'])} is a list of at least "
                              "one value, not []")  # fmt: skip
        for values in itertools.product(*axes):
            yield thing["name"], dict(zip(own, values))
    elif kind == "rule" and isinstance(thing, Mapping):
        raise RnnsimError(f"a rule with choices of its own needs a name, as in "
                          f'{{name = "snap", n = [1, 2]}}; not {shown(thing)}')  # fmt: skip
    elif kind == "rule":
        yield (rule_of(thing) if isinstance(thing, str) and ":" in thing else thing), {}
    else:
        yield _task(thing), {}


def _task(thing: Any) -> Any:
    """A task from its name with options, as in ``adding:length=20``; anything else as it is."""
    if not isinstance(thing, str) or ":" not in thing:
        return thing
    if thing.partition(":")[0] not in registry.installed().tasks:
        return thing  # a file whose name has a colon
    return registry.make_task(*name_and_options(thing, "task"))
