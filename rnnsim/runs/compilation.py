"""Ahead-of-time compilation of all that a run compiles before its first step and after its last."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

from rnnsim import checks, registry
from rnnsim.errors import NoSteadyState, RnnsimError
from rnnsim.runs.processes import Died, NotBegun, Processes
from rnnsim.training.experiment import configure
from rnnsim.training.task_training import TaskTraining


class Compilation(NamedTuple):
    """The outcome of compiling a rule for a task."""

    rule: str
    task: str
    seconds: float  # time it took; 0: everything was in the cache
    error: str = ""  # why it cannot be compiled

    def __str__(self) -> str:
        outcome = self.error or (f"{self.seconds:.1f} s" if self.seconds else "already compiled")
        return f"{self.rule} on {self.task}: {outcome}"

    def as_dict(self) -> dict[str, Any]:
        """``rule``, ``task``, ``seconds`` (0: it was compiled already) and ``error``, or None."""
        return {**self._asdict(), "error": self.error or None}


def suggested_tasks(rule: str) -> list[str]:
    """The tasks that suggest a rule, or else the first that it can train on."""
    suggesting = [task for task in registry.installed().tasks if _suggests(task, rule)]
    return fitting_tasks(rule, suggesting) or fitting_tasks(rule, registry.installed().tasks, 1)


def _suggests(task: str, rule: str) -> bool:
    try:
        made = registry.make_task(task, {})
        suggestions = made.suggestions(rule, registry.rule_type(rule).kind)
    except Exception:  # noqa: BLE001 (it needs options, or it is a plugin's, which may fail in any way)
        return False
    return any(suggestion.rule == rule for suggestion in suggestions.values())


def fitting_tasks(rule: str, tasks: Iterable[str], most: int | None = None) -> list[str]:
    """Select tasks, at most ``most``, that a rule can train on by ``rnnsim run RULE TASK``."""
    return list(islice((task for task in tasks if _fits(rule, task)), most))


def _fits(rule: str, task: str) -> bool:
    try:
        configure(rule, task)
    except Exception:  # noqa: BLE001 (as above; or it does not fit, or its data are not installed)
        return False
    return True


def compile_all(tasks: Mapping[str, Sequence[str]], jobs: int = 1) -> Iterator[Compilation]:
    """Compile each rule for its tasks, the rules being distributed over ``jobs`` processes.

    Parameters
    ----------
    tasks : mapping
        The tasks of each rule, by the rule's name.
    jobs : int
        Number of processes.
    """
    checks.whole("jobs", jobs, 1, checks.MOST_PROCESSES)
    work = [(rule, of_rule) for rule, of_rule in tasks.items() if of_rule]
    if jobs == 1 or len(work) < 2:
        for rule, of_rule in work:
            for task in of_rule:
                yield compile_one(rule, task)
        return
    with Processes(min(jobs, len(work))) as processes:
        futures = {processes.submit(_compile_rule, *of_rule): of_rule for of_rule in work}
        for future in as_completed(futures):
            rule, of_rule = futures[future]
            try:
                yield from future.result()
            except NotBegun:
                raise
            except Died as death:
                yield from (Compilation(rule, task, 0.0, str(death)) for task in of_rule)


def _compile_rule(rule: str, tasks: Sequence[str]) -> list[Compilation]:
    """Compile a rule for its tasks, in one process, since they have many kernels in common."""
    return [compile_one(rule, task) for task in tasks]


def compile_one(rule: str, task: str) -> Compilation:
    """Do everything that ``rnnsim run RULE TASK`` does except its steps."""
    from rnnsim.compiler import listeners

    def listen(owner: str, cacheable: bool) -> None:
        found.append(owner)

    found: list[str] = []
    listeners.append(listen)
    start = time.perf_counter()
    try:
        trainer = TaskTraining(configure(rule, task))
        with suppress(NoSteadyState):  # an untrained network may have none
            trainer.evaluate()
    except RnnsimError as error:
        return Compilation(rule, task, 0.0, str(error))
    finally:
        listeners.remove(listen)
    return Compilation(rule, task, time.perf_counter() - start if found else 0.0)
