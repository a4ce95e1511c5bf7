"""A learner in a folder: ``learner.toml`` says what it is made of, ``arrays.safetensors`` what it holds.

Neither file holds code: a network is made from its kind and its arguments, a rule from its name. What
cannot be written so (functions of your own, classes that are registered nowhere) is given when the
learner is loaded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from rnnsim import checks, files, folders, registry
from rnnsim.errors import RnnsimError
from rnnsim.network import Network
from rnnsim.options import Options
from rnnsim.rule import Rule
from rnnsim.training.optimizers import make_optimizer
from rnnsim.training.schedules import CONSTANT, NAMES
from rnnsim.training.sequences import arrays_in, generators_in, has_steps
from rnnsim.typing import Array, Trajectory
from rnnsim.version import __version__

Learner = Any  # rnnsim.training.learner.Learner, which imports this module

SUMMARY, ARRAYS = "learner.toml", "arrays.safetensors"
MOST = 1 << 20  # bytes of learner.toml
OWN = "given"  # in place of what is not written
PLAIN = (bool, int, float, str)


class _Thing(msgspec.Struct):
    name: str
    options: dict[str, Any] = {}


class _Network(msgspec.Struct):
    kind: str
    arguments: list[Any] = []
    named: dict[str, Any] = {}


class _Summary(msgspec.Struct):
    """What learner.toml holds."""

    rnnsim: str
    network: _Network
    rule: _Thing
    optimizer: _Thing
    settings: dict[str, Any]
    count: int
    window: int
    held: int
    resets_next: bool
    is_open: bool
    delayed: int = 0  # rows that wait for their targets
    generators: list[str] = []


def save(learner: Learner, folder: str | os.PathLike[str]) -> Path:
    """Write a learner into a folder, creating it if necessary; one that is there is replaced as a whole.

    Raises
    ------
    RnnsimError
        If the folder cannot be written to.
    """
    path = checks.path("the folder of a learner", folder)
    arrays = _held_arrays(learner)
    network = _network_as_data(learner.network, arrays)
    own, line = learner._on_line, learner._on_line.line
    settings, training = own.made.settings, own.advance.training
    rate = settings.learning_rate
    arrays |= {} if np.isscalar(rate) else _rates(learner)
    summary = _Summary(
        rnnsim=__version__,
        network=network,
        rule=_as_data(learner.rule, registry.installed().rules),
        optimizer=_as_data(learner.optimizer, None),
        settings={
            "seed": settings.seed,
            "clip": settings.clip,
            "weight_decay": settings.weight_decay,
            "schedule": NAMES[settings.schedule.kind],
            "schedule_steps": settings.schedule.steps,
            "batch": learner.batch,
            "delay": line.delay if line else 0,
            "reduction": "mean" if settings.mean else "sum",
            "tailored": settings.tailored,
            **({"window": learner.window} if learner.window else {}),
            **({"learning_rate": rate} if np.isscalar(rate) else {}),
        },
        count=own.unfinished.count,
        window=own.unfinished.window,
        held=int(training.clock.held[0]),
        resets_next=own.resets_next,
        delayed=line.held if line else 0,
        is_open=own.unfinished.is_open,
        generators=[json.dumps(_state_of(generator)) for generator in generators_in(training.memory)],
    )
    contents = {SUMMARY: folders.toml_file(summary), ARRAYS: folders.safetensors_file(arrays)}
    folders.write(path, contents, "learner")
    return path


def load(
    kind: type[Any], folder: str | os.PathLike[str], network: Network | None, rule: Rule | None
) -> Learner:
    """Make the learner of a class that a folder holds.

    Raises
    ------
    RnnsimError
        If the folder holds none, a file is damaged, or the network or the rule is to be given.
    """
    path = checks.path("the folder of a learner", folder)
    summary, arrays = _read(path)
    try:
        learner = _made(kind, summary, arrays, network, rule)
        _restore(learner, summary, arrays)
    except (KeyError, ValueError, TypeError) as error:
        raise RnnsimError(f"{path} holds a damaged learner: {error!r}") from None
    return learner


def _made(
    kind: type[Any], summary: _Summary, arrays: Mapping[str, Array], network: Network | None,
    rule: Rule | None,
) -> Learner:  # fmt: skip
    if network is None:
        network = _network_of(summary.network, arrays)
    if rule is None:
        if summary.rule.name == OWN:
            raise RnnsimError("the rule of this learner is registered nowhere; give it by rule=")
        rule = registry.make_rule(summary.rule.name, summary.rule.options)
    settings = dict(summary.settings)
    if settings["schedule"] == NAMES[CONSTANT]:
        del settings["schedule_steps"]
    if "learning_rate" not in settings:
        settings["learning_rate"] = network.views(np.array(arrays["learning_rate"]))._asdict()
    optimizer = make_optimizer(summary.optimizer.name, summary.optimizer.options)
    reset_state = arrays.get("reset_state")
    learner = kind(
        network, rule, optimizer=optimizer, params=network.views(np.array(arrays["params"])),
        reset_state=reset_state, **settings,
    )  # fmt: skip
    own = learner._on_line
    if own.unfinished.window != summary.window:  # a rule without a window of its own
        own.prepare(summary.window)
    return learner


# --- arrays -------------------------------------------------------------------------------------------


def _held_arrays(learner: Learner) -> dict[str, Array]:
    """The arrays that a learner holds, by name."""
    own, training = learner._on_line, learner._on_line.advance.training
    found = {"params": training.flat_params}
    if own.reset_state is not None:
        found["reset_state"] = np.asarray(own.reset_state, learner.network.dtype)
    groups: dict[str, Any] = {
        "state": training.state, "optimizer": training.optimizer_memory,
        "acting": own.acting,
        "line": own.line.arrays() if own.line else (),
        "clock": training.clock, "memory": training.memory if learner.rule.carries else (),
    }  # fmt: skip
    held = int(training.clock.held[0])
    if held and learner.rule.carries:
        groups["history"] = tuple(_rows(training.trajectory, held))
    if own.unfinished.count:
        groups["rows"] = tuple(part[: own.unfinished.count] for part in own.unfinished.rows)
    for name, group in groups.items():
        found |= {f"{name}.{i}": array for i, array in enumerate(arrays_in(group))}
    return {name: array for name, array in found.items() if array.size}


def _restore(learner: Learner, summary: _Summary, arrays: Mapping[str, Array]) -> None:
    """Copy arrays into those of a learner of the same make."""
    own = learner._on_line
    training, unfinished = own.advance.training, own.unfinished
    if unfinished.window < summary.count or summary.count < 0 or summary.held < 0:
        raise ValueError(f"{summary.count} rows of a window of {unfinished.window}")
    if summary.count:
        columns = arrays["rows.0"].shape[2]
        if columns not in learner.network.columns:
            raise ValueError(f"inputs of {columns} columns")
        unfinished._allocate(columns)
    unfinished.count, unfinished.is_open = summary.count, summary.is_open
    own.resets_next = summary.resets_next
    training.clock.held[0] = summary.held
    if own.line:
        own.line.restore(summary.delayed, arrays["line.0"].shape[2])
    for name, array in _held_arrays(learner).items():
        if name.startswith(("history.", "rows.", "reset_state")):
            continue
        array[...] = _alike(name, array, arrays)
    if summary.held and learner.rule.carries:
        for i, rows in enumerate(_rows(training.trajectory, summary.held)):
            if rows.size:
                rows[...] = _alike(f"history.{i}", rows, arrays)
    for i, part in enumerate(unfinished.rows if summary.count else ()):
        if part.size:
            rows = part[: summary.count]
            rows[...] = _alike(f"rows.{i}", rows, arrays)
    for generator, state in zip(generators_in(training.memory), summary.generators):
        generator.bit_generator.state = json.loads(state)


def _rows(trajectory: Trajectory, count: int) -> list[Array]:
    """The first rows of the arrays of a trajectory that have a row for each step."""
    return [x[:count] for x in arrays_in(trajectory) if has_steps(x, trajectory)]


def _alike(name: str, own: Array, arrays: Mapping[str, Array]) -> Array:
    found = arrays[name]
    if found.shape != own.shape or found.dtype != own.dtype:
        raise ValueError(f"{name} is {found.dtype} {found.shape}, not {own.dtype} {own.shape}")
    return found


def _rates(learner: Learner) -> dict[str, Array]:
    training = learner._on_line.advance.training
    return {"learning_rate": training.scales.astype(np.float64) * training.plan.rate}


def _state_of(generator: np.random.Generator) -> Any:
    return generator.bit_generator.state


# --- what a learner is made of ------------------------------------------------------------------------


def _as_data(thing: Options, known: Mapping[str, Any] | None) -> _Thing:
    """The name and options of a rule or an optimizer."""
    entry = known.get(thing.name) if known is not None else None
    if known is not None and (entry is None or entry.thing is not type(thing)):
        return _Thing(OWN)
    options = msgspec.structs.asdict(thing)
    return _Thing(thing.name, {name: value for name, value in options.items() if value is not None})


def _network_as_data(network: Network, arrays: dict[str, Array]) -> _Network:
    """The kind and the arguments of a network, arrays apart."""
    entry = registry.installed().networks.get(network.kind)
    try:
        if entry is None or entry.thing is not type(network):
            raise TypeError
        arguments = [_value(part, f"network.{i}", arrays) for i, part in enumerate(network._arguments)]
        named = {
            name: _value(part, f"network.{name}", arrays)
            for name, part in network._named.items()
            if part is not None
        }
    except TypeError:
        return _Network(OWN)
    return _Network(network.kind, arguments, named)


def _value(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """A value as TOML can hold it; an array is put aside."""
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return np.dtype(value).name
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, tuple | list):
        return [_value(part, f"{name}.{i}", arrays) for i, part in enumerate(value)]
    raise TypeError(f"{value!r} cannot be written")


def _network_of(given: _Network, arrays: Mapping[str, Array]) -> Network:
    if given.kind == OWN:
        raise RnnsimError("the network of this learner has functions of your own or is registered "
                          "nowhere; give it by network=")  # fmt: skip
    arguments = [_read_value(part, arrays) for part in given.arguments]
    named = {name: _read_value(part, arrays) for name, part in given.named.items()}
    made: Network = registry.network_type(given.kind)(*arguments, **named)
    return made


def _read_value(value: Any, arrays: Mapping[str, Array]) -> Any:
    if isinstance(value, dict):
        return arrays[value["array"]]
    return tuple(_read_value(part, arrays) for part in value) if isinstance(value, list) else value


def _read(path: Path) -> tuple[_Summary, dict[str, Array]]:
    import tomllib

    names = (SUMMARY, ARRAYS)
    if absent := files.absent(path, names):
        raise RnnsimError(f"{path} is not a saved learner: there is no {' and no '.join(absent)} in it")
    try:
        with files.opened_together(path, names) as opened:
            text = files.read_at_most(opened[SUMMARY], MOST + 1)
            if len(text) > MOST:
                raise ValueError(f"{SUMMARY} has more than {MOST:,} bytes")
            summary = msgspec.convert(tomllib.loads(text.decode()), _Summary)
            arrays = folders.read_arrays(opened[ARRAYS], ARRAYS)
    except OSError as error:
        raise RnnsimError(f"cannot read {path}: {error.strerror or error}") from None
    except folders.DAMAGES as error:
        raise RnnsimError(f"{path} holds a damaged learner: {error}") from None
    if not np.isfinite(arrays.get("params", np.nan)).all():
        raise RnnsimError(f"{path} holds a damaged learner: its parameters are not finite")
    return summary, arrays
