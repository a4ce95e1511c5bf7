"""A learner in a folder: ``learner.toml`` says what it is made of, ``arrays.safetensors`` what it holds.

Neither file holds code: a network is made from its kind and its arguments, a rule from its name. What
cannot be written so (functions of your own, classes that are registered nowhere) is given when the
learner is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from rnnsim import checks, folders, registry
from rnnsim.errors import RnnsimError
from rnnsim.network import Network, Stream
from rnnsim.rule import Rule
from rnnsim.training.as_data import OWN, MadeNetwork, Thing, network_as_data, network_of, thing_as_data
from rnnsim.training.loop_arrays import (
    alike,
    generator_arrays,
    loop_arrays,
    named_arrays,
    params_of,
    set_generators,
    set_loop_arrays,
)
from rnnsim.training.optimizers import OPTIMIZERS, Optimizer, make_optimizer
from rnnsim.training.schedules import CONSTANT, NAMES
from rnnsim.training.sequences import generators_in
from rnnsim.typing import Array
from rnnsim.version import __version__

Learner = Any  # rnnsim.training.learner.Learner, which imports this module

SUMMARY = "learner.toml"


class _Summary(msgspec.Struct):
    """What learner.toml holds."""

    rnnsim: str
    network: MadeNetwork
    rule: Thing
    optimizer: Thing
    settings: dict[str, Any]
    count: int
    window: int
    resets_next: bool
    is_open: bool
    delayed: int = 0  # rows that wait for their targets


def save(learner: Learner, folder: str | os.PathLike[str]) -> Path:
    """Write a learner into a folder, creating it if necessary; one that is there is replaced as a whole.

    Raises
    ------
    RnnsimError
        If the folder cannot be written to.
    """
    path = checks.path("the folder of a learner", folder)
    arrays = _held_arrays(learner)
    network = network_as_data(learner.network, arrays)
    own, line = learner._on_line, learner._on_line.line
    settings = own.made.settings
    rate = settings.learning_rate
    arrays |= {} if np.isscalar(rate) else _rates(learner)
    summary = _Summary(
        rnnsim=__version__,
        network=network,
        rule=thing_as_data(learner.rule, registry.installed().rules, arrays),
        optimizer=thing_as_data(learner.optimizer, OPTIMIZERS, arrays),
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
        resets_next=own.resets_next,
        delayed=line.held if line else 0,
        is_open=own.unfinished.is_open,
    )
    contents = {SUMMARY: folders.toml_file(summary), folders.ARRAYS: folders.safetensors_file(arrays)}
    folders.write(path, contents, "learner")
    return path


def load(
    kind: type[Any],
    folder: str | os.PathLike[str],
    network: Network | None,
    rule: Rule | None,
    optimizer: Optimizer | None,
) -> Learner:
    """Make the learner of a class that a folder holds.

    Raises
    ------
    RnnsimError
        If the folder holds none, a file is damaged, or the network, the rule or the optimizer is to be
        given.
    """
    path = checks.path("the folder of a learner", folder)
    with folders.problem_reported(f"{path} holds a damaged learner"):
        summary, arrays = _read(path)
        learner = _made(kind, summary, arrays, network, rule, optimizer)
        _restore(learner, summary, arrays)
    return learner


def _made(
    kind: type[Any], summary: _Summary, arrays: Mapping[str, Array], network: Network | None,
    rule: Rule | None, optimizer: Optimizer | None,
) -> Learner:  # fmt: skip
    if network is None:
        network = network_of(summary.network, arrays, "learner")
    if rule is None:
        if summary.rule.name == OWN:
            raise RnnsimError("the rule of this learner is registered nowhere; give it by rule=")
        rule = registry.make_rule(summary.rule.name, summary.rule.options)
    settings = dict(summary.settings)
    if settings["schedule"] == NAMES[CONSTANT]:
        del settings["schedule_steps"]
    if "learning_rate" not in settings:
        settings["learning_rate"] = network.views(np.array(arrays["learning_rate"]))._asdict()
    if optimizer is None:
        if summary.optimizer.name == OWN:
            raise RnnsimError("the optimizer of this learner is one of your own; give it by optimizer=")
        optimizer = make_optimizer(summary.optimizer.name, summary.optimizer.options)
    reset_state = arrays.get("reset_state")
    learner = kind(
        network, rule, optimizer=optimizer, params=params_of(network, arrays),
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
    found = loop_arrays(learner.network, training, learner.rule.carries)
    groups: dict[str, Any] = {"acting": own.acting, "line": own.line.arrays() if own.line else ()}
    if own.reset_state is not None:
        groups["reset_state"] = np.asarray(own.reset_state, learner.network.dtype)
    if own.unfinished.count:
        groups["rows"] = Stream(*(part[: own.unfinished.count] for part in own.unfinished.rows))
    return found | named_arrays(groups) | generator_arrays(generators_in(training.memory))


def _restore(learner: Learner, summary: _Summary, arrays: Mapping[str, Array]) -> None:
    """Copy arrays into those of a learner of the same make."""
    own = learner._on_line
    training, unfinished = own.advance.training, own.unfinished
    if not 0 <= summary.count <= unfinished.window:
        raise ValueError(f"{summary.count} rows of a window of {unfinished.window}")
    if summary.count:
        columns = arrays["rows.inputs"].shape[2]
        if columns not in learner.network.columns:
            raise ValueError(f"inputs of {columns} columns")
        unfinished._allocate(columns)
    unfinished.count, unfinished.is_open = summary.count, summary.is_open
    own.resets_next = summary.resets_next
    if own.line:
        own.line.restore(summary.delayed, arrays["line.inputs"].shape[2])
    set_loop_arrays(learner.network, training, learner.rule.carries, arrays)
    for name, array in _held_arrays(learner).items():
        if name.startswith(("acting", "line", "rows")):
            array[...] = alike(name, array, arrays)
    set_generators(generators_in(training.memory), arrays)


def _rates(learner: Learner) -> dict[str, Array]:
    training = learner._on_line.advance.training
    return {"learning_rate": training.scales.astype(np.float64) * training.plan.rate}


def _read(path: Path) -> tuple[_Summary, dict[str, Array]]:
    texts, arrays = folders.read(path, (SUMMARY,), "learner")
    summary = msgspec.convert(folders.parsed_toml(texts[SUMMARY], SUMMARY), _Summary)
    for name, array in arrays.items():
        if name.startswith("params.") and not np.isfinite(array).all():
            raise ValueError(f"{name} is not finite")
    return summary, arrays
