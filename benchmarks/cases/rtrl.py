"""Real-time recurrent learning: time per step, with p(t) computed at every step (theory.md 1.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.cases.case import TOLERANCE, Case
from benchmarks.cases.recurrent import Arrays, both_ways, gradients, network, problem
from benchmarks.entries import OURS, Entries, Entry

YARDSTICK = "bare GEMM"  # of the shape of p with the gradient row
LARGE = 64  # units from which on p's product dominates
STEPS = {8: 2000, 16: 1000, 32: 500, 64: 100, 128: 40}  # per call, by n: some tens of milliseconds


@dataclass(frozen=True)
class RTRL(Case):
    """The gradient of a sequence by RTRL."""

    n: int
    dtype: str
    B: int = 1
    online: bool = False  # p is propagated and contracted within each step
    m: int = 4
    k: int = 2

    family = "rtrl"

    @property
    def name(self) -> str:
        how = "on-line" if self.online else "whole sequence"
        return f"rtrl {how}, n {self.n}, B {self.B}, {self.dtype}"

    @property
    def tolerance(self) -> float:
        return TOLERANCE[self.dtype]

    @property
    def bars(self) -> Mapping[str, float | None]:
        if self.online:
            return {"JAX": 0.9}
        return {"JAX": 1.5 if self.n <= 16 else 1.2}

    @property
    def ceilings(self) -> Mapping[str, float]:
        return {YARDSTICK: 1.4} if self.n >= LARGE else {}

    @property
    def steps(self) -> int:
        return STEPS[self.n] // (4 if self.B > 1 else 1)

    def problem(self) -> tuple[Arrays, Arrays]:
        return problem(self.m, self.n, self.k, (self.steps, self.B), self.dtype)

    def rnnsim(self) -> Entries:
        net = network(self.m, self.n, self.k, self.dtype)
        window = 1 if self.online else None
        entries = {OURS: both_ways("rtrl", net, *self.problem(), "rtrl", self.steps, window=window)}
        if self.ceilings:
            entries[YARDSTICK] = [self.bare_gemm()]
        return entries

    def bare_gemm(self) -> Entry:
        """The product (n + 1, n) @ (n, P) by NumPy's BLAS with all of its threads."""
        rng = np.random.default_rng(0)
        matrix = rng.standard_normal((self.n + 1, self.n)).astype(self.dtype)
        p = rng.standard_normal((self.n, self.n * (self.n + self.m + 1))).astype(self.dtype)
        out = np.empty((len(matrix), p.shape[1]), self.dtype)

        def work() -> int:
            for _ in range(self.steps):
                np.matmul(matrix, p, out=out)
            return self.steps

        return Entry("numpy.matmul", None, work)

    def jax(self) -> Entries:
        if self.online:
            from benchmarks.peers.jax_rtrl_online import rtrl_online

            return rtrl_online(*self.problem())
        from benchmarks.peers.jax_rtrl import rtrl

        return rtrl(*self.problem())


@dataclass(frozen=True)
class BlockForm(RTRL):
    """The same exact gradient in blocks of n steps, O(n^3) per step, compared to JAX's RTRL.

    It is not RTRL, since p(t) is not computed at every step, but can replace it.
    """

    family = "rtrl-block"

    @property
    def name(self) -> str:
        return f"rtrl-block beside RTRL, n {self.n}, {self.dtype}"

    @property
    def bars(self) -> Mapping[str, float | None]:
        return {"JAX": 20 if self.n == 128 else None}

    @property
    def ceilings(self) -> Mapping[str, float]:
        return {}

    @property
    def steps(self) -> int:
        return 2 * self.n  # two blocks

    def rnnsim(self) -> Entries:
        net = network(self.m, self.n, self.k, self.dtype)
        block = gradients("rtrl-block", net, *self.problem(), "rtrl-block", self.steps, h=self.n)
        return {OURS: [block]}
