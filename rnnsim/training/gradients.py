"""The gradient of whole sequences with fixed parameters, by a learning rule: the public functions."""

from __future__ import annotations

from typing import Any, NamedTuple

from rnnsim import registry
from rnnsim.compiler import Guard, checked, checking_bounds, is_uncompiled
from rnnsim.errors import reports_memory
from rnnsim.network import KERNELS, Network, check_is_network
from rnnsim.rule import Rule
from rnnsim.training.data_gradients import PARAMS_ONLY, names_asked
from rnnsim.training.gradient_functions import Gradient, GradientFunction
from rnnsim.training.kept import Kept
from rnnsim.training.sequences import Carried
from rnnsim.typing import Array, Inputs, Params


@reports_memory
def gradient_function(
    network: Network,
    rule: str | Rule = "bptt",
    *,
    window: int | None = None,
    seed: int = 0,
    reduction: str = "sum",
    tailored: bool = False,
    with_respect_to: tuple[str, ...] = PARAMS_ONLY,
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
    window, seed, reduction, with_respect_to, check_bounds
        As for :func:`gradient`.
    tailored : bool
        Whether to compile for the exact sizes of the arrays: small networks are then up to five times
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
        asked = names_asked(with_respect_to)
        return GradientFunction(network, chosen, window, seed, reduction, tailored, asked)


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
    with_respect_to: tuple[str, ...] = PARAMS_ONLY,
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
    with_respect_to : tuple of "params", "initial_state" and "inputs"
        What the gradient is with respect to; that of the parameters is computed in any case. With
        ``initial_state`` and ``inputs`` it is, of the loss of eq. (4), the derivative by where the
        sequences begin and by all that the network reads (bptt: the adjoint of eq. (10) at step 1, and
        U^T s(t)); of truncated-bptt what truncation leaves of it, summed over the sweeps; of
        recurrent-backprop that of the steady states, which do not depend on where the network began.
        Whole sequences only: without ``memory`` and ``window``.
    check_bounds : bool
        Whether indices are checked, which takes longer: an error then names the line of one that is
        out of bounds.
    **options
        Options of the rule.

    Returns
    -------
    Gradient
        ``loss``, theory.md 1 eq. (4); ``grads``, of the same type, names and shapes as ``params``;
        ``spectral_radius`` for rules that settle, computed when it is asked for; ``state`` and
        ``memory``; where they are asked for ``initial_state_grad`` (B, N), and ``inputs_grad`` of the
        shape of ``inputs``, a pair where they are one.

    Raises
    ------
    RnnsimError
        If an argument has a wrong shape, type, name or value, or the rule or the network has no gradient
        with respect to what is asked for.
    NoSteadyState
        If the network or its adjoint does not converge to a steady state.
    Diverged
        If the loss or the gradient is not finite.
    """
    keyed = (network, rule, window, seed, reduction, names_asked(with_respect_to), options)
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
    asked: tuple[str, ...], options: dict[str, Any],
) -> GradientFunction:  # fmt: skip
    """The gradient function of this thread for these arguments, made if there is none that holds."""
    values = (rule, window, seed, reduction, asked, *options.values())
    key = (id(network), values, tuple(map(type, values)), tuple(options), checked(), is_uncompiled())

    def make() -> _Guarded:
        function = gradient_function(
            network,
            rule,
            window=window,
            seed=seed,
            reduction=reduction,
            with_respect_to=asked,
            **options,
        )
        return _Guarded(function, Guard(function.kernel, network, KERNELS), type(function.rule))

    try:
        hash(key)
    except TypeError:  # an argument that will be refused
        return make().function
    return _functions.guarded(key, make, lambda found: found.holds(rule)).function
