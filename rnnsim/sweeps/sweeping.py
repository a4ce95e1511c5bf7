"""``rnnsim.sweep``: many settings and seeds, wherever there are workers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rnnsim import checks
from rnnsim.errors import RnnsimError, UnknownName, reports_memory, shown
from rnnsim.runs.bars import bar
from rnnsim.sweeps.cells import Planned, Recipe, check_kept, planned
from rnnsim.sweeps.coordinating import Coordinator, Job
from rnnsim.sweeps.places import Cluster, Here, OwnProcesses, Place
from rnnsim.sweeps.plan import Plan, check, plans_of, recipes, seeds_of, tune_of
from rnnsim.sweeps.result import Sweep
from rnnsim.sweeps.store import WITHOUT_RESULT, Store, kept_alone
from rnnsim.sweeps.tuning import Trials, check_seeds, chosen, trials, tuning

SECONDS = 1.5  # that a batch takes: what it costs to send one is then a hundredth or less


@reports_memory
def sweep(
    rules: Any,
    tasks: Any = None,
    seeds: Any = 10,
    *,
    grid: Mapping[str, Any] | None = None,
    draws: int | None = None,
    draw_seed: int = 0,
    tune: Any = None,
    control: bool = False,
    file: str | Path | None = None,
    retry: bool = False,
    jobs: int | None = None,
    executor: Any = None,
    dask: str | None = None,
    batch_seconds: float = SECONDS,
    progress: bool = False,
    **choices: Any,
) -> Sweep:
    """Train networks on tasks by learning rules, with many settings and seeds.

    Runs are independent of one another, and sent to workers in batches. What came of them is written
    down as they end; a run that fails is recorded as such, and the others go on.

    Parameters
    ----------
    rules : str, Rule, mapping, list of these, or path
        Names, names with options (``"truncated-bptt:h=6,h_prime=1"``), rule objects, or mappings with a
        ``name`` and choices for this rule alone (``{"name": "snap", "n": [1, 2]}``, of which lists
        are varied). Without ``tasks``: the file of a sweep (``.toml``), which says the rest.
    tasks : str, Task, mapping, data, or list of these
        Likewise; or your own data, as for :func:`rnnsim.run`, also a list of several.
    seeds : int or sequence of int
        How many (0, 1, ...), or which.
    grid : mapping, optional
        Values of arguments and options that are varied, by name: every combination is a cell.
    draws : int, optional
        How many combinations are drawn at random instead, from lists or between bounds:
        ``{"learning_rate": {"low": 1e-4, "high": 0.1, "log": True}}``. All rules and tasks get the same.
    draw_seed : int
        The seed of these draws.
    tune : bool, sequence of float, or mapping, optional
        Whether each rule gets a learning rate of its own, from the same budget: as many rates (a tenth
        to ten times the suggested one, or those given here), each with as many ``seeds`` that are not
        those of the results, by what they come to on validation data. By default if there are several
        rules and no learning rate is given. A mapping has ``rates`` or ``factors``, and ``seeds``.
    control : bool
        Whether to repeat all with a learning rate of 0, to see what is solved by chance.
    file : path, optional
        Where the results are kept (SQLite). Those that are there already are not computed again.
    retry : bool
        Whether runs that are recorded in the file as failed are tried again.
    jobs : int, optional
        Number of processes on this machine, of one thread each; by default this one, with all cores. In
        a script, a call with more than one must be guarded by ``if __name__ == "__main__":``. With
        ``executor``, how many calls it carries out at the same time.
    executor : concurrent.futures.Executor, optional
        Where runs are sent; or anything with ``submit``, such as the executors of submitit for Slurm.
    dask : str, optional
        The address of a Dask scheduler to whose workers runs are sent (the extra ``dask``).
    batch_seconds : float
        How long a batch is to take. A queue such as that of Slurm wants minutes.
    progress : bool
        Whether to show a progress bar, on a terminal and in a notebook.
    **choices
        Other arguments and options of :func:`rnnsim.run`, for all cells.

    Returns
    -------
    Sweep

    Raises
    ------
    RnnsimError
        If an argument is invalid, no cell can be carried out, or workers cannot be used.

    Notes
    -----
    The same settings and seeds give the same results to the bit, wherever they are carried out on one
    kind of machine; seconds and workers excepted.

    Examples
    --------
    Two rules with two sizes, on all cores, and then ten more seeds:

    >>> choices = {"grid": {"hidden": [8, 32]}, "jobs": 8, "file": "xor.sqlite"}    # doctest: +SKIP
    >>> rnnsim.sweep(["rtrl", "bptt"], "delayed-xor", 10, **choices)                # doctest: +SKIP
    >>> rnnsim.sweep(["rtrl", "bptt"], "delayed-xor", 20, **choices)                # doctest: +SKIP

    As 100 jobs of Slurm at a time, of ten minutes each, by submitit:

    >>> slurm = submitit.AutoExecutor(folder="jobs")                                # doctest: +SKIP
    >>> slurm.update_parameters(timeout_min=60, cpus_per_task=1)                    # doctest: +SKIP
    >>> rnnsim.sweep("plan.toml", executor=slurm, jobs=100, batch_seconds=600,
    ...              file="plan.sqlite")                                            # doctest: +SKIP
    """
    checks.boolean("progress", progress)
    checks.boolean("retry", retry)
    checks.boolean("control", control)
    checks.whole("draw_seed", draw_seed, 0)
    checks.real("batch_seconds", batch_seconds, above=0)
    plans = _plans(rules, tasks, dict(
        seeds=seeds, settings=choices, grid=_axes(grid), draws=draws, draw_seed=draw_seed,
        tune=tune, control=control,
    ))  # fmt: skip
    for plan in plans:
        check(plan)
    wanted = _wanted(plans)
    path = None if file is None else checks.path("the file of results", file)
    with kept_alone(path), _place(jobs, executor, dask) as place:
        store = Store(path)
        again = WITHOUT_RESULT if retry else ()
        _carry_out(wanted, store, place, batch_seconds, progress, again)
    found = Sweep(store)
    if set(found.outcomes) <= set(WITHOUT_RESULT):
        raise RnnsimError(f"none of the {len(found.runs.cell):,} runs has a result: "
                          f"{found.problems[0][3]}")  # fmt: skip
    return found


def _plans(rules: Any, tasks: Any, named: dict[str, Any]) -> list[Plan]:
    """The plans of a file, or the one that is given by arguments."""
    if tasks is not None:
        return [Plan(_listed(rules), _listed(tasks), **{**named, "tune": tune_of(named["tune"])})]
    if not isinstance(rules, str | Path):
        raise RnnsimError(
            "tasks are missing: a sweep is of rules and tasks, or of a file that says them"
        )
    if not str(rules).endswith(".toml"):
        raise RnnsimError(f"the file of a sweep ends in .toml, which {shown(str(rules))} does not; to "
                          "sweep over a rule, give a task, too")  # fmt: skip
    settings, plain = named.pop("settings"), Plan()
    if given := [*settings, *(name for name in named if not _same(named[name], getattr(plain, name)))]:
        raise RnnsimError(f"{given[0]} is given, and there is a file that says what is done: "
                          "write it there")  # fmt: skip
    return plans_of(Path(rules))


def _same(value: Any, default: Any) -> bool:
    """Whether an argument is what it is where it is not given."""
    return type(value) is type(default) and bool(value == default)


def _axes(grid: Any) -> dict[str, Any]:
    if grid is not None and not isinstance(grid, Mapping):
        raise RnnsimError(
            f"grid is a mapping from names to the values that are varied, not {shown(grid)}"
        )
    return dict(grid or {})


def _listed(things: Any) -> list[Any]:
    return (
        things if isinstance(things, list) else list(things) if isinstance(things, tuple) else [things]
    )


@contextmanager
def _place(jobs: int | None, executor: Any, dask: str | None) -> Iterator[Place]:
    """Where runs are carried out."""
    if jobs is not None:
        checks.whole("jobs", jobs, 1, checks.MOST_PROCESSES)
    if executor is not None and dask is not None:
        raise RnnsimError("executor and dask both say where runs are carried out; give one of them")
    if executor is not None:
        if not callable(getattr(executor, "submit", None)):
            raise RnnsimError(f"executor is one of concurrent.futures, not {shown(executor)}")
        count = jobs or getattr(executor, "_max_workers", None) or os.cpu_count() or 1
        place = Place(executor, count)
    elif dask is not None:
        place = Cluster(dask)
    else:
        place = Here() if jobs in (None, 1) else OwnProcesses(jobs or 1)
    with closing(place):
        yield place


# --- in two stages ------------------------------------------------------------------------------------


class Wanted(NamedTuple):
    """A cell of the results, before a learning rate is chosen for it.

    Attributes
    ----------
    plan : Plan
    recipe : Recipe
    place : int
        In the order of all.
    trials : Trials or None
        In which its learning rate is tried, where it is chosen.
    """

    plan: Plan
    recipe: Recipe
    place: int
    trials: Trials | None

    def cells(self, choice: Mapping[str, Any] | None = None) -> list[Planned]:
        """The cell, and its control."""
        roles = {"result": self.recipe} | ({"control": self.recipe.at(0.0)} if self.plan.control else {})
        found = [planned(recipe, self.place, role, choice)[0] for role, recipe in roles.items()]
        return found[:1] if found[0].problem else found


def _wanted(plans: list[Plan]) -> list[Wanted]:
    """All cells of the results.

    Raises
    ------
    RnnsimError
        If none of them can be carried out.
    """
    found, problems = list[Wanted](), list[str]()
    for plan in plans:
        tune = tuning(plan)
        if tune is not None:
            check_seeds(plan, tune)
        for recipe in recipes(plan):
            with _own_options_explained(plan):
                tried = None if tune is None else trials(recipe, len(found), tune)
                wanted = Wanted(plan, recipe, len(found), tried if isinstance(tried, Trials) else None)
                first = tried if isinstance(tried, Planned) else None
                problem = first.problem if first else "" if tried else wanted.cells()[0].problem
            problems += [problem] if problem else []
            found.append(wanted)
    if len(problems) == len(found):
        raise RnnsimError(problems[0])
    return found


@contextmanager
def _own_options_explained(plan: Plan) -> Iterator[None]:
    """Say where an option stands that one of several rules or tasks has alone."""
    try:
        yield
    except UnknownName as error:
        several = len(plan.rules) + len(plan.tasks) > 2
        if several and any(f"'{name}'" in str(error) for name in (*plan.grid, *plan.settings)):
            raise UnknownName(f"{error}; an option of one rule or task alone stands with it: "
                              'snap:n=2, or {name = "snap", n = [1, 2]}') from None  # fmt: skip
        raise


def _carry_out(
    wanted: list[Wanted], store: Store, place: Place, seconds: float, progress: bool,
    again: Sequence[str],
) -> None:  # fmt: skip
    """Try learning rates where they are to be chosen, and then carry out the cells of the results."""
    tried = {each.place: each.trials for each in wanted if each.trials is not None}
    total = sum(len(trial.cells) * len(trial.seeds) for trial in tried.values())
    total += sum(len(seeds_of(each.plan)) * (1 + each.plan.control) for each in wanted)
    with bar(total, "sweep", "runs", shown=progress) as show:
        coordinator = Coordinator(store, place, seconds, show, again)
        jobs = {at: _jobs(store, trial.cells, trial.seeds) for at, trial in tried.items()}
        coordinator.carry_out([job for of_trial in jobs.values() for job in of_trial])
        runs = store.runs() if tried else None
        results = list[Job]()
        for each in wanted:
            choice = None
            if runs is not None and each.trials is not None:
                ids = [job.id for job in jobs[each.place]]
                recipe, choice = chosen(each.trials, ids, runs)
                each = each._replace(recipe=recipe)
            results += _jobs(store, each.cells(choice), seeds_of(each.plan))
        coordinator.carry_out(results)


def _jobs(store: Store, cells: Sequence[Planned], seeds: Sequence[int]) -> list[Job]:
    """Cells with their numbers in the store."""
    if store.path is not None:
        for cell in cells:
            check_kept(cell)
    ids = store.add_cells([(cell.key, cell.cell) for cell in cells])
    return [Job(id, cell, seeds) for id, cell in zip(ids, cells)]
