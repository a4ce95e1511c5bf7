"""The task of predicting a time series from the user's own file."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np

from rnnsim.criterion import Criterion, HeldOut, Never
from rnnsim.data.table_file import Sheet, read_sheet
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.network import Stream
from rnnsim.options import Positive
from rnnsim.task import Suggestion, Task
from rnnsim.typing import Array, Kernel


class Pairs(NamedTuple):
    """Inputs and the target of each, in the order of the rows."""

    inputs: Array  # (pairs, m)
    targets: Array  # (pairs, k)


class TableSource(NamedTuple):
    inputs: Array
    targets: Array
    place: Array  # (B,) the next row of each sequence


class TableTask(Task, frozen=True):
    """Predict the rows of a file, read as a time series; a plugin gives it its name."""

    score = "squared"

    path: Annotated[str, msgspec.Meta(description="the file, .csv or .npz")] = ""
    inputs: Annotated[
        str, msgspec.Meta(description="input columns, comma-separated (default: every numeric one)")
    ] = ""
    target: Annotated[
        str, msgspec.Meta(description="target columns, comma-separated (default: the inputs)")
    ] = ""
    ahead: Annotated[int, msgspec.Meta(ge=0, description="rows from an input to its target")] = 1
    held_out: Annotated[
        float, msgspec.Meta(gt=0, lt=1, description="share of the rows, the last, not learnt from")
    ] = 0.2
    solved_below: Annotated[
        Positive | None,
        msgspec.Meta(description="solved at this held-out squared error, in variances, summed over "
                     "the targets (default: never)"),
    ] = None  # fmt: skip

    @property
    def n_in(self) -> int:
        return int(self.pairs(False).inputs.shape[1])

    @property
    def n_out(self) -> int:
        return int(self.pairs(False).targets.shape[1])

    @property
    def baseline(self) -> float:
        return float(self.pairs(False).targets.var(axis=0).sum() / 2)

    @property
    def criterion(self) -> Criterion:
        if self.solved_below is None:
            return Never()
        return HeldOut("squared", self.solved_below, every=max(100, len(self.pairs(False).inputs)))

    def held_out_shape(self) -> tuple[int, int]:
        return len(self.pairs(True).inputs), 1

    def suggestion(self, rule: str) -> Suggestion:
        return Suggestion(hidden=32, learning_rate=0.003, steps=50_000)

    def pairs(self, held_out: bool) -> Pairs:
        """Return the training rows, or those held out, standardised.

        Raises
        ------
        RnnsimError
            If the file or a column cannot be used; the message says where and why.
        """
        if not self.path:
            raise RnnsimError(
                f"the task {self.name} needs a file: give the option path, a .csv or .npz file"
            )
        learnt, kept_back = _read_pairs(self, _stamp(self.path))
        return kept_back if held_out else learnt

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> TableSource:
        pairs = self.pairs(held_out)
        return TableSource(
            inputs=np.ascontiguousarray(pairs.inputs, dtype),
            targets=np.ascontiguousarray(pairs.targets, dtype),
            place=np.arange(batch) * len(pairs.inputs) // batch,
        )

    def fill(self) -> Kernel:
        return fill


@kernel(allocates=False)
def fill(source: TableSource, stream: Stream, rows: int) -> int:
    for t in range(rows):
        for b in range(stream.mask.shape[1]):
            row = source.place[b]
            for i in range(stream.inputs.shape[2]):
                stream.inputs[t, b, i] = source.inputs[row, i]
            for o in range(stream.targets.shape[2]):
                stream.targets[t, b, o] = source.targets[row, o]
            stream.mask[t, b] = 1
            stream.resets[t, b] = row == 0
            source.place[b] = (row + 1) % source.inputs.shape[0]
    return rows


def _stamp(path: str) -> tuple[int, int]:
    """The file's modification time and size, which are part of the cache's key."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return (0, 0)  # reading it reports the error
    return (status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _read_pairs(task: TableTask, stamp: tuple[int, int]) -> tuple[Pairs, Pairs]:
    """Read the file and split it into training rows and held-out rows."""
    sheet = read_sheet(task.path)
    if sheet.rows == 0:
        raise RnnsimError(f"{sheet.file} has columns but no rows")
    inputs, targets = _choose(task, sheet)
    learnt = sheet.rows - round(task.held_out * sheet.rows)
    least = task.ahead + 2
    if learnt < least or sheet.rows - learnt < task.ahead + 1:
        raise RnnsimError(
            f"{sheet.file} has {sheet.rows} rows, {learnt} of them to learn from; with "
            f"ahead={task.ahead} it needs {least} of those, and {task.ahead + 1} held out"
        )
    x = standardised(sheet.columns(inputs), learnt)
    d = standardised(sheet.columns(targets), learnt)
    if not (np.isfinite(x).all() and np.isfinite(d).all()):
        raise RnnsimError(f"{sheet.file} holds numbers too large to be standardised; rescale them")
    return (
        Pairs(x[: learnt - task.ahead], d[task.ahead : learnt]),
        # inputs end ``ahead`` rows before the targets; no row is on both sides of the split
        Pairs(x[learnt : max(learnt, sheet.rows - task.ahead)], d[learnt + task.ahead :]),
    )


def _choose(task: TableTask, sheet: Sheet) -> tuple[list[str], list[str]]:
    """Return the names of the input columns and of the target columns."""
    targets = [name.strip() for name in task.target.split(",") if name.strip()]
    inputs = [name.strip() for name in task.inputs.split(",") if name.strip()]
    if not inputs:
        asked = targets if task.ahead == 0 else []
        inputs = [name for name in sheet.names if sheet.numeric(name) and name not in asked]
    if not inputs:
        raise RnnsimError(f"{sheet.file} has no column of numbers to take as an input")
    if len(set(inputs)) < len(inputs) or len(set(targets)) < len(targets):
        raise RnnsimError("a column is named twice in inputs or in target; name each once")
    shown = sorted(set(inputs) & set(targets or inputs))
    if task.ahead == 0 and shown:
        raise RnnsimError(
            f"with ahead=0 the target {shown[0]} is an input of the same row; "
            f"use ahead=1 or more, or another target"
        )
    return inputs, targets or inputs


def standardised(columns: Array, learnt: int) -> Array:
    """Standardise columns by the mean and standard deviation of their first ``learnt`` rows.

    Constant columns become 0; columns whose deviation overflows become nan.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean = columns[:learnt].mean(axis=0)
        deviation = columns[:learnt].std(axis=0)
        # so small a deviation is the rounding error of the mean
        constant = deviation <= 1e-12 * np.abs(mean)
        scale = np.where(constant, 1, deviation)
        return np.asarray((columns - mean) / np.where(np.isfinite(scale), scale, np.nan))
