"""Back-propagation through time: the gradient of a whole sequence (theory.md 1.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.cases.case import TOLERANCE, Case
from benchmarks.cases.recurrent import Arrays, both_ways, network, problem
from benchmarks.entries import OURS, Entries


@dataclass(frozen=True)
class BPTTGradient(Case):
    """The loss and its gradient with respect to W, U, b, V and c."""

    T: int
    B: int
    m: int
    n: int
    k: int
    dtype: str

    family = "bptt"
    unit = "gradient"
    libraries = ("rnnsim", "jax", "torch")

    @property
    def name(self) -> str:
        return (f"bptt gradient, T {self.T}, B {self.B}, m {self.m}, n {self.n}, k {self.k}, "
                f"{self.dtype}")  # fmt: skip

    @property
    def tolerance(self) -> float:
        return TOLERANCE[self.dtype]

    @property
    def bars(self) -> Mapping[str, float | None]:
        return {"JAX": 2 if self.B == 1 and self.n <= 64 else 1.2}

    def problem(self) -> tuple[Arrays, Arrays]:
        return problem(self.m, self.n, self.k, (self.T, self.B), self.dtype)

    def rnnsim(self) -> Entries:
        net = network(self.m, self.n, self.k, self.dtype)
        return {OURS: both_ways("bptt", net, *self.problem(), "bptt", 1)}

    def jax(self) -> Entries:
        from benchmarks.peers.jax_bptt import bptt

        return bptt(*self.problem())

    def torch(self) -> Entries:
        from benchmarks.peers.torch_bptt import bptt

        return bptt(*self.problem())
