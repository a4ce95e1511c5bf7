"""``rnnsim rules``: list the learning rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from rnnsim import registry
from rnnsim.cli.listing import as_dict, documentation, heading
from rnnsim.cli.printing import as_json, print_summary
from rnnsim.registry import Entry
from rnnsim.rule import Rule


@click.command("rules")
@click.argument("name", required=False)
@as_json
def command(name: str | None, as_json: bool) -> None:
    """List the learning rules, or describe one of them."""
    entries = registry.installed().rules
    if name is None:
        print_summary(
            as_json, lambda: [_told(entry) for entry in entries.values()], lambda: _listed(entries)
        )
        return
    rule = registry.lookup("rule", name)
    print_summary(
        as_json,
        lambda: _told(entries[name]),
        lambda: f"{heading(name, _claim(rule), entries[name])}\n{documentation(rule)}",
    )


def _listed(entries: Mapping[str, Entry]) -> str:
    return "\n".join(
        f"{heading(name, _claim(entry.thing), entry)}\n    {entry.thing.summary()}."
        for name, entry in entries.items()
    )


def _told(entry: Entry) -> dict[str, Any]:
    rule = entry.thing
    return {
        **as_dict(entry), "network": rule.kind, "claim": rule.claim,
        "time_per_step": rule.cost.time, "memory": rule.cost.memory,
    }  # fmt: skip


def _claim(rule: type[Rule]) -> str:
    return f"{rule.claim}, time per step O({rule.cost.time}), memory O({rule.cost.memory})"
