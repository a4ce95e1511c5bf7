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

from rnnsim import checks, files, folders, registry
from rnnsim.errors import RnnsimError
from rnnsim.network import Network, Stream
from rnnsim.rule import Rule
from rnnsim.training.as_data import OWN, MadeNetwork, Thing, network_as_data, network_of, thing_as_data
from rnnsim.training.loop_arrays import (
    alike,
    generator_states,
    loop_arrays,
    named_arrays,
    params_of,
    set_generators,
    set_loop_arrays,
)
from rnnsim.training.optimizers import make_optimizer
from rnnsim.training.schedules import CONSTANT, NAMES
from rnnsim.training.sequences import generators_in
from rnnsim.typing import Array
from rnnsim.version import __version__

Learner = Any  # rnnsim.training.learner.Learner, which imports this module

SUMMARY, ARRAYS = "learner.toml", "arrays.safetensors"
MOST = 1 << 20  # bytes of learner.toml


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
    network = network_as_data(learner.network, arrays)
    own, line = learner._on_line, learner._on_line.line
    settings, training = own.made.settings, own.advance.training
    rate = settings.learning_rate
    arrays |= {} if np.isscalar(rate) else _rates(learner)
    summary = _Summary(
        rnnsim=__version__,
        network=network,
        rule=thing_as_data(learner.rule, registry.installed().rules),
        optimizer=thing_as_data(learner.optimizer, None),
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
        generators=generator_states(generators_in(training.memory)),
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
    return found | named_arrays(groups)


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
    set_generators(generators_in(training.memory), summary.generators)


def _rates(learner: Learner) -> dict[str, Array]:
    training = learner._on_line.advance.training
    return {"learning_rate": training.scales.astype(np.float64) * training.plan.rate}


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
    if not all(np.isfinite(array).all() for name, array in arrays.items() if name.startswith("params.")):
        raise RnnsimError(f"{path} holds a damaged learner: its parameters are not finite")
    return summary, arrays
