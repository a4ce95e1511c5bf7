"""Fast weights: the gradient of a whole sequence, and the flip-flop on-line (theory.md 2).

Of the groups, "dense" stores all traces including the structural zeros, and "structured" leaves the
zeros out. "unfolded" and "rnnsim bptt" have no traces: they sweep back over stored activations, and are
shown for comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.cases.case import Case
from benchmarks.cases.recurrent import Arrays, both_ways
from benchmarks.cases.training import streamed, trained, trainers
from benchmarks.entries import OURS, Answer, Entries, Entry


@dataclass(frozen=True)
class FastWeightGradient(Case):
    """The gradient of a whole sequence by forward traces, with fixed weights."""

    architecture: int
    m: int  # inputs of S
    hidden: int
    m_fast: int
    k: int  # outputs of F
    steps: int
    dense_bar: float | None = None
    structured_bar: float | None = None
    tau: float = 10.0

    family = "fast weights"

    @property
    def slow_outputs(self) -> int:
        return self.m_fast * self.k if self.architecture == 1 else self.m_fast + self.k

    @property
    def name(self) -> str:
        return (f"fast-weights-{self.architecture} gradient, S {self.m}-{self.hidden}-"
                f"{self.slow_outputs}, F {self.m_fast}-{self.k}")  # fmt: skip

    @property
    def bars(self) -> Mapping[str, float | None]:
        return {"JAX dense": self.dense_bar, "JAX structured": self.structured_bar}

    def network(self) -> Any:
        from rnnsim import FastWeightNetwork

        return FastWeightNetwork(
            architecture=self.architecture, n_slow_in=self.m, n_in=self.m_fast, n_out=self.k,
            slow_hidden=(self.hidden,), tau=self.tau,
        )  # fmt: skip

    def problem(self) -> tuple[Arrays, Arrays]:
        """Weights (W1, b1, W2, b2) and data (slow inputs, fast inputs, targets)."""
        rng = np.random.default_rng(0)
        shapes = (
            (self.hidden, self.m),
            (self.hidden,),
            (self.slow_outputs, self.hidden),
            (self.slow_outputs,),
        )
        params = [rng.standard_normal(shape) / np.sqrt(shape[-1]) for shape in shapes]
        return params, [rng.standard_normal((self.steps, n)) for n in (self.m, self.m_fast, self.k)]

    def rnnsim(self) -> Entries:
        network, (params, (slow, fast, targets)) = self.network(), self.problem()
        data: Any = [(slow, fast), targets]

        def entries(rule: str, window: int) -> list[Entry]:
            return both_ways(rule, network, params, data, rule, self.steps, window=window)

        rule = f"fast-weights-{self.architecture}"
        return {
            OURS: entries(rule, self.steps),
            "rnnsim, window 1": entries(rule, 1),
            "rnnsim bptt": entries("bptt", self.steps),
        }

    def jax(self) -> Entries:
        from benchmarks.peers.jax_fast_weights import fast_weights

        return fast_weights(self.architecture, self.tau, *self.problem())


@dataclass(frozen=True)
class FlipFlopOnLine(Case):
    """The flip-flop end to end with the published settings and an update at each step.

    rnnsim's time includes drawing the data, the criterion and the learning curve; JAX scans over data
    that were drawn beforehand.
    """

    architecture: int
    bar: float | None = None
    steps: int = 20 * 1024  # steps of a call
    check: int = 500  # steps after which the weights must agree

    family = "on-line training"

    @property
    def name(self) -> str:
        return f"fast-weights-{self.architecture} on flip-flop, on-line"

    @property
    def bars(self) -> Mapping[str, float | None]:
        return {"JAX structured": self.bar}

    def trainer(self, tailored: bool = False) -> Any:
        from rnnsim.training.experiment import configure
        from rnnsim.training.task_training import TaskTraining

        rule = f"fast-weights-{self.architecture}"
        return TaskTraining(configure(
            rule, "flip-flop", settings="published", steps=10**12, stop=False, tailored=tailored,
        ))  # fmt: skip

    def rnnsim(self) -> Entries:
        def answer(tailored: bool) -> Answer:
            params, loss = trained(self.trainer(tailored), self.check)
            return {"W": params.W1, "loss": loss}

        return {OURS: trainers(self.trainer, answer, self.steps)}

    def jax(self) -> Entries:
        from benchmarks.peers.jax_flip_flop import flip_flop

        trainer = self.trainer()  # for its initial weights and its data
        experiment = trainer.experiment
        inputs, targets, _ = streamed(trainer, self.steps)
        return flip_flop(
            self.architecture, experiment.network.tau, experiment.learning_rate, trainer.params.W1,
            inputs, targets[:, 0], self.check,
        )  # fmt: skip
