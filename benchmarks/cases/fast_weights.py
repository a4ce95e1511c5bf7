"""Fast weights: the gradient of a whole sequence, and the flip-flop on-line (theory.md 2).

Of the groups, "dense" stores all traces including the structural zeros, and "structured" leaves the
zeros out. "unfolded" and "rnnsim bptt" have no traces: they sweep back over stored activations, and are
shown for comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.cases.case import Case
from benchmarks.cases.on_line import flip_flop, learners
from benchmarks.cases.recurrent import Arrays, both_ways
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
    """The flip-flop with the published settings and an update at each step.

    Both learn from data that were drawn beforehand.
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

    @property
    def rate(self) -> float:
        return 1.0 if self.architecture == 1 else 0.5

    def network(self) -> Any:
        from rnnsim import FastWeightNetwork

        return FastWeightNetwork(
            architecture=self.architecture, n_slow_in=3, n_in=3, n_out=1, slow_bias=False
        )

    def params(self) -> Any:
        return self.network().init(seed=0, scheme="interval", gain=0.1)

    def learner(self, tailored: bool = False) -> Any:
        from rnnsim import Learner

        return Learner(
            self.network(), f"fast-weights-{self.architecture}", params=self.params(), optimizer="sgd",
            learning_rate=self.rate, clip=None, tailored=tailored,
        )  # fmt: skip

    def rnnsim(self) -> Entries:
        found = learners(self.learner, flip_flop(self.steps), self.check)
        return {OURS: [way._replace(answer=named_W(way.answer)) for way in found]}

    def jax(self) -> Entries:
        from benchmarks.peers.jax_flip_flop import flip_flop as peers

        inputs, targets, _ = flip_flop(self.steps)
        return peers(
            self.architecture, self.network().tau, self.rate, self.params().W1, inputs, targets[:, 0],
            self.check,
        )  # fmt: skip


def named_W(answer: Callable[[], Answer] | None) -> Callable[[], Answer]:
    """The same answer, the slow weights being called W."""
    assert answer is not None

    def renamed() -> Answer:
        found = dict(answer())
        return {"W": found.pop("W1"), **found}

    return renamed
