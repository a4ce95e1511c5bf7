"""Tasks made by name, rows drawn from them, and their criterion asked about outputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim.compiler import compiled
from rnnsim.criterion import SCORES, Criterion, HeldOut
from rnnsim.network import Stream, empty_stream
from rnnsim.registry import installed
from rnnsim.task import Task

B = 3


def make(name: str, options: dict[str, dict[str, Any]]) -> Task:
    task: Task = installed().tasks[name].thing.from_options(options.get(name, {}))
    return task


def draw(
    task: Task, rows: int, batch: int = B, seed: int = 0, *, plain: bool = False, held_out: bool = False
) -> Stream:
    """Fill so many rows and give those that were filled."""
    stream = empty_stream(rows, batch, task.n_in, task.n_out, np.float64, legal=task.has_legal)
    fill = task.fill() if plain else compiled(task.fill())
    filled = fill(
        task.source(np.random.default_rng(seed), batch, np.float64, held_out=held_out), stream, rows
    )
    return first_rows(stream, filled)


def first_rows(stream: Stream, rows: int) -> Stream:
    return Stream(*(part[:rows] for part in stream))


def met_at(criterion: Criterion, stream: Stream, outputs: np.ndarray) -> int | None:
    """At which row a criterion is met with these outputs."""
    if isinstance(criterion, HeldOut):
        answered = stream._replace(outputs=outputs)
        score = [SCORES[criterion.score](answered, t, b) for t, b in np.argwhere(stream.mask > 0)]
        return 0 if criterion.reached(float(np.mean(score))) else None
    memory, met = criterion.memory(), criterion.met()
    answered = stream._replace(outputs=outputs)
    return next((t for t in range(len(stream.mask)) if met(memory, answered, t)), None)
