"""``rnnsim tasks``: list the tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from rnnsim import registry
from rnnsim.cli.listing import as_dict, documentation, heading
from rnnsim.cli.printing import as_json, print_summary
from rnnsim.errors import RnnsimError
from rnnsim.registry import Entry
from rnnsim.task import Task


@click.command("tasks")
@click.argument("name", required=False)
@as_json
def command(name: str | None, as_json: bool) -> None:
    """List the tasks, or describe one of them."""
    entries = registry.installed().tasks
    if name is None:
        print_summary(
            as_json, lambda: [_told(entry) for entry in entries.values()], lambda: _listed(entries)
        )
        return
    task = registry.lookup("task", name)
    print_summary(
        as_json,
        lambda: _told(entries[name]),
        lambda: "\n".join(
            [heading(name, "", entries[name]), documentation(task), "", *_lines(_facts(task))]
        ).rstrip(),
    )


def _listed(entries: Mapping[str, Entry]) -> str:
    lines = []
    for name, entry in entries.items():
        lines += [heading(name, "", entry), f"    {entry.thing.summary()}."]
        lines += [f"    {line}" for line in _lines(_facts(entry.thing))]
    return "\n".join(lines)


def _settings(task: Task) -> dict[str, list[str]]:
    """The names of a task's settings by kind of network, unless there is only the default."""
    found = {}
    for entry in registry.installed().rules.values():
        names = list(task.suggestions(entry.thing.name, entry.thing.kind))
        if names != ["default"]:
            found[entry.thing.kind] = names
    return found


def _told(entry: Entry) -> dict[str, Any]:
    return {**as_dict(entry), **_facts(entry.thing)}


def _facts(task: type[Task]) -> dict[str, Any]:
    """Criteria, baseline, and published and measured results of a task with default options.

    They are absent where it ``needs`` options or data that are not there, or there is a ``problem``.
    """
    found: dict[str, Any] = {"reached": task.reached, "needs": None, "problem": None}
    try:
        made = task()
        return {
            "criteria": {name: str(criterion) for name, criterion in made.criteria.items()},
            "baseline": float(made.baseline),
            "floors": dict(made.floors),
            "published": dict(made.published),
            "settings": _settings(made),
            **found,
        }
    except RnnsimError as error:
        return {**found, "needs": str(error)}
    except Exception as error:  # noqa: BLE001 (a plugin's task may fail in any way)
        return {**found, "problem": f"{type(error).__name__}: {error}"}


def _lines(facts: Mapping[str, Any]) -> list[str]:
    lines = [f"cannot be made: {facts['problem']}"] if facts["problem"] else []
    if "criteria" in facts:
        several = len(facts["criteria"]) > 1
        lines += [
            f"solved{f' ({name})' if several else ''}: {criterion}"
            for name, criterion in facts["criteria"].items()
        ]
        lines.append(f"baseline loss per target: {facts['baseline']:.4g}")
        lines += [f"least loss, {name}: {loss:.4g}" for name, loss in facts["floors"].items()]
        lines += [
            f"published: {rule} within {step:,} steps" for rule, step in facts["published"].items()
        ]
        lines += [f"settings for a {kind} network: {', '.join(names)}"
                  for kind, names in facts["settings"].items()]  # fmt: skip
    return lines + ([f"reached: {facts['reached']}"] if facts["reached"] else [])
