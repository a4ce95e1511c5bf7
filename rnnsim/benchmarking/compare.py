"""Measurement of two revisions, ending in a verdict (:mod:`.verdict`).

Instructions are counted first, then times are measured, the two revisions taking turns.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rnnsim.errors import RnnsimError

from .instructions import count_both
from .revisions import check_builds_here, installed, project_here, resolve, snapshot
from .through_asv import Key, Row, Suite, by_key, failures, named, of_rules, require_asv
from .verdict import FIRST, Judged, Verdict, is_suspect, needs_more

TIMES = ("speed.Step.time_step", "speed.Loop.time_loop")
AT_ONCE = 2  # rounds per import of the suite
FIGURES = ("figures.Memory.track_bytes", "figures.Exponents.track_time_exponent")

Say = Callable[[str], None]


def compare(revision: str, rules: Sequence[str], say: Say = print) -> Verdict:
    """Compare the work tree of the current folder's project with a revision of it.

    Parameters
    ----------
    revision : str
        As git names it.
    rules : sequence of str
        The rules whose benchmarks are run.
    say : callable
        Prints a line of progress.

    Returns
    -------
    Verdict

    Raises
    ------
    RnnsimError
        If one of them cannot be installed, or they have no benchmark in common.
    """
    require_asv()
    project = project_here()
    check_builds_here(project)
    old, new = resolve(project, revision), snapshot(project)
    select = [
        rf"^{re.escape(benchmark)}{rule}" for benchmark in (*TIMES, *FIGURES) for rule in of_rules(rules)
    ]
    with tempfile.TemporaryDirectory(prefix="rnnsim-bench-") as folder:
        say(f"installing {project.name} at {old[:8]} ({revision}) and at {new[:8]} (the work tree)")
        suites = [installed(project, commit, Path(folder) / name, select)
                 for name, commit in (("old", old), ("new", new))]  # fmt: skip
        title = f"{project.name}: the work tree ({new[:8]}) against {revision} ({old[:8]})"
        counts = count_both(suites[0], suites[1], rules, say)
        verdict = judge(suites[0], suites[1], title, say)
        return replace(verdict, instructions=counts.pairs, missing=[*counts.missing, *verdict.missing])


def judge(before: Suite, after: Suite, title: str, say: Say = print) -> Verdict:
    """Measure two suites alternately until there is an opinion on every row.

    Raises
    ------
    RnnsimError
        If they have no benchmark in common.
    """
    old, new = before.selection(), after.selection()
    keys = [key for key in old if key in new]
    only_one = set(old) ^ set(new)
    missing = [f"{named(key)} is on one side only" for key in sorted(only_one, key=named)]
    rows = [Judged(key) for key in keys if key[0] in TIMES]
    if not rows:
        raise RnnsimError("nothing can be measured on both sides: is the rule there in both revisions?")
    lost: list[str] = []
    for start in range(0, FIRST, AT_ONCE):
        say(f"{len(rows)} times on either side, rounds {start + 1} to {start + AT_ONCE} of {FIRST}")
        rows = turns(before, after, rows, lost)
    suspects = [row for row in rows if is_suspect(row.first)]
    while suspects:
        say(f"looking again at {', '.join(named(row.key) for row in suspects)}")
        kept = turns(before, after, suspects, lost, alone=True)
        rows = [row for row in rows if row not in suspects or row in kept]
        suspects = [row for row in kept if needs_more(row.own)]
    return Verdict(title, rows, changed_figures(before, after, lost), [*missing, *lost])


def turns(
    before: Suite, after: Suite, rows: list[Judged], lost: list[str], *, alone: bool = False
) -> list[Judged]:
    """Run some rounds, in which each row is measured before and after, one right after the other.

    Rows that fail are dropped and reported in ``lost``. With ``alone``, the rounds are a suspect's own.
    The processes of these rounds are forked from two that have imported the suite, and inherit their
    memory layout; each call draws the layout anew.
    """
    with before.opened() as run_before, after.opened() as run_after:
        for count in range(AT_ONCE):
            kept = []
            for i, row in enumerate(rows):
                order = [("before", run_before), ("after", run_after)]
                if (i + count) % 2:
                    order.reverse()
                found = {name: run(row.key) for name, run in order}
                if failed := failures(list(found.values())):
                    lost.append(failed[0])
                    continue
                pair = least(found["before"]), least(found["after"])
                if alone:
                    row.own = row.own.and_then(*pair)
                else:
                    row.first = row.first.and_then(*pair)
                kept.append(row)
            rows = kept
    return rows


def least(row: Row) -> float:
    """The shortest time that a process measured."""
    return min(row.samples)


def changed_figures(before: Suite, after: Suite, lost: list[str]) -> dict[Key, tuple[float, float]]:
    """The deterministic figures that differ: (before, after)."""
    then, now = (suite.run(only=FIGURES, quick=True) for suite in (before, after))
    lost += failures([*then, *now])
    old, new = by_key(then), by_key(now)
    pairs = {key: (float(old[key].value or 0), float(new[key].value or 0)) for key in old if key in new}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
