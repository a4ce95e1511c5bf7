"""A rule alone: the gradient of one sequence over and over, the weights standing still.

What :func:`rnnsim.gradient` does, with its checks, allocations and compilation before the first run and
the windows in a compiled loop, so that a benchmark times the rule and nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim import registry
from rnnsim.gradient import make_stream
from rnnsim.kernels import compiled, kernel
from rnnsim.network import Network
from rnnsim.rule import DONE, Rule, Window
from rnnsim.threads import shared_work
from rnnsim.typing import Array, Inputs, Kernel, Memory, Params, State, Trajectory


class Alone:
    """A rule on a sequence; each call begins anew and gives the same.

    Parameters
    ----------
    network : Network
        Which knows the dtype.
    params : NamedTuple of arrays
    inputs : (T, B, m) or (T, m) array, or a pair (slow, fast)
    targets : (T, B, k) or (T, k) array
    rule : str or Rule
    window : int, optional
        How many steps the rule sees at a time; all of them by default.
    **options
        Options of the rule.

    Attributes
    ----------
    steps : int
        T.
    grads : NamedTuple of arrays
        The gradient by the last call.
    """

    def __init__(
        self,
        network: Network,
        params: Params,
        inputs: Inputs,
        targets: Array,
        rule: str | Rule,
        window: int | None = None,
        **options: Any,
    ) -> None:
        self.rule = registry.make_rule(rule, options)
        self.rule.check_network(network)
        self.stream = make_stream(network, inputs, targets, None, None)
        self.stream.resets[0] = True  # state and traces begin anew
        self.steps, self.batch = self.stream.mask.shape
        window = min(window or self.steps, self.steps)
        history = min(self.rule.history(window), self.steps - 1)
        flat = network.pack(params)
        self._slope = np.zeros_like(flat)
        self._memory = self.rule.memory(network, self.batch, window, np.random.default_rng(0))
        self._arguments = (
            network.operands(flat),
            network.state(self.batch),
            self.stream,
            network.trajectory(min(history + self.rule.rows(window), self.steps), self.batch),
            self._memory,
            network.operands(self._slope),
            window,
            history,
        )
        self._run = compiled(sequence_kernel(self.rule.learn(network), network.keep))
        self.grads = network.views(self._slope)

    def __call__(self) -> None:
        """Run over the sequence, and leave the loss and the gradient."""
        self._slope[:] = 0
        with shared_work():
            code = self._run(*self._arguments)
        if code != DONE:
            raise self.rule.explain(code, self._memory, 1)

    @property
    def loss(self) -> float:
        """The loss by the last call."""
        return float(self.stream.losses.sum() / self.batch)

    def answer(self) -> dict[str, Array]:
        """Run, and copy what came out: the loss, and the gradient by name."""
        self()
        grads = {name: grad.copy() for name, grad in self.grads._asdict().items()}
        return {"loss": np.array(self.loss), **grads}


def sequence_kernel(learn: Kernel, keep: Kernel) -> Kernel:
    """Make the kernel that gives a sequence to a rule, window by window."""

    @kernel
    def sequence(
        params: Params,
        state: State,
        stream: Any,
        trajectory: Trajectory,
        memory: Memory,
        grad: Params,
        window: int,
        history: int,
    ) -> int:
        steps, held = stream.losses.size, 0
        for row in range(0, steps, window):
            count = min(window, steps - row)
            now = Window(held, count, row, row + count == steps, True)
            code = learn(params, state, stream, row, trajectory, now, memory, grad)
            if code != DONE:
                return int(code)
            filled, held = held + count, min(history, held + count)
            if held > 0:
                keep(trajectory, filled - held, held)
        return DONE

    return sequence
