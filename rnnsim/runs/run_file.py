"""The file of a run, ``run.toml``: everything that determines the run, as data, and what came of it.

It is an input as well as a record (:mod:`rnnsim.runs.repeating`). Written by hand it may be short, since
what it does not say is what the task suggests::

    rule = "rtrl"
    task = "delayed-xor"
    [settings]
    steps = 5000
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, get_args

import msgspec

from rnnsim import checks, registry
from rnnsim.errors import RnnsimWarning, nearest, shown
from rnnsim.network import Network
from rnnsim.options import Count, explained
from rnnsim.runs.provenance import Provenance
from rnnsim.task import Task
from rnnsim.training.as_data import (
    OWN,
    MadeNetwork,
    Thing,
    network_as_data,
    options_as_data,
    thing_as_data,
)
from rnnsim.training.experiment import Experiment, Sized
from rnnsim.training.optimizers import OPTIMIZERS
from rnnsim.training.schedules import NAMES
from rnnsim.typing import Array
from rnnsim.version import __version__

Index = Annotated[int, msgspec.Meta(ge=0)]
OUTCOMES = ("running", "interrupted", "stopped", "stopped early", "complete", "solved")
SETTINGS = (
    "seed", "steps", "window", "batch", "clip", "weight_decay", "reduction", "stop", "tailored", "keep",
    "keep_every", "patience",
)  # fmt: skip


class NetworkTable(MadeNetwork):
    """A network chosen by its kind, with its options and those of its initial weights; or one made."""

    hidden: int | None = None
    dtype: str | None = None
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    initial_weights: dict[str, Any] = msgspec.field(default_factory=dict)


class Settings(msgspec.Struct):
    """How it learns; ``name`` is that of the task's settings that supplied the defaults."""

    name: str | None = None
    seed: Index = 0
    steps: Count | None = None
    window: Count | None = None
    batch: Count | None = None
    learning_rate: float | dict[str, Any] | None = None
    clip: float | None = None
    weight_decay: float = 0.0
    schedule: str = "constant"
    schedule_steps: Count | None = None
    reduction: str = "sum"
    criterion: str | None = None
    stop: bool = True
    tailored: bool = False
    keep: str | None = None
    keep_every: Count | None = None
    patience: Index | None = None
    monitor: dict[str, str] | None = None  # the functions among them as OWN
    monitor_every: Count | None = None
    params: bool = False  # whether those to begin with are among the arrays

    def __post_init__(self) -> None:
        if isinstance(self.learning_rate, float):
            checks.real("learning_rate", self.learning_rate, at_least=0)
        if self.clip not in (None, math.inf):
            checks.real("clip", self.clip, above=0)
        checks.real("weight_decay", self.weight_decay, at_least=0)


class Result(msgspec.Struct):
    """What came of it, so far."""

    outcome: str = "complete"
    solved_at: Count | None = None
    steps: Index = 0
    seconds: float = 0.0
    loss: float | None = None  # absent if it was not finite, or not evaluated yet
    score: float | None = None
    spectral_radius: float | None = None
    best_step: Index | None = None
    best_loss: float | None = None

    def __post_init__(self) -> None:
        checks.known_name("outcome of a run", self.outcome, OUTCOMES)
        for name in ("solved_at", "best_step"):
            if (getattr(self, name) or 0) > self.steps:
                raise ValueError(f"{name} is {getattr(self, name)}, after {self.steps} steps")
        for name in ("seconds", "loss", "score", "best_loss"):
            if not math.isfinite(getattr(self, name) or 0.0) or self.seconds < 0:
                raise ValueError(f"{name} is {getattr(self, name)}")


class CheckpointTable(msgspec.Struct):
    """From where the run goes on; the arrays of it are beside the file."""

    step: Index
    seconds: float
    records: Index = 0
    data: dict[str, str] = {}
    best_step: Index | None = None
    best_loss: float | None = None

    def __post_init__(self) -> None:
        checks.real("seconds", self.seconds, at_least=0)
        checks.real("best_loss", self.best_loss or 0.0)


class RunFile(msgspec.Struct):
    """What ``run.toml`` holds."""

    rnnsim: str | None = None  # the version that wrote it
    rule: Thing | None = None
    task: Thing | None = None
    network: NetworkTable | None = None
    optimizer: Thing | None = None
    settings: Settings = msgspec.field(default_factory=Settings)
    result: Result | None = None
    checkpoint: CheckpointTable | None = None
    provenance: Provenance | None = None


# --- an experiment as data ----------------------------------------------------------------------------


def file_of(experiment: Experiment, arrays: dict[str, Array]) -> RunFile:
    """The file of a run that is configured so; arrays are put aside, into ``arrays``."""
    known = registry.installed()
    schedule, rate = experiment.schedule, experiment.learning_rate
    settings = Settings(
        **{name: getattr(experiment, name) for name in SETTINGS},
        name=experiment.settings,
        learning_rate=rate
        if isinstance(rate, float)
        else options_as_data(_mapping(rate), "rate", arrays),
        schedule=NAMES[schedule.kind],
        schedule_steps=schedule.steps if schedule.kind else None,
        criterion=_criterion_name(experiment),
        params=experiment.params is not None,
    )
    if experiment.params is not None:
        arrays |= {f"initial.{name}": x for name, x in experiment.params._asdict().items()}
    return RunFile(
        rnnsim=__version__,
        rule=thing_as_data(experiment.rule, known.rules, arrays),
        task=_with_facts(thing_as_data(experiment.task, known.tasks, arrays), experiment.task, arrays),
        network=_network_table(experiment, arrays),
        optimizer=thing_as_data(experiment.optimizer, OPTIMIZERS, arrays),
        settings=settings,
    )


def _with_facts(written: Thing, task: Task, arrays: dict[str, Array]) -> Thing:
    """What is written of a task, with what it found in its data."""
    if written.name != OWN:
        written.facts = options_as_data(task.facts, f"{task.name}.facts", arrays)
    return written


def _mapping(rate: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = rate._asdict() if hasattr(rate, "_asdict") else rate
    return found


def _criterion_name(experiment: Experiment) -> str:
    names = [name for name, one in experiment.task.criteria.items() if one == experiment.criterion]
    return names[0] if names else OWN


def _network_table(experiment: Experiment, arrays: dict[str, Array]) -> NetworkTable:
    network, sized = experiment.network, experiment.sized
    if sized is None:
        made = network_as_data(network, arrays)
        return NetworkTable(made.kind, made.arguments, made.named)
    try:
        options = options_as_data(chosen_options(network, sized), "network", arrays)
        weights = options_as_data(experiment.init, "initial_weights", arrays)
    except TypeError:
        return NetworkTable(OWN)
    return NetworkTable(
        network.kind, hidden=sized.hidden, dtype=sized.dtype, options=options, initial_weights=weights
    )


def chosen_options(network: Network, sized: Sized) -> dict[str, Any]:
    """The options of a network that users choose by name.

    Others are of the task's settings or of the rule, and come with them.
    """
    choices = type(network).choices.defaults()
    return {name: value for name, value in sized.options.items() if name in choices}


# --- and back -----------------------------------------------------------------------------------------


def parsed(tables: Mapping[str, Any]) -> RunFile:
    """Make a run's file of the tables of a TOML file; ``rule = "bptt"`` is short for a table.

    Of a file that another version wrote, what is not known here is left out, with a note.

    Raises
    ------
    ValueError
        If it cannot be the file of a run.
    """
    long = {
        name: {"name" if name != "network" else "kind": value} if _is_name(name, value) else value
        for name, value in tables.items()
    }
    try:
        found = msgspec.convert(long, RunFile)
    except msgspec.ValidationError as error:
        version = tables.get("rnnsim", __version__)
        whose = "" if version == __version__ else f" (rnnsim {shown(version)} saved it)"
        raise ValueError(_what_is_wrong(str(error), long) + whose) from None
    unknown = list(_unknown(long, RunFile, ""))
    if found.rnnsim not in (None, __version__):
        names = ", ".join(f"{table}{name}" for table, name, _ in unknown)
        left_out = f"; {names} in it is not known here" if unknown else ""
        warnings.warn(
            f"this run was saved by rnnsim {found.rnnsim}, and this is {__version__}{left_out}",
            RnnsimWarning, stacklevel=2,
        )  # fmt: skip
    elif unknown:
        table, name, known = unknown[0]
        kind = f"key of table {table.rstrip('.')}" if table else "table of a run's file"
        raise ValueError(nearest(kind, name, known))
    return found


def _is_name(table: str, value: Any) -> bool:
    return table in ("rule", "task", "optimizer", "network") and isinstance(value, str)


def _what_is_wrong(message: str, tables: Any) -> str:
    """What msgspec says of a value, in our words."""
    what, path = explained(message)
    path = path.split("[")[0]
    if lacks := re.search(r"missing required field (\w+)", what):
        return f"table {path} has no {lacks[1]}"
    if not what.startswith(("expected", "invalid")):  # what we say
        return what
    for name in path.split("."):
        tables = tables[name]
    return f"{path} is {shown(tables)}; {what.removesuffix(' or none')}"


def _unknown(
    table: Mapping[str, Any], struct: type[msgspec.Struct], path: str
) -> Iterator[tuple[str, str, Collection[str]]]:
    """In nested tables, the names that the struct does not have: the table, the name, those it has."""
    types = {field.name: field.type for field in msgspec.structs.fields(struct)}
    for name, value in table.items():
        if name not in types:
            yield path, name, types
            continue
        inner = [kind for kind in get_args(types[name]) or (types[name],) if _is_struct(kind)]
        if inner and isinstance(value, Mapping):
            yield from _unknown(value, inner[0], f"{path}{name}.")


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
