"""Common parts of the cases of recurrent networks: tanh, linear readout, squared error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.cases.case import TOLERANCE, Case
from benchmarks.entries import Entry

Arrays = list[np.ndarray]

TAILORED = 64  # size of a state above which compiling for exact sizes makes no difference


def network(m: int, n: int, k: int, dtype: str = "float64") -> Any:
    from rnnsim import RecurrentNetwork

    return RecurrentNetwork(m, n, k, dtype=dtype)


def problem(
    m: int, n: int, k: int, rows: tuple[int, ...], dtype: str = "float64"
) -> tuple[Arrays, Arrays]:
    """Weights (W, U, b, V, c) and data (inputs (*rows, m), targets (*rows, k))."""
    rng = np.random.default_rng(0)
    shapes = ((n, n), (n, m), (n,), (k, n), (k,))
    params = [rng.standard_normal(shape) / np.sqrt(shape[-1]) for shape in shapes]
    data = [rng.standard_normal((*rows, columns)) for columns in (m, k)]
    return [array.astype(dtype) for array in params], [array.astype(dtype) for array in data]


@dataclass(frozen=True)
class OfSequences(Case):
    """A case whose work is a call with whole sequences."""

    T: int
    B: int
    m: int
    n: int
    k: int
    dtype: str

    @property
    def sizes(self) -> str:
        return f"T {self.T}, B {self.B}, m {self.m}, n {self.n}, k {self.k}, {self.dtype}"

    @property
    def tolerance(self) -> float:
        return TOLERANCE[self.dtype]

    def network(self) -> Any:
        return network(self.m, self.n, self.k, self.dtype)

    def problem(self) -> tuple[Arrays, Arrays]:
        return problem(self.m, self.n, self.k, (self.T, self.B), self.dtype)


def both_ways(label: str, network: Any, *arguments: Any, **choices: Any) -> list[Entry]:
    """The kernel for arbitrary sizes and, for a small network, the one for its exact sizes."""
    ways = [False, True] if network.n_state <= TAILORED else [False]
    return [
        gradients(
            f"{label}, tailored" if tailored else label,
            network,
            *arguments,
            tailored=tailored,
            **choices,
        )
        for tailored in ways
    ]


def gradients(
    label: str, network: Any, params: Arrays, data: Any, rule: str, units: int, **choices: Any
) -> Entry:  # fmt: skip
    """Make rnnsim's entry: the function that a user has from ``rnnsim.gradient_function``."""
    from rnnsim import gradient_function

    function = gradient_function(network, rule, **choices)
    weights = network.params_type(*params)

    def answer() -> dict[str, np.ndarray]:
        found = function(weights, *data)
        return {"loss": np.array(found.loss), **found.grads._asdict()}

    def work() -> int:
        function(weights, *data)
        return units

    return Entry(label, answer, work)
