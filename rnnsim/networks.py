"""The networks that come with rnnsim, registered as a stranger's would be."""

from __future__ import annotations

from collections.abc import Callable

import pluggy

from rnnsim.network import Network

hookimpl = pluggy.HookimplMarker("rnnsim")


@hookimpl
def rnnsim_networks(register: Callable[[type[Network]], None]) -> None:
    """Register the networks of the core."""
    from rnnsim.fast_weight import FastWeightNetwork
    from rnnsim.recurrent import RecurrentNetwork

    register(RecurrentNetwork)
    register(FastWeightNetwork)
