"""Common parts of the cases of whole on-line runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from benchmarks.entries import Entry


def go_on(trainer: Any, steps: int) -> Callable[[], int]:
    """Make the timed work: continue a run by ``steps`` steps or a few more."""
    chunks = trainer.chunks()

    def work() -> int:
        start = trainer.step
        while trainer.step < start + steps:
            next(chunks)
        return int(trainer.step - start)

    return work


def trained(trainer: Any, steps: int) -> tuple[Any, float]:
    """Run a new trainer for ``steps`` steps; return its parameters and the sum of the losses."""
    next(trainer.chunks(steps))
    assert trainer.step == steps
    return trainer.params, trainer.stream.losses[:steps].sum()


def trainers(
    trainer: Callable[[bool], Any], answer: Callable[[bool], Mapping[str, Any]], steps: int
) -> list[Entry]:
    """Entries of a whole run, with the loop for arbitrary sizes and with the tailored one."""
    return [
        Entry(label, partial(answer, tailored), go_on(trainer(tailored), steps))
        for label, tailored in (("TaskTraining", False), ("TaskTraining, tailored", True))
    ]


def streamed(trainer: Any, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first data that a run of one sequence draws: inputs (T, m), targets (T, k), mask (T,)."""
    stream = trainer.stream
    parts: list[tuple[np.ndarray, ...]] = []
    while sum(len(part) for part, *_ in parts) < steps:
        parts.append(tuple(array[:, 0].copy() for array in (stream.inputs, stream.targets, stream.mask)))
        trainer._refill()
    inputs, targets, mask = (np.concatenate(column)[:steps] for column in zip(*parts, strict=True))
    return inputs, targets, mask
