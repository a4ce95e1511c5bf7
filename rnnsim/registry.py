"""The rules, tasks and networks that are installed, rnnsim's own included, by name.

Plugins are loaded one by one from the entry-point group ``rnnsim``; a warning names each that cannot be
imported, and the others still work.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import Distribution, entry_points
from typing import Any, TypeVar, get_args

import pluggy

from rnnsim import hookspecs
from rnnsim.errors import RnnsimError, RnnsimWarning, UnknownName, nearest
from rnnsim.network import Network
from rnnsim.rule import Claim, Cost, Rule
from rnnsim.task import Task

GROUP = "rnnsim"

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """A registered class and the distribution that it comes from."""

    thing: Any
    distribution: str
    version: str


@dataclass(frozen=True)
class Registry:
    """The installed rules, tasks and networks, by name."""

    rules: Mapping[str, Entry]
    tasks: Mapping[str, Entry]
    networks: Mapping[str, Entry]


def collect(plugins: Mapping[str, tuple[Any, str, str]]) -> Registry:
    """Call the hooks of plugins and collect what they register.

    Parameters
    ----------
    plugins : mapping
        From the name of an entry point to (module, distribution, version).

    Returns
    -------
    Registry

    Raises
    ------
    RnnsimError
        If two plugins use one name; both distributions are named.
    """
    found: dict[str, dict[str, Entry]] = {"rule": {}, "task": {}, "network": {}}
    # hook, base class, and the attributes that a class must have, its name first
    kinds = {"rule": ("rnnsim_rules", Rule, ("name", "claim", "cost")),
             "task": ("rnnsim_tasks", Task, ("name",)),
             "network": ("rnnsim_networks", Network, ("kind",))}  # fmt: skip
    for module, distribution, version in plugins.values():
        # One manager for each plugin, so that it is known which plugin registers what.
        manager = pluggy.PluginManager("rnnsim")
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(module)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            _warn(f"{distribution} {version} has a hook that cannot be used", error)
            continue
        for kind, (hook, base, parts) in kinds.items():
            register = partial(_add, found[kind], kind, base, parts, distribution, version)
            try:
                getattr(manager.hook, hook)(register=register)
            except RnnsimError:
                raise
            except (Exception, SystemExit) as error:  # noqa: BLE001 (a plugin's hook may fail in any way)
                _warn(f"{hook} of {distribution} {version} failed", error)
    return Registry(found["rule"], found["task"], found["network"])


def _add(
    entries: dict[str, Entry],
    kind: str,
    base: Any,
    parts: tuple[str, ...],
    distribution: str,
    version: str,
    thing: Any,
) -> None:
    if not (isinstance(thing, type) and issubclass(thing, base)):
        raise RnnsimError(
            f"{distribution} registers {thing!r} as a {kind}; "
            f"register takes a subclass of {base.__module__}.{base.__qualname__}"
        )
    absent = [part for part in parts if not getattr(thing, part, None)]
    if absent:
        raise RnnsimError(f"{distribution} registers the {kind} {thing.__qualname__}, "
                          f"which lacks {' and '.join(absent)}")  # fmt: skip
    if kind == "rule":
        _check_rule(thing, distribution)
    name = getattr(thing, parts[0])
    if name in entries:
        raise RnnsimError(
            f"two plugins offer the {kind} {name!r}: {entries[name].distribution} and "
            f"{distribution}; uninstall one of them"
        )
    entries[name] = Entry(thing, distribution, version)


def _check_rule(rule: type[Rule], distribution: str) -> None:
    """Refuse a rule whose class attributes have wrong types."""
    who = f"{distribution} registers the rule {rule.name}"
    if not isinstance(rule.cost, Cost):
        raise RnnsimError(f"{who}, whose cost is {rule.cost!r}; it is a Cost(time=..., memory=...)")
    if rule.claim not in get_args(Claim):
        raise RnnsimError(f"{who}, whose claim is {rule.claim!r}; it is {', '.join(get_args(Claim))}")
    if isinstance(rule.needs, str):
        raise RnnsimError(f"{who}, whose needs is the text {rule.needs!r}; it is a tuple of names")


def installed_plugins() -> dict[str, tuple[Any, str, str]]:
    """Import the plugins of every installed distribution; warn of those that fail."""
    found: dict[str, tuple[Any, str, str]] = {}
    for point in entry_points(group=GROUP):  # the first on sys.path of each
        assert point.dist is not None
        name, version = _normalised(point.dist), point.dist.version
        try:
            module = point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 (a plugin's module may fail in any way)
            plugin = f"the plugin {point.name} ({point.value}) of {name} {version}"
            _warn(f"{plugin} cannot be imported", error)
        else:
            found[f"{name}:{point.name}"] = (module, name, version)
    return found


def _warn(what: str, error: BaseException) -> None:
    why = " ".join(f"{type(error).__name__}: {error}".split())  # pluggy's messages have several lines
    message = f"{what}: {why}; the others still work"
    warnings.warn(message, RnnsimWarning, stacklevel=4)


def _normalised(distribution: Distribution) -> str:
    return (distribution.metadata["Name"] or "").lower().replace("_", "-")


@lru_cache(maxsize=1)
def installed() -> Registry:
    """The registry of what is installed, cached."""
    return collect(installed_plugins())


def rules() -> dict[str, str]:
    """Give the installed rules: name -> description."""
    return {name: entry.thing.summary() for name, entry in installed().rules.items()}


def tasks() -> dict[str, str]:
    """Give the installed tasks: name -> description."""
    return {name: entry.thing.summary() for name, entry in installed().tasks.items()}


def lookup(kind: str, name: str) -> Any:
    """Find the class of a rule or a task by name.

    Raises
    ------
    UnknownName
        If there is none; the message has the nearest names.
    """
    entries = installed().rules if kind == "rule" else installed().tasks
    if name not in entries:
        raise UnknownName(nearest(kind, name, entries))
    return entries[name].thing


def rule_type(rule: str | Rule) -> type[Rule]:
    """The class of a rule, from its name or an instance."""
    found: type[Rule] = lookup("rule", rule) if isinstance(rule, str) else type(make_rule(rule, {}))
    return found


def task_type(task: str | Task) -> type[Task]:
    """The class of a task, from its name or an instance."""
    found: type[Task] = lookup("task", task) if isinstance(task, str) else type(make_task(task, {}))
    return found


def network_type(kind: str) -> type[Network]:
    """Find the class of a kind of network.

    Raises
    ------
    UnknownName
        If there is none of this kind.
    """
    entries = installed().networks
    if kind not in entries:
        raise UnknownName(nearest("network", kind, entries))
    network: type[Network] = entries[kind].thing
    return network


def make_rule(rule: str | Rule, options: Mapping[str, Any]) -> Rule:
    """Make a rule from its name and its options, or return an instance as it is."""
    return _make("rule", Rule, rule, options)


def make_task(task: str | Task, options: Mapping[str, Any]) -> Task:
    """Make a task from its name and its options, or return an instance as it is."""
    return _make("task", Task, task, options)  # type: ignore[type-abstract]


def _make(kind: str, base: type[T], thing: Any, options: Mapping[str, Any]) -> T:
    if isinstance(thing, str):
        return lookup(kind, thing).from_options(options)  # type: ignore[no-any-return]
    if not isinstance(thing, base):
        raise RnnsimError(f"{kind} is the name of a {kind} or a {base.__name__}, not {thing!r}")
    if options:
        raise RnnsimError(
            f"options go with the name of a {kind}, not with one that is made: {', '.join(options)}"
        )
    return thing
