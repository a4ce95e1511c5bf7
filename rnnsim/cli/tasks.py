"""``rnnsim tasks``: list the tasks."""

from __future__ import annotations

import click

from rnnsim import registry
from rnnsim.cli.listing import documentation, heading
from rnnsim.errors import RnnsimError
from rnnsim.task import Task


@click.command("tasks")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the tasks, or describe one of them."""
    entries = registry.installed().tasks
    if name is not None:
        task = registry.lookup("task", name)
        click.echo(heading(name, "", entries[name]))
        click.echo("\n".join([documentation(task), "", *_facts(task)]).rstrip())
        return
    for name, entry in entries.items():
        click.echo(f"{heading(name, '', entry)}\n    {entry.thing.summary()}.")
        for line in _facts(entry.thing):
            click.echo(f"    {line}")


def _settings(task: Task) -> dict[str, list[str]]:
    """The names of a task's settings by kind of network, unless there is only the default."""
    found = {}
    for entry in registry.installed().rules.values():
        names = list(task.suggestions(entry.thing.name, entry.thing.kind))
        if names != ["default"]:
            found[entry.thing.kind] = names
    return found


def _facts(task: type[Task]) -> list[str]:
    """Criteria, baseline, and published and measured results of a task with default options."""
    try:
        made = task()
        several = len(made.criteria) > 1
        lines = [
            f"solved{f' ({name})' if several else ''}: {criterion}"
            for name, criterion in made.criteria.items()
        ]
        lines.append(f"baseline loss per target: {made.baseline:.4g}")
        lines += [f"least loss, {name}: {loss:.4g}" for name, loss in made.floors.items()]
        lines += [f"published: {rule} within {step:,} steps" for rule, step in made.published.items()]
        lines += [f"settings for a {kind} network: {', '.join(names)}"
                  for kind, names in _settings(made).items()]  # fmt: skip
    except RnnsimError:  # it needs options, or data that are not installed
        lines = []
    except Exception as error:  # noqa: BLE001 (a plugin's task may fail in any way)
        lines = [f"cannot be made: {type(error).__name__}: {error}"]
    return lines + ([f"reached: {task.reached}"] if task.reached else [])
