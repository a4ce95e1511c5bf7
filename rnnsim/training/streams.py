"""The user's arrays as a stream: shapes, types and values are checked here, once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rnnsim import checks
from rnnsim.errors import RnnsimError
from rnnsim.network import Network, Stream, check_is_network, empty_stream
from rnnsim.typing import Array, Inputs, Params, State


def make_stream(
    network: Network,
    inputs: Inputs,
    targets: Array | None,
    mask: Array | None,
    resets: Array | None,
    *,
    settles: bool = False,
) -> Stream:
    """Validate arrays and assemble them into a stream; without targets the mask is zero.

    Where no target follows in its sequence (or, with ``settles``, at no target), inputs may hold
    anything: they are padding.

    Raises
    ------
    RnnsimError
        If an array has a wrong shape, type or value.
    """
    u = check_is_network(network).check_inputs(inputs)
    steps, batch = u.shape[:2]
    d, weights = targets_and_mask(network, targets, mask, steps, batch)
    weight = weights[..., 0]
    if weights.shape[2] > 1:
        weight = (weights != 0).any(axis=2).astype(network.dtype)
    if targets is not None:
        u = without_padding(u, weight != 0, settles)
    checks.finite("inputs", u)
    reset = np.zeros((steps, batch), np.bool_)
    if resets is not None:
        reset = checks.per_step("resets", resets, steps, batch, np.bool_)
    stream = empty_stream(steps, batch, 0, network.n_out, network.dtype)
    stream = stream._replace(inputs=u, targets=d, mask=weight, resets=reset)
    if weights.shape[2] == 1:
        return stream
    return stream._replace(output_mask=weights, masks_outputs=np.ones(1, np.bool_))


def targets_and_mask(
    network: Network, targets: Array | None, mask: Array | None, steps: int, batch: int
) -> tuple[Array, Array]:
    """Check the targets (T, B, k) and their weights (T, B, 1), or (T, B, k): each output's own.

    A masked array of NumPy masks outputs.
    """
    k, dtype = network.n_out, network.dtype
    shape = (steps, batch, 1)
    if targets is None:
        return np.zeros((steps, batch, k), dtype), np.zeros(shape, dtype)
    hidden = None
    if isinstance(targets, np.ma.MaskedArray):
        hidden = checks.over_time("the mask of targets", np.ma.getmaskarray(targets), k, np.bool_)
        targets = targets.filled(0)
    d = checks.over_time("targets", targets, k, dtype)
    if d.shape[:2] != (steps, batch):
        raise RnnsimError(f"targets are (T, B) = {d.shape[:2]}; the inputs {(steps, batch)}")
    if mask is None:
        weights = np.ones(shape, dtype)
    else:
        mask = checks.numbers("mask", mask)
        if is_per_output(mask.shape, steps, batch, k):
            weights = checks.finite("mask", checks.over_time("mask", mask, k, dtype))
        else:
            weights = checks.per_step("mask", mask, steps, batch, dtype)[..., None]
    if hidden is not None:
        whole = (hidden == hidden[..., :1]).all()  # each target as a whole
        weights = weights * ~(hidden[..., :1] if whole else hidden)
    if weights.shape[:2] != (steps, batch):
        raise RnnsimError(f"mask has shape {weights.shape}; expected {(steps, batch, k)}")
    if weights.shape[2] > 1 and not network.sums_outputs:
        raise RnnsimError(
            "a mask of each output needs a loss that is a sum over outputs, which "
            f"{network_loss(network)} is not; give one of shape {(steps, batch)}"
        )
    checks.finite("targets", np.where(weights == 0, 0, d))  # masked targets may be nan
    return d, np.ascontiguousarray(weights, dtype)


def is_per_output(shape: tuple[int, ...], steps: int, batch: int, k: int) -> bool:
    """Whether a mask weighs each output: (T, B, k), or (T, k) for one sequence."""
    return len(shape) == 3 or (shape == (steps, k) and batch == 1 and k > 1)


def network_loss(network: Network) -> str:
    """The loss of a network in words."""
    loss = getattr(network, "loss", None)
    return loss if isinstance(loss, str) else "that of this network"


def without_padding(inputs: Array, has_target: Array, settles: bool) -> Array:
    """Replace what is not finite by 0 where it has no influence on any target."""
    bad = ~np.isfinite(inputs).all(axis=2)
    if not bad.any():
        return inputs
    counts = has_target
    if not settles:  # this target or a later one of the sequence
        counts = np.logical_or.accumulate(has_target[::-1])[::-1]
    out = inputs.copy()
    out[bad & ~counts] = 0
    return out


# --- arguments that need no copy ---


def laid_out(array: Any, columns: tuple[int, ...], dtype: Any) -> Array | None:
    """An array over time as (T, B, columns), if kernels can use it as it is; else None.

    Whether its values are finite is not looked at.
    """
    if type(array) is not np.ndarray or array.dtype is not dtype or not array.flags.carray:
        return None
    if array.ndim == 2:
        array = array[:, None, :]
    fits = array.ndim == 3 and array.shape[2] in columns and array.shape[0] and array.shape[1]
    return array if fits else None


def data_as_it_is(
    network: Network, inputs: Any, targets: Any, mask: Any, resets: Any
) -> tuple[Array, Array | None] | None:
    """Inputs, and targets if there are any, where kernels can use them and nothing else is given."""
    if mask is not None or resets is not None:
        return None
    u = laid_out(inputs, network.columns, network.dtype)
    if u is None or targets is None:
        return None if u is None else (u, None)
    d = laid_out(targets, (network.n_out,), network.dtype)
    return None if d is None or d.shape[:2] != u.shape[:2] else (u, d)


def stream_as_it_is(
    network: Network, inputs: Any, targets: Any, mask: Any, resets: Any
) -> Stream | None:
    """The stream of :func:`make_stream`, where nothing need be copied and all values are finite."""
    data = data_as_it_is(network, inputs, targets, mask, resets)
    if data is None or not all(array is None or math.isfinite(np.vdot(array, array)) for array in data):
        return None
    u, d = data
    steps, batch = u.shape[:2]
    stream = empty_stream(steps, batch, 0, network.n_out, network.dtype)
    if d is None:
        stream.mask[:] = 0
        return stream._replace(inputs=u)
    return stream._replace(inputs=u, targets=d)


def copy_params(network: Network, params: Params, flat: Array, views: Params) -> None:
    """Copy parameters into a flat array, of which ``views`` are the network's parameters.

    Whether they are finite is not looked at, if they have the form that ``network.init`` returns.

    Raises
    ------
    RnnsimError
        If they have another form, and are not the parameters of this network.
    """
    if type(params) is not type(views):
        flat[:] = network.pack(params)
        return
    for given, own in zip(params, views):
        if type(given) is not np.ndarray or given.dtype is not own.dtype or given.shape != own.shape:
            flat[:] = network.pack(params)
            return
        own[...] = given
    network.check_params(views)


def begin(
    network: Network,
    batch: int,
    initial_state: Array | None,
    reset_state: Array | None,
    settles: bool,
) -> State:
    """Allocate the state at which sequences begin, or from which the network settles."""
    if settles and reset_state is None and initial_state is not None:
        reset_state = checks.state("initial_state", initial_state, batch, network.n_state, network.dtype)
        initial_state = None
    if initial_state is None and reset_state is None:
        return network.state(batch)
    return network.state(batch, initial_state, reset_state)
