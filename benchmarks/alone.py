"""A learning rule in isolation: the gradient of one sequence, computed repeatedly with fixed weights.

This does the same as :func:`rnnsim.gradient`, but checks, allocates and compiles beforehand, and loops
over the windows in compiled code whose arguments are bound once. A benchmark then times only the rule.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnsim import registry
from rnnsim.arrays import aligned_zeros
from rnnsim.benchmarking.suite.alone import Work, history_rows, over_sequence, specialised_over_sequence
from rnnsim.compiler import bind_arguments
from rnnsim.network import Network
from rnnsim.numerics.threads import shared_work
from rnnsim.rule import DONE, Rule
from rnnsim.training.streams import make_stream
from rnnsim.typing import Array, Inputs, Params


class Alone:
    """A rule on a sequence; each call starts from the initial state and gives the same result.

    Parameters
    ----------
    network : Network
        Determines the dtype.
    params : NamedTuple of arrays
    inputs : (T, B, m) or (T, m) array, or a pair (slow, fast)
    targets : (T, B, k) or (T, k) array
    rule : str or Rule
    window : int, optional
        Number of steps that the rule sees at a time; all of them by default.
    tailored : bool
        Whether the kernel is compiled for the exact array sizes, as JAX's always are.
    **options
        Options of the rule.

    Attributes
    ----------
    steps : int
        T.
    batch : int
        B.
    grads : NamedTuple of arrays
        The gradient of the last call.
    """

    def __init__(
        self,
        network: Network,
        params: Params,
        inputs: Inputs,
        targets: Array,
        rule: str | Rule,
        window: int | None = None,
        tailored: bool = False,
        **options: Any,
    ) -> None:
        self.rule = registry.make_rule(rule, options)
        self.rule.check_network(network)
        self.stream = make_stream(network, inputs, targets, None, None)
        self.stream.resets[0] = True  # each call resets states and traces
        self.steps, self.batch = self.stream.mask.shape
        window = min(window or self.steps, self.steps)
        history = self.rule.history(window)
        flat = network.pack(params)
        self._flat_grad = aligned_zeros(flat.shape, flat.dtype)
        self._memory = self.rule.memory(network, self.batch, window, np.random.default_rng(0))
        self._work = Work(
            network.kernel_params(flat),
            network.state(self.batch),
            self.stream,
            network.trajectory(history_rows(self.rule, window), self.batch),
            self._memory,
            network.kernel_params(self._flat_grad),
            window,
            history,
        )
        run = over_sequence(self.rule.learn(network), network.keep_history)
        self._run = bind_arguments(
            specialised_over_sequence(run, self._work) if tailored else run, self._work
        )
        self.grads = network.views(self._flat_grad)

    def __call__(self) -> None:
        """Run over the sequence, leaving its loss and gradient in ``loss`` and ``grads``."""
        self._flat_grad[:] = 0
        with shared_work():
            code = self._run()
        if code != DONE:
            raise self.rule.explain(code, self._memory, 1)

    @property
    def loss(self) -> float:
        """The loss of the last call."""
        return float(self.stream.losses.sum() / self.batch)

    def answer(self) -> dict[str, Array]:
        """Run, and return copies of the loss and of the gradient by name."""
        self()
        grads = {name: grad.copy() for name, grad in self.grads._asdict().items()}
        return {"loss": np.array(self.loss), **grads}
