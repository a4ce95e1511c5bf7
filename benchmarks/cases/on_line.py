"""Common parts of the cases of on-line learning: a learner over data that were drawn beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.entries import Answer, Entry

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]  # inputs (T, m), targets (T, k), mask (T,)


def learners(learner: Callable[[bool], Any], data: Rows, check: int) -> list[Entry]:
    """Entries of ``Learner.learn``, compiled for arbitrary sizes and for these ones.

    Each call of ``work`` learns once from all rows, and goes on from the last call. ``answer`` gives the
    parameters and the sum of the losses after the first ``check`` steps.
    """
    inputs, targets, mask = data

    def entry(label: str, tailored: bool) -> Entry:
        going_on = learner(tailored)

        def answer() -> Answer:
            fresh = learner(tailored)
            seen = fresh.learn(inputs[:check], targets[:check], mask=mask[:check])
            return {**fresh.params._asdict(), "loss": seen.losses.sum()}

        def work() -> int:
            going_on.learn(inputs, targets, mask=mask)
            return len(inputs)

        return Entry(label, answer, work)

    return [entry("Learner", False), entry("Learner, tailored", True)]


def delayed_xor(steps: int, delay: int = 2) -> Rows:
    """Rows of delayed XOR: two random bits, and the XOR of those of ``delay`` steps ago."""
    bits = np.random.default_rng(0).integers(0, 2, (steps, 2))
    targets, mask = np.zeros((steps, 1)), np.ones(steps)
    targets[delay:, 0] = bits[:-delay, 0] ^ bits[:-delay, 1]
    mask[:delay] = 0
    return bits.astype(float), targets, mask


def flip_flop(steps: int) -> Rows:
    """Rows of the flip-flop: events A, B, C, and 1 where a B is the first one after an A."""
    events = np.random.default_rng(0).integers(0, 3, steps)
    targets, armed = np.zeros((steps, 1)), False
    for t, event in enumerate(events):
        targets[t] = event == 1 and armed
        armed = event == 0 or (armed and event != 1)
    return np.eye(3)[events], targets, np.ones(steps)
