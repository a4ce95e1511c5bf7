"""When a row counts as worse, on a machine that others use too.

What disturbs a time only ever lengthens it, in a whole process alike, and by a factor of two or more
as soon as others compute. So a row is judged by its *floor*, the shortest time of many processes, the
two sides taking turns. A floor counts once several processes have reached it: a lucky one does not.

Two stages keep the work short and false alarms rare. A few rounds over all rows find the *suspects*;
each then has rounds of its own, and only these, which know nothing of what made it suspect, decide.
``python -m benchmarks.verdict_trials`` measures how often that is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from .table import seconds
from .through_asv import Key, named

FIRST = 4  # rounds over all rows
SUSPECT = 1.06  # a row whose floors are further apart in the first rounds is measured again
EARLY = 4  # own rounds after which a suspect whose floors are no further apart than that is let go
LEAST, MOST = 12, 30  # own rounds otherwise: as many as it takes for both floors to be reached
REACHED, NEAR = 3, 1.08  # a floor counts once so many processes were so near to it
ALLOWED = 1.05  # more of what is counted, memory say, is worse
MARGIN = 1.10  # floors that are no further apart may be the code's place in memory


class Times(NamedTuple):
    """Seconds of a row: by round, the least that a process measured, on either side."""

    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Floor after over floor before."""
        return min(self.after) / min(self.before)

    @property
    def settled(self) -> bool:
        """Whether both floors are reached often enough."""
        return all(
            sum(time <= NEAR * min(side) for time in side) >= REACHED
            for side in (self.before, self.after)
        )

    def and_then(self, before: float, after: float) -> Times:
        """With one more round."""
        return Times((*self.before, before), (*self.after, after))


NONE = Times((), ())


class Opinion(Enum):
    WORSE = "worse"
    BETTER = "better"
    SAME = "same"
    UNCLEAR = "unclear"


def apart(times: Times, by: float) -> bool:
    """Whether the floors are further apart than this, in whichever direction."""
    return not 1 / by <= times.ratio <= by


def is_suspect(first: Times) -> bool:
    """Whether the first rounds give reason to look again."""
    return apart(first, SUSPECT)


def needs_more(own: Times) -> bool:
    """Whether a suspect is to have another round."""
    rounds = len(own.before)
    if rounds >= EARLY and not apart(own, SUSPECT):
        return False
    return rounds < LEAST or (rounds < MOST and not own.settled)


def opinion(own: Times) -> Opinion:
    """Judge a suspect by its own rounds; without any, it is none."""
    if not own.before or not apart(own, MARGIN):
        return Opinion.SAME
    if not own.settled:
        return Opinion.UNCLEAR
    return Opinion.WORSE if own.ratio > 1 else Opinion.BETTER


@dataclass
class Judged:
    """A row, with the rounds that it had with all others and alone."""

    key: Key
    first: Times = NONE
    own: Times = NONE

    @property
    def opinion(self) -> Opinion:
        return opinion(self.own)

    def line(self) -> str:
        """Say what was found, and from how many rounds."""
        times = self.own if self.own.before else self.first
        change = f"{seconds(min(times.before))} -> {seconds(min(times.after))}"
        percent = f"{100 * (times.ratio - 1):+.0f}%"
        return f"  {named(self.key):44}{change:>22}{percent:>7}   {len(times.before)} rounds"


@dataclass
class Verdict:
    """What a comparison came to.

    Attributes
    ----------
    title : str
        What was compared.
    rows : list of Judged
    figures : mapping
        Of what is free of noise and has changed: (before, after).
    missing : list of str
        What could not be measured on one side or the other.
    """

    title: str
    rows: list[Judged]
    figures: Mapping[Key, tuple[float, float]] = field(default_factory=dict)
    missing: Sequence[str] = ()

    @property
    def worse(self) -> list[str]:
        """Names of the rows that got worse."""
        slower = [named(row.key) for row in self.rows if row.opinion is Opinion.WORSE]
        return slower + [named(key) for key, (before, after) in self.figures.items()
                         if after > ALLOWED * before]  # fmt: skip

    def report(self) -> str:
        """Tell all, the worst first."""
        lines = [self.title]
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
