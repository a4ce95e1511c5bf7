"""What a learner keeps for the steps that follow, read and given back as one thing.

It is what the result of a gradient has as ``memory``, with the window that is not complete and the rows
that wait for their targets. A learner of the same rule, batch and window goes on from it.
"""

from __future__ import annotations

from rnnsim.errors import RnnsimError
from rnnsim.network import Stream
from rnnsim.training.gradient_functions import check_carried
from rnnsim.training.on_line import OnLine
from rnnsim.training.sequences import (
    Carried,
    Unfinished,
    arrays_in,
    copied,
    copy_rows,
    generators_in,
    keep_copies,
    set_arrays,
)


def memory_of(own: OnLine) -> Carried:
    """Copy what a learner keeps."""
    rule, settings, training = own.made.rule, own.made.settings, own.advance.training
    window = own.unfinished.window
    found = Carried(rule, settings.batch, window, own.advance.step)
    held = int(training.clock.held[0])
    keep_copies(found, own.made.network, training.memory, training.trajectory, held)
    if own.unfinished.count or own.line is not None:
        rows = Stream(*(part[: own.unfinished.count].copy() for part in own.unfinished.rows))
        line = () if own.line is None else (own.line.held, copied(own.line.arrays()))
        found.unfinished = Unfinished(rows, own.unfinished.is_open, copied(own.learning), line)
    return found


def go_on_from(own: OnLine, memory: Carried) -> None:
    """Let a learner keep what another had kept, whose steps it then goes on to count.

    Raises
    ------
    RnnsimError
        If it is that of another rule, batch, window or delay.
    """
    _check(own, memory)
    training = own.advance.training
    if memory.memory is not None:
        set_arrays(training.memory, memory.memory)
        for generator, other in zip(generators_in(training.memory), generators_in(memory.memory)):
            generator.bit_generator.state = other.bit_generator.state
    training.clock.step[0], training.clock.held[0] = memory.steps, memory.held
    if memory.history is not None:
        copy_rows(memory.history, training.trajectory, memory.held)
    own.unfinished.count = 0
    left = memory.unfinished
    if left is None:
        return
    set_arrays(own.learning, left.begun)
    if len(left.rows.losses):
        own.unfinished.take(left.rows, 0)
        own.unfinished.rows.outputs[: own.unfinished.count] = left.rows.outputs
    own.unfinished.is_open = left.is_open
    if own.line is not None:
        held, arrays = left.line
        own.line.restore(held, arrays[0].shape[2])
        set_arrays(own.line.arrays(), arrays)


def _check(own: OnLine, memory: Carried) -> None:
    check_carried(memory, own.made.rule, own.made.settings.batch)
    window = own.unfinished.window
    if memory.window != window:
        raise RnnsimError(f"window is {window}; that of the memory is {memory.window}")
    delay = memory.unfinished.line[1][0].shape[0] if memory.unfinished and memory.unfinished.line else 0
    if delay != own.made.delay:
        raise RnnsimError(f"delay is {own.made.delay}; that of the memory is {delay}")
    training = own.advance.training
    shapes = [[x.shape for x in arrays_in(one)] for one in (training.memory, memory.memory or ())]
    if memory.memory is not None and shapes[0] != shapes[1]:
        raise RnnsimError("the memory is that of another network")
