"""The decision whether a row got worse, on a machine that is shared with other jobs.

Interference only ever lengthens a time, for a whole process alike, and by a factor of two or more
while other jobs compute. A row is therefore compared by its *floor*, the shortest time over many
processes, the two revisions being measured alternately. A floor counts only once several processes
have reached it, so that a single lucky one does not decide.

Instructions are counted and judged first, being nearly the same at each count of the same code. Times
show what they do not: wider vectors than those of the processor that they are counted for, memory, and
threads.

Two stages keep the work short and false alarms rare. A few rounds over all rows select the *suspects*;
each of them then has rounds of its own, and only these decide, being independent of the selection.
``python -m benchmarks.verdict_trials`` measures how often the verdict is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from .table import seconds
from .through_asv import Key, named

FIRST = 4  # rounds over all rows
SUSPECT = 1.06  # a row whose floors differ by more in the first rounds is measured again
EARLY = 4  # own rounds after which a suspect is dropped if its floors differ by no more than that
LEAST, MOST = 12, 30  # own rounds otherwise, until both floors are reached
REACHED, NEAR = 3, 1.08  # a floor counts once REACHED processes are within a factor NEAR of it
ALLOWED = 1.05  # a deterministic figure, such as bytes of memory, that grows by more is worse
STEP = 1.01  # a step's instructions that grow by more are worse
CALL = 1.05  # the same of a call: in some places in memory, Python's look-ups take 3% more
MARGIN = 1.10  # smaller differences of the floors may be due to the placement of code in memory


class Times(NamedTuple):
    """Times of a row in seconds: for each round, the shortest that a process measured."""

    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The floor after, divided by the floor before."""
        return min(self.after) / min(self.before)

    @property
    def settled(self) -> bool:
        """Whether enough processes have reached both floors."""
        return all(
            sum(time <= NEAR * min(times) for time in times) >= REACHED
            for times in (self.before, self.after)
        )

    def and_then(self, before: float, after: float) -> Times:
        """Append one more round."""
        return Times((*self.before, before), (*self.after, after))


NONE = Times((), ())


def more(key: Key) -> float:
    """The factor by which the instructions of a benchmark may grow."""
    return CALL if ".Call." in key[0] else STEP


class Opinion(Enum):
    WORSE = "worse"
    BETTER = "better"
    SAME = "same"
    UNCLEAR = "unclear"


def apart(times: Times, by: float) -> bool:
    """Whether the floors differ by more than this factor, in either direction."""
    return not 1 / by <= times.ratio <= by


def is_suspect(first: Times) -> bool:
    """Whether a row is to be measured again after the first rounds."""
    return apart(first, SUSPECT)


def needs_more(own: Times) -> bool:
    """Whether a suspect needs another round."""
    rounds = len(own.before)
    if rounds >= EARLY and not apart(own, SUSPECT):
        return False
    return rounds < LEAST or (rounds < MOST and not own.settled)


def opinion(own: Times) -> Opinion:
    """Decide on a row by its own rounds; a row without any was no suspect."""
    if not own.before or not apart(own, MARGIN):
        return Opinion.SAME
    if not own.settled:
        return Opinion.UNCLEAR
    return Opinion.WORSE if own.ratio > 1 else Opinion.BETTER


@dataclass
class Judged:
    """A row with its times in the first rounds, over all rows, and in rounds of its own."""

    key: Key
    first: Times = NONE
    own: Times = NONE

    @property
    def opinion(self) -> Opinion:
        return opinion(self.own)

    @property
    def times(self) -> Times:
        """Those of its own rounds, if there are any."""
        return self.own if self.own.before else self.first

    def line(self) -> str:
        """Format both floors, their difference, and the number of rounds."""
        times = self.times
        change = f"{seconds(min(times.before))} -> {seconds(min(times.after))}"
        percent = f"{100 * (times.ratio - 1):+.0f}%"
        return f"  {named(self.key):44}{change:>22}{percent:>7}   {len(times.before)} rounds"


@dataclass
class Verdict:
    """The result of a comparison.

    Attributes
    ----------
    title : str
        What was compared.
    rows : list of Judged
    figures : mapping
        The deterministic figures that changed: (before, after).
    instructions : mapping
        The instructions of each step and call: (before, after).
    missing : list of str
        What could not be measured in one revision or the other.
    """

    title: str
    rows: list[Judged]
    figures: Mapping[Key, tuple[float, float]] = field(default_factory=dict)
    missing: Sequence[str] = ()
    instructions: Mapping[Key, tuple[float, float]] = field(default_factory=dict)

    @property
    def worse(self) -> list[str]:
        """Names of the counts, rows and figures that got worse, the counts of instructions first."""
        counted = [named(key) for key, (before, after) in self.instructions.items()
                   if after > more(key) * before]  # fmt: skip
        slower = [named(row.key) for row in self.rows if row.opinion is Opinion.WORSE]
        return [*counted, *slower, *(named(key) for key, (before, after) in self.figures.items()
                                  if after > ALLOWED * before)]  # fmt: skip

    def report(self) -> str:
        """Format the result, the worst rows first."""
        lines = [self.title, *self._counted()]
        said = {Opinion.WORSE: f"slower by more than {MARGIN - 1:.0%}",
                Opinion.BETTER: f"faster by more than {MARGIN - 1:.0%}",
                Opinion.UNCLEAR: f"too disturbed to tell in {MOST} rounds"}  # fmt: skip
        for kind, what in said.items():
            rows = [row for row in self.rows if row.opinion is kind]
            if rows:
                lines += [
                    f"{what}:",
                    *(row.line() for row in sorted(rows, key=lambda row: -row.own.ratio)),
                ]
        if self.figures:
            lines.append(f"changed, free of noise (worse from {ALLOWED - 1:.0%} more on):")
            lines += [f"  {named(key):44}{before:>14.10g} -> {after:.10g}"
                      for key, (before, after) in self.figures.items()]  # fmt: skip
        lines += self.missing
        same = sum(row.opinion is Opinion.SAME for row in self.rows)
        lines.append(f"{len(self.rows)} times measured, {same} of them the same within "
                     f"{MARGIN - 1:.0%}; {len(self.worse)} worse")  # fmt: skip
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data.

        Returns
        -------
        dict
            ``title``; ``worse``, as the attribute; ``times``, of each row its ``name``, the floors
            ``before`` and ``after`` in seconds, how many ``rounds`` there were, and the ``opinion``;
            ``figures`` that changed and ``instructions``, each with its ``name``, ``before`` and
            ``after``; and ``missing``.
        """
        times = [
            {"name": named(row.key), "before": min(row.times.before), "after": min(row.times.after),
             "rounds": len(row.times.before), "opinion": row.opinion.value}
            for row in self.rows
        ]  # fmt: skip
        figures, instructions = (
            [{"name": named(key), "before": before, "after": after}
             for key, (before, after) in pairs.items()]
            for pairs in (self.figures, self.instructions)
        )  # fmt: skip
        return {"title": self.title, "worse": self.worse, "times": times, "figures": figures,
                "instructions": instructions, "missing": list(self.missing)}  # fmt: skip

    def _counted(self) -> list[str]:
        """Format the instructions: those that changed, the worst first."""
        ratios = {key: after / before for key, (before, after) in self.instructions.items()}
        changed = [key for key in sorted(ratios, key=lambda key: -ratios[key])
                   if not 1 / more(key) <= ratios[key] <= more(key)]  # fmt: skip
        lines = []
        if ratios:
            same = len(ratios) - len(changed)
            lines.append(f"instructions: {len(ratios)} counts, {same} of them the same within "
                         f"{STEP - 1:.0%}, those of a call within {CALL - 1:.0%}")  # fmt: skip
        for key in changed:
            before, after = self.instructions[key]
            lines.append(f"  {named(key):62}{before:>12,.0f} -> {after:,.0f}  {ratios[key] - 1:+.1%}")
        return lines
