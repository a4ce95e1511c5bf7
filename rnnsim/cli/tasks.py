"""``rnnsim tasks``: what there is to learn."""

from __future__ import annotations

import click

from rnnsim import registry
from rnnsim.cli.listing import documentation, heading
from rnnsim.errors import RnnsimError
from rnnsim.task import Task


@click.command("tasks")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the tasks, or tell all about one."""
    entries = registry.installed().tasks
    if name is not None:
        task = registry.lookup("task", name)
        click.echo(heading(name, "", entries[name]))
        click.echo("\n".join([documentation(task), "", *_standing(task)]).rstrip())
        return
    for name, entry in entries.items():
        click.echo(f"{heading(name, '', entry)}\n    {entry.thing.summary()}.")
        for line in _standing(entry.thing):
            click.echo(f"    {line}")


def _settings(task: Task) -> dict[str, list[str]]:
    """The names of a task's settings by kind of network, where there are several or special ones."""
    found = {}
    for entry in registry.installed().rules.values():
        names = list(task.suggestions(entry.thing.name, entry.thing.kind))
        if names != ["default"]:
            found[entry.thing.kind] = names
    return found


def _standing(task: type[Task]) -> list[str]:
    """Criteria, baseline and what was reached, of a task at its default options."""
    try:
        made = task()
        several = len(made.criteria) > 1
        lines = [
            f"solved{f' ({name})' if several else ''}: {criterion}"
            for name, criterion in made.criteria.items()
        ]
        lines.append(f"baseline loss per target: {made.baseline:.4g}")
        lines += [f"published: {rule} within {step:,} steps" for rule, step in made.published.items()]
        lines += [f"settings for a {kind} network: {', '.join(names)}"
                  for kind, names in _settings(made).items()]  # fmt: skip
    except RnnsimError:  # it cannot be made without options, or without data
        lines = []
    except Exception as error:  # noqa: BLE001 (a stranger's task may fail in any way)
        lines = [f"cannot be made: {type(error).__name__}: {error}"]
    return lines + ([f"reached: {task.reached}"] if task.reached else [])
