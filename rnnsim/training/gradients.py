"""The gradient of whole sequences with fixed parameters, by a learning rule."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rnnsim import checks, registry
from rnnsim.compiler import Guard, checked, checking_bounds, frozen, is_uncompiled
from rnnsim.errors import RnnsimError, reports_memory
from rnnsim.network import KERNELS, Network, Stream, check_is_network
from rnnsim.numerics.stability import spectral_radius
from rnnsim.numerics.threads import shared_work
from rnnsim.rule import DONE, Rule
from rnnsim.training.divergence import bounds_hint, raise_if_diverged, warn_if_unstable
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
    spectral_radius : float or None
        The largest over steady states; below 1 they are stable.
    state : (B, N) array or None
        The state after the last step: ``initial_state`` of a sequence that goes on. None for rules that
        settle.
    memory : Carried
        What the rule keeps, for the steps that follow.
    """

    loss: float
    grads: Params
    spectral_radius: float | None
    state: Array | None
    memory: Carried


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
    ) -> None:
        self.network, self.rule = network, rule
        self._window = None if window is None else checks.whole("window", window, 1)
        self._seed = checks.whole("seed", seed, 0)
        self._mean = checks.known_name("reduction", reduction, REDUCTIONS) == "mean"
        self._tailored = checks.boolean("tailored", tailored)
        self.kernel = pass_kernel(network, rule)
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
        return found

    def _run(self, arrays: Pass, stream: Stream, looks: bool) -> Gradient | None:
        """Run over a stream; None if an array turns out not to be finite."""
        network, rule, work = self.network, self.rule, arrays.work
        out, radius, loss = np.empty(network.n_params, network.dtype), None, 0.0
        if rule.settles:
            code, loss, radius = _settle(arrays, stream, looks, out)
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
            weight = float(stream.mask.sum()) / batch or 1.0
            out /= weight
            loss /= weight
        if radius is not None:
            warn_if_unstable(radius)
        state = None if rule.settles else arrays.work.state[0].copy()
        return Gradient(loss / batch, network.views(out), radius, state, arrays.carried())

    # --- arrays that are kept ---

    def _pass(self, steps: int, batch: int, before: Carried | None) -> Pass:
        """The arrays for a shape, in this thread.

        Raises
        ------
        RnnsimError
            If the memory is another rule's, of another batch or another window.
        """
        rule, window = self.rule, min(self._window or steps, steps)
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
        return Pass(self.network, self.rule, shape, self._seed, self._bound, self._tailored)


def _settle(arrays: Pass, stream: Stream, looks: bool, out: Array) -> tuple[int, float, float]:
    """Process the patterns of a rule that settles, window by window.

    The code, the sum of the losses and the largest spectral radius; the gradient goes to ``out``.
    """
    steps, _, window, _ = arrays.shape
    network, work = arrays.network, arrays.work
    part, loss, radius = np.empty_like(out), 0.0, 0.0
    out[:] = 0
    result = DONE
    for row in range(0, steps, window):
        end = min(row + window, steps)
        code = arrays.run(stream, row, end, looks and row == 0, part)
        if code not in (DONE, DIVERGED):
            return code, loss, radius
        result = code or result
        out += part
        loss += float(work.loss[0])
        counts = stream.mask[row:end] != 0
        with shared_work():
            radius = max(radius, spectral_radius(network, work.params, work.trajectory, counts))
    return result, loss, radius


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


@reports_memory
def gradient_function(
    network: Network,
    rule: str | Rule = "bptt",
    *,
    window: int | None = None,
    seed: int = 0,
    reduction: str = "sum",
    tailored: bool = False,
    check_bounds: bool = False,
    **options: Any,
) -> GradientFunction:
    """Make a function that computes gradients as :func:`gradient` does, and has its arrays ready.

    What functions of your own refer to is bound now: later changes of globals, closures and arrays are
    not seen.

    Parameters
    ----------
    network : Network
    rule : str or Rule
        The name of a rule, whose options are given by keyword, or a rule object.
    window, seed, reduction, check_bounds
        As for :func:`gradient`.
    tailored : bool
        Whether to compile for the exact sizes of the arrays: small networks are then up to three times
        as fast, but each size is compiled by itself.
    **options
        Options of the rule.

    Returns
    -------
    GradientFunction
        ``g(params, inputs, targets, *, mask=None, resets=None, initial_state=None, reset_state=None,
        memory=None)``. Its arrays are kept by shape, for each thread that calls it.

    Raises
    ------
    RnnsimError
        If an argument has a wrong type, name or value.
    """
    chosen = registry.make_rule(rule, options)
    chosen.check_network(check_is_network(network))
    with checking_bounds(check_bounds):
        return GradientFunction(network, chosen, window, seed, reduction, tailored)


@reports_memory
def gradient(
    network: Network,
    params: Params,
    inputs: Inputs,
    targets: Array,
    rule: str | Rule = "bptt",
    *,
    mask: Array | None = None,
    resets: Array | None = None,
    initial_state: Array | None = None,
    reset_state: Array | None = None,
    memory: Carried | None = None,
    window: int | None = None,
    seed: int = 0,
    reduction: str = "sum",
    check_bounds: bool = False,
    **options: Any,
) -> Gradient:
    """Compute the loss and its gradient by a learning rule, with fixed parameters.

    A sequence may be given in pieces: with ``state`` of a result as ``initial_state`` and its ``memory``
    as ``memory``, the next call goes on where it ended. The losses of the pieces add up to that of the
    whole, and so do the gradients of rules that carry memory (rtrl and its like; truncated-bptt where
    pieces end at multiples of h').

    Arrays and machine code are kept for the next call with the same network, rule and options; what
    functions of your own refer to is compared at each call. :func:`gradient_function` leaves that out.

    Parameters
    ----------
    network : Network
    params : NamedTuple of arrays
        In the form that ``network.init`` returns.
    inputs : (T, B, m) or (T, m) array
        For rules that settle, each row is a pattern held fixed until the network reaches a steady
        state. For a fast-weight network, one array that both nets see, or a pair (slow, fast). Rows
        after the last target of their sequence may hold anything.
    targets : (T, B, k) or (T, k) array
        A masked array of NumPy leaves out what it masks.
    rule : str or Rule
        The name of a rule, whose options are given by keyword, or a rule object.
    mask : (T, B) or (T,) array of bool or float, optional
        The weight of each target; 1 everywhere by default. Or, where the loss is a sum over outputs,
        (T, B, k): that of each output.
    resets : (T, B) or (T,) array of bool, optional
        The steps before which the state is reset. Rules that settle do so from ``reset_state`` anyway.
    initial_state : (B, N) or (N,) array, optional
        Where the sequences begin; by default at ``reset_state``.
    reset_state : (B, N) or (N,) array, optional
        Where a reset leads, and from which rules that settle do so: by default the network's own state,
        zero for a recurrent network (for rules that settle, ``initial_state`` if that is given).
    memory : Carried, optional
        That of the result for the steps before, by the same rule.
    window : int, optional
        Number of steps that the rule sees at a time (as in on-line learning, but without updates);
        all of them by default, or as in ``memory``. The gradient is the sum over the windows.
    seed : int
        Seed of rules that draw random numbers.
    reduction : "sum" or "mean"
        Whether loss and gradient are sums over time, so that they grow with the length, or means over
        the targets, each by its weight.
    check_bounds : bool
        Whether indices are checked, which takes longer: an error then names the line of one that is
        out of bounds.
    **options
        Options of the rule.

    Returns
    -------
    Gradient
        ``loss``, theory.md 1 eq. (4); ``grads``, of the same type, names and shapes as ``params``;
        ``spectral_radius`` for rules that settle; ``state`` and ``memory``.

    Raises
    ------
    RnnsimError
        If an argument has a wrong shape, type, name or value.
    NoSteadyState
        If the network or its adjoint does not converge to a steady state.
    Diverged
        If the loss or the gradient is not finite.
    """
    keyed = (network, rule, window, seed, reduction, options)
    with checking_bounds(check_bounds):
        function = _kept_function(*keyed)
        return function(
            params, inputs, targets, mask=mask, resets=resets, initial_state=initial_state,
            reset_state=reset_state, memory=memory,
        )  # fmt: skip


class _Guarded(NamedTuple):
    """A function that is kept, and what tells whether it is still right."""

    function: GradientFunction
    guard: Guard
    rule: type[Rule]

    @property
    def nbytes(self) -> int:
        return self.function.nbytes

    def holds(self, rule: str | Rule) -> bool:
        """Whether the rule's class and what the kernels refer to are what they were."""
        return self.rule is registry.rule_type(rule) and self.guard.holds()


_functions: Kept[_Guarded] = Kept()


def _kept_function(
    network: Network, rule: str | Rule, window: int | None, seed: int, reduction: str,
    options: dict[str, Any],
) -> GradientFunction:  # fmt: skip
    """The gradient function of this thread for these arguments, made if there is none that holds."""
    values = (rule, window, seed, reduction, *options.values())
    key = (id(network), values, tuple(map(type, values)), tuple(options), checked(), is_uncompiled())

    def make() -> _Guarded:
        function = gradient_function(
            network, rule, window=window, seed=seed, reduction=reduction, **options
        )
        return _Guarded(function, Guard(function.kernel, network, KERNELS), type(function.rule))

    try:
        hash(key)
    except TypeError:  # an argument that will be refused
        return make().function
    return _functions.guarded(key, make, lambda found: found.holds(rule)).function
