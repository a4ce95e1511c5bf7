"""Deterministic figures: a rule's memory, the exponents of its costs, how soon it learns."""

from __future__ import annotations

from functools import cache

import numpy as np

from rnnsim.runs.result import Run, result_of
from rnnsim.training.experiment import configure
from rnnsim.training.task_training import TaskTraining

from .choices import RULES, SIZES, rule_and_network, task_for, window_for
from .operations import exponent, operations_exponent

SEEDS = range(5)
STEPS = 20_000  # maximum number of steps; a seed that does not solve its task counts as this


class Memory:
    """Bytes that a rule needs beside the network: its memory and its rows of the trajectory."""

    params = (RULES, list(SIZES))
    param_names = ("rule", "n")
    unit = "bytes"

    def track_bytes(self, rule: str, n: int) -> int:
        return memory_bytes(rule, n)


def memory_bytes(rule: str, n: int) -> int:
    made, network = rule_and_network(rule, n)
    return made.memory_bytes(network, 1, window_for(made, network))


class Exponents:
    """p in cost ~ n^p, for counted operations per step and for bytes of memory."""

    params = RULES
    param_names = ("rule",)
    unit = "p of n^p"
    sizes = (32, 64, 128)
    timeout = 600

    def track_time_exponent(self, rule: str) -> float:
        return operations_exponent(rule)

    def track_memory_exponent(self, rule: str) -> float:
        return exponent(self.sizes, [memory_bytes(rule, n) for n in self.sizes])


class Learning:
    """Steps to solve and final loss of a rule on its task, with suggested settings and fixed seeds."""

    params = RULES
    param_names = ("rule",)
    timeout = 900

    def track_steps_to_solve(self, rule: str) -> float:
        return float(np.median([run.solved_at or STEPS for run in runs(rule, STEPS, stop=True)]))

    def track_final_loss(self, rule: str) -> float:
        return float(np.median([run.loss for run in runs(rule, STEPS // 10, stop=False)]))


@cache
def runs(rule: str, steps: int, *, stop: bool) -> list[Run]:
    """Runs of at most ``steps`` steps, one for each seed."""
    found = []
    for seed in SEEDS:
        trainer = TaskTraining(configure(rule, task_for(rule), seed=seed, steps=steps, stop=stop))
        for _ in trainer.chunks():
            pass
        found.append(result_of(trainer))
    return found
