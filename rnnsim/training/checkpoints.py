"""Checkpoints: what a run needs to go on, the same to the last bit as if it had never stopped.

Between two windows these are the arrays of the loop, what was recorded, and the data to come: what the
source of the task was before it filled the present rows, so that they can be drawn again; or where a
source is large, as a data set is, the source as it is, and the rows. Of what has not changed since the
beginning, such as a data set, there is a digest, so that another one is refused.

The last window of a run is different: it may be cut, and a rule may do in it what it does at no other
step (the sweep at T of truncated bptt). So a run that is to be continued beyond its steps goes on from
the window before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from rnnsim.errors import RnnsimError
from rnnsim.network import Stream
from rnnsim.training.best import Best
from rnnsim.training.loop import Clock
from rnnsim.training.loop_arrays import (
    alike,
    generator_arrays,
    named_arrays,
    set_generators,
)
from rnnsim.training.sequences import generators_in
from rnnsim.typing import Array

SOURCE, ROWS = "source", "rows"
# the fields that a task writes
FILLED = ("inputs", "targets", "mask", "resets", "ends", "legal", "output_mask")
SMALL = 1 << 16  # bytes of a source that is copied before it is drawn from


class Checkpoint(NamedTuple):
    """A run between two windows.

    Attributes
    ----------
    step : int
        The number of steps done.
    seconds : float
        Run time so far, excluding compilation.
    arrays : dict of arrays
        By name: those of the loop, of the task's data, the states of random generators, and what looks
        at validation data found.
    data : dict of str
        By name, a digest of each array of the source that has not changed, such as a data set.
    best : Best or None
        The parameters that did best so far, if they are kept.
    records : int
        The number of records of the monitors.
    """

    step: int
    seconds: float
    arrays: dict[str, Array]
    data: dict[str, str]
    best: Best | None = None
    records: int = 0


# --- the rows of a task --------------------------------------------------------------------------------


def source_arrays(source: Any) -> dict[str, Array]:
    """The arrays of a task's source, as views, and the states of its random generators."""
    return named_arrays({SOURCE: source}) | generator_arrays(
        generators_in(source), f"{SOURCE}.generator"
    )


def set_source(source: Any, arrays: Mapping[str, Array], unchanged: Collection[str] = ()) -> None:
    """Let a source be where such arrays were taken.

    Raises
    ------
    KeyError, TypeError, ValueError
        If one is missing, or is not that of such a source.
    """
    for name, own in named_arrays({SOURCE: source}).items():
        if name not in unchanged:
            own[...] = alike(name, own, arrays)
    set_generators(generators_in(source), arrays, f"{SOURCE}.generator")


def is_small(source: Any) -> bool:
    """Whether a source takes no time to copy: its rows can be drawn again, and need not be kept."""
    return sum(array.nbytes for array in named_arrays(source).values()) <= SMALL


def copied_arrays(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Copies of arrays by name."""
    return {name: array.copy() for name, array in arrays.items()}


def rows_left(stream: Stream, clock: Clock) -> dict[str, Array]:
    """The rows of a stream that are filled and not learnt yet, as views.

    Raises
    ------
    ValueError
        If there are no such rows.
    """
    row, filled = int(clock.row[0]), int(clock.filled[0])
    if not 0 <= row <= filled <= len(stream.losses):
        raise ValueError(f"rows {row} to {filled} of {len(stream.losses)}")
    fields = {name: getattr(stream, name) for name in FILLED}
    return named_arrays({ROWS: {name: x[row:filled] for name, x in fields.items() if len(x)}})


def check_clock(clock: Clock, step: int) -> None:
    """Check that a clock is that of a run after so many steps, and that has not failed.

    Raises
    ------
    ValueError
        If it is not.
    """
    at, solved_at = int(clock.step[0]), int(clock.solved_at[0])
    if at != step or not 0 <= solved_at <= step or clock.stopped_at[0]:
        raise ValueError(f"its clock is at step {at}, solved at {solved_at}, and not at step {step}")


# --- data sets -----------------------------------------------------------------------------------------


def digests(source: Any) -> dict[str, str]:
    """A digest of each array of a source, by name."""
    arrays = named_arrays({SOURCE: source})
    return {name: digest(array) for name, array in arrays.items()}


def digest(array: Array) -> str:
    """A digest of an array's contents."""
    return hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=16).hexdigest()


def check_unchanged(now: Mapping[str, str], then: Mapping[str, str]) -> None:
    """Compare the digests of data, as they are and as they were.

    Raises
    ------
    RnnsimError
        If they are not the same data any more.
    """
    if any(now.get(name) != was for name, was in then.items()):
        raise RnnsimError("the data of this run have changed since it was saved, so that it cannot go "
                          "on; begin another")  # fmt: skip
