"""The rules, tasks and networks that are installed, rnnsim's own included, by name; and callbacks.

Plugins are loaded one by one from the entry-point group ``rnnsim``. What is wrong with one of them is a
note (a warning), and the others still work; it is an error only to use what the note is about.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, distributions, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pluggy

from rnnsim import hookspecs
from rnnsim.checks import known_name
from rnnsim.errors import (
    RnnsimError,
    RnnsimWarning,
    UnknownName,
    called,
    described,
    file_of,
    place_of,
    shown,
)
from rnnsim.network import Network
from rnnsim.options import Options
from rnnsim.plugin_checks.callbacks import wrong_with_callback
from rnnsim.plugin_checks.classes import KINDS as KINDS
from rnnsim.plugin_checks.classes import wrong_with_class
from rnnsim.plugin_checks.hooks import wrong_with_hooks
from rnnsim.rule import Rule
from rnnsim.task import Task

GROUP = "rnnsim"
OWN = "rnnsim"  # the distribution whose names nobody else takes

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """A registered class and the distribution that it comes from."""

    registered: Any
    distribution: str
    version: str

    @property
    def thing(self) -> Any:
        """The class as its module has it now: ``importlib.reload`` replaces the registered one."""
        found: Any = sys.modules.get(self.registered.__module__)
        for part in self.registered.__qualname__.split("."):
            found = getattr(found, part, None)
        same = isinstance(found, type) and _name_of(found) == _name_of(self.registered)
        return found if same else self.registered


def _name_of(thing: type[Any]) -> Any:
    return getattr(thing, "name" if issubclass(thing, Options) else "kind", None)


class Origin(NamedTuple):
    """The distribution that a plugin comes from."""

    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


class CallbackEntry(NamedTuple):
    """A registered callback, and the distribution that it comes from."""

    function: Callable[[Any], Any]
    origin: Origin

    def __str__(self) -> str:
        return f"{called(self.function)} of {self.origin}"


class Doubt(NamedTuple):
    """Something that a plugin offers, or may offer, and that is not registered."""

    kind: str  # empty for a whole plugin
    name: str
    why: str  # with the distribution


@dataclass(frozen=True)
class Registry:
    """The installed rules, tasks and networks, by name, what is not registered, and callbacks."""

    rules: Mapping[str, Entry]
    tasks: Mapping[str, Entry]
    networks: Mapping[str, Entry]
    doubts: tuple[Doubt, ...] = ()
    callbacks: tuple[CallbackEntry, ...] = ()

    def of(self, kind: str) -> Mapping[str, Entry]:
        """The entries of a kind: ``rule``, ``task`` or ``network``."""
        return {"rule": self.rules, "task": self.tasks, "network": self.networks}[kind]


# --- plugins ------------------------------------------------------------------------------------------


def installed_plugins() -> dict[str, tuple[Any, str, str]]:
    """Import the plugins of every installed distribution, rnnsim's own first.

    Returns
    -------
    dict
        From the name of an entry point to (module, distribution, version); a :class:`Doubt` in place of
        a module that cannot be imported.
    """
    found: dict[str, tuple[Any, str, str]] = {}
    points = [(*_origin(point), point) for point in _points()]
    for name, version, point in sorted(points, key=lambda each: (each[0] != OWN, each[0])):
        doubts: list[Doubt] = []
        module: Any = None
        what = f"the plugin {point.name} ({point.value}) of {name} {version} cannot be imported"
        with _doubting(doubts, what, partial(_file_of_point, point)):
            module = point.load()
        found[f"{name}:{point.name}"] = (doubts[0] if doubts else module, name, version)
    return found


def _file_of_point(point: EntryPoint) -> str:
    """The file of the module or the package of an entry point, which need not be importable."""
    try:
        spec = find_spec(point.module.partition(".")[0])
    except Exception:  # noqa: BLE001 (a finder may fail in any way)
        return ""
    return (spec and spec.origin) or ""


def _points() -> list[EntryPoint]:
    """The entry points of plugins, of each distribution the first on sys.path."""
    try:
        return list(entry_points(group=GROUP))
    except Exception:  # noqa: BLE001 (one distribution that cannot be read: leave it out)
        found: dict[tuple[str, str], EntryPoint] = {}
        for distribution in distributions():
            try:
                points = [point for point in distribution.entry_points if point.group == GROUP]
            except Exception:  # noqa: BLE001 (nothing is known about it, not even whose it is)
                continue
            for point in points:
                found.setdefault((_origin(point)[0], point.name), point)
        return list(found.values())


def _origin(point: EntryPoint) -> tuple[str, str]:
    """The distribution of an entry point, and its version."""
    try:
        assert point.dist is not None
        name, version = point.dist.metadata["Name"] or "", point.dist.version
    except Exception:  # noqa: BLE001 (metadata may be damaged in any way)
        return "an unknown distribution", "of unknown version"
    return name.lower().replace("_", "-"), version


def collect(plugins: Mapping[str, tuple[Any, str, str]]) -> Registry:
    """Call the hooks of plugins, and collect what they register; warn of what is wrong.

    Where several use one name, it is that of the first.

    Parameters
    ----------
    plugins : mapping
        As :func:`installed_plugins` returns them.
    """
    entries: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
    callbacks: list[CallbackEntry] = []
    doubts: list[Doubt] = []
    for module, distribution, version in plugins.values():
        if isinstance(module, Doubt):
            doubts.append(module)
            continue
        origin, file = Origin(distribution, version), partial(file_of, module)
        with _doubting(doubts, f"{origin} has a hook that cannot be used", file):
            if wrong := wrong_with_hooks(module):
                doubts.append(Doubt("", "", f"{origin}{place_of(module)}: {wrong}"))
                continue
            # One manager for each plugin, so that it is known which plugin registers what.
            manager = pluggy.PluginManager(hookspecs.PROJECT)
            manager.add_hookspecs(hookspecs)
            manager.register(module)
            manager.check_pending()
            for kind, (hook, _, _) in KINDS.items():
                register = partial(_add, entries[kind], doubts, kind, module, origin)
                with _doubting(doubts, f"{hook} of {origin} failed", file):
                    getattr(manager.hook, hook)(register=register)
            register = partial(_add_callback, callbacks, doubts, module, origin)
            with _doubting(doubts, f"rnnsim_callbacks of {origin} failed", file):
                manager.hook.rnnsim_callbacks(register=register)
    for doubt in doubts:
        warnings.warn(f"{doubt.why}; the others still work", RnnsimWarning, stacklevel=3)
    return Registry(
        entries["rule"], entries["task"], entries["network"], tuple(doubts), tuple(callbacks)
    )


@contextmanager
def _doubting(doubts: list[Doubt], what: str, file: Callable[[], str]) -> Iterator[None]:
    """Record that a plugin's code fails, which it may in any way; only Ctrl-C is raised."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001
        doubts.append(Doubt("", "", f"{what}{place_of(file(), error)}: {described(error)}"))


def _add(
    entries: dict[str, Entry],
    doubts: list[Doubt],
    kind: str,
    plugin: Any,
    origin: Origin,
    thing: Any,
) -> None:
    """Register a class, or record why not."""
    try:
        wrong = wrong_with_class(kind, thing)
    except Exception as error:  # noqa: BLE001 (any of its attributes may be a property that fails)
        wrong = f"which cannot be used: {described(error)}"
    name = getattr(thing, KINDS[kind].attributes[0], None)
    if wrong or not isinstance(name, str):
        what = f"the {kind} {thing.__qualname__}" if isinstance(thing, type) else shown(thing)
        place = place_of(file_of(thing) or file_of(plugin))
        why = f"{origin} registers {what}{place}, {wrong}"
        doubts.append(Doubt(kind, name if isinstance(name, str) else "", why))
    elif name in entries:
        first = Origin(entries[name].distribution, entries[name].version)
        why = f"two plugins offer the {kind} {name!r}; it is that of {first}, not of {origin}"
        doubts.append(Doubt(kind, name, why))
    else:
        entries[name] = Entry(thing, *origin)


def _add_callback(
    callbacks: list[CallbackEntry], doubts: list[Doubt], plugin: Any, origin: Origin, thing: Any
) -> None:
    """Register a callback, or record why not."""
    try:
        wrong = wrong_with_callback(thing)
    except Exception as error:  # noqa: BLE001 (any of its attributes may be a property that fails)
        wrong = f"which cannot be used: {described(error)}"
    if wrong:
        what = called(thing) if callable(thing) else shown(thing)
        place = place_of(file_of(thing) or file_of(plugin))
        doubts.append(Doubt("callback", "", f"{origin} registers the callback {what}{place}, {wrong}"))
    else:
        callbacks.append(CallbackEntry(thing, origin))


# --- names --------------------------------------------------------------------------------------------


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


def lookup(kind: str, name: Any) -> Any:
    """Find the class of a rule, a task or a network by name.

    Raises
    ------
    UnknownName
        If there is none; the message has the nearest names.
    RnnsimError
        If a plugin offers one of this name that cannot be used.
    """
    registry = installed()
    entries = registry.of(kind)
    if isinstance(name, str) and name not in entries:
        for doubt in registry.doubts:
            if doubt.name and (doubt.kind, doubt.name) == (kind, name):
                raise RnnsimError(doubt.why)
    try:
        return entries[known_name(kind, name, entries)].thing
    except UnknownName as error:
        if broken := [doubt.why for doubt in registry.doubts if not doubt.kind]:
            raise UnknownName(f"{error}\n{broken[0]}") from None  # it may be that plugin's
        raise


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
    network: type[Network] = lookup("network", kind)
    return network


def make_rule(rule: str | Rule, options: Mapping[str, Any]) -> Rule:
    """Make a rule from its name and its options, or check an instance and return it."""
    return _make("rule", Rule, rule, options)


def make_task(task: str | Task, options: Mapping[str, Any]) -> Task:
    """Make a task from its name and its options, or check an instance and return it."""
    return _make("task", Task, task, options)  # type: ignore[type-abstract]


def with_data(task: Any, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Let the user's own data, or the path of a file of theirs, stand for the task that takes them.

    Returns
    -------
    task : str or Task
        As it is, or the name of the task that takes data.
    options : dict
        With the data, or the path, among them.
    """
    is_path = isinstance(task, Path) or (isinstance(task, str) and _is_file(task))
    if not is_path and (isinstance(task, str | Task) or not _is_data(task)):
        return task, dict(options)
    takers = [name for name, entry in installed().tasks.items() if entry.thing.takes_data]
    if not takers:
        return task, dict(options)
    option, value = ("path", str(task)) if is_path else ("data", task)
    if option in options:
        raise RnnsimError(f"{option} is given twice: in place of a task, and as an option")
    return takers[0], {**options, option: value}


def _is_file(name: str) -> bool:
    """Whether a name that is no task's is the path of a file or a folder, or ``-``."""
    if name in installed().tasks:
        return False
    return name == "-" or os.sep in name or bool(Path(name).suffix) or os.path.exists(name)


def _is_data(thing: Any) -> bool:
    """Whether it may be arrays, frames or sequences of them."""
    known = ("__array__", "__arrow_c_stream__", "__dataframe__", "columns")
    is_class = isinstance(thing, type)
    has = any(hasattr(thing, name) for name in known)
    return not is_class and (has or (isinstance(thing, list | tuple | Mapping) and len(thing) > 0))


def _make(kind: str, base: type[T], thing: Any, options: Mapping[str, Any]) -> T:
    if isinstance(thing, str):
        return _made(kind, thing, options)  # type: ignore[no-any-return]
    if not isinstance(thing, base):
        raise RnnsimError(f"{kind} is the name of a {kind} or a {base.__name__}, not {shown(thing)}")
    if options:
        raise RnnsimError(
            f"options go with the name of a {kind}, not with one that is made: {', '.join(options)}"
        )
    thing.check()  # type: ignore[attr-defined]
    return thing


def _made(kind: str, name: str, options: Mapping[str, Any]) -> Any:
    """Make a rule or a task by name; a plugin's class may fail in any way."""
    found = lookup(kind, name)
    try:
        return found.from_options(options)
    except (RnnsimError, MemoryError):
        raise
    except Exception as error:
        entry = installed().of(kind)[name]
        raise RnnsimError(f"the {kind} {name} of {entry.distribution} {entry.version} cannot be made: "
                          f"{described(error)}") from error  # fmt: skip
