"""The instructions of two revisions, each counted once (:mod:`.suite.counted`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rnnsim.errors import RnnsimError

from .suite import callgrind, counted
from .through_asv import Key, Suite

Pairs = Mapping[Key, tuple[float, float]]  # before, after


class Counts(NamedTuple):
    """What was counted of both revisions, and what could not be."""

    pairs: Pairs
    missing: list[str]


def count_both(before: Suite, after: Suite, rules: Sequence[str], say: Callable[[str], None]) -> Counts:
    """Count the instructions of the rules that both suites have."""
    if missing := callgrind.missing():
        return Counts({}, [missing])
    sides = before, after
    known = [{key[1][0] for key in suite.selection()} for suite in sides]
    both = [rule for rule in rules if all(rule in names for names in known)]
    if not both:
        return Counts({}, [])
    say(f"counting the instructions of {', '.join(both)} on either side")
    pythons = [suite.environment.find_executable("python") for suite in sides]
    try:
        old, new = (by_benchmark(counted.count(both, python)) for python in pythons)
    except RnnsimError as error:
        return Counts({}, [str(error)])
    return Counts({key: (old[key], new[key]) for key in old if key in new}, [])


def by_benchmark(found: counted.Found) -> dict[Key, float]:
    """Counts by the benchmarks that track them."""
    return {benchmark(rule, what): count for rule, of_rule in found.items()
            for what, count in of_rule.items()}  # fmt: skip


def benchmark(rule: str, what: str) -> Key:
    """The benchmark that tracks what was counted of a rule."""
    name, _, n = what.partition(" ")
    if name == counted.STEP:
        return "instructions.Step.track_instructions", (rule, int(n))
    return f"instructions.Call.track_{name}", (rule,)
