"""``rnnsim rules``: list the learning rules."""

from __future__ import annotations

import click

from rnnsim import registry
from rnnsim.cli.listing import documentation, heading
from rnnsim.rule import Rule


@click.command("rules")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the learning rules, or describe one of them."""
    entries = registry.installed().rules
    if name is not None:
        rule = registry.lookup("rule", name)
        click.echo(heading(name, _claim(rule), entries[name]))
        click.echo(documentation(rule))
        return
    for name, entry in entries.items():
        click.echo(f"{heading(name, _claim(entry.thing), entry)}\n    {entry.thing.summary()}.")


def _claim(rule: type[Rule]) -> str:
    return f"{rule.claim}, time per step O({rule.cost.time}), memory O({rule.cost.memory})"
