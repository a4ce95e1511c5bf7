"""What a rule makes for a network: its kernel and its memory, with its author's mistakes explained.

They are made, and looked at, when arrays are allocated for a rule and a network, before anything is
compiled; a call that finds its arrays kept looks at nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from rnnsim.compiler import NUMBERS
from rnnsim.errors import RnnsimError, described, lacks_memory, place_of, shown
from rnnsim.network import Network
from rnnsim.rule import Rule
from rnnsim.typing import Kernel, Memory


def kernel_of(rule: Rule, network: Network) -> Kernel:
    """The kernel ``learn`` of a rule for a network.

    Raises
    ------
    RnnsimError
        If the rule's ``credit`` fails, or returns something else than the kernel that it should.
    """
    with _explained(rule, network, "credit" if type(rule).learn is Rule.learn else "learn"):
        return rule.learn(network)


def allocate_memory(
    rule: Rule, network: Network, batch: int, window: int, rng: np.random.Generator
) -> Memory:
    """Allocate the memory of a rule for a network.

    Raises
    ------
    RnnsimError
        If the rule's ``memory`` fails, or returns something else than a NamedTuple that kernels take.
    """
    with _explained(rule, network, "memory"):
        memory = rule.memory(network, batch, window, rng)
    if wrong := _wrong_with_memory(memory):
        raise RnnsimError(f"{rule.name}{place_of(type(rule))}: memory returns {wrong}; "
                          "it returns a NamedTuple of arrays and numbers")  # fmt: skip
    return memory


def _wrong_with_memory(memory: Any) -> str:
    if not (isinstance(memory, tuple) and hasattr(memory, "_fields")):
        return "nothing" if memory is None else f"{shown(memory)}, of type {type(memory).__name__}"
    if not memory:
        return "a NamedTuple without fields"
    for name, value in zip(memory._fields, memory):
        if not _is_taken(value):
            return f"a NamedTuple whose {name} is {shown(value)}, of type {type(value).__name__}"
    return ""


def _is_taken(value: Any) -> bool:
    """Whether kernels take a value as a part of a rule's memory."""
    if isinstance(value, tuple):
        return all(map(_is_taken, value))
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    return isinstance(value, (np.random.Generator, np.number, *NUMBERS))


@contextmanager
def _explained(rule: Rule, network: Network, method: str) -> Iterator[None]:
    """Say of what a rule's author wrote in Python where it failed, and on which network.

    An error of ours, or of memory that is lacking, says it itself.
    """
    try:
        yield
    except RnnsimError:
        raise
    except Exception as error:
        if lacks_memory(error):
            raise
        what = f"{rule.name}{place_of(type(rule), error)}: {method} fails on a {network.kind} network"
        raise RnnsimError(
            f"{what}, whose parameters are {', '.join(network.shapes)}: {described(error)}"
        ) from error
