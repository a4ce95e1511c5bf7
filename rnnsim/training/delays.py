"""Delayed targets (theory.md 7): what is learnt now is the pair of an earlier input and this target.

A forecast of horizon h made at row t is of d(t + h), which is known at row t + h only. So a network has
two states that share the weights: an acting state at the present row, whose outputs are the forecasts,
and a learning state h rows behind. Rows of data come in two streams of the same length: the present one,
and the one that is learnt, whose inputs and resets are h rows old and whose targets are new.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rnnsim.compiler import Bound, bind_arguments, rebind
from rnnsim.kernels import kernel
from rnnsim.network import Network, Stream, empty_stream
from rnnsim.numerics.threads import work_context
from rnnsim.training.advancing import FORWARD_ROWS, Advance, Forward, forward_training
from rnnsim.training.loop import FAILED, RUNNING, Training, window_length
from rnnsim.training.observing import Observer
from rnnsim.training.sequences import multiplications
from rnnsim.typing import Array, Kernel, Params, State, Trajectory


class States(NamedTuple):
    """What learns, and what acts on the present rows by the same weights."""

    learning: Training
    acting: Training


class Rows(NamedTuple):
    """Rows that are learnt, and the present ones; without present rows, nothing acts."""

    learnt: Stream
    present: Stream


class Waiting(NamedTuple):
    """What a delay line holds.

    Attributes
    ----------
    inputs : (h, B, m) array
    resets : (h, B) bool array
    since : (B,) int array
        The number of rows since the last reset of each sequence.
    """

    inputs: Array
    resets: Array
    since: Array


def delayed_kernel(loop: Kernel, observe: Kernel) -> Kernel:
    """Make ``act_and_learn(states, rows, until) -> code`` from the loop.

    Before each window is learnt, the acting state goes through as many present rows, and ``observe`` is
    told of these (:class:`~rnnsim.training.observing.Observer`). With ``until`` below 0 it goes through
    those of its clock, and nothing is learnt.
    """

    @kernel(allocates=False, inlined=False)
    def act(acting: Training, present: Stream, first: int, end: int) -> int:
        clock, most = acting.clock, acting.trajectory.states.shape[0]
        for row in range(first, end, most):
            clock.row[0], clock.filled[0] = row, min(row + most, end)
            code = loop(acting, present, most)
            if code != RUNNING:
                return int(code)
        return RUNNING

    @kernel(allocates=False)
    def act_and_learn(states: States, rows: Rows, until: int) -> int:
        learning, acting = states
        learnt, present = rows
        plan, clock = learning.plan, learning.clock
        if until < 0:
            return int(act(acting, present, acting.clock.row[0], acting.clock.filled[0]))
        while clock.step[0] < until and clock.row[0] < clock.filled[0]:
            row, length = clock.row[0], window_length(plan, clock, learnt)
            if present.losses.size > 0:
                code = act(acting, present, row, row + length)
                if code != RUNNING:
                    return int(code)
                code = observe(plan.stop, clock, present, length, acting.observed)
                if code != RUNNING:
                    return int(code)
            code = loop(learning, learnt, clock.step[0] + length)
            if code != RUNNING:
                return int(code)
        return RUNNING

    return act_and_learn


class DelayLine:
    """The last h rows of inputs and resets, and since when each sequence goes on.

    Attributes
    ----------
    delay : int
        h.
    held : int
        The number of rows that it holds, at most h.
    """

    def __init__(self, network: Network, delay: int, batch: int) -> None:
        self.network, self.delay, self.held = network, delay, 0
        self.inputs = np.zeros((delay, batch, network.columns[0]), network.dtype)
        self.resets = np.zeros((delay, batch), np.bool_)
        self.since = np.full(batch, -1)  # rows since the last reset

    def restore(self, held: int, columns: int) -> None:
        """Be ready for what ``arrays`` gave: so many rows, with so many columns of inputs.

        Raises
        ------
        ValueError
            If there cannot be so many.
        """
        if not (0 <= held <= self.delay and columns in self.network.columns):
            raise ValueError(f"{held} rows of {columns} inputs")
        self.held, self.inputs = held, np.zeros((*self.inputs.shape[:2], columns), self.inputs.dtype)

    def clear(self) -> None:
        """Forget all rows."""
        self.held, self.since[:] = 0, -1

    def arrays(self) -> Waiting:
        """What it holds."""
        return Waiting(self.inputs, self.resets, self.since)

    def shift(self, present: Stream) -> tuple[Stream, int]:
        """The rows that are learnt as these come in, and the first that has an input h rows old.

        A target counts where its sequence has gone on for h rows: not across a reset.
        """
        rows, columns = len(present.losses), present.inputs.shape[2]
        if columns != self.inputs.shape[2]:
            self.inputs = np.zeros((*self.inputs.shape[:2], columns), self.inputs.dtype)
        missing, held = self.delay - self.held, self.held
        inputs, resets = (
            np.concatenate([np.zeros_like(old[:missing]), old[:held], new])
            for old, new in ((self.inputs, present.inputs), (self.resets, present.resets))
        )
        learnt = present._replace(
            inputs=inputs[:rows], resets=resets[:rows], mask=present.mask * self._goes_on(present),
            outputs=np.empty_like(present.outputs), losses=np.zeros(rows),
        )  # fmt: skip
        self.held = min(self.delay, held + rows)
        self.inputs[: self.held] = inputs[len(inputs) - self.held :]
        self.resets[: self.held] = resets[len(resets) - self.held :]
        return learnt, min(missing, rows)

    def _goes_on(self, present: Stream) -> Array:
        """Whether a sequence has gone on for h rows, by row and sequence."""
        found = np.empty(present.resets.shape, present.mask.dtype)
        for t, resets in enumerate(present.resets):
            self.since[:] = np.where(resets, 0, self.since + 1)
            found[t] = self.since >= self.delay
        return found


class DelayedAdvance(Advance):
    """Advances a learning state, and an acting one that goes through the present rows.

    Parameters
    ----------
    acting_state : State
        Which moves in place.
    observer : Observer
        What is told of the present rows before each update.
    *arguments, **named
        As for :class:`Advance`.
    """

    def __init__(
        self, acting_state: State, observer: Observer, *arguments: Any, **named: Any
    ) -> None:  # fmt: skip
        self._acting_state, self._observer = acting_state, observer
        super().__init__(*arguments, **named)

    def _bind(self, loop: Kernel, stream: Stream | Rows) -> Bound:
        network, settings = self.network, self.settings
        self._none = empty_stream(0, settings.batch, network.n_in, network.n_out, network.dtype)
        trajectory = network.trajectory(FORWARD_ROWS, settings.batch)
        acting = forward_training(self, self._acting_state, trajectory)
        self._acting = acting._replace(observed=self._observer.memory)
        self._both = delayed_kernel(loop, self._observer.observe)
        rows = stream if isinstance(stream, Rows) else Rows(stream, self._none)
        return self._bound(self._acting, rows)

    def _bound(self, acting: Training, rows: Rows) -> Bound:
        return bind_arguments(
            self._both, States(self.training, acting), rows, owner=self.rule.name
        )  # fmt: skip

    def forward_pass(
        self, state: State, trajectory: Trajectory, params: Params | None = None
    ) -> Forward:
        return DelayedForward(self, state, trajectory, params)

    def run_rows(self, stream: Stream, begin: int, end: int, present: Stream | None = None) -> int:
        """Learn from some rows; the acting state goes through present ones, if they are given."""
        return super().run_rows(Rows(stream, self._none if present is None else present), begin, end)

    def forward(self, stream: Stream, begin: int, end: int) -> None:
        """Let the acting state go through some rows; nothing is learnt.

        Raises
        ------
        RnnsimError
            If there is no steady state.
        """
        clock = self._acting.clock
        clock.row[0], clock.filled[0] = begin, end
        self.run(Rows(self._none, stream), -1)


class DelayedForward(Forward):
    """Runs a network forward by the compiled loop of a :class:`DelayedAdvance`, without learning."""

    def __init__(
        self, owner: DelayedAdvance, state: State, trajectory: Trajectory, params: Params | None = None
    ) -> None:
        acting = forward_training(owner, state, trajectory, params)
        self._training = acting._replace(observed=owner._observer.memory)
        rows, batch = trajectory.states.shape[:2]
        self._owner, self._none = owner, owner._none
        self._run = owner._bound(self._training, Rows(self._none, self._none))
        self._context = work_context(multiplications(owner.network, rows * batch))

    def run(self, stream: Stream, begin: int, end: int) -> None:
        if stream is not self._run.values[1].present:
            self._run = rebind(self._run, Rows(self._none, stream))
        clock = self._training.clock
        clock.row[0], clock.filled[0] = begin, end
        with self._context:
            code = self._run(-1)
        if code != RUNNING:
            raise self._owner.rule.explain(code - FAILED, self._training.memory, 1)
