"""The plugin of pytest: with ``-v`` it prints what was measured beside what is claimed.

It is loaded in every run of pytest where rnnsim is installed, and so imports nothing but pytest.
"""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a line for each check of the kit."""
    if terminalreporter.config.get_verbosity() < 1:
        return
    by_outcome = (terminalreporter.getreports(outcome) for outcome in ("passed", "failed"))
    lines = [
        f"{report.nodeid.partition('::test[')[0].rpartition('::')[2]}: {value}"
        for reports in by_outcome
        for report in reports
        for name, value in report.user_properties
        if name == "rnnsim" and report.when == "call"
    ]
    if lines:
        terminalreporter.section("rnnsim: claimed and measured")
        for line in lines:
            terminalreporter.write_line(line)
