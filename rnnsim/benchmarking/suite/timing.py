"""How long something takes: per step, in calls that are long enough, wherever its arrays lie."""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

_held: list[bytearray] = []


def scatter() -> None:
    """Randomise where in memory later arrays are allocated.

    A loop can take a fifth longer if its arrays begin in the middle of a cache line. Otherwise that
    would depend on accidents such as the length of the path to Python, which are the same in every
    process of one revision and differ between revisions.
    """
    sizes = np.random.default_rng().integers(1, 4096, 1000)
    blocks = [bytearray(int(size)) for size in sizes]
    _held.extend(blocks[::2])  # the others are freed and leave holes


class Timed(NamedTuple):
    """Work to be timed, and its number of steps."""

    work: Callable[[], Any]
    steps: int


LEAST = 1e-3  # minimum duration of a timed call, in seconds
LENGTHS = (100, 500, 2_500, 12_500)  # candidate numbers of steps; the first that lasts so long is used


def timed(work: Callable[[int], Any]) -> Timed:
    """Bind work to as many steps as take a millisecond; this also compiles and warms up."""
    for steps in LENGTHS:
        call = partial(work, steps)
        if min(timeit.repeat(call, number=1, repeat=2)) > LEAST:
            break
    return Timed(call, steps)


class PerStep:
    """A benchmark whose timer is divided by its number of steps, so that asv's times are per step."""

    steps = 1  # steps of a timed call; set by setup
    warmup_time = 0.0  # setup has already called everything twice
    repeat = (3, 20, 0.3)
    rounds = 2
    timeout = 600

    def timer(self) -> float:
        return time.perf_counter() / self.steps
