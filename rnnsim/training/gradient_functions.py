"""A function that computes the gradient of whole sequences with fixed parameters, by a learning rule."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from rnnsim import checks
from rnnsim.compiler import checked, checking_bounds, frozen
from rnnsim.errors import RnnsimError, reports_memory
from rnnsim.network import Network, Stream
from rnnsim.rule import DONE, DataGrads, Rule
from rnnsim.training.data_gradients import INITIAL_STATE, INPUTS, asks_for_data, rule_for_data
from rnnsim.training.divergence import bounds_hint, raise_if_diverged
from rnnsim.training.kept import Kept
from rnnsim.training.schedules import REDUCTIONS
from rnnsim.training.sequences import (
    DIVERGED,
    NOT_FINITE,
    Carried,
    Pass,
    Shape,
    pass_kernel,
)
from rnnsim.training.steady_states import SteadyStates
from rnnsim.training.streams import begin, copy_params, data_as_it_is, make_stream
from rnnsim.typing import Array, Inputs, Params


class Gradient(NamedTuple):
    """The result of :func:`gradient`, in arrays of its own.

    Attributes
    ----------
    loss : float
        Theory.md 1, eq. (4).
    grads : NamedTuple of arrays
        Of the type, names and shapes of the parameters.
    steady_states : SteadyStates or None
        Those of a rule that settles, for ``spectral_radius``.
    state : (B, N) array or None
        The state after the last step: ``initial_state`` of a sequence that goes on. None for rules that
        settle.
    memory : Carried
        What the rule keeps, for the steps that follow.
    initial_state_grad : (B, N) array or None
        dE/d(initial state), where it is asked for: zero for rules that settle, and for sequences whose
        first step has a reset, or whose initial fast weights are set by S.
    inputs_grad : array or None
        dE/d(inputs), where it is asked for: of their shape, or a pair where they are one.
    """

    loss: float
    grads: Params
    steady_states: SteadyStates | None
    state: Array | None
    memory: Carried
    initial_state_grad: Array | None = None
    inputs_grad: Any = None

    @property
    def spectral_radius(self) -> float | None:
        """The largest over steady states; below 1 they are stable. None for rules that step.

        It is computed when it is asked for, which may take longer than the gradient; with a solver
        other than relaxation, which may find unstable states, it is asked for at once.
        """
        return None if self.steady_states is None else self.steady_states.spectral_radius()


class GradientFunction:
    """The gradient of a network by a rule; :func:`gradient_function` makes it.

    Several threads may call it at once: each has arrays of its own.

    Attributes
    ----------
    network : Network
    rule : Rule
    """

    def __init__(
        self,
        network: Network,
        rule: Rule,
        window: int | None,
        seed: int,
        reduction: str,
        tailored: bool,
        with_respect_to: tuple[str, ...],
    ) -> None:
        self.network, self.rule = network, rule
        self._asked, self._for_data = with_respect_to, asks_for_data(with_respect_to)
        self._own_rule = rule_for_data(network, rule, window, self._asked) if self._for_data else rule
        self._window = None if window is None else checks.whole("window", window, 1)
        self._seed = checks.whole("seed", seed, 0)
        self._mean = checks.known_name("reduction", reduction, REDUCTIONS) == "mean"
        self._tailored = checks.boolean("tailored", tailored)
        self.kernel = pass_kernel(network, self._own_rule)
        self._bound = frozen(self.kernel)
        self._checked = checked()
        self._passes: Kept[Pass] = Kept()

    def __repr__(self) -> str:
        return f"gradient_function({self.network!r}, {self.rule!r})"

    @property
    def nbytes(self) -> int:
        """The bytes of the arrays that this thread keeps."""
        return self._passes.nbytes

    @reports_memory
    def __call__(
        self,
        params: Params,
        inputs: Inputs,
        targets: Array,
        *,
        mask: Array | None = None,
        resets: Array | None = None,
        initial_state: Array | None = None,
        reset_state: Array | None = None,
        memory: Carried | None = None,
    ) -> Gradient:
        """Compute the loss and its gradient.

        The arguments, the result and the errors are those of :func:`gradient`.
        """
        network = self.network
        if memory is not None and self._for_data:
            raise RnnsimError(
                f"memory is given, but with_respect_to={self._asked} takes whole sequences: "
                "leave memory out"
            )

        def checked_stream() -> Stream:
            return make_stream(network, inputs, targets, mask, resets, settles=self.rule.settles)

        # of data as they are the kernel looks whether all is finite, which takes less time
        as_it_is = None if targets is None else data_as_it_is(network, inputs, targets, mask, resets)
        if as_it_is is None:
            stream = checked_stream()
            steps, batch = stream.mask.shape
        else:
            steps, batch = as_it_is[0].shape[:2]
        arrays = self._pass(steps, batch, memory)
        if initial_state is None and reset_state is None:
            state = arrays.begin
        else:
            state = begin(network, batch, initial_state, reset_state, self.rule.settles)
        copy_params(network, params, arrays.work.flat_params, arrays.views)
        arrays.start(state, memory)
        if as_it_is is not None:
            stream = Stream(*as_it_is, *arrays.stream[2:])  # type: ignore[arg-type]
        if self._checked and not checked():
            with checking_bounds(True):
                found = self._run(arrays, stream, as_it_is is not None)
        else:
            found = self._run(arrays, stream, as_it_is is not None)
        if found is None:
            stream = checked_stream()  # which of all it is, and whether it is padding
            network.pack(params)
            arrays.start(state, memory)
            found = self._run(arrays, stream, False)
            assert found is not None
        return self._with_data_grads(found, arrays, stream, inputs) if self._for_data else found

    def _run(self, arrays: Pass, stream: Stream, looks: bool) -> Gradient | None:
        """Run over a stream; None if an array turns out not to be finite."""
        network, rule, work = self.network, self.rule, arrays.work
        out, settled, loss = np.empty(network.n_params, network.dtype), None, 0.0
        if rule.settles:
            settled = SteadyStates(network)
            code, loss = _settle(arrays, stream, looks, out, settled)
        else:
            code = arrays.run(stream, 0, arrays.shape.steps, looks, out)
            loss = float(work.loss[0])
        if code == NOT_FINITE:
            return None
        if code == DIVERGED:
            raise_if_diverged(stream, bounds_hint(network, rule), out)
        elif code != DONE:
            raise rule.explain(code, work.memory, int(work.progress[1]) + 1)
        batch = arrays.shape.batch
        if self._mean:
            weight = self._weight(stream)
            out /= weight
            loss /= weight
        if settled is not None and rule.settler().solver != "relaxation":
            settled.spectral_radius()
        state = None if rule.settles else arrays.work.state[0].copy()
        return Gradient(loss / batch, network.views(out), settled, state, arrays.carried())

    def _weight(self, stream: Stream) -> float:
        """What a mean over the targets divides by: their weights, of a sequence on average."""
        return float(stream.mask.sum()) / stream.mask.shape[1] or 1.0

    def _with_data_grads(
        self, found: Gradient, arrays: Pass, stream: Stream, inputs: Inputs
    ) -> Gradient:
        """Add the gradients that are asked for besides that of the parameters."""
        rule, memory = self._own_rule, found.memory
        grads = rule.data_grads(arrays.work.memory)
        if self._mean:
            grads = DataGrads(*(grad / self._weight(stream) for grad in grads))
        for grad in grads:
            if not np.isfinite(grad).all():
                raise_if_diverged(stream, bounds_hint(self.network, self.rule), grad)
        kept = None if memory.memory is None else rule.without_data(memory.memory)
        state, of_inputs = grads.initial_state, self.network.inputs_grad_like(inputs, grads.inputs)
        return found._replace(
            memory=replace(memory, rule=self.rule, memory=kept),
            initial_state_grad=state if INITIAL_STATE in self._asked else None,
            inputs_grad=of_inputs if INPUTS in self._asked else None,
        )

    # --- arrays that are kept ---

    def _pass(self, steps: int, batch: int, before: Carried | None) -> Pass:
        """The arrays for a shape, in this thread.

        Raises
        ------
        RnnsimError
            If the memory is another rule's, of another batch or another window.
        """
        rule, window = self._own_rule, min(self._window or steps, steps)
        done = 0
        if before is not None:
            check_carried(before, rule, batch)
            if before.unfinished is not None:
                raise RnnsimError("the memory has rows that are not learnt yet: flush the learner first")
            done = before.steps
            if rule.carries:  # its memory has the size of its window
                if self._window not in (None, before.window):
                    raise RnnsimError(f"window is {self._window}; that of the memory is {before.window}")
                window = before.window
        shape = Shape(steps, batch, window, min(done, 2 * rule.history(window)))
        return self._passes.get(shape, lambda: self._make(shape))

    def _make(self, shape: Shape) -> Pass:
        return Pass(self.network, self._own_rule, shape, self._seed, self._bound, self._tailored)


def _settle(
    arrays: Pass, stream: Stream, looks: bool, out: Array, settled: SteadyStates
) -> tuple[int, float]:
    """Process the patterns of a rule that settles, window by window.

    The code and the sum of the losses; the gradient goes to ``out``, the steady states to ``settled``.
    """
    steps, _, window, _ = arrays.shape
    work, part, loss, result = arrays.work, np.empty_like(out), 0.0, DONE
    out[:] = 0
    for row in range(0, steps, window):
        end = min(row + window, steps)
        code = arrays.run(stream, row, end, looks and row == 0, part)
        if code not in (DONE, DIVERGED):
            return code, loss
        result = code or result
        out += part
        loss += float(work.loss[0])
        settled.add(work.params, work.trajectory, stream.mask[row:end] != 0)
    return result, loss


def check_carried(before: Any, rule: Rule, batch: int) -> None:
    """Refuse memory that is not that of a rule and a batch.

    Raises
    ------
    RnnsimError
    """
    if not isinstance(before, Carried):
        raise RnnsimError(f"memory is that of an earlier result, not {type(before).__name__}")
    if before.rule != rule:
        raise RnnsimError(f"the memory is that of {before.rule}; the rule is {rule}")
    if before.batch != batch:
        raise RnnsimError(f"the memory is of {before.batch} sequences; there are {batch}")
