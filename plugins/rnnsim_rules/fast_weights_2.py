"""Learning to control fast weights, architecture 2, FROM and TO [S92] (theory.md 2).

As architecture 1 (:mod:`rnnsim_rules.fast_weights_1`), but S has one output for each unit of F from
which a fast weight leaves and one for each to which one leads:

    (20) Box w_ba(t) = g(s_a(t), s_b(t)),    g the product by default
    (25) dBox w_ba/dw_ji = s_b ds_a/dw_ji + s_a ds_b/dw_ji

A weight into s_a acts on the fast weights of unit a alone, so that p is |W_F| (2 phi + H) numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rnnsim.rule import Cost
from rnnsim_rules.fast_weights_1 import FastWeights1


class FastWeights2(FastWeights1, frozen=True):
    """Schmidhuber's fast weights, architecture 2: a slow output for each unit, FROM and TO.

    The network computes its equations: (22), (23) and (25) in
    rnnsim/networks/fast_weight/sensitivities.py, (20) and (21) in
    rnnsim/networks/fast_weight/forward.py.
    """

    name = "fast-weights-2"
    cost = Cost(time="|W_F| (2 phi + H)", memory="|W_F| (2 phi + H)")
    network: ClassVar[Mapping[str, Any]] = {"architecture": 2}
