"""What is said of a run on the user's own data: how it ended, and how its forecasts are made.

The loss that such a run lowers is one of scaled rests of a linear path, which tells a user little; how
good the forecasts are, a :class:`~rnnsim.runs.forecast_reports.Report` says in units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from rnnsim.criterion import Never
from rnnsim.data.calibration import Calibration
from rnnsim.data.forecasting import Forecasting
from rnnsim.training.best import Best
from rnnsim.training.experiment import Experiment

SHOWN = 8  # outputs, of each of which it is said how far it is followed
STILL = 0.9  # of a run's steps: what is best after them says that more would help


class OfData(Protocol):
    """What is told of a run: attributes of :class:`~rnnsim.runs.result.Run`."""

    experiment: Experiment
    solved_at: int | None
    steps: int
    best: Best | None
    outcome: str
    calibration: Calibration | None

    @property
    def steps_per_second(self) -> float: ...


class Followed(NamedTuple):
    """How far the network is followed, where it says the rest of a linear path.

    Attributes
    ----------
    column : str
    horizon : int
    share : float
        0: the linear path alone is the forecast; 1: all that the network says is added.
    """

    column: str
    horizon: int
    share: float


def is_on_line(task: Forecasting) -> bool:
    """Whether each row is forecast, and then learnt, once."""
    return task.model()[1].choices.on_line


def passes(run: OfData, steps: int) -> float:
    """How often the rows that are learnt were learnt after so many steps."""
    task = run.experiment.task
    assert isinstance(task, Forecasting)
    return steps * run.experiment.batch / max(1, task.learnt_rows())


def followed(run: OfData) -> list[Followed]:
    """How far each output is followed; none where the network alone makes the forecast."""
    task = run.experiment.task
    assert isinstance(task, Forecasting)
    _, preparation = task.model()
    if not preparation.has_path or run.calibration is None:
        return []
    outputs = [(column, horizon) for horizon in preparation.choices.horizons
               for column in preparation.targets]  # fmt: skip
    return [Followed(*at, float(share)) for at, share in zip(outputs, run.calibration.shrink)]


def lines(run: OfData, ended: str) -> Iterator[str]:
    """Say how a run ended, on what its forecasts rest, and what may help.

    Parameters
    ----------
    run : OfData
    ended : str
        How many steps were done, and why not more.
    """
    experiment, task = run.experiment, run.experiment.task
    assert isinstance(task, Forecasting)
    yield (f"{experiment.rule.name} on {task.data_name()}, seed {experiment.seed}: "
           f"{_solved(run)}{ended}")  # fmt: skip
    rows = f"the {task.learnt_rows():,} rows"
    if is_on_line(task):
        done = (
            f"of {rows} {min(run.steps, task.learnt_rows()):,} were forecast and then learnt, one by one"
        )
    else:
        done = f"{_times(passes(run, run.steps))} over {rows} that are learnt"
    yield f"{done}; {run.steps_per_second:,.0f} steps per second"
    if run.outcome != "running":
        yield from _choice(run)
        yield from _network(run)


def _solved(run: OfData) -> str:
    """Whether it is solved, where the user says what that means."""
    criterion = run.experiment.criterion
    if isinstance(criterion, Never):
        return ""
    solved = f"solved at step {run.solved_at:,}" if run.solved_at else "not solved"
    scaled = ", scaled as it is learnt" * (run.experiment.task.score == "squared")
    return f"{solved} ({criterion}{scaled}); "


def _times(count: float) -> str:
    return f"{count:,.3g} pass{'es' * (round(count, 2) != 1)}"


def _choice(run: OfData) -> Iterator[str]:
    """Which weights forecast, and by what they were chosen."""
    best = run.best
    if best is None:
        return
    if not best.step:
        yield "the weights before the first step did best on validation rows, and forecast"
        return
    said = f"the weights after {best.step:,} steps ({_times(passes(run, best.step))}) did best on " \
           "validation rows, and forecast"  # fmt: skip
    if run.outcome == "complete" and best.step > STILL * run.steps:
        said += f"; it was still improving: try more steps ({4 * run.experiment.steps:,})"
    yield said


def _network(run: OfData) -> Iterator[str]:
    """How far the network is followed."""
    task = run.experiment.task
    assert isinstance(task, Forecasting)
    _, preparation = task.model()
    if not preparation.has_path:
        return
    found = followed(run)
    if not found:
        yield "without validation rows the network is followed whole, and forecasts have no intervals"
        return
    shares = np.array([each.share for each in found])
    when = "at the last rows" if is_on_line(task) else "on validation rows"
    if not shares.any():
        yield f"{when} the network does not improve the linear path, whose forecasts these are"
        return
    told = _each(found) if len(found) <= SHOWN else (
        f"{np.median(shares):.2g} in the median of {len(found)} outputs, from {shares.min():.2g} to "
        f"{shares.max():.2g}"
    )  # fmt: skip
    yield (f"forecasts are the linear path, and of what the network says a share that is found {when}: "
           f"{told}")  # fmt: skip


def _each(found: Sequence[Followed]) -> str:
    several = len({each.horizon for each in found}) > 1
    return ", ".join(
        f"{each.column}{f' {each.horizon} ahead' * several} {each.share:.2g}" for each in found
    )


def title(run: OfData) -> str:
    """What its report is of."""
    task = run.experiment.task
    assert isinstance(task, Forecasting)
    if is_on_line(task):
        return "forecasts of the second half of the rows, made before their truth was known, in the " \
               "columns' units"  # fmt: skip
    return "forecasts of the test part, in the columns' units"


def pairs(run: OfData, ended: str) -> list[tuple[str, str]]:
    """What a notebook shows of it, by name."""
    task = run.experiment.task
    assert isinstance(task, Forecasting)
    found = [("data", task.data_name())]
    if not isinstance(run.experiment.criterion, Never):
        found.append(("solved at step", f"{run.solved_at:,}" if run.solved_at else "not solved"))
    found.append(("steps", ended.removesuffix(" steps")))
    if not is_on_line(task):
        found.append(("passes", f"{passes(run, run.steps):,.3g} over {task.learnt_rows():,} rows"))
    if run.outcome != "running":
        told = [*_choice(run), *_network(run)]
        found += [("forecasts", "; ".join(told))] if told else []
    return found


def as_dict(run: OfData) -> dict[str, Any]:
    """What is particular to it, as plain data."""
    task = run.experiment.task
    assert isinstance(task, Forecasting)
    return {
        "source": task.data_name(),
        "on_line": is_on_line(task),
        "learnt_rows": task.learnt_rows(),
        "passes": passes(run, run.steps),
        "followed": [each._asdict() for each in followed(run)] or None,
    }
