"""The tasks that come with rnnsim, registered through the same hook as any other plugin's."""

from __future__ import annotations

from collections.abc import Callable

from rnnsim.hookspecs import hookimpl
from rnnsim.task import Task


@hookimpl
def rnnsim_tasks(register: Callable[[type[Task]], None]) -> None:
    """Register every task of this package; each module holds one task or one family of tasks."""
    from rnnsim_tasks.adding import Adding
    from rnnsim_tasks.copy_memory import CopyMemory
    from rnnsim_tasks.delayed_xor import DelayedXor
    from rnnsim_tasks.digits import Digits
    from rnnsim_tasks.flip_flop import FlipFlop
    from rnnsim_tasks.lagged_add import LaggedAdd
    from rnnsim_tasks.mimic import Mimic
    from rnnsim_tasks.n_bit_memory import NBitMemory
    from rnnsim_tasks.parenthesis import Parenthesis
    from rnnsim_tasks.reber import EmbeddedReber, Reber
    from rnnsim_tasks.steady import PatternCompletion, SteadyStateXor
    from rnnsim_tasks.table import Table
    from rnnsim_tasks.trajectory import Trajectory
    from rnnsim_tasks.variable_binding import VariableBinding

    for task in (
        FlipFlop, VariableBinding, SteadyStateXor, PatternCompletion, Trajectory, DelayedXor,
        Parenthesis, Reber, EmbeddedReber, Adding, CopyMemory, NBitMemory,
        LaggedAdd, Mimic, Digits, Table,
    ):  # fmt: skip
        register(task)
