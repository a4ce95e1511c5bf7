"""The network run forward over a sequence: outputs and states, or the loss (theory.md 1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.cases.case import TOLERANCE, Case
from benchmarks.cases.recurrent import Arrays, network, problem
from benchmarks.entries import OURS, Answer, Entries, Entry


@dataclass(frozen=True)
class ForwardPass(Case):
    """``rnnsim.simulate`` (with ``what="states"``) or ``rnnsim.loss`` (``"loss"``)."""

    what: str
    T: int
    B: int
    m: int
    n: int
    k: int
    dtype: str

    family = "forward"
    unit = "call"

    @property
    def name(self) -> str:
        return (f"forward, {self.what}, T {self.T}, B {self.B}, m {self.m}, n {self.n}, k {self.k}, "
                f"{self.dtype}")  # fmt: skip

    @property
    def tolerance(self) -> float:
        return TOLERANCE[self.dtype]

    @property
    def bars(self) -> Mapping[str, float | None]:
        return {"JAX": 1.2}

    def problem(self) -> tuple[Arrays, Arrays]:
        return problem(self.m, self.n, self.k, (self.T, self.B), self.dtype)

    def rnnsim(self) -> Entries:
        import rnnsim

        net = network(self.m, self.n, self.k, self.dtype)
        params, (inputs, targets) = self.problem()
        weights = net.params_type(*params)

        def states() -> Answer:
            found = rnnsim.simulate(net, weights, inputs)
            return {"states": found.states, "outputs": found.outputs}

        def loss() -> Answer:
            return {"loss": np.array(rnnsim.loss(net, weights, inputs, targets))}

        call = states if self.what == "states" else loss

        def work() -> int:
            call()
            return 1

        return {OURS: [Entry(f"rnnsim.{'simulate' if call is states else 'loss'}", call, work)]}

    def jax(self) -> Entries:
        from benchmarks.peers.jax_forward import forward

        return forward(*self.problem(), self.what)
