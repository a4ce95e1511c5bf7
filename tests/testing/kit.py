"""What the tests of the kit ask it: which of its checks let something pass."""

from __future__ import annotations

from collections.abc import Iterable

from rnnsim.testing import Check, Finding


def run(checks: Iterable[Check], *names: str) -> list[Finding]:
    """Run the checks whose names begin with one of these; there are some for each."""
    chosen = [check for check in checks if check.name.startswith(names)]
    for name in names:
        assert any(check.name.startswith(name) for check in chosen), name
    return [check.run() for check in chosen]


def passes(checks: Iterable[Check], *names: str) -> None:
    """These checks find nothing."""
    failed = [str(finding) for finding in run(checks, *names) if finding.passed is False]
    assert not failed, failed


def fails(checks: Iterable[Check], name: str, saying: str = "") -> None:
    """Each of these checks fails, and says what it was."""
    for finding in run(checks, name):
        assert finding.passed is False, str(finding)
        assert saying in finding.measured, str(finding)
