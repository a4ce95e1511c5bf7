"""Real-time recurrent learning [WZ89] (theory.md 1.4).

With p^l_ij(t) = dx_l(t)/dw_ij, p(0) = 0:

    (12) p^l_ij(t) = (1-alpha) p^l_ij(t-1)
                     + alpha f'(a_l(t)) [ sum_r W_lr p^r_ij(t-1) + delta_li z_j(t) ]
    (13) dE(t)/dw_ij = sum_l (dE(t)/dx_l(t)) p^l_ij(t)

The network stores and propagates p, since which entries of p are structural zeros depends on it. p is
kept from window to window, so that memory does not grow with time and no gradient is truncated.
"""

from __future__ import annotations

import numpy as np

from rnnsim.kernels import kernel
from rnnsim.network import Network
from rnnsim.rule import Cost, Rule, Window
from rnnsim.typing import Kernel, Memory, Params, Trajectory


class RTRL(Rule, frozen=True):
    """Real-time recurrent learning: sensitivities carried forwards.

    The network computes its equations: (12) and (13) in rnnsim/networks/dense.py for units; of
    a fast-weight network (22) and (23) in rnnsim/networks/fast_weight/sensitivities.py.
    """

    name = "rtrl"
    claim = "exact"
    cost = Cost(time="n^4", memory="n^3")
    needs = ("propagate",)

    def online_window(self, network: Network) -> int | None:
        return 1

    def memory(self, network: Network, batch: int, window: int, rng: np.random.Generator) -> Memory:
        return network.sensitivities(batch, window)

    def credit(self, network: Network) -> Kernel:
        propagate = network.propagate

        @kernel(allocates=False)
        def credit(
            params: Params, trajectory: Trajectory, window: Window, memory: Memory, grad: Params
        ) -> None:
            propagate(params, trajectory, window.first, window.length, memory, grad)

        return credit
