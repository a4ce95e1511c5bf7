"""Delayed XOR end to end by on-line RTRL, with an update at each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.cases.case import Case
from benchmarks.cases.training import streamed, trained, trainers
from benchmarks.entries import OURS, Answer, Entries


@dataclass(frozen=True)
class DelayedXorOnLine(Case):
    """Training with rnnsim's suggested settings: Adam with gradient clipping.

    rnnsim's time includes drawing the data, the criterion and the learning curve; JAX scans over data
    that were drawn beforehand.
    """

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

    def trainer(self, tailored: bool = False) -> Any:
        from rnnsim.training.experiment import configure
        from rnnsim.training.task_training import TaskTraining

        return TaskTraining(configure(
            "rtrl", "delayed-xor", hidden=self.n, steps=10**12, stop=False, tailored=tailored,
        ))  # fmt: skip

    def rnnsim(self) -> Entries:
        def answer(tailored: bool) -> Answer:
            params, loss = trained(self.trainer(tailored), self.check)
            return {**params._asdict(), "loss": loss}

        return {OURS: trainers(self.trainer, answer, self.steps)}

    def jax(self) -> Entries:
        from benchmarks.peers.jax_delayed_xor import Events, Settings, delayed_xor

        trainer = self.trainer()  # for its initial weights and its data
        experiment, params = trainer.experiment, trainer.params
        assert (experiment.window, experiment.batch) == (1, 1)
        adam = experiment.optimizer
        settings = Settings(
            experiment.learning_rate, adam.beta1, adam.beta2, adam.epsilon, experiment.clip
        )
        inputs, targets, mask = streamed(trainer, self.steps)
        events = Events(inputs, targets, np.ascontiguousarray(mask))
        return delayed_xor(params, events, settings, self.check)
