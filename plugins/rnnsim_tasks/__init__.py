"""The tasks that come with rnnsim, registered as a stranger's would be."""

from __future__ import annotations

from collections.abc import Callable

import pluggy

from rnnsim.task import Task

hookimpl = pluggy.HookimplMarker("rnnsim")


@hookimpl
def rnnsim_tasks(register: Callable[[type[Task]], None]) -> None:
    """Register every task of this package, one task or one family a file."""
    from rnnsim_tasks.adding import Adding
    from rnnsim_tasks.copy_memory import CopyMemory
    from rnnsim_tasks.delayed_xor import DelayedXor
    from rnnsim_tasks.digits import Digits
    from rnnsim_tasks.flip_flop import FlipFlop
    from rnnsim_tasks.n_bit_memory import NBitMemory
    from rnnsim_tasks.parenthesis import Parenthesis
    from rnnsim_tasks.reber import EmbeddedReber, Reber
    from rnnsim_tasks.steady import PatternCompletion, SteadyStateXor
    from rnnsim_tasks.table import Table
    from rnnsim_tasks.trajectory import Trajectory
    from rnnsim_tasks.variable_binding import VariableBinding

    for task in (
        FlipFlop, VariableBinding, SteadyStateXor, PatternCompletion, Trajectory, DelayedXor,
        Parenthesis, Reber, EmbeddedReber, Adding, CopyMemory, NBitMemory, Digits, Table,
    ):  # fmt: skip
        register(task)
