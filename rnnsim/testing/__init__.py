"""The conformance kit: what rules, networks and tasks claim, and what is measured.

>>> import rnnsim.testing
>>> print(rnnsim.testing.check_rule("rtrl"))            # doctest: +SKIP

In tests, with pytest, an item for each check::

    from rnnsim.testing import RuleTests

    class TestMyRule(RuleTests):
        rule = "my-rule"
"""

from rnnsim.testing.checking import check_network, check_rule, check_task
from rnnsim.testing.items import NetworkTests, RuleTests, TaskTests
from rnnsim.testing.report import Check, Finding, Measured, Report

__all__ = [
    "Check",
    "Finding",
    "Measured",
    "NetworkTests",
    "Report",
    "RuleTests",
    "TaskTests",
    "check_network",
    "check_rule",
    "check_task",
]
