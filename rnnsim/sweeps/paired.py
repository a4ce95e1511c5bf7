"""Tests over pairs: Wilcoxon's signed-rank test, and Holm's correction for several tests.

F. Wilcoxon, *Individual comparisons by ranking methods* (1945); S. Holm, *A simple sequentially
rejective multiple test procedure* (1979). As in ``scipy.stats``, whose import takes as long as the
summary of 100,000 runs; but exact with ties, too.
"""

from __future__ import annotations

import math

import numpy as np

from rnnsim.typing import Array

EXACT = 50  # pairs up to which the distribution is counted out


def signed_rank(differences: Array) -> float:
    """The two-sided p-value of Wilcoxon's signed-rank test that differences are symmetric about 0.

    Zeros are left out, and equal sizes have the mean of their ranks. With that, the distribution of the
    sum of the ranks of positive differences over all choices of signs is counted out for up to
    ``EXACT`` differences, and normal with its mean and variance above.

    Parameters
    ----------
    differences : (n,) array
        None is nan; infinite ones are the largest, and equal in size.

    Returns
    -------
    float
        1 if all are zero, or there are none.
    """
    some = differences[differences != 0]
    if not some.size:
        return 1.0
    _, inverse, counts = np.unique(np.abs(some), return_inverse=True, return_counts=True)
    ranks = (2 * np.cumsum(counts) - counts + 1)[inverse]  # doubled: a mean rank may be half a number
    total, positive = int(ranks.sum()), int(ranks[some > 0].sum())
    if some.size > EXACT:
        deviation = abs(positive - total / 2) / (0.5 * math.sqrt(float(np.square(ranks).sum())))
        return math.erfc(deviation / math.sqrt(2))
    shares = np.zeros(total + 1)  # of the choices of signs, by the sum of the positive ranks
    shares[0] = 1.0
    for rank in ranks:
        shares[rank:] += shares[:-rank]
        shares *= 0.5
    return min(1.0, 2 * float(shares[: min(positive, total - positive) + 1].sum()))


def holm(p: Array) -> Array:
    """Correct the p-values (n,) of several tests, which bounds the chance of any wrong rejection."""
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    factors = len(p) - np.arange(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return corrected
