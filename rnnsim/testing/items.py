"""Classes of tests for pytest: an item for each check of a rule, a network or a task.

A subclass says what is checked. Pytest is not imported here: it calls ``pytest_generate_tests`` of a
class that it collects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rnnsim.network import Network
from rnnsim.rule import Rule
from rnnsim.task import Task
from rnnsim.testing.checking import network_checks, rule_checks, task_checks
from rnnsim.testing.report import Check


class _Tests:
    """What the classes have in common."""

    options: ClassVar[Mapping[str, Any]] = {}
    seed: ClassVar[int] = 0

    @classmethod
    def checks(cls) -> list[Check]:
        """The checks, of which none has run yet."""
        raise NotImplementedError

    @classmethod
    def pytest_generate_tests(cls, metafunc: Any) -> None:
        """Give the test a check at a time."""
        if "check" in metafunc.fixturenames:
            checks = cls.checks()
            metafunc.parametrize("check", checks, ids=[check.name for check in checks])

    def test(self, check: Check, record_property: Any) -> None:
        """What is measured is what is claimed."""
        __tracebackhide__ = True
        finding = check.run()
        record_property("rnnsim", str(finding))
        if finding.passed is False:
            raise AssertionError(
                f"{finding.check}\n  claimed   {finding.claimed}\n  measured  {finding.measured}"
            )


class RuleTests(_Tests):
    """Tests of a learning rule.

    Attributes
    ----------
    rule : str, Rule or type of Rule
    networks, task, seed, reference, draws, options
        As for :func:`rnnsim.testing.check_rule`.
    """

    rule: ClassVar[str | Rule | type[Rule]]
    networks: ClassVar[Any] = None
    task: ClassVar[str | Task | None] = None
    reference: ClassVar[str] = "bptt"
    draws: ClassVar[int] = 10_000

    @classmethod
    def checks(cls) -> list[Check]:
        return rule_checks(
            cls.rule, networks=cls.networks, task=cls.task, seed=cls.seed, reference=cls.reference,
            draws=cls.draws, **cls.options,
        )  # fmt: skip


class NetworkTests(_Tests):
    """Tests of a network.

    Attributes
    ----------
    network : str, Network or type of Network
    seed
        As for :func:`rnnsim.testing.check_network`.
    """

    network: ClassVar[str | Network | type[Network]]

    @classmethod
    def checks(cls) -> list[Check]:
        return network_checks(cls.network, seed=cls.seed)


class TaskTests(_Tests):
    """Tests of a task.

    Attributes
    ----------
    task : str, Task or type of Task
    seed, options
        As for :func:`rnnsim.testing.check_task`.
    """

    task: ClassVar[str | Task | type[Task]]

    @classmethod
    def checks(cls) -> list[Check]:
        return task_checks(cls.task, seed=cls.seed, **cls.options)
