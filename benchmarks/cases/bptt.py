"""Back-propagation through time: the gradient of a whole sequence (theory.md 1.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.cases.recurrent import OfSequences, both_ways
from benchmarks.entries import OURS, Entries


@dataclass(frozen=True)
class BPTTGradient(OfSequences):
    """The loss and its gradient with respect to W, U, b, V and c."""

    family = "bptt"
    unit = "gradient"
    libraries = ("rnnsim", "jax", "torch")

    @property
    def name(self) -> str:
        return f"bptt gradient, {self.sizes}"

    @property
    def bars(self) -> Mapping[str, float | None]:
        return {"JAX": 2 if self.B == 1 and self.n <= 64 else 1.2}

    def rnnsim(self) -> Entries:
        return {OURS: both_ways("bptt", self.network(), *self.problem(), "bptt", 1)}

    def jax(self) -> Entries:
        from benchmarks.peers.jax_bptt import bptt

        return bptt(*self.problem())

    def torch(self) -> Entries:
        from benchmarks.peers.torch_bptt import bptt

        return bptt(*self.problem())
