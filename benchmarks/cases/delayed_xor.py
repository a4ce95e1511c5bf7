"""The delayed XOR end to end, by RTRL on-line: the weights move at each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.cases.case import Case
from benchmarks.cases.training import streamed, trainers
from benchmarks.entries import OURS, Answer, Entries


@dataclass(frozen=True)
class DelayedXorOnLine(Case):
    """With the settings that rnnsim suggests: Adam, the gradient clipped.

    rnnsim draws its events, judges its answers and keeps a learning curve meanwhile; JAX scans over
    events that were drawn before.
    """

    n: int
    bar: float | None
    steps: int  # of a call
    check: int = 300  # steps after which the weights must be the same

    family = "on-line training"

    @property
    def name(self) -> str:
        return f"rtrl on delayed-xor, on-line, n {self.n}"

    @property
    def bars(self) -> Mapping[str, float | None]:
        return {"JAX": self.bar}

    def trainer(self, tailored: bool = False) -> Any:
        from rnnsim.training.experiment import configure
        from rnnsim.training.trainer import Trainer

        return Trainer(configure(
            "rtrl", "delayed-xor", hidden=self.n, steps=10**12, stop=False, tailored=tailored,
        ))  # fmt: skip

    def rnnsim(self) -> Entries:
        def answer(tailored: bool) -> Answer:
            fresh = self.trainer(tailored)
            next(fresh.chunks(self.check))
            assert fresh.step == self.check
            losses = fresh.training.stream.losses[: self.check]
            return {**fresh.params._asdict(), "loss": losses.sum()}

        return {OURS: trainers(self.trainer, answer, self.steps)}

    def jax(self) -> Entries:
        from benchmarks.peers.jax_delayed_xor import Events, Settings, delayed_xor

        trainer = self.trainer()  # for its first weights and its events
        experiment, params = trainer.experiment, trainer.params
        assert (experiment.window, experiment.batch) == (1, 1)
        adam = experiment.optimizer
        settings = Settings(
            experiment.learning_rate, adam.beta1, adam.beta2, adam.epsilon, experiment.clip
        )
        inputs, targets, mask = streamed(trainer, self.steps)
        events = Events(inputs, targets, np.ascontiguousarray(mask))
        return delayed_xor(params, events, settings, self.check)
