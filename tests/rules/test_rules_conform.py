"""Every rule is what it claims to be: the kit's checks, on every network that the rule can train."""

from __future__ import annotations

import numba
import pytest

from rnnsim.registry import installed
from rnnsim.testing import Check
from rnnsim.testing.checking import rule_checks

COMPILED = not numba.config.DISABLE_JIT
DRAWS = 2_000 if COMPILED else 300  # test_unbiased.py has the mean over all signs
RULES = [name for name, entry in installed().rules.items() if entry.distribution == "rnnsim"]


def wanted(check: Check) -> bool:
    """Each composition takes seconds: float32 is compiled in test_gradients.py for all exact rules, and
    of the kinds of networks test_unbiased.py has the mean over all signs."""
    kind = check.name.partition(", ")
    drawn = kind[0] == "unbiased" and not kind[2].startswith("recurrent")
    return not COMPILED or not (drawn or kind[0] == "compiled in float32")


CHECKS = [(name, check) for name in RULES for check in rule_checks(name, draws=DRAWS) if wanted(check)]


@pytest.mark.parametrize(("rule", "check"), CHECKS, ids=lambda value: getattr(value, "name", value))
def test_it_is_what_it_claims(rule: str, check: Check) -> None:
    if not COMPILED and check.name.startswith("learns"):
        pytest.skip("thousands of steps in plain Python")
    finding = check.run()
    assert finding.passed is not False, str(finding)
