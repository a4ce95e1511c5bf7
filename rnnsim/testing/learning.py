"""Whether a rule learns, and how its gradient lies to the exact one before and after."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from rnnsim import registry
from rnnsim.compiler import compiled
from rnnsim.errors import RnnsimError
from rnnsim.network import Network
from rnnsim.rule import Rule
from rnnsim.runs.result import Run
from rnnsim.runs.running import run
from rnnsim.task import Task
from rnnsim.testing.cases import Case
from rnnsim.testing.measures import alignment, ratio
from rnnsim.testing.report import Check, Measured
from rnnsim.testing.subject import Subject
from rnnsim.training.experiment import first_suggestion, suits
from rnnsim.typing import Params

STEPS = 5000  # of a run, at most
ROWS, BATCH = 60, 4  # of the data on which gradients are compared
MEANS = 20  # draws of which the gradient of a rule that draws is the mean


def checks(subject: Subject, task: str | Task | None) -> Iterator[Check]:
    """That it learns a task: of rules without a claim to measure, or where a task is asked for."""
    if task is None and subject.rule.claim != "approximate":
        return
    chosen = task_for(subject.rule) if task is None else registry.make_task(task, {})
    if chosen is None:
        return
    yield Check(
        f"learns {chosen.name}",
        "a lower loss than with a learning rate of 0",
        partial(_learns, subject, chosen),
    )


def task_for(rule: Rule) -> Task | None:
    """The first task that suggests a rule, or else the smallest that suits it; None if none does."""
    suiting = []
    for name in registry.installed().tasks:
        try:
            task = registry.make_task(name, {})
            if suits(rule, task):
                suggested = first_suggestion(rule, task).rule == rule.name
                suiting.append((not suggested, 0 if suggested else task.n_in + task.n_out, name, task))
        except Exception:  # noqa: BLE001 (a plugin's task may fail in any way, or need options)
            continue
    return min(suiting, key=lambda each: each[:3])[3] if suiting else None


def _learns(subject: Subject, task: Task) -> Measured:
    steps = min(STEPS, first_suggestion(subject.rule, task).steps)
    options: dict[str, Any] = {"seed": subject.seed, "steps": steps, "stop": False}
    learnt = run(subject.rule, task, **options)
    control = run(subject.rule, task, learning_rate=0.0, **options)
    text = f"loss {learnt.loss:.4g} after {learnt.steps:,} steps, {control.loss:.4g} with rate 0"
    return Measured(text + _compared(subject, learnt), bool(learnt.loss < control.loss))


def _compared(subject: Subject, learnt: Run) -> str:
    """Alignment and ratio of norms with the exact gradient, at the start and after learning."""
    experiment = learnt.experiment
    network = experiment.network
    reference = subject.exact_rule(network)
    if reference is None:
        return ""
    pairs = []
    for params in (experiment.initial_params(), learnt.params):
        case = task_case(network, experiment.task, params, subject)
        exact, own = case.flat_gradient(reference), case.own
        found = mean_gradient(subject.rule, case)
        pairs.append((alignment(found[own], exact[own]), ratio(found[own], exact[own])))
    (before, before_ratio), (after, after_ratio) = pairs
    return (
        f"; alignment with {reference} {before:.2f} at first, {after:.2f} after; "
        f"ratio of norms {before_ratio:.2f}, {after_ratio:.2f}"
    )


def mean_gradient(rule: Rule, case: Case) -> Any:
    """The gradient of a rule; where it draws, the mean over a few draws."""
    if rule.claim_for(case.network) != "unbiased":
        return case.flat_gradient(rule)
    return np.mean([case.flat_gradient(rule, seed=seed) for seed in range(MEANS)], axis=0)


def task_case(network: Network, task: Task, params: Params, subject: Subject) -> Case:
    """Data of a task with a network's parameters.

    Raises
    ------
    RnnsimError
        If the task gives no row.
    """
    rows = max(ROWS, task.episode_length or 0)
    stream = task.allocate(rows, BATCH, network.dtype)
    source = task.source(np.random.default_rng(subject.seed + 1), BATCH, network.dtype, held_out=True)
    filled = compiled(task.fill())(source, stream, rows)
    if not filled:
        raise RnnsimError(f"{task.name} fills none of {rows} rows")
    data = {name: getattr(stream, name)[:filled] for name in ("inputs", "targets", "mask")}
    if task.masks_outputs:
        data["mask"] = data["mask"][..., None] * stream.output_mask[:filled]
    if not subject.rule.settles:
        data["resets"] = stream.resets[:filled]
    return Case(network, network.pack(params), data, subject.rule.settles)
