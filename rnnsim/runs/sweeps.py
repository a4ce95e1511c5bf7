"""The same experiment for many seeds: how many of them solve the task, and at which step."""

from __future__ import annotations

import pickle
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rnnsim import checks
from rnnsim.data.forecasting import called
from rnnsim.errors import Diverged, NoSteadyState, RnnsimError, reports_memory
from rnnsim.rule import Rule
from rnnsim.runs import html_tables
from rnnsim.runs.bars import bar
from rnnsim.runs.plain_data import plain
from rnnsim.runs.processes import Death, in_processes
from rnnsim.runs.reports import described
from rnnsim.runs.seeds import refuse_those_of_a_run, table
from rnnsim.task import Task
from rnnsim.training.experiment import Experiment, configure_from
from rnnsim.training.task_training import TaskTraining
from rnnsim.typing import Array

NEVER = np.inf
QUANTILES = {"10%": 0.1, "median": 0.5, "90%": 0.9}
PIECE = 4  # maximum number of seeds that a process takes at a time
MOST_SAID = 3  # problems that a message lists


@dataclass(frozen=True)
class Sweep:
    """The results of an experiment for the seeds 0, 1, ....

    Attributes
    ----------
    experiment : Experiment
        The experiment with seed 0.
    solved_at : (seeds,) array
        The step at which each seed solved the task; inf: never, nan: it has no result.
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

    @property
    def done(self) -> Array:
        """``solved_at`` of the seeds that have a result."""
        return self.solved_at[~np.isnan(self.solved_at)]

    def within(self, step: float) -> float:
        """The fraction of the seeds that solved the task by this step."""
        return float((self.done <= step).mean())

    @property
    def never(self) -> float:
        """The fraction of the seeds that did not solve the task."""
        return float(np.isinf(self.done).mean())

    @property
    def quantiles(self) -> dict[str, float]:
        """Quantiles of ``solved_at`` over all seeds, each the value of the nearest seed."""
        return {
            name: float(np.quantile(self.done, q, method="nearest")) for name, q in QUANTILES.items()
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
        rows = [self, *([self.control] if self.control else [])]
        return f"{self.title}\n\n{table([(row.label, row.cells()) for row in rows])}"

    def as_dict(self) -> dict[str, Any]:
        """The results as plain data: text, numbers, and None where there is none.

        Returns
        -------
        dict
            What determines the runs, as in :meth:`rnnsim.Run.as_dict`; ``seeds``, their number;
            ``solved_at``, of each seed (None: never, or the seed is in ``without_result``);
            ``diverged``; ``never``, a fraction of the seeds with a result; ``quantiles`` (None: never);
            ``published``, its ``step`` and the fraction that solved the task ``within`` it, or None; and
            ``control``, another sweep or None.
        """
        experiment = self.experiment
        figure = experiment.task.published.get(experiment.rule.name)
        found: dict[str, Any] = plain({
            **described(experiment),
            "seeds": len(self.solved_at),
            "solved_at": [_whole(at) for at in self.solved_at],
            "without_result": np.flatnonzero(np.isnan(self.solved_at)),
            "diverged": self.diverged,
            "never": self.never,
            "quantiles": {name: _whole(at) for name, at in self.quantiles.items()},
            "published": {"step": figure, "within": self.within(figure)} if figure else None,
            "control": self.control and self.control.as_dict(),
        })  # fmt: skip
        return found

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        rows = [self, *([self.control] if self.control else [])]
        return html_tables.grid(self.title, [(row.label, row.cells()) for row in rows])

    @property
    def title(self) -> str:
        """What was done, in a line."""
        experiment, seeds = self.experiment, f"{len(self.solved_at)}"
        if len(self.done) < len(self.solved_at):
            seeds = f"{len(self.done)} of {seeds}"
        return (f"{experiment.rule.name} on {called(experiment.task)}, {seeds} seeds, at most "
                f"{experiment.steps:,} steps; solved means: {experiment.criterion}")  # fmt: skip

    @property
    def label(self) -> str:
        """What tells it from its control."""
        return _eta(self.experiment)


def _eta(experiment: Experiment) -> str:
    rate = experiment.learning_rate
    return f"eta = {rate:g}" if isinstance(rate, float) else "eta of each parameter"


def _whole(at: float) -> int | None:
    return int(at) if np.isfinite(at) else None


def _step(at: float) -> str:
    return "never" if at == NEVER else f"{at:,.0f}"


class Incomplete(RnnsimError):
    """Some seeds of a sweep have no result; the message says why, and ``sweep`` has the others."""

    sweep: Sweep

    @classmethod
    def of(cls, sweep: Sweep, message: str) -> Incomplete:
        """Make the error of a sweep."""
        error = cls(message)
        error.sweep = sweep
        return error


class Outcome(NamedTuple):
    """The result for one seed."""

    solved_at: float
    diverged: bool


Outcomes = Generator[tuple[int, Outcome | Death], None, None]


@reports_memory
def sweep(
    rule: str | Rule,
    task: Any,
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
        Whether to show a progress bar, on a terminal and in a notebook.
    **choices
        As for :func:`rnnsim.run`; each run stops once it has solved the task.

    Returns
    -------
    Sweep

    Raises
    ------
    RnnsimError
        If an argument is invalid.
    Incomplete
        If some seeds have no result, for example because a process was killed.
    """
    checks.whole("seeds", seeds, 1, checks.LARGEST_SIZE)
    checks.whole("jobs", jobs, 1, checks.MOST_PROCESSES)
    checks.boolean("control", control)
    checks.boolean("progress", progress)
    refuse_those_of_a_run(choices, "sweep")
    found, problem = _sweep(_Recipe(rule, task, choices), seeds, jobs, progress)
    if control and not problem:
        control_recipe = _Recipe(rule, task, {**choices, "learning_rate": 0.0})
        of_control, problem = _sweep(control_recipe, seeds, jobs, progress)
        found = replace(found, control=of_control)
    if problem:
        raise Incomplete.of(found, problem)
    return found


class _Recipe(NamedTuple):
    """The arguments of an experiment, which can be sent to another process."""

    rule: str | Rule
    task: str | Task
    choices: Mapping[str, Any]

    def experiment(self) -> Experiment:
        """Configure the experiment with seed 0."""
        return configure_from(self.rule, self.task, {**self.choices, "keep": "last"})


def _sweep(recipe: _Recipe, seeds: int, jobs: int, progress: bool) -> tuple[Sweep, str]:
    """Run all seeds; the second result says why some have no result, if so.

    Raises
    ------
    RnnsimError
        If none has a result.
    """
    experiment = recipe.experiment()
    found = Sweep(experiment, np.full(seeds, np.nan), 0)
    outcomes: Outcomes = (
        _run_each(experiment, range(seeds)) if jobs == 1 else _run_in_processes(recipe, seeds, jobs)
    )
    name = f"{experiment.rule.name} on {called(experiment.task)}, {_eta(experiment)}"
    diverged, problems = 0, list[str]()
    try:
        with bar(seeds, name, "runs", shown=progress) as show, closing(outcomes):
            for done, (seed, outcome) in enumerate(outcomes, 1):
                if isinstance(outcome, Death):
                    problems.append(f"the process of seed {seed} {outcome}")
                else:
                    found.solved_at[seed] = outcome.solved_at
                    diverged += outcome.diverged
                show(done)
    except (RnnsimError, MemoryError) as error:
        if not len(found.done):
            raise
        problems.append(str(error) or "there is not enough memory")
    if not problems:
        return replace(found, diverged=diverged), ""
    if len(problems) > MOST_SAID:
        problems[MOST_SAID:] = [f"and {len(problems) - MOST_SAID} more"]
    problem = f"{len(found.done)} of {seeds} seeds have a result: {'; '.join(problems)}"
    if not len(found.done):
        raise RnnsimError(problem)
    return replace(found, diverged=diverged), problem


def _run_each(
    experiment: Experiment, seeds: Iterable[int]
) -> Generator[tuple[int, Outcome], None, None]:
    for seed in seeds:
        trainer = TaskTraining(replace(experiment, seed=seed))
        try:
            for _ in trainer.chunks():
                pass
        except (Diverged, NoSteadyState):
            yield seed, Outcome(NEVER, diverged=True)
        else:
            yield seed, Outcome(trainer.solved_at or NEVER, diverged=False)


def _run_in_processes(recipe: _Recipe, seeds: int, jobs: int) -> Outcomes:
    try:
        pickle.dumps(recipe)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise RnnsimError(f"this experiment cannot be sent to other processes ({error}); use jobs=1, or "
                          "names and options in place of what is made") from None  # fmt: skip
    TaskTraining(recipe.experiment())  # fills the kernel cache for the other processes
    yield from in_processes(
        partial(_outcomes, recipe), range(seeds), jobs, min(PIECE, -(-seeds // jobs))
    )


def _outcomes(recipe: _Recipe, seeds: Sequence[int]) -> Iterator[Outcome]:
    return (outcome for _, outcome in _run_each(recipe.experiment(), seeds))
