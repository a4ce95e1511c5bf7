"""What a check claims, and what it measured."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rnnsim.errors import RnnsimWarning, described


class Measured(NamedTuple):
    """What a check found.

    Attributes
    ----------
    text : str
    passed : bool or None
        None where there is nothing to pass: the figure is shown.
    """

    text: str
    passed: bool | None = True


class Finding(NamedTuple):
    """The outcome of a check.

    Attributes
    ----------
    check : str
        Its name.
    claimed, measured : str
    passed : bool or None
        None where there is nothing to pass.
    """

    check: str
    claimed: str
    measured: str
    passed: bool | None

    def __str__(self) -> str:
        mark = {True: "ok", False: "FAILS", None: "shown"}[self.passed]
        return f"{mark:<5}  {self.check}: claimed {self.claimed}; measured {self.measured}"


class Check(NamedTuple):
    """Something that is claimed, and how it is measured.

    Attributes
    ----------
    name : str
        Different for each check of a rule, a network or a task.
    claimed : str
    measure : Callable
        Takes nothing and gives a :class:`Measured`.
    """

    name: str
    claimed: str
    measure: Callable[[], Measured]

    def run(self) -> Finding:
        """Measure. Whatever the code that is checked raises is a failure, which says what it was."""
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore", RnnsimWarning)
                found = self.measure()
        except Exception as error:  # noqa: BLE001 (what is checked may fail in any way)
            found = Measured(described(error), False)
        return Finding(self.name, self.claimed, *found)


@dataclass
class Report:
    """The findings about a rule, a network or a task.

    Attributes
    ----------
    subject : str
        Its name.
    findings : list of Finding
    """

    subject: str
    findings: list[Finding]

    @property
    def failures(self) -> list[Finding]:
        """The findings where what was measured is not what is claimed."""
        return [finding for finding in self.findings if finding.passed is False]

    @property
    def passed(self) -> bool:
        """Whether none of them is."""
        return not self.failures

    def __str__(self) -> str:
        return "\n".join([*map(str, self.findings), self.verdict()])

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data.

        Returns
        -------
        dict
            ``subject``, ``passed``, and of each of the ``findings`` its ``check``, what is ``claimed``
            and ``measured``, and ``passed``, None where there is nothing to pass.
        """
        findings = [finding._asdict() for finding in self.findings]
        return {"subject": self.subject, "passed": self.passed, "findings": findings}

    def verdict(self) -> str:
        """One line about all of them."""
        judged = [finding for finding in self.findings if finding.passed is not None]
        if self.passed:
            return f"{self.subject} does what it claims in {len(judged)} checks"
        return f"{self.subject} fails {len(self.failures)} of {len(judged)} checks"


def findings(checks: Iterable[Check]) -> Iterator[Finding]:
    """Run checks one after the other."""
    return (check.run() for check in checks)
