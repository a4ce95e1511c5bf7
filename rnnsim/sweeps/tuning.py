"""The learning rate of each rule, chosen from the same budget, on other data than the results.

Each rule tries as many rates, with as many seeds, as every other. They are seeds of their own: what they
draw is no data of the results. Where runs end once the task is solved, the rate is chosen by which most
of them solve it, in the fewest steps in the median; otherwise, and among equals, by the median of the
loss on validation data, or, where each row is forecast and then learnt, in the first half of them.
Nothing is chosen by test data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnsim import checks
from rnnsim.errors import RnnsimError
from rnnsim.sweeps.cells import Planned, Recipe, planned
from rnnsim.sweeps.plan import Plan, Tune, gives_rate, seeds_of
from rnnsim.sweeps.ranking import BY_STEPS, has_criterion
from rnnsim.sweeps.store import Runs
from rnnsim.typing import Array

FIRST_SEED = 1_000_000  # of those with which rates are tried
BY_LOSS = "median validation loss"
BY_NOTHING = "taking the first where no loss was finite"


@dataclass(frozen=True)
class Trials:
    """The cells in which the learning rate of a recipe is tried.

    Attributes
    ----------
    recipe : Recipe
    place : int
        Of the result in the plan.
    cells : sequence of Planned
        One for each rate.
    seeds : range
    """

    recipe: Recipe
    place: int
    cells: Sequence[Planned]
    seeds: range


def tuning(plan: Plan) -> Tune | None:
    """How learning rates are chosen; None: they are not.

    Unless the plan says, they are if there are several rules and no rate is given.
    """
    if isinstance(plan.tune, Tune):
        return plan.tune
    if plan.tune is None:
        return Tune() if len(plan.rules) > 1 and not gives_rate(plan) else None
    return Tune() if plan.tune else None


def check_seeds(plan: Plan, tune: Tune) -> None:
    """Refuse seeds of the results with which learning rates are tried.

    Raises
    ------
    RnnsimError
        If there are such.
    """
    both = set(seeds_of(plan)).intersection(seeds_of_trials(tune))
    if both:
        raise RnnsimError(f"seed {min(both):,} is one of those by which learning rates are chosen, "
                          f"{FIRST_SEED:,} and so on; let the results have others")  # fmt: skip


def seeds_of_trials(tune: Tune) -> range:
    """The seeds with which each learning rate is tried."""
    return range(FIRST_SEED, FIRST_SEED + checks.whole("seeds of tune", tune.seeds, 1))


def trials(recipe: Recipe, place: int, tune: Tune) -> Trials | Planned:
    """The trials of a recipe; a cell with a problem, if it cannot be carried out at all.

    Raises
    ------
    RnnsimError
        If the task suggests a rate for each parameter, and no rates are given; or there is nothing by
        which one could be chosen.
    """
    found, experiment = planned(recipe, place, "result")
    if experiment is None:
        return found
    task = experiment.task
    if not (task.kept_outputs or all(task.validation_shape()) or has_criterion(found.cell)):
        raise RnnsimError(f"{found.cell.task} has no validation rows, by which learning rates are "
                          "chosen; give validation=, or learning_rate, or tune = false")  # fmt: skip
    if tune.rates is not None:
        rates = [float(rate) for rate in tune.rates]
    else:
        if not isinstance(experiment.learning_rate, float):
            raise RnnsimError(f"{found.cell.task} suggests a learning rate for each parameter; give the "
                              "rates to try: tune = {rates = [...]}")  # fmt: skip
        rates = [experiment.learning_rate * factor for factor in tune.factors]
    cells = [planned(recipe.at(rate), place, "trial")[0] for rate in dict.fromkeys(rates)]
    return Trials(recipe, place, cells, seeds_of_trials(tune))


def chosen(trials: Trials, ids: Sequence[int], runs: Runs) -> tuple[Recipe, Mapping[str, Any]]:
    """Choose the rate by what came of the trials; the recipe with it, and what is said of the choice."""
    rates = [cell.recipe.choices["learning_rate"] for cell in trials.cells]
    own = runs.of(np.isin(runs.seed, trials.seeds))  # a file may hold more, of another budget
    measures = [_measure(own, id) for id in ids]
    best = min(range(len(rates)), key=lambda i: measures[i])
    by = BY_LOSS if np.isfinite(measures[best][2]) else BY_NOTHING
    order = sorted(range(len(rates)), key=lambda i: rates[i])
    choice = {
        "rates": rates,
        "seeds": len(trials.seeds),
        "by": BY_STEPS if measures[best][0] < 0 else by,
        "solved": [-measure[0] for measure in measures],
        "solved_at": [_finite(measure[1]) for measure in measures],
        "validation_loss": [_finite(measure[2]) for measure in measures],
        "at_edge": len(rates) > 1 and best in (order[0], order[-1]),
    }
    return trials.recipe.at(rates[best]), choice


def _measure(runs: Runs, id: int) -> tuple[float, float, float]:
    """What is the least for the best rate: minus the share solved, when, the validation loss."""
    of_cell = runs.of(runs.cell == id)
    if not len(of_cell.cell):
        return 0.0, np.inf, np.inf
    at = np.where(np.isnan(of_cell.solved_at), np.inf, of_cell.solved_at)
    return -float(np.isfinite(at).mean()), _median(at), _median(of_cell.validation_loss)


def _median(values: Array) -> float:
    """The median, where what there is not is larger than any number."""
    known = np.where(np.isnan(values), np.inf, values)
    return float(np.quantile(known, 0.5, method="nearest"))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
