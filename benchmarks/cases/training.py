"""What the cases of whole on-line runs have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from benchmarks.entries import Entry


def go_on(trainer: Any, steps: int) -> Callable[[], int]:
    """Make the timed work: carry a run on, by as many steps or a few more."""
    chunks = trainer.chunks()

    def work() -> int:
        start = trainer.step
        while trainer.step < start + steps:
            next(chunks)
        return int(trainer.step - start)

    return work


def trainers(
    trainer: Callable[[bool], Any], answer: Callable[[bool], Mapping[str, Any]], steps: int
) -> list[Entry]:
    """A whole run, its loop being for all sizes or tailored."""
    return [
        Entry(label, partial(answer, tailored), go_on(trainer(tailored), steps))
        for label, tailored in (("Trainer", False), ("Trainer, tailored", True))
    ]


def streamed(trainer: Any, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first events that a run of one sequence sees: inputs (T, m), targets (T, k), mask (T,)."""
    stream = trainer.training.stream
    parts: list[tuple[np.ndarray, ...]] = []
    while sum(len(part) for part, *_ in parts) < steps:
        parts.append(tuple(array[:, 0].copy() for array in (stream.inputs, stream.targets, stream.mask)))
        trainer._refill()
    inputs, targets, mask = (np.concatenate(column)[:steps] for column in zip(*parts, strict=True))
    return inputs, targets, mask
