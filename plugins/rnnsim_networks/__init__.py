"""Networks that need nothing from the core but what any plugin may use."""

from __future__ import annotations

from collections.abc import Callable

import pluggy

from rnnsim.network import Network

hookimpl = pluggy.HookimplMarker("rnnsim")


@hookimpl
def rnnsim_networks(register: Callable[[type[Network]], None]) -> None:
    """Register every network of this package, one in each folder."""
    from rnnsim_networks.gru.network import GRUNetwork

    register(GRUNetwork)
