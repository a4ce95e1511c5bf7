"""The networks that come with rnnsim, registered like those of any plugin."""

from __future__ import annotations

from collections.abc import Callable

from rnnsim.hookspecs import hookimpl
from rnnsim.network import Network


@hookimpl
def rnnsim_networks(register: Callable[[type[Network]], None]) -> None:
    """Register the networks of the core."""
    from rnnsim.networks.fast_weight.network import FastWeightNetwork
    from rnnsim.networks.recurrent.network import RecurrentNetwork

    register(RecurrentNetwork)
    register(FastWeightNetwork)
