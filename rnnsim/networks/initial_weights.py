"""How initial weights are drawn."""

from __future__ import annotations

import numpy as np

from rnnsim import checks
from rnnsim.errors import RnnsimError
from rnnsim.typing import Array

SCHEMES = ("scaled-normal", "uniform", "interval", "orthogonal")


def check_scheme(scheme: str, gain: float) -> None:
    """Refuse an unknown scheme, and a gain that is not a finite number.

    Raises
    ------
    RnnsimError
    """
    checks.known_name("initial scheme", scheme, SCHEMES)
    checks.real("gain", gain)


def scale_readout(V: Array, readout_scale: float) -> None:
    """Scale the weights of a linear readout; with 0 and c = 0, outputs begin at 0.

    Raises
    ------
    RnnsimError
        If the scale is not a finite number, or a weight is too large then.
    """
    with np.errstate(over="ignore"):
        V *= checks.real("readout_scale", readout_scale)
    if not np.isfinite(V).all():
        raise RnnsimError(f"readout_scale is {readout_scale:g}; some weights are then too large for "
                          f"{V.dtype}")  # fmt: skip


def set_weights(
    out: Array, rng: np.random.Generator, scheme: str, gain: float, exists: Array | None = None
) -> None:
    """Draw a matrix of weights (:func:`draw_weights`) into an array, in its dtype.

    Raises
    ------
    RnnsimError
        If a weight is too large for it.
    """
    with np.errstate(over="ignore"):
        out[...] = draw_weights(rng, scheme, gain, out.shape, exists)
    if not np.isfinite(out).all():
        raise RnnsimError(f"gain is {gain:g}; some weights are then too large for {out.dtype}")


def draw_weights(
    rng: np.random.Generator,
    scheme: str,
    gain: float,
    shape: tuple[int, ...],
    exists: Array | None = None,
) -> Array:
    """Draw a matrix of weights (to, from).

    Parameters
    ----------
    rng : numpy.random.Generator
    scheme : str
        ``scaled-normal``: variance gain^2 / fan-in; ``uniform``: within gain / sqrt(fan-in);
        ``interval``: within gain, whatever the fan-in [S92]; ``orthogonal``: orthonormal rows or
        columns, times gain.
    gain : float
    shape : (int, int)
    exists : bool array of this shape, optional
        Which connections exist; the fan-in counts these, and the other weights are 0.

    Returns
    -------
    array of this shape, float64
    """
    rows, columns = shape
    if scheme == "orthogonal":
        square = rng.standard_normal((max(shape), max(shape)))
        rotation, triangle = np.linalg.qr(square)
        rotation *= np.sign(np.diag(triangle))  # makes Q uniform over the orthogonal group
        return np.asarray(gain * rotation[:rows, :columns])
    fan_in = np.full((rows, 1), columns) if exists is None else exists.sum(1, keepdims=True)
    scale = gain if scheme == "interval" else gain / np.sqrt(np.maximum(fan_in, 1))
    if scheme == "scaled-normal":
        drawn = rng.standard_normal(shape) * scale
    else:
        drawn = rng.uniform(-1, 1, shape) * scale
    return np.asarray(drawn if exists is None else drawn * exists)
