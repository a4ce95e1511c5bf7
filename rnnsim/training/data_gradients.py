"""Gradients with respect to inputs and initial state: what may be asked for, and of which rule."""

from __future__ import annotations

from typing import Any

from rnnsim import checks, registry
from rnnsim.errors import RnnsimError, shown
from rnnsim.network import Network
from rnnsim.rule import Rule

NAMES = PARAMS, INITIAL_STATE, INPUTS = ("params", "initial_state", "inputs")
PARAMS_ONLY: tuple[str, ...] = (PARAMS,)


def names_asked(with_respect_to: Any) -> tuple[str, ...]:
    """Check what a gradient is to be with respect to.

    Raises
    ------
    RnnsimError
        If it is no tuple or list of names, or empty.
    """
    if with_respect_to is PARAMS_ONLY:
        return (PARAMS,)
    if not isinstance(with_respect_to, tuple | list) or not with_respect_to:
        raise RnnsimError(f"with_respect_to is a tuple of one or more of {', '.join(NAMES)}, not "
                          f"{shown(with_respect_to)}")  # fmt: skip
    for name in with_respect_to:
        checks.known_name("name in with_respect_to", name, NAMES)
    return tuple(with_respect_to)


def asks_for_data(asked: tuple[str, ...]) -> bool:
    """Whether anything but the gradient with respect to the parameters is asked for."""
    return any(name != PARAMS for name in asked)


def rule_for_data(network: Network, rule: Rule, window: int | None, asked: tuple[str, ...]) -> Rule:
    """The rule that computes gradients with respect to the data, too.

    Raises
    ------
    RnnsimError
        If the rule or the network has none, or sequences are to be seen in windows.
    """
    found = rule.for_data() if has_data_grads(type(rule)) else None
    if found is None:
        rules = registry.installed().rules.items()
        able = [name for name, entry in rules if has_data_grads(entry.thing)]
        raise RnnsimError(
            f"with_respect_to={asked}: the gradient of {rule.name} is with respect to params only; "
            f"that of {', '.join(able)} may be with respect to inputs and initial_state, too"
        )
    if network.collect_inputs is None:
        raise RnnsimError(
            f"with_respect_to={asked}: it needs a network that offers collect_inputs, which a "
            f"{network.kind} network does not"
        )
    if window is not None:
        raise RnnsimError(
            f"window is {shown(window)}, but with_respect_to={asked} takes whole sequences: "
            "leave window out"
        )
    return found


def has_data_grads(rule: type[Rule]) -> bool:
    """Whether a class of rules has ``for_data`` of its own: a subclass may compute something else."""
    return "for_data" in vars(rule)
