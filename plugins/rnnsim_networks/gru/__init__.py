"""The gated recurrent unit of theory.md 6."""

from __future__ import annotations

from rnnsim_networks.gru.network import GRUNetwork

__all__ = ["GRUNetwork"]
