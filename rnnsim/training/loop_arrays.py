"""What a compiled loop holds, as arrays by name: with these another loop of the same make goes on.

Between two windows nothing else is left of the steps before, so that whatever is learnt next is the same
to the last bit. Workspace, which each window writes before it reads it, is not among them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rnnsim.network import Network
from rnnsim.training.loop import Training
from rnnsim.training.sequences import arrays_in, has_steps
from rnnsim.typing import Array, Params, Trajectory


def loop_arrays(network: Network, training: Training, carries: bool) -> dict[str, Array]:
    """The arrays of a loop, as views of its own.

    Parameters
    ----------
    network : Network
    training : Training
    carries : bool
        Whether the rule carries memory from window to window.
    """
    groups: dict[str, Any] = {
        "params": network.views(training.flat_params), "state": training.state,
        "optimizer": training.optimizer_memory, "clock": training.clock, "observed": training.observed,
    }  # fmt: skip
    if carries:
        held = int(training.clock.held[0])
        groups |= {"memory": training.memory, "history": tuple(_rows(training.trajectory, held))}
    return named_arrays(groups)


def set_loop_arrays(
    network: Network, training: Training, carries: bool, arrays: Mapping[str, Array]
) -> None:
    """Copy such arrays into those of a loop.

    Raises
    ------
    KeyError, ValueError
        If one is missing, or has another shape or type.
    """
    held = int(arrays["clock.held"][0])
    if not 0 <= held <= len(training.trajectory.states):
        raise ValueError(f"{held} rows of history")
    training.clock.held[0] = held
    for name, own in loop_arrays(network, training, carries).items():
        own[...] = alike(name, own, arrays)


def named_arrays(group: Any, name: str = "") -> dict[str, Array]:
    """All arrays that are not empty in nested tuples and mappings, by the fields that lead to them."""
    if isinstance(group, np.ndarray):
        return {name: group} if group.size else {}
    found: dict[str, Array] = {}
    for part, value in _parts(group):
        found |= named_arrays(value, f"{name}.{part}" if name else part)
    return found


def _parts(group: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(group, Mapping):
        return group.items()
    if hasattr(group, "_asdict"):
        return group._asdict().items()  # type: ignore[no-any-return]
    return ((str(i), part) for i, part in enumerate(group)) if isinstance(group, tuple) else ()


def alike(name: str, own: Array, arrays: Mapping[str, Array]) -> Array:
    """The array of a name, which is like one's own.

    Raises
    ------
    KeyError, ValueError
        If there is none, or it has another shape or type.
    """
    found = arrays[name]
    if found.shape != own.shape or found.dtype != own.dtype:
        raise ValueError(f"{name} is {found.dtype} {found.shape}, not {own.dtype} {own.shape}")
    return found


def params_of(network: Network, arrays: Mapping[str, Array], name: str = "params") -> Params:
    """The parameters of a network among such arrays, in memory of their own.

    Raises
    ------
    KeyError, ValueError
        If one is missing, or has another shape or type.
    """
    params = network.views(np.zeros(network.n_params, network.dtype))
    for path, own in named_arrays({name: params}).items():
        own[...] = alike(path, own, arrays)
    return params


def _rows(trajectory: Trajectory, count: int) -> list[Array]:
    """The first rows of the arrays of a trajectory that have a row for each step."""
    return [x[:count] for x in arrays_in(trajectory) if has_steps(x, trajectory)]


# --- random generators ---------------------------------------------------------------------------------


def generator_states(generators: Iterable[np.random.Generator]) -> list[str]:
    """The states of random generators, as text."""
    return [json.dumps(generator.bit_generator.state) for generator in generators]


def set_generators(generators: Iterable[np.random.Generator], states: Iterable[str]) -> None:
    """Let random generators go on from such states.

    Raises
    ------
    ValueError
        If there are more or fewer, or one is no state of such a generator.
    """
    for generator, state in zip(generators, states, strict=True):
        generator.bit_generator.state = json.loads(state)
