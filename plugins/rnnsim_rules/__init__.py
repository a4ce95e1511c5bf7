"""The learning rules that come with rnnsim, registered like those of any plugin."""

from __future__ import annotations

from collections.abc import Callable

import pluggy

from rnnsim.rule import Rule

hookimpl = pluggy.HookimplMarker("rnnsim")


@hookimpl
def rnnsim_rules(register: Callable[[type[Rule]], None]) -> None:
    """Register every rule of this package, one in each file."""
    from rnnsim_rules.bptt import BPTT
    from rnnsim_rules.fast_weights_1 import FastWeights1
    from rnnsim_rules.fast_weights_2 import FastWeights2
    from rnnsim_rules.kf_rtrl import KFRTRL
    from rnnsim_rules.recurrent_backprop import RecurrentBackprop
    from rnnsim_rules.rflo import RFLO
    from rnnsim_rules.rtrl import RTRL
    from rnnsim_rules.rtrl_block import BlockRTRL
    from rnnsim_rules.snap import SnAp
    from rnnsim_rules.truncated_bptt import TruncatedBPTT
    from rnnsim_rules.uoro import UORO

    for rule in (
        RecurrentBackprop, BPTT, TruncatedBPTT, RTRL, BlockRTRL, FastWeights1, FastWeights2,
        UORO, KFRTRL, RFLO, SnAp,
    ):  # fmt: skip
        register(rule)
