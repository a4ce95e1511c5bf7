"""Several rules on one trajectory: how their gradients agree, and how each learns when it leads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import numpy as np

from rnnsim import checks, registry
from rnnsim.data.forecasting import called
from rnnsim.errors import Diverged, NoSteadyState, RnnsimError, reports_memory, shown
from rnnsim.rule import Rule
from rnnsim.runs.bars import bar
from rnnsim.runs.comparison import Comparison
from rnnsim.runs.seeds import refuse_those_of_a_run
from rnnsim.training.experiment import Experiment, configure_from, with_rule
from rnnsim.training.following import LedTraining, point_every
from rnnsim.training.observing import losses_at
from rnnsim.training.task_training import TaskTraining
from rnnsim.typing import Array


@reports_memory
def compare(
    rules: Sequence[str | Rule],
    task: Any,
    *,
    seeds: int = 1,
    progress: bool = False,
    **choices: Any,
) -> Comparison:
    """Compare learning rules: their gradients on one trajectory, and how each learns when it leads.

    The first rule leads a run. Before each of its updates, the others compute their gradients with the
    same weights from the same data; each keeps its own memory. Then each rule leads a run of its own,
    with the settings of the first.

    All rules see the windows of the first. With windows of one step, the default of on-line rules,
    those that carry nothing beyond a window (``bptt``) see a single step: give a ``window``, or begin
    with such a rule. ``truncated-bptt`` writes at multiples of h' only; with ``h_prime=1`` that is at
    each step.

    Parameters
    ----------
    rules : sequence of str and Rule
        At least two: names, names with options (``"truncated-bptt:h=6,h_prime=1"``), or rule objects.
    task : str or Task, or data
        As for :func:`rnnsim.run`.
    seeds : int
        The runs are repeated for the seeds 0, 1, ....
    progress : bool
        Whether to show a progress bar, on a terminal and in a notebook.
    **choices
        As for :func:`rnnsim.run` with the first rule; but options of rules are given with their names.
        The runs do not stop where the task is solved.

    Returns
    -------
    Comparison

    Raises
    ------
    RnnsimError
        If an argument is invalid, or a rule cannot train the network or learn in these windows.
    """
    checks.whole("seeds", seeds, 1, checks.LARGEST_SIZE)
    checks.boolean("progress", progress)
    refuse_those_of_a_run(choices, "comparison")
    made = rules_of(rules)
    first = configure_from(made[0], task, {**choices, "stop": False, "keep": "last"})
    experiments = [first, *(with_rule(first, rule) for rule in made[1:])]
    found, count = [], itertools.count(1)
    runs, name = seeds * (len(made) + 1), f"comparing on {called(first.task)}"
    with bar(runs, name, "runs", shown=progress) as show:
        for seed in range(seeds):
            of_seed = [replace(each, seed=seed) for each in experiments]
            found.append(_of_seed(of_seed, lambda: show(next(count))))
    return _comparison(experiments, found)


class _OfSeed(NamedTuple):
    """What is found for a seed: as in :class:`Comparison`, without the axis of seeds."""

    alignment: Array
    norm_ratio: Array
    losses: Array
    held_out: Array
    solved_at: Array
    seconds_per_step: Array
    not_finite: Array


def _of_seed(experiments: Sequence[Experiment], done: Callable[[], Any]) -> _OfSeed:
    """Let the first rule lead the others, and then each rule lead by itself."""
    first = experiments[0]
    every = point_every(first)
    points = -(-first.steps // every)
    led = LedTraining(first, [each.rule for each in experiments[1:]])
    _finish(led)
    done()
    losses, rest = [], []
    for experiment in experiments:
        trainer = TaskTraining(experiment)
        ended = _finish(trainer)
        losses.append(losses_at(trainer.curve, every, points))
        held_out = trainer.evaluate().loss if ended else math.nan
        rest.append((held_out, trainer.solved_at or math.nan, trainer.seconds / max(trainer.step, 1)))
        done()
    held_out, solved_at, seconds = np.array(rest).T
    measures = led.measures
    return _OfSeed(
        measures.alignment, measures.norm_ratio, np.stack(losses, axis=1), held_out, solved_at, seconds,
        measures.not_finite,
    )  # fmt: skip


def _finish(trainer: TaskTraining) -> bool:
    """Run to the end; whether it got there, and did not diverge."""
    try:
        for _ in trainer.chunks():
            pass
    except (Diverged, NoSteadyState):
        return False
    return True


def _comparison(experiments: Sequence[Experiment], found: Sequence[_OfSeed]) -> Comparison:
    """Put the results of all seeds together."""
    first = experiments[0]
    every = point_every(first)
    step = np.minimum(np.arange(every, first.steps + every, every), first.steps)
    together = _OfSeed(*map(np.stack, zip(*found)))
    return Comparison(
        first, labels([each.rule for each in experiments]), step,
        **together._replace(
            seconds_per_step=together.seconds_per_step.mean(axis=0),
            not_finite=together.not_finite.sum(axis=0),
        )._asdict(),
    )  # fmt: skip


# --- rules by name, with options ---


def rules_of(rules: Any) -> list[Rule]:
    """Make the rules, from names with options or objects.

    Raises
    ------
    RnnsimError
        If there are fewer than two, or one cannot be made.
    """
    if not isinstance(rules, list | tuple):
        raise RnnsimError(f"rules is a list of names or rules, not {shown(rules)}")
    made = [rule_of(rule) for rule in rules]
    if len(made) < 2:
        raise RnnsimError(f"rules must be at least two, to be compared, not {shown(rules)}")
    return made


def rule_of(rule: Any) -> Rule:
    """Make a rule from its name, with options as in ``truncated-bptt:h=6,h_prime=1``."""
    if not isinstance(rule, str):
        return registry.make_rule(rule, {})
    return registry.make_rule(*name_and_options(rule, "rule"))


def name_and_options(text: str, kind: str) -> tuple[str, dict[str, str]]:
    """Take a name and its options apart, as in ``truncated-bptt:h=6,h_prime=1``.

    Raises
    ------
    RnnsimError
        If the options are not given so; ``kind`` says what it is the name of.
    """
    name, colon, rest = text.partition(":")
    options: dict[str, str] = {}
    for pair in rest.split(",") if colon else ():
        option, equals, value = pair.partition("=")
        if not (option and equals) or option in options:
            raise RnnsimError(f"the options of a {kind} are given as in NAME:h=6,h_prime=1, each once; "
                              f"not {shown(text)}")  # fmt: skip
        options[option] = value
    return name, options


def labels(rules: Sequence[Rule]) -> tuple[str, ...]:
    """What to call the rules: with the options that are not the defaults; and equal ones by number."""
    found: list[str] = []
    for rule in rules:
        defaults, given = type(rule).defaults(), msgspec.structs.asdict(rule)
        options = ",".join(
            f"{name}={value}" for name, value in given.items() if value != defaults.get(name)
        )
        name = f"{rule.name}:{options}" if options else rule.name
        same = sum(other == name or other.startswith(f"{name} #") for other in found)
        found.append(f"{name} #{same + 1}" if same else name)
    return tuple(found)
