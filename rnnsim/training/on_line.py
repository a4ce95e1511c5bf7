"""Learning from rows that come in pieces of any length: window by window, with what is left kept.

The network speaks before a window is complete, and learns when it is. So there are two states: the
learning state is where the unfinished window began, and the acting state is ahead of it by the rows of
that window (with a delay, by h rows more: :mod:`rnnsim.training.delays`).
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rnnsim.compiler import checking_bounds
from rnnsim.network import Network, Stream, empty_stream
from rnnsim.rule import Rule
from rnnsim.training.advancing import FORWARD_ROWS, Advance, Settings
from rnnsim.training.delays import DelayedAdvance, DelayLine
from rnnsim.training.observing import unobserved, watching
from rnnsim.training.optimizers import Optimizer
from rnnsim.training.sequences import arrays_in, copied, set_arrays
from rnnsim.training.streams import begin
from rnnsim.training.unfinished import UnfinishedWindow
from rnnsim.typing import Array

SHORT = 16  # rows of a window that are copied faster than a stream is bound


class Made(NamedTuple):
    """What learns.

    Attributes
    ----------
    network, rule, optimizer, settings
        As for :class:`~rnnsim.training.advancing.Advance`; the window of the settings is the first.
    delay : int
        h, or 0.
    checks_bounds : bool
        Whether indices are checked.
    """

    network: Network
    rule: Rule
    optimizer: Optimizer
    settings: Settings
    delay: int
    checks_bounds: bool


class OnLine:
    """A network, its two states and the window that is not complete.

    Parameters
    ----------
    made : Made
    flat_params : (n_params,) array
        The parameters, which are updated in place.
    reset_state : (B, N) or (N,) array, optional
        Where a reset leads; by default the network's own state.

    Attributes
    ----------
    advance : Advance
    unfinished : UnfinishedWindow
    line : DelayLine or None
        The rows that wait for their targets.
    learning, acting : State
    resets_next : bool
        Whether the state is reset before the next row.
    """

    def __init__(self, made: Made, flat_params: Array, reset_state: Array | None) -> None:
        self.made, self.reset_state = made, reset_state
        self._flat = flat_params
        network, batch = made.network, made.settings.batch
        self.learning = begin(network, batch, None, reset_state, False)
        self.acting = copied(self.learning)
        self._pairs = [*zip(arrays_in(self.acting), arrays_in(self.learning))]
        self.line = DelayLine(network, made.delay, batch) if made.delay else None
        self._weighs = np.ones(batch, network.dtype)  # of a delayed step's target
        self.resets_next = False
        self.advance: Any = None
        self.prepare(made.settings.window)

    def prepare(self, window: int) -> None:
        """Allocate what depends on the window, and begin an empty one."""
        network, rule, optimizer, settings, delay, checks_bounds = self.made
        with checking_bounds(checks_bounds):
            kind = partial(DelayedAdvance, self.acting, unobserved()) if delay else Advance
            self.advance = kind(
                network, rule, optimizer, watching(), settings._replace(window=window), self._flat,
                self.learning, before=self.advance,
            )  # fmt: skip
            if not delay:
                trajectory = network.trajectory(FORWARD_ROWS, settings.batch)
                self._ahead = self.advance.forward_pass(self.acting, trajectory)
        self.unfinished = UnfinishedWindow(network, window, settings.batch)

    def forward(self, stream: Stream, first: int, end: int) -> None:
        """Let the acting state go through some rows; nothing is learnt."""
        (self._ahead.run if self.line is None else self.advance.forward)(stream, first, end)

    # --- one step ---

    def step(self, u: Array) -> Array:
        """Go one step on with the inputs u (B, columns); y (B, k)."""
        self.close()
        if self.line is not None:
            return self._delayed_step(u)
        i = self.unfinished.open(u, self.resets_next)
        self.resets_next = False
        self._ahead.run(self.unfinished.rows, i, i + 1)
        y: Array = self.unfinished.rows.outputs[i].copy()
        return y

    def _delayed_step(self, u: Array) -> Array:
        """A step of the acting state; what is learnt, waits for its target."""
        assert self.line is not None
        network, batch = self.made.network, self.made.settings.batch
        present = empty_stream(1, batch, 0, network.n_out, network.dtype)._replace(
            inputs=np.ascontiguousarray(np.broadcast_to(u, (1, batch, u.shape[-1])))
        )
        present.resets[0], self.resets_next = self.resets_next, False
        learnt, skipped = self.line.shift(present)
        self.forward(present, 0, 1)
        self._weighs, learnt.mask[0] = learnt.mask[0].copy(), 0
        if skipped:
            self._weighs[:] = 0
        else:
            self.unfinished.take(learnt, 0)
        self.unfinished.is_open = True
        outputs: Array = present.outputs[0]
        return outputs

    def correct(self, given: Array, weight: Array | None, is_error: bool) -> None:
        """Give the last step its target (B, k), or its error, and the weights (B,), by default 1."""
        unfinished = self.unfinished
        rows, i = unfinished.rows, unfinished.count - 1
        if self.line is not None:  # a row without an input that is old enough was not kept
            weight = self._weighs if weight is None else weight * self._weighs
        if weight is None or weight.any():
            rows.targets[i] = given
            rows.mask[i] = 1 if weight is None else weight
            rows.gives_error[i] = is_error
        self.close()

    def close(self) -> None:
        """Learn the window if it is complete; a step that was not corrected has no target."""
        unfinished = self.unfinished
        unfinished.is_open = False
        if unfinished.count == unfinished.window:
            self.finish()

    def finish(self) -> None:
        """Learn the rows of the unfinished window."""
        unfinished = self.unfinished
        count, unfinished.count = unfinished.count, 0
        self.advance.run_rows(unfinished.rows, 0, count)
        self._catch_up()

    def _catch_up(self) -> None:
        """Let the acting state be the learning one: no rows are between them."""
        if self.line is None:
            for acting, learning in self._pairs:
                acting[...] = learning

    # --- many steps ---

    def learn(self, stream: Stream, sees_whole_call: bool) -> tuple[Array, Array]:
        """Learn from the rows of a stream; outputs (T, B, k) and losses (T,), summed over sequences.

        With ``sees_whole_call`` all rows are one window.
        """
        self.close()
        if self.resets_next:
            stream = stream._replace(resets=stream.resets.copy())
            stream.resets[0], self.resets_next = True, False
        if sees_whole_call and self.unfinished.window != len(stream.losses):
            self.prepare(len(stream.losses))
        if self.line is None:
            self._feed(stream, None, 0)
            return stream.outputs, stream.losses
        learnt, skipped = self.line.shift(stream)
        self.forward(stream, 0, skipped)
        self._feed(learnt, stream, skipped)
        return stream.outputs, learnt.losses

    def _feed(self, stream: Stream, present: Stream | None, row: int) -> None:
        """Complete the unfinished window, learn whole windows where they lie, keep the rest.

        A short window is copied, which takes less time than to bind the arrays of a stream. With a
        delay, the acting state goes through the ``present`` rows meanwhile.
        """
        window, rows = self.unfinished.window, len(stream.losses)
        if row < rows and (self.unfinished.count or rows - row <= min(window, SHORT)):
            row = self._keep(stream, present, row)
        whole = (rows - row) // window * window
        if whole:
            ahead = () if present is None else (present,)
            self.advance.run_rows(stream, row, row + whole, *ahead)
            self._catch_up()
        if row + whole < rows:
            self._keep(stream, present, row + whole)

    def _keep(self, stream: Stream, present: Stream | None, first: int) -> int:
        """Copy rows to the unfinished window, and learn it if it is complete; the first row left."""
        unfinished = self.unfinished
        here, there = unfinished.take(stream, first)
        if present is not None:
            self.forward(present, there.start, there.stop)
        if unfinished.is_complete:
            self.finish()
        elif present is None:
            self.forward(unfinished.rows, here.start, here.stop)
        stream.outputs[there] = unfinished.rows.outputs[here]
        stream.losses[there] = unfinished.rows.losses[here]
        return int(there.stop)

    def flush(self) -> None:
        """Close the unfinished window, if there is one: learn what it holds."""
        self.close()
        if self.unfinished.count:
            clock = self.advance.training.clock
            clock.last[0] = 1
            try:
                self.finish()
            finally:
                clock.last[0] = 0

    def predict(self, stream: Stream) -> Array:
        """The outputs for rows that follow; the state does not move."""
        before = copied(self.acting)
        try:
            self.forward(stream, 0, len(stream.losses))
        finally:
            set_arrays(self.acting, before)
        return stream.outputs

    # --- states ---

    @property
    def steps(self) -> int:
        """Number of steps so far."""
        return int(self.advance.step + self.unfinished.count)

    def begin_at(self, state: Array | None) -> None:
        """Reset to a state (B, N), after learning what is left."""
        network, batch = self.made.network, self.made.settings.batch
        made = begin(network, batch, state, self.reset_state, False)
        self.flush()
        set_arrays(self.learning, made)
        set_arrays(self.acting, made)
        self.advance.forget()
        if self.line is not None:
            self.line.clear()

    def set_reset_state(self, reset_state: Array | None) -> None:
        """Let resets lead to another state from now on."""
        network, batch = self.made.network, self.made.settings.batch
        self.flush()
        for state in (self.learning, self.acting):
            set_arrays(state, begin(network, batch, state[0], reset_state, False))
        self.reset_state = reset_state

    def reset(self) -> None:
        """Reset state and sensitivities before the next row."""
        self.close()
        self.resets_next = True
        set_arrays(
            self.acting,
            begin(self.made.network, self.made.settings.batch, None, self.reset_state, False),
        )
