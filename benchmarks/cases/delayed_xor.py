"""Delayed XOR by on-line RTRL, with an update at each step: many steps at a time, and one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.cases.case import Case
from benchmarks.cases.on_line import delayed_xor, learners
from benchmarks.cases.recurrent import network
from benchmarks.entries import OURS, Answer, Entries, Entry

RATE, EPSILON, CLIP = 0.005, 0.01, 1.0  # what the task suggests
BETA = (0.9, 0.999)


@dataclass(frozen=True)
class DelayedXorOnLine(Case):
    """Learning from rows that were drawn beforehand, by Adam with gradient clipping."""

    n: int
    bar: float | None
    steps: int  # steps of a call
    check: int = 300  # steps after which the weights must agree

    family = "on-line training"

    @property
    def name(self) -> str:
        return f"rtrl on delayed-xor, on-line, n {self.n}"

    @property
    def bars(self) -> Mapping[str, float | None]:
        return {"JAX": self.bar}

    def learner(self, tailored: bool = False) -> Any:
        from rnnsim import Learner

        return Learner(
            network(2, self.n, 1), "rtrl", learning_rate=RATE, epsilon=EPSILON, clip=CLIP,
            tailored=tailored,
        )  # fmt: skip

    def rnnsim(self) -> Entries:
        return {OURS: learners(self.learner, delayed_xor(self.steps), self.check)}

    def jax(self) -> Entries:
        from benchmarks.peers.jax_delayed_xor import Events, Settings
        from benchmarks.peers.jax_delayed_xor import delayed_xor as peers

        params = network(2, self.n, 1).init(seed=0)
        settings = Settings(RATE, *BETA, EPSILON, CLIP)
        return peers(params, Events(*delayed_xor(self.steps)), settings, self.check)


@dataclass(frozen=True)
class OneStep(Case):
    """The same, one step at a time from Python: y is asked for, and then the target is given.

    JAX has both in one jitted function, called with arrays that are on the device; it gets the target
    with the input, so that no environment could see y before.
    """

    n: int
    bar: float | None = 3
    steps: int = 500  # steps of a call
    check: int = 300

    family = "one step at a time"

    @property
    def name(self) -> str:
        return f"rtrl on delayed-xor, step and correct from Python, n {self.n}"

    @property
    def bars(self) -> Mapping[str, float | None]:
        return {"JAX": self.bar}

    def rnnsim(self) -> Entries:
        return {OURS: [self.entry(tailored) for tailored in (False, True)]}

    def entry(self, tailored: bool) -> Entry:
        inputs, targets, mask = delayed_xor(self.steps)
        case = DelayedXorOnLine(self.n, None, self.steps)

        def answer() -> Answer:
            learner, loss = case.learner(tailored), 0.0
            for u, d, weight in zip(inputs[: self.check], targets, mask):
                y = learner.step(u)
                learner.correct(target=d, mask=weight)
                loss += weight * float(((y - d) ** 2).sum()) / 2
            return {**learner.params._asdict(), "loss": np.array(loss)}

        going_on = case.learner(tailored)
        rows = [*zip(inputs, targets)]

        def work() -> int:
            for u, d in rows:
                going_on.step(u)
                going_on.correct(target=d)
            return self.steps

        return Entry("step, correct" + (", tailored" if tailored else ""), answer, work)

    def jax(self) -> Entries:
        from benchmarks.peers.jax_delayed_xor import Events, Settings, one_by_one

        params = network(2, self.n, 1).init(seed=0)
        settings = Settings(RATE, *BETA, EPSILON, CLIP)
        return one_by_one(params, Events(*delayed_xor(self.steps)), settings, self.check)
