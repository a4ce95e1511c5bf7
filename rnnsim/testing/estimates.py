"""Rules that draw random numbers: is the mean over many draws the exact gradient (theory.md 5)?

Draws are made one by one, each the gradient of the same sequences from the same beginning, while the
rule's generator goes on. A compiled call takes some tens of microseconds, and gives the variance of
single draws; copies of a sequence side by side in one batch would give means of them alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from rnnsim.testing.cases import PLAIN, Case
from rnnsim.testing.measures import TINY, parts
from rnnsim.testing.memory import prepared
from rnnsim.testing.report import Check, Measured
from rnnsim.testing.subject import Subject
from rnnsim.training.sequences import arrays_in
from rnnsim.typing import Array, Bools

DRAWS = 10_000
FALSE_ALARM = 1e-3  # for all entries together
SHORT = 7  # steps: the variance grows with their number
ROUNDING = 1e-12  # a spread below this, relative to the gradient, is no variance


def checks(subject: Subject, draws: int = DRAWS) -> Iterator[Check]:
    """One for each network on which the rule claims to be unbiased, but for those that have less."""
    for name in subject.networks:
        has_less = name.endswith(PLAIN) and len(subject.networks) > 1
        if subject.claims(name) == "unbiased" and not has_less:
            yield Check(
                f"unbiased, {name}",
                f"the mean of {draws:,} draws is exact, false alarms {FALSE_ALARM:g} over all entries",
                partial(_unbiased, subject, name, draws),
            )


class Moments(NamedTuple):
    """Of many draws of a gradient: the mean of each entry, and its variance.

    Attributes
    ----------
    draws : int
    mean, variance : (P,) arrays
    along : float
        The mean of g . g* / |g*|^2, g* being the exact gradient: 1 without bias.
    along_variance : float
    """

    draws: int
    mean: Array
    variance: Array
    along: float
    along_variance: float


def _unbiased(subject: Subject, name: str, draws: int) -> Measured:
    case = subject.case(name, SHORT)
    exact = subject.exact(name, SHORT)
    return judged(case, moments(drawn(subject, case, draws), exact, case.own), exact)


def drawn(subject: Subject, case: Case, draws: int) -> Iterator[Array]:
    """Independent gradients of the same sequences: everything starts anew but the generator."""
    arrays, stream, _ = prepared(subject, case)
    steps, out = len(stream.mask), np.zeros_like(arrays.work.flat_grad)
    live = [*arrays_in(arrays.work.memory), *arrays_in(arrays.work.state)]
    first = deepcopy(live)
    for _ in range(draws):
        for array, value in zip(live, first):
            array[...] = value
        arrays.work.progress[:] = 0
        code = arrays.run(stream, 0, steps, False, out)
        if code:
            raise subject.rule.explain(code, arrays.work.memory, 1)
        yield out


def moments(gradients: Iterator[Array], exact: Array, own: Bools) -> Moments:
    """Accumulate deviations from the exact gradient, so that none cancel."""
    size = max(float(exact[own] @ exact[own]), TINY)
    count, total, squares = 0, np.zeros(own.sum()), np.zeros(own.sum())
    along, along_squares = 0.0, 0.0
    for gradient in gradients:
        away = gradient[own] - exact[own]
        part = float(away @ exact[own]) / size
        count, total, squares = count + 1, total + away, squares + away * away
        along, along_squares = along + part, along_squares + part * part
    mean, part = total / count, along / count
    return Moments(
        count,
        exact[own] + mean,
        np.maximum(squares / count - mean * mean, 0),
        1 + part,
        max(along_squares / count - part * part, 0.0),
    )


def judged(case: Case, found: Moments, exact: Array) -> Measured:
    """Whether all entries, and the component along the exact gradient, lie within their errors.

    Each of the P + 1 is given a false-alarm rate of 1e-3 / (P + 1) (Bonferroni).
    """
    own = case.own
    norm = float(np.linalg.norm(exact[own]))
    if norm <= TINY:
        return Measured("the exact gradient is 0: nothing can be seen", False)
    still = np.sqrt(found.variance) <= ROUNDING * norm
    names = [name for name, part in parts(case.network) for _ in range(int(own[part].sum()))]
    if still.any():
        where = ", ".join(dict.fromkeys(name for name, no in zip(names, still) if no))
        return Measured(f"{still.sum()} of {still.size} entries have no variance, in {where}", False)
    limit = NormalDist().inv_cdf(1 - FALSE_ALARM / (2 * (still.size + 1)))
    scores = np.abs(found.mean - exact[own]) / np.sqrt(found.variance / found.draws)
    along = abs(found.along - 1) / max(math.sqrt(found.along_variance / found.draws), TINY)
    worst = int(scores.argmax())
    relative = float(found.variance.sum()) / norm**2
    text = (
        f"at most {scores[worst]:.1f} standard errors, along it {along:.1f} ({found.along:.3f} of it), "
        f"of {limit:.1f}; relative variance {relative:.3g}"
    )
    if max(scores[worst], along) > limit:
        return Measured(f"{text}; the worst entry is in {names[worst]}", False)
    return Measured(text)
