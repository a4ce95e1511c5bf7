"""What is wrong with a class that a plugin registers, as far as that is known without using it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import FunctionType
from typing import Any, NamedTuple, get_args

import msgspec
from msgspec.json import Decoder

from rnnsim.errors import shown
from rnnsim.network import Network
from rnnsim.options import Options
from rnnsim.rule import Claim, Cost, Rule
from rnnsim.task import Task

OWN = __name__.partition(".")[0]
NOBODYS = (OWN, "builtins", "msgspec")


class Kind(NamedTuple):
    """What plugins register: by which hook, of which base class, with which attributes."""

    hook: str
    base: type[Any]
    attributes: tuple[str, ...]  # the name first


KINDS = {
    "rule": Kind("rnnsim_rules", Rule, ("name", "claim", "cost")),
    "task": Kind("rnnsim_tasks", Task, ("name",)),
    "network": Kind("rnnsim_networks", Network, ("kind",)),
}


def wrong_with_class(kind: str, thing: Any) -> str:
    """Say, as a relative clause, what is wrong with a class that is to be registered, if anything."""
    _, base, attributes = KINDS[kind]
    if not (isinstance(thing, type) and issubclass(thing, base)):
        return f"which is no subclass of {base.__module__}.{base.__qualname__}"
    if absent := [name for name in attributes if not getattr(thing, name, None)]:
        return f"which lacks {' and '.join(absent)}"
    name = getattr(thing, attributes[0])
    if not isinstance(name, str) or not name.isprintable() or " " in name:
        return f"whose {attributes[0]} is {shown(name)}; it is text without spaces"
    if issubclass(thing, Rule) and (wrong := _wrong_with_rule(thing)):
        return wrong
    options: Any = thing.choices if issubclass(thing, Network) else thing
    if wrong := _wrong_with_options(options):
        return wrong
    options.summary(), options.defaults(), Decoder(options)  # what is printed and read of it
    return ""


def _wrong_with_rule(rule: type[Rule]) -> str:
    if not isinstance(rule.cost, Cost):
        return f"whose cost is {shown(rule.cost)}; it is a Cost(time=..., memory=...)"
    if rule.claim not in get_args(Claim):
        return f"whose claim is {shown(rule.claim)}; it is one of {', '.join(get_args(Claim))}"
    for what in ("needs", "networks", "reads"):
        if isinstance(names := getattr(rule, what), str):
            return f"whose {what} is the text {shown(names)}; it is a tuple of names"
    return next(_other_parameters(rule, Rule), "")


def _own_part(thing: type[Any]) -> Iterator[type[Any]]:
    """A class and those above it, as far as they are its author's."""
    return (each for each in thing.__mro__ if each.__module__.partition(".")[0] not in NOBODYS)


def _other_parameters(thing: type[Any], base: type[Any]) -> Iterator[str]:
    """Methods that cannot be called as those of the base class that they replace."""
    for each in _own_part(thing):
        for name, method in vars(each).items():
            wanted = getattr(base, name, None)
            if not (isinstance(method, FunctionType) and isinstance(wanted, FunctionType)):
                continue
            parameters = inspect.signature(wanted).parameters
            try:
                inspect.signature(method).bind(*parameters)
            except TypeError:
                has = inspect.signature(method).parameters
                yield f"whose {name} takes ({', '.join(has)}); it takes ({', '.join(parameters)})"


def _wrong_with_options(options: type[Options]) -> str:
    """A field without default; and a value without type, which is no field of the class."""
    for field in msgspec.structs.fields(options):
        if field.required:
            return (f"whose option {field.name} has no default; every option has one, as in "
                    f"{field.name}: int = 20")  # fmt: skip
    for name, value in _values_without_type(options):
        typed = f"{name}: {type(value).__name__} = {shown(value)}"
        return f"whose {name} has no type, and so is no option; {typed} is one, and ClassVar a constant"
    return ""


def _values_without_type(options: type[Options]) -> Iterator[tuple[str, Any]]:
    """Attributes that are neither options nor known to the contract; constants are in capitals."""
    contract = [each for each in options.__mro__ if each.__module__.partition(".")[0] == OWN]
    known = {name for each in contract for name in (*vars(each), *inspect.get_annotations(each))}
    for each in _own_part(options):
        typed = inspect.get_annotations(each)
        for name, value in vars(each).items():
            is_code = callable(value) or hasattr(value, "__get__")
            if not (name.startswith("_") or name.isupper() or name in known or name in typed or is_code):
                yield name, value
