"""Learning to control fast weights, architecture 1 [S92] (theory.md 2).

A slow net S changes the weights of a fast net F; S has an output s_ab for each fast weight w_ba:

    (18) w_ba(t) = sigma( w_ba(t-1), Box w_ba(t) ),    (19) Box w_ba(t) = s_ab(t)

Back-propagation in F gives the derivative of each step's error by the fast weights, and traces that are
carried forward in time give the derivatives of the fast weights by the slow weights:

    (21) gamma_ab(t) = dE(t)/dw_ba(t-1) = delta_b(t) o_a(t)
    (22) p^ab_ij(t) = dsigma/dw(t-1) * p^ab_ij(t-1) + dsigma/dBox w * dBox w_ba(t)/dw_ji
    (23) dE(t)/dw_ji = sum over W_F of gamma_ab(t) p^ab_ij(t-1)
    (24) dBox w_ba/dw_ji = ds_ab/dw_ji = kappa_j o_i

which is real-time recurrent learning of a network whose state is its fast weights. p is |W_F| (phi + H)
numbers, since a weight into s_ab acts on w_ba alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rnnsim.errors import RnnsimError
from rnnsim.network import Network
from rnnsim.rule import Cost
from rnnsim_rules.rtrl import RTRL


class FastWeights1(RTRL, frozen=True):
    """Schmidhuber's fast weights, architecture 1: a slow output for each fast weight.

    The network computes its equations: (22), (23) and (24) in
    rnnsim/networks/fast_weight/sensitivities.py, (21) in rnnsim/networks/fast_weight/forward.py.
    """

    name = "fast-weights-1"
    cost = Cost(time="|W_F| (phi + H)", memory="|W_F| (phi + H)")
    kind = "fast-weight"
    network: ClassVar[Mapping[str, Any]] = {"architecture": 1}

    def check_network(self, network: Network) -> None:
        """Refuse a network that is not of this architecture.

        Raises
        ------
        RnnsimError
        """
        super().check_network(network)
        wanted = self.network["architecture"]
        found = getattr(network, "architecture", None)
        if found != wanted:
            what = f"a {network.kind} network" + (f" of architecture {found}" if found else "")
            raise RnnsimError(f"{self.name} trains a fast-weight network of architecture {wanted}, "
                              f"not {what}")  # fmt: skip
