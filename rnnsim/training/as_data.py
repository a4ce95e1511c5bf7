"""Rules, tasks, optimizers and networks as data that a TOML file can hold, and made of it again.

What cannot be written so (functions of one's own, classes that are registered nowhere) is marked, and
given when it is needed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from rnnsim import registry
from rnnsim.errors import RnnsimError, shown
from rnnsim.network import Network
from rnnsim.options import Options
from rnnsim.typing import Array

OWN = "given"  # in place of what is not written
PLAIN = (bool, int, float, str)


class Thing(msgspec.Struct):
    """A rule, a task or an optimizer: its name and its options."""

    name: str
    options: dict[str, Any] = {}
    facts: dict[str, Any] = {}  # what a task found in its data


class MadeNetwork(msgspec.Struct):
    """A network: its kind, and the arguments that it was made from."""

    kind: str
    arguments: list[Any] | None = None
    named: dict[str, Any] | None = None


def thing_as_data(thing: Options, known: Mapping[str, Any], arrays: dict[str, Array]) -> Thing:
    """The name and options of a rule, a task or an optimizer, of which ``known`` have names."""
    entry = known.get(thing.name)
    if entry is None or getattr(entry, "thing", entry) is not type(thing):
        return Thing(OWN)
    options, default = msgspec.structs.asdict(thing), thing.defaults()
    if any(value is None and default[name] is not None for name, value in options.items()):
        return Thing(OWN)  # TOML has no None; left out, it would be the default
    try:
        return Thing(thing.name, options_as_data(options, thing.name, arrays))
    except TypeError:
        return Thing(OWN)


def options_as_data(options: Mapping[str, Any], owner: str, arrays: dict[str, Array]) -> dict[str, Any]:
    """Options without those that are None; arrays are put aside, into ``arrays``.

    Raises
    ------
    TypeError
        If one cannot be written.
    """
    return {
        name: value_as_data(value, f"{owner}.{name}", arrays)
        for name, value in options.items()
        if value is not None
    }


def network_as_data(network: Network, arrays: dict[str, Array]) -> MadeNetwork:
    """The kind and the arguments of a network; arrays are put aside, into ``arrays``."""
    entry = registry.installed().networks.get(network.kind)
    try:
        if entry is None or entry.thing is not type(network):
            raise TypeError
        arguments = [
            value_as_data(part, f"network.{i}", arrays) for i, part in enumerate(network._arguments)
        ]
        named = options_as_data(network._named, "network", arrays)
    except TypeError:
        return MadeNetwork(OWN)
    return MadeNetwork(network.kind, arguments, named)


def network_of(made: MadeNetwork, arrays: Mapping[str, Array], whose: str) -> Network:
    """Make the network of such data.

    Raises
    ------
    RnnsimError
        If it could not be written; ``whose`` network it is, is said then.
    """
    if made.kind == OWN:
        raise RnnsimError(f"the network of this {whose} has functions of your own or is registered "
                          "nowhere; give it by network=")  # fmt: skip
    arguments = [value_of(part, arrays) for part in made.arguments or ()]
    named = {name: value_of(part, arrays) for name, part in (made.named or {}).items()}
    network: Network = registry.network_type(made.kind)(*arguments, **named)
    return network


def value_as_data(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """A value as TOML can hold it; an array is put aside under this name.

    Raises
    ------
    TypeError
        If there is no such value.
    """
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return np.dtype(value).name
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise TypeError(f"{value!r} cannot be written")  # such as the name of a file of other bytes
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Mapping):
        return {key: value_as_data(part, f"{name}.{key}", arrays) for key, part in value.items()}
    if callable(as_data := getattr(value, "as_data", None)):
        return value_as_data(as_data(), name, arrays)
    if isinstance(value, tuple | list | range):
        return [value_as_data(part, f"{name}.{i}", arrays) for i, part in enumerate(value)]
    raise TypeError(f"{value!r} cannot be written")


def value_of(value: Any, arrays: Mapping[str, Array]) -> Any:
    """The value of such data.

    Raises
    ------
    KeyError
        If there is no such array.
    """
    if isinstance(value, dict):
        if value.keys() != {"array"}:
            return {key: value_of(part, arrays) for key, part in value.items()}
        if (name := value["array"]) not in arrays:
            raise KeyError(f"array {shown(name)}")
        return arrays[name]
    return tuple(value_of(part, arrays) for part in value) if isinstance(value, list) else value
