"""The same experiment for many seeds: how many of them solve the task, and at which step."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rnnsim import checks
from rnnsim.errors import Diverged, NoSteadyState, RnnsimError, reports_memory
from rnnsim.rule import Rule
from rnnsim.runs.processes import in_processes
from rnnsim.task import Task
from rnnsim.training.experiment import Experiment, configure
from rnnsim.training.trainer import Trainer
from rnnsim.typing import Array

NEVER = np.inf
QUANTILES = {"10%": 0.1, "median": 0.5, "90%": 0.9}
PIECE = 4  # maximum number of seeds that a process takes at a time
OF_RUN = ("seed", "stop", "save", "progress")  # arguments of a run that a sweep does not take


@dataclass(frozen=True)
class Sweep:
    """The results of an experiment for the seeds 0, 1, ....

    Attributes
    ----------
    experiment : Experiment
        The experiment with seed 0.
    solved_at : (seeds,) array
        The step at which each seed solved the task; inf: never.
    diverged : int
        How many of the unsolved runs ended early, because a number was not finite or the network had
        no steady state.
    control : Sweep or None
        The same sweep with a learning rate of 0.
    """

    experiment: Experiment
    solved_at: Array
    diverged: int
    control: Sweep | None = None

    def within(self, step: float) -> float:
        """The fraction of the seeds that solved the task by this step."""
        return float((self.solved_at <= step).mean())

    @property
    def never(self) -> float:
        """The fraction of the seeds that did not solve the task."""
        return float(np.isinf(self.solved_at).mean())

    @property
    def quantiles(self) -> dict[str, float]:
        """Quantiles of ``solved_at`` over all seeds, each the value of the nearest seed."""
        return {
            name: float(np.quantile(self.solved_at, q, method="nearest"))
            for name, q in QUANTILES.items()
        }

    def cells(self) -> dict[str, str]:
        """The sweep's row of a table, by column name; cells that do not apply are empty."""
        experiment = self.experiment
        figure = experiment.task.published.get(experiment.rule.name)
        return {
            "published figure": f"{self.within(figure):.0%} within {figure:,}" if figure else "",
            **{name: _step(at) for name, at in self.quantiles.items()},
            "never": f"{self.never:.0%}",
            "diverged": str(self.diverged or ""),
        }

    def summary(self) -> str:
        """Format the results of the sweep and of its control as a small table."""
        experiment, seeds = self.experiment, len(self.solved_at)
        rows = [self, *([self.control] if self.control else [])]
        return (
            f"{experiment.rule.name} on {experiment.task.name}, {seeds} seeds, at most "
            f"{experiment.steps:,} steps; solved means: {experiment.criterion}\n\n"
            + table([(f"eta = {row.experiment.learning_rate:g}", row.cells()) for row in rows])
        )


def _step(at: float) -> str:
    return "never" if at == NEVER else f"{at:,.0f}"


def table(rows: Sequence[tuple[str, Mapping[str, str]]]) -> str:
    """Format labelled rows as an aligned Markdown table, leaving out columns without any entry."""
    columns = [name for name in rows[0][1] if any(row[name] for _, row in rows)]
    lines = [["", *columns], *([label, *(row[name] for name in columns)] for label, row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines.insert(1, rule)
    return "\n".join(
        f"| {label:<{widths[0]}} | "
        + " | ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths[1:]))
        + " |"
        for label, *cells in lines
    )


class Outcome(NamedTuple):
    """The result for one seed."""

    seed: int
    solved_at: float
    diverged: bool


@reports_memory
def sweep(
    rule: str | Rule,
    task: str | Task,
    seeds: int = 100,
    *,
    control: bool = False,
    jobs: int = 1,
    progress: bool = False,
    **choices: Any,
) -> Sweep:
    """Train a network on a task by a learning rule, once for each of the seeds 0, 1, ....

    Parameters
    ----------
    rule, task
        As for :func:`rnnsim.run`.
    seeds : int
        Number of seeds.
    control : bool
        Whether to repeat the sweep with a learning rate of 0, to see what is solved by chance.
    jobs : int
        Number of processes. In a script, a call with more than one must be guarded by
        ``if __name__ == "__main__":``.
    progress : bool
        Whether to show a progress bar, if on a terminal.
    **choices
        As for :func:`rnnsim.run`; each run stops once it has solved the task.

    Returns
    -------
    Sweep

    Raises
    ------
    RnnsimError
        If an argument is invalid.
    """
    checks.whole("seeds", seeds, 1, checks.LARGEST_SIZE)
    checks.whole("jobs", jobs, 1, checks.MOST_PROCESSES)
    checks.boolean("control", control)
    checks.boolean("progress", progress)
    if taken := [name for name in OF_RUN if name in choices]:
        raise RnnsimError(
            f"{taken[0]} is an argument of a single run; a sweep is of the seeds 0, 1, ..."
        )
    found = _sweep(_Recipe(rule, task, choices), seeds, jobs, progress)
    if not control:
        return found
    control_recipe = _Recipe(rule, task, {**choices, "learning_rate": 0.0})
    return replace(found, control=_sweep(control_recipe, seeds, jobs, progress))


class _Recipe(NamedTuple):
    """The arguments of an experiment, which can be sent to another process."""

    rule: str | Rule
    task: str | Task
    choices: Mapping[str, Any]

    def experiment(self) -> Experiment:
        """Configure the experiment with seed 0."""
        arguments = inspect.signature(configure).parameters.keys() - {"options"}
        named = {name: value for name, value in self.choices.items() if name in arguments}
        options = {name: value for name, value in self.choices.items() if name not in arguments}
        return configure(self.rule, self.task, options=options, **named)


def _sweep(recipe: _Recipe, seeds: int, jobs: int, progress: bool) -> Sweep:
    from tqdm import tqdm

    experiment = recipe.experiment()
    solved_at, diverged = np.full(seeds, NEVER), 0
    outcomes = (
        _run_each(experiment, range(seeds)) if jobs == 1 else _run_in_processes(recipe, seeds, jobs)
    )
    name = f"{experiment.rule.name} on {experiment.task.name}, eta = {experiment.learning_rate:g}"
    # disable=None: silent where standard error is not a terminal
    with tqdm(
        total=seeds, desc=name, unit=" runs", disable=None if progress else True, leave=False
    ) as bar:
        for outcome in outcomes:
            solved_at[outcome.seed] = outcome.solved_at
            diverged += outcome.diverged
            bar.update()
    return Sweep(experiment, solved_at, diverged)


def _run_each(experiment: Experiment, seeds: Sequence[int]) -> Iterator[Outcome]:
    for seed in seeds:
        trainer = Trainer(replace(experiment, seed=seed))
        try:
            for _ in trainer.chunks():
                pass
        except (Diverged, NoSteadyState):
            yield Outcome(seed, NEVER, diverged=True)
        else:
            yield Outcome(seed, trainer.solved_at or NEVER, diverged=False)


def _run_in_processes(recipe: _Recipe, seeds: int, jobs: int) -> Iterator[Outcome]:
    try:
        pickle.dumps(recipe)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise RnnsimError(f"this experiment cannot be sent to other processes ({error}); use jobs=1, or "
                          "names and options in place of what is made") from None  # fmt: skip
    Trainer(recipe.experiment())  # fills the kernel cache for the other processes
    piece = min(PIECE, -(-seeds // jobs))
    pieces = [range(first, min(first + piece, seeds)) for first in range(0, seeds, piece)]
    for outcomes in in_processes(partial(_run_piece, recipe), pieces, jobs):
        yield from outcomes


def _run_piece(recipe: _Recipe, seeds: Sequence[int]) -> list[Outcome]:
    return list(_run_each(recipe.experiment(), seeds))
