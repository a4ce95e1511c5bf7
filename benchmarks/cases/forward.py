"""The network run forward over a sequence: outputs and states, or the loss (theory.md 1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.cases.recurrent import OfSequences
from benchmarks.entries import OURS, Answer, Entries, Entry


@dataclass(frozen=True)
class ForwardPass(OfSequences):
    """``rnnsim.simulate`` (with ``what="states"``) or ``rnnsim.loss`` (``"loss"``)."""

    what: str

    family = "forward"
    unit = "call"

    @property
    def name(self) -> str:
        return f"forward, {self.what}, {self.sizes}"

    @property
    def bars(self) -> Mapping[str, float | None]:
        return {"JAX": 1.2}

    def rnnsim(self) -> Entries:
        import rnnsim

        net = self.network()
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
