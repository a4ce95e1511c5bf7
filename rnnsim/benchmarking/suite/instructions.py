"""Instructions for one step of a rule and for one call of each public function (:mod:`.counted`)."""

from __future__ import annotations

import json
from pathlib import Path

from . import callgrind, counted
from .choices import RULES


def setup_cache() -> None:
    """Let asv run all benchmarks of this module in one folder, where a part is counted only once."""


def instructions(part: str, rule: str, what: str) -> float:
    """Count a part of a rule's instructions, or read what an earlier benchmark has counted."""
    file = Path(f"{part}-{RULES.index(rule)}.json")
    if not file.exists():
        file.write_text(json.dumps(counted.count([rule], parts=[part])[rule]))
    return float(json.loads(file.read_text())[what])


class Counted:
    """A benchmark that is skipped where instructions cannot be counted."""

    unit = "instructions"
    timeout = 2 * callgrind.TIMEOUT

    def setup(self, *params: object) -> None:
        if missing := callgrind.missing():
            raise NotImplementedError(missing)


class Step(Counted):
    """One step of ``gradient_function``, without what a call costs whatever its number of steps."""

    params = (RULES, list(counted.STEPS))
    param_names = ("rule", "n")

    def track_instructions(self, rule: str, n: int) -> float:
        return instructions("steps", rule, f"{counted.STEP} {n}")


class Call(Counted):
    """A call of each public function, with a single step."""

    params = RULES
    param_names = ("rule",)

    def track_gradient(self, rule: str) -> float:
        return instructions("functions", rule, "gradient")

    def track_gradient_function(self, rule: str) -> float:
        return instructions("functions", rule, "gradient_function")

    def track_loss(self, rule: str) -> float:
        return instructions("functions", rule, "loss")

    def track_simulate(self, rule: str) -> float:
        return instructions("functions", rule, "simulate")

    def track_learner_step(self, rule: str) -> float:
        """With its correction; the mean over a window."""
        return instructions("functions", rule, "learner_step")

    def track_learn(self, rule: str) -> float:
        """A whole window."""
        return instructions("functions", rule, "learn")
