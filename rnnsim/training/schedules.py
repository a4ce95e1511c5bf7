"""How the learning rate changes over the steps of a run."""

from __future__ import annotations

import math
from typing import NamedTuple

from rnnsim import checks
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel

CONSTANT, LINEAR, COSINE, STEP = range(4)
NAMES = ("constant", "linear", "cosine", "step")
TENTH = 0.1  # the factor of ``step``
REDUCTIONS = ("sum", "mean")  # of losses and gradients over time


class Schedule(NamedTuple):
    """A learning rate over time.

    Attributes
    ----------
    kind : int
        Its index in ``NAMES``.
    steps : int
        ``linear`` and ``cosine``: those after which the rate is 0. ``step``: those after each of which
        it is a tenth of what it was.
    """

    kind: int
    steps: int


def make_schedule(name: str, steps: int | None) -> Schedule:
    """Make a schedule from its name and its number of steps.

    Raises
    ------
    RnnsimError
        If no schedule has this name, or its number of steps is not given.
    """
    kind = NAMES.index(checks.known_name("schedule", name, NAMES))
    if kind == CONSTANT:
        return Schedule(kind, 1)
    if steps is None:
        raise RnnsimError(f"schedule={name!r} needs schedule_steps, over which the learning rate falls")
    return Schedule(kind, checks.whole("schedule_steps", steps, 1, checks.LARGEST))


def falling_over(name: str, steps: int | None, run: int) -> int | None:
    """The steps of a schedule, by default those of the run; ``step`` then reduces the rate twice."""
    if steps is None and checks.known_name("schedule", name, NAMES) != NAMES[CONSTANT]:
        return -(-run // 3) if name == NAMES[STEP] else run
    return steps


@kernel(allocates=False)
def factor(schedule: Schedule, step: int) -> float:
    """What the learning rate is multiplied by after ``step`` steps."""
    if schedule.kind == CONSTANT:
        return 1.0
    if schedule.kind == STEP:
        return TENTH ** (step // schedule.steps)
    part = min(1.0, step / schedule.steps)
    if schedule.kind == LINEAR:
        return 1.0 - part
    return 0.5 * (1.0 + math.cos(math.pi * part))
