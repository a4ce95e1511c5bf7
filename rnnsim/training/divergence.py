"""What a message about divergence says besides."""

from __future__ import annotations

from rnnsim import registry
from rnnsim.rule import Rule

OWN = "rnnsim"  # the distribution


def bounds_hint(rule: Rule) -> str:
    """How to find an index out of bounds, for a rule that does not come with the package; else empty."""
    entry = registry.installed().rules.get(rule.name)
    if entry is not None and entry.distribution == OWN and type(rule) is entry.thing:
        return ""
    return "; RNNSIM_CHECK_BOUNDS=1 finds out whether the rule uses an index that is out of bounds"
