"""From the file of a run to the arguments of :func:`rnnsim.run` that repeat it, with changes if any."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rnnsim import checks, files, folders, registry
from rnnsim.errors import RnnsimError, UnknownName, nearest, shown_path
from rnnsim.options import Options
from rnnsim.runs.provenance import PROGRAMS, Provenance
from rnnsim.runs.run_file import NetworkTable, RunFile, Settings, parsed
from rnnsim.runs.run_folder import FILE, of_prefix
from rnnsim.training.as_data import OWN, Thing, network_of, value_of
from rnnsim.training.optimizers import make_optimizer, optimizer_type
from rnnsim.typing import Array

TYPES: dict[str, Callable[[str], type[Options]]] = {
    "rule": registry.rule_type, "task": registry.task_type, "optimizer": optimizer_type,
}  # fmt: skip
KINDS = ("rule", "task", "network")
MAKE: dict[str, Callable[[str, Mapping[str, Any]], Any]] = {
    "rule": registry.make_rule, "task": registry.make_task, "optimizer": make_optimizer,
}  # fmt: skip


def read_file(config: Any) -> tuple[RunFile, Mapping[str, Array]]:
    """Read the file of a run, or that in a run's folder, and the arrays beside it, if there are any.

    Raises
    ------
    RnnsimError
        If there is no such file, or it is damaged.
    """
    path = checks.path("config, the file of a run,", config)
    path = path / FILE if path.is_dir() else path
    with folders.problem_reported(f"{path} is no file of a run"):
        try:
            with path.open("rb") as opened:
                content = files.read_at_most(opened, folders.MOST)
        except OSError as error:
            why = error.strerror or error
            raise RnnsimError(f"config is the file of a run, or its folder; {shown_path(path)} cannot "
                              f"be read: {why}") from None  # fmt: skip
        file = parsed(folders.parsed_toml(content, path.name))
        has_arrays = not files.absent(path.parent, (folders.ARRAYS,))
        return file, folders.read(path.parent, (), "run")[1] if has_arrays else {}


def arguments_of(
    file: RunFile,
    arrays: Mapping[str, Array],
    changes: Mapping[str, Any],
    own: Collection[str],
    *,
    with_facts: bool = False,
) -> dict[str, Any]:
    """The arguments of :func:`rnnsim.run` that repeat a run, but for some changes.

    Parameters
    ----------
    file : RunFile
    arrays : mapping of arrays
        Those beside the file.
    changes : mapping
        Arguments and options of :func:`rnnsim.run`, in place of those of the file.
    own : collection of str
        The names of its arguments; others are options.
    with_facts : bool
        Whether the task has what it found in its data then, and does not look anew.

    Raises
    ------
    RnnsimError
        If the file says of something only that it was given, and it is not given now; or if nothing has
        an option that is changed.
    UnknownName
        If a plugin is not installed; the message says which, if the file does.
    KeyError
        If an array is missing.
    """
    with _absent_plugins_named(file.provenance):
        return _arguments_of(file, arrays, changes, own, with_facts)


def _arguments_of(
    file: RunFile,
    arrays: Mapping[str, Array],
    changes: Mapping[str, Any],
    own: Collection[str],
    with_facts: bool,
) -> dict[str, Any]:
    changed = {name: value for name, value in changes.items() if name in own}
    things = {kind: _chosen(getattr(file, kind), changed.pop(kind, None)) for kind in TYPES}
    things["task"] = _without_other_data(things["task"], changes)
    rule = things["rule"]
    network = _network_arguments(file.network, arrays, changed.pop("network", None))
    kind = network.get("network")
    if kind is None and isinstance(rule, Thing):
        kind = registry.rule_type(rule.name).kind
    if isinstance(kind, str):
        registry.network_type(kind)  # there is one
    for name, value in changes.items():
        if name not in own:
            _set_option(name.replace("-", "_"), value, things, network, kind, changed)
    for kind_of_thing in ("rule", "task"):
        if things[kind_of_thing] is None:
            raise RnnsimError(
                f"the file says no {kind_of_thing} of the run; give it by {kind_of_thing}="
            )
    made = {kind: _made(kind, thing, arrays) for kind, thing in things.items() if thing is not None}
    written = things["task"]
    if with_facts and isinstance(written, Thing) and written.facts:
        facts = {name: value_of(value, arrays) for name, value in written.facts.items()}
        made["task"] = made["task"].with_facts(facts)
    settings = _settings(file.settings, arrays)
    if settings.get("criterion") == OWN and "criterion" not in changed:
        raise RnnsimError("the criterion of this run is one of your own; give it by criterion=")
    if _another(file, changes):
        settings.pop("settings", None)  # it may be the name of another's
    if "monitor" not in settings.keys() | changed.keys():
        settings.pop("monitor_every", None)  # of functions, which are given with it
    if changed.get("keep") == "last":
        settings.pop("patience", None)  # there are no looks
    return {**settings, **network, **made, **changed}


@contextmanager
def _absent_plugins_named(provenance: Provenance | None) -> Iterator[None]:
    """Where a name is unknown, say which distributions the run was made with are not installed."""
    try:
        yield
    except UnknownName as error:
        known = registry.installed()
        here = {entry.distribution for kind in KINDS for entry in known.of(kind).values()}
        made_with = provenance.versions if provenance else {}
        absent = [f"{name} {made_with[name]}" for name in made_with if name not in {*here, *PROGRAMS}]
        if not absent:
            raise
        raise UnknownName(f"{str(error).splitlines()[0]}\nthe run was made with {', '.join(absent)}, "
                          "of which no plugin is installed") from None  # fmt: skip


def _another(file: RunFile, changes: Mapping[str, Any]) -> bool:
    """Whether there is another rule, task or network than the file says, if it does."""
    names = {"rule": file.rule and file.rule.name, "task": file.task and file.task.name,
             "network": file.network and file.network.kind}  # fmt: skip
    return any(
        name not in (None, OWN)
        and kind in changes
        and not (isinstance(changes[kind], str) and changes[kind] == name)
        for kind, name in names.items()
    )


def _without_other_data(task: Any, changes: Mapping[str, Any]) -> Any:
    """A task without the file of the user's data, or the data, in place of which others are given."""
    if not isinstance(task, Thing) or task.name == OWN or not registry.task_type(task.name).takes_data:
        return task
    displaced = [*registry.task_type(task.name).of_files] * ("data" in changes)
    displaced += ["data"] * ("path" in changes)
    kept = {name: value for name, value in task.options.items() if name not in displaced}
    return Thing(task.name, kept, task.facts)


def _chosen(written: Thing | None, changed: Any) -> Any:
    """The table of a thing, or the object in its place; another name has none of its options."""
    if isinstance(changed, str):
        return written if written is not None and written.name == changed else Thing(changed)
    return written if changed is None else changed


def _made(kind: str, thing: Any, arrays: Mapping[str, Array]) -> Any:
    if not isinstance(thing, Thing):
        return thing
    if thing.name == OWN:
        raise RnnsimError(f"the {kind} of this run is registered nowhere, or has options that no file "
                          f"holds; give it by {kind}=")  # fmt: skip
    options = {name: value_of(value, arrays) for name, value in thing.options.items()}
    return MAKE[kind](thing.name, options)


def _network_arguments(
    written: NetworkTable | None, arrays: Mapping[str, Array], changed: Any
) -> dict[str, Any]:
    """The arguments that choose a network; of another kind only the size stays."""
    if written is None or not (changed is None or isinstance(changed, str)):
        return {} if changed is None else {"network": changed}
    sizes = {"hidden": written.hidden, "dtype": written.dtype}
    sizes = {name: value for name, value in sizes.items() if value is not None}
    if changed not in (None, written.kind):
        return {"network": changed, **sizes}
    options = {**written.options, **written.initial_weights}
    if written.kind == OWN or written.arguments or written.named:
        if sizes or options:
            raise RnnsimError("the network of this run is made of its arguments; sizes and options are "
                              "among them, and not beside them")  # fmt: skip
        return {"network": network_of(written, arrays, "run")}
    choices = registry.network_type(written.kind).choices
    for name in options:
        checks.known_name(f"option of {choices.name}", name, choices.defaults())
    return {
        "network": written.kind, **sizes,
        **{name: value_of(value, arrays) for name, value in options.items()},
    }  # fmt: skip


def _set_option(
    name: str, value: Any, things: dict[str, Any], network: dict[str, Any], kind: Any,
    passed_on: dict[str, Any],
) -> None:  # fmt: skip
    """Let the rule, the task, the optimizer or the network that has an option have this value."""
    owners: dict[str, type[Options]] = {
        of: TYPES[of](thing.name) for of, thing in things.items() if isinstance(thing, Thing)
    }
    choices = registry.network_type(kind).choices if isinstance(kind, str) else None
    if choices is not None:
        owners["network"] = choices
    having = [of for of, owner in owners.items() if name in owner.defaults()]
    if not having and (kind is None or things["optimizer"] is None):
        passed_on[name] = value  # it may be of what the task suggests
        return
    if not having:
        known = [option for owner in owners.values() for option in owner.defaults()]
        raise UnknownName(nearest("option of this run", name, known))
    if len(having) > 1:
        raise RnnsimError(f"{' and '.join(having)} both have an option {name}; change it in the file")
    if having == ["network"]:
        network[name] = value
    else:
        thing = things[having[0]]
        things[having[0]] = Thing(thing.name, {**thing.options, name: value}, thing.facts)


def _settings(written: Settings, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """The arguments that say how it learns; what the file does not say is left out."""
    found = {
        name: getattr(written, name)
        for name in written.__struct_fields__
        if getattr(written, name) is not None
    }
    found["settings"] = found.pop("name", None)
    if found.pop("params"):
        begin = "initial."
        found["params"] = of_prefix(arrays, begin)
        if not found["params"]:
            raise KeyError(f"array {begin}* in {folders.ARRAYS}")
    if "monitor" in found:
        found["monitor"] = {name: what for name, what in found["monitor"].items() if what != OWN}
        if not found["monitor"]:
            del found["monitor"]
    rate = found.get("learning_rate")
    if isinstance(rate, dict):
        found["learning_rate"] = {name: value_of(value, arrays) for name, value in rate.items()}
    return {name: value for name, value in found.items() if value is not None}
