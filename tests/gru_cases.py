"""Random GRU networks and sequences, for rnnsim and for the oracle."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import naive
import naive_gru as oracle
import numpy as np
from cases import Case, Sizes

from rnnsim_networks.gru import GRUNetwork


@dataclasses.dataclass(frozen=True)
class GRUCase(Case):
    """A GRU network, its parameters and sequences."""

    network: Any
    net: Any  # the parameters as the oracle takes them
    data: naive.Data
    loss_name: str = "squared-error"

    @cached_property
    def states(self) -> np.ndarray:
        return oracle.run(self.net, self.data)

    @cached_property
    def expected(self) -> naive.Gradient:
        return oracle.gradient(self.net, self.data, self.loss_name)


def make_gru_case(sizes: Sizes, loss: str = "squared-error", dtype: str = "float64") -> GRUCase:
    """Draw a network and sequences; of the sizes, the leak and what is sparse are not a GRU's."""
    rng = np.random.default_rng(sizes.seed)
    n, m, k, T, B = sizes.n, sizes.m, sizes.k, sizes.T, sizes.B
    network = GRUNetwork(m, n, k, loss=loss, dtype=dtype)
    params = network.init(seed=sizes.seed)
    for array in params:
        array += (0.5 * rng.standard_normal(array.shape)).astype(dtype)
    inputs, targets = rng.standard_normal((T, B, m)), rng.random((T, B, k))
    if loss == "softmax-cross-entropy":
        targets /= targets.sum(-1, keepdims=True)
    arguments: dict[str, Any] = {"inputs": inputs, "targets": targets}
    mask, resets = np.ones((T, B)), np.zeros((T, B), bool)
    start, initial = np.zeros((B, n)), np.zeros((B, n))
    if sizes.mask != "none":
        mask = rng.random((T, B)) < 0.6 if sizes.mask == "bool" else rng.choice([0.0, 0.5, 2.0], (T, B))
        arguments["mask"] = mask
    if sizes.resets:
        resets = rng.random((T, B)) < 0.2
        arguments["resets"] = resets
    if sizes.initial:
        start, initial = rng.standard_normal((2, B, n))
        arguments |= {"initial_state": start, "reset_state": initial}
    net = {name: np.asarray(array, float) for name, array in params._asdict().items()}
    data = naive.Data(inputs, targets, mask, resets, initial, start)
    return GRUCase(network, params, arguments, net, data, loss)
