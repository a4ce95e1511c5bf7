"""What the summary of a run says in plain words: whether its end is its best, and what to try."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from rnnsim.training.experiment import Experiment
from rnnsim.typing import Array

SMOOTH = 16  # the learning curve is looked at in as many parts
WORSE, NOTICED = 1.5, 0.02  # times the best loss, plus a part of the baseline, is worse than the best
NO_BETTER = 0.9  # times the baseline: an answer that is hardly better than a constant


class Course(NamedTuple):
    """A learning curve in a few numbers; losses are means over a part of the run.

    Attributes
    ----------
    best, last : float
        The lowest loss, and that of the last part.
    best_step : int
        The last step of the part with the lowest loss.
    """

    best: float
    best_step: int
    last: float

    @property
    def improves(self) -> bool:
        """Whether the last part is the best."""
        return self.last <= self.best


def course_of(metrics: Mapping[str, Array]) -> Course | None:
    """Look at a learning curve; None if it is too short to tell."""
    step, loss = metrics["step"], metrics["loss"]
    if len(loss) < 2 * SMOOTH:
        return None
    parts = np.array_split(np.arange(len(loss)), SMOOTH)
    means = np.array([loss[part].mean() for part in parts])
    best = int(means.argmin())
    return Course(float(means[best]), int(step[parts[best][-1]]), float(means[-1]))


def worse_end(experiment: Experiment, metrics: Mapping[str, Array]) -> str | None:
    """A line that says so if the end of a run is worse than its best."""
    course = course_of(metrics)
    if course is None or not is_worse(course, experiment):
        return None
    return (
        f"the end is worse than the best: loss {course.last:.4g} per target while learning, "
        f"{course.best:.4g} at about step {course.best_step:,}; keep best keeps those weights"
    )


def is_worse(course: Course, experiment: Experiment) -> bool:
    """Whether the loss rose by more than it fluctuates."""
    return course.last > WORSE * course.best + NOTICED * experiment.task.baseline


def what_to_try(experiment: Experiment, metrics: Mapping[str, Array], loss: float) -> str:
    """Say for a run that did not solve its task how far it came, and what is most likely to help.

    Parameters
    ----------
    experiment : Experiment
    metrics : dict of arrays
        The learning curve.
    loss : float
        Per target, on held-out data.
    """
    course = course_of(metrics)
    return "; ".join([_how_far(experiment, course, loss), "try " + _remedies(experiment, course, loss)])


def _how_far(experiment: Experiment, course: Course | None, loss: float) -> str:
    baseline = experiment.task.baseline
    if not math.isfinite(loss) or loss > baseline:
        return "it does worse than the best constant answer"
    if loss > NO_BETTER * baseline:
        return "it hardly does better than the best constant answer"
    if course is not None and course.improves:
        return "it has learnt part of the task, and was still improving"
    return "it has learnt part of the task"


def _remedies(experiment: Experiment, course: Course | None, loss: float) -> str:
    """What is most likely to help, first of all settings that are known to work."""
    task, kind = experiment.task, experiment.network.kind
    names = list(task.suggestions(experiment.rule.name, kind))
    if experiment.settings != names[0]:
        return f"the settings {names[0]}, which are the default"
    found = []
    rate = experiment.learning_rate
    if course is not None and is_worse(course, experiment):
        lower = f" ({rate / 4:.3g})" if isinstance(rate, float) else ""
        found.append(f"a lower learning rate{lower}, or one that falls (schedule linear)")
    elif course is not None and course.improves and loss < NO_BETTER * task.baseline:
        found.append(f"more steps ({4 * experiment.steps:,})")
    else:
        found.append("another learning rate, more hidden units or more steps")
    if task.reached and experiment.rule.name not in task.reached:
        found.append(f"another rule (solved {task.reached})")
    return ", or ".join(found)
