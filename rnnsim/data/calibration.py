"""What the validation part says of a trained network: how far to follow it, and how wide intervals are.

A network that learnt the rest of a linear path may have learnt noise. Of each output y the least squares
fit of the rests r on the validation part is g = <r, y> / <y, y>, and since that fit is uncertain itself
it is shrunk by the positive-part rule of James & Stein [1961], 1 - s^2 <y, y> / <r, y>^2, where s^2 is
what is left of r; between 0, the linear path alone, and 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnsim.data import intervals
from rnnsim.typing import Array


class Calibration(NamedTuple):
    """What was found on the validation part.

    Attributes
    ----------
    shrink : (k,) array
        By which outputs are multiplied.
    half_widths : (999, H, k0) array
        Of intervals (:mod:`rnnsim.data.intervals`).
    """

    shrink: Array
    half_widths: Array


def shrinking(rest: Array, outputs: Array) -> Array:
    """How far each output is to be followed, (k,).

    Parameters
    ----------
    rest : (T, k) array
        What was to be said, scaled; nan where it is not known.
    outputs : (T, k) array
        What was said.
    """
    known = np.isfinite(rest)
    r, y = np.where(known, rest, 0.0), np.where(known, outputs, 0.0)
    product, square = (r * y).sum(axis=0), (y * y).sum(axis=0)
    follow = np.clip(product / np.where(square > 0, square, 1.0), 0.0, 1.0)
    left = np.square(r - follow * y).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    evidence = np.square(product)
    certain = 1 - left * square / np.where(evidence > 0, evidence, np.inf)
    return np.asarray(follow * np.where(evidence > 0, np.maximum(certain, 0.0), 0.0))


def calibration_of(
    rest: Array, outputs: Array, scale: Array, shape: tuple[int, int], shrinks: bool
) -> Calibration:
    """Find how far to follow outputs, and the widths of the intervals of what is said then.

    Parameters
    ----------
    rest, outputs : (T, k) arrays
        See :func:`shrinking`.
    scale : (k,) array
        The unit of both.
    shape : tuple of int
        H and k0.
    shrinks : bool
        Whether outputs are the rest of a linear path, and not all that is said.
    """
    shrink = shrinking(rest, outputs) if shrinks else np.ones(outputs.shape[1])
    errors = scale * (rest - shrink * outputs)
    return Calibration(shrink, intervals.half_widths(errors.reshape(len(rest), *shape)))
