"""Whether a rule's gradient is what it claims, in whole sequences, in windows and in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from rnnsim.testing.cases import STEPS, Case, flattened, has_dtypes, in_single
from rnnsim.testing.measures import (
    DIFFERENCES,
    EQUAL,
    SINGLE,
    TINY,
    alignment,
    deviation,
    differences,
    names_of,
    ratio,
)
from rnnsim.testing.report import Check, Measured
from rnnsim.testing.subject import Subject
from rnnsim.typing import Array

WINDOW = 3  # steps, which do not divide a sequence
LONGEST = 24  # steps of a sequence that is as long as a rule reaches
BEYOND = 6  # more steps than that


def checks(subject: Subject) -> Iterator[Check]:
    """Those of one network after the other, then those of compiled code."""
    for name in subject.networks:
        yield from _claim_on(subject, name)
        if subject.rule.online and not subject.rule.settles:
            yield from _windows_on(subject, name)
    single = has_dtypes(subject.networks[subject.first])
    tolerance = SINGLE if subject.claims(subject.first) == "exact" else 10 * SINGLE
    yield Check(
        f"compiled, {subject.first}",
        f"as uncompiled, within {EQUAL:g}",
        partial(_compiled, subject),
    )
    if single:
        yield Check(
            f"compiled in float32, {subject.first}",
            f"as in float64, within {tolerance:g}",
            partial(_compiled_single, subject, tolerance),
        )


def _claim_on(subject: Subject, name: str) -> Iterator[Check]:
    """What the rule claims of its gradient on a network."""
    yield Check(
        f"writes, {name}",
        "a finite gradient of each array that is not the retrieval's own",
        partial(_writes, subject, name),
    )
    claim = subject.claims(name)
    if claim == "exact":
        yield Check(
            f"differences, {name}",
            f"exact: within {DIFFERENCES:g} of finite differences of the loss",
            partial(_against_differences, subject, name, STEPS),
        )
        if other := subject.exact_rule(subject.networks[name]):
            yield Check(
                f"reference, {name}",
                f"exact: within {EQUAL:g} of {other}",
                partial(_against_reference, subject, name, STEPS),
            )
        if has_dtypes(subject.networks[name]):
            yield Check(
                f"float32, {name}",
                f"exact: within {SINGLE:g} of float64",
                partial(_single, subject, name),
            )
    elif claim == "approximate" and (other := subject.exact_rule(subject.networks[name])):
        yield Check(
            f"alignment, {name}",
            f"approximate: shown beside {other}",
            partial(_aligned, subject, name),
        )
    elif claim == "truncated":
        yield from _truncated_on(subject, name)


def _truncated_on(subject: Subject, name: str) -> Iterator[Check]:
    reach = subject.rule.reach(subject.networks[name])
    if reach is None:
        yield Check(
            f"reach, {name}",
            "truncated: it says how many steps back credit reaches",
            lambda: Measured("reach gives None", False),
        )
        return
    steps = min(reach, LONGEST)
    yield Check(
        f"reach, {name}",
        f"truncated: within {DIFFERENCES:g} of finite differences in {steps} of {reach} steps",
        partial(_against_differences, subject, name, steps),
    )
    if steps == reach:
        yield Check(
            f"beyond its reach, {name}",
            f"truncated: not exact in {reach + BEYOND} steps",
            partial(_beyond, subject, name, reach + BEYOND),
        )


def _windows_on(subject: Subject, name: str) -> Iterator[Check]:
    """That windows and pieces make no difference; or all, to a rule that carries nothing."""
    if subject.rule.carries:
        yield Check(
            f"windows, {name}",
            f"windows of {WINDOW} steps change nothing, within {EQUAL:g}",
            partial(_in_windows, subject, name),
        )
        yield Check(
            f"pieces, {name}",
            f"a sequence handed on in pieces is the whole, within {EQUAL:g}",
            partial(_in_pieces, subject, name),
        )
    else:
        yield Check(
            f"windows, {name}",
            f"a window's gradient depends on no step before it, within {EQUAL:g}",
            partial(_in_windows_apart, subject, name),
        )


# --- what is measured --------------------------------------------------------------------------------


def _writes(subject: Subject, name: str) -> Measured:
    case = subject.case(name)
    found = case.flat_gradient(subject.rule)
    written, lacking = found != 0, []
    for array in names_of(case.network, case.own).split(", "):
        if array not in names_of(case.network, written & case.own).split(", "):
            lacking.append(array)
    if lacking:
        return Measured(f"never written: {', '.join(lacking)}", False)
    absent = names_of(case.network, written & ~case.free)
    if absent:
        return Measured(f"a gradient of connections that do not exist, in {absent}", False)
    return Measured(f"{names_of(case.network, written & case.own)} written, finite")


def _against_differences(subject: Subject, name: str, steps: int) -> Measured:
    case = subject.case(name, steps)
    return differences(case, case.flat_gradient(subject.rule)).within(DIFFERENCES)


def _against_reference(subject: Subject, name: str, steps: int) -> Measured:
    case = subject.case(name, steps)
    found = case.flat_gradient(subject.rule)
    return deviation(case.network, found, subject.exact(name, steps)).within(EQUAL)


def _aligned(subject: Subject, name: str) -> Measured:
    """Over the parameters that the rule itself writes."""
    case, exact = subject.case(name), subject.exact(name)
    found, own = case.flat_gradient(subject.rule), case.own
    text = f"alignment {alignment(found[own], exact[own]):.3f}"
    return Measured(f"{text}, ratio of norms {ratio(found[own], exact[own]):.3f}", None)


def _beyond(subject: Subject, name: str, steps: int) -> Measured:
    """A rule that is exact there too is more than it claims, which fails nothing."""
    case = subject.case(name, steps).changed(resets=None)
    found = differences(case, case.flat_gradient(subject.rule))
    return Measured(f"an error of {found.error:.2g}", None)


def _single(subject: Subject, name: str) -> Measured:
    case = subject.case(name)
    found = in_single(case).flat_gradient(subject.rule)
    return deviation(case.network, found, case.flat_gradient(subject.rule)).within(SINGLE)


def _in_windows(subject: Subject, name: str) -> Measured:
    case = subject.case(name)
    found = case.flat_gradient(subject.rule, window=WINDOW)
    return deviation(case.network, found, case.flat_gradient(subject.rule)).within(EQUAL)


def _in_windows_apart(subject: Subject, name: str) -> Measured:
    case = subject.case(name)
    found, expected = case.flat_gradient(subject.rule, window=WINDOW), np.zeros_like(case.flat)
    state = case.data.get("initial_state")
    for first in range(0, STEPS, WINDOW):
        piece = case.rows(first, first + WINDOW).changed(initial_state=state)
        result = piece.gradient(subject.rule)
        expected, state = expected + flattened(result.grads), result.state
    return deviation(case.network, found, expected).within(EQUAL)


def piece_length(subject: Subject, case: Case) -> int:
    """Steps of a piece: whole windows of a rule that prefers some."""
    return min(subject.rule.online_window(case.network) or WINDOW, LONGEST)


def _in_pieces(subject: Subject, name: str) -> Measured:
    """The sum over pieces, each with the memory that the one before has left."""
    length = piece_length(subject, subject.case(name))
    steps = max(STEPS, 2 * length + 1)
    case = subject.case(name, steps)
    rule, found, memory = subject.rule, np.zeros_like(case.flat), None
    state, window = case.data.get("initial_state"), min(length, WINDOW)
    for first in range(0, steps, length):
        piece = case.rows(first, min(first + length, steps)).changed(initial_state=state)
        result = piece.gradient(rule, memory=memory, window=window)
        found, state, memory = found + flattened(result.grads), result.state, result.memory
    return deviation(case.network, found, case.flat_gradient(rule)).within(EQUAL)


def _compiled(subject: Subject) -> Measured:
    case = subject.case(subject.first)
    found = case.flat_gradient(subject.rule, compiled=True)
    return deviation(case.network, found, case.flat_gradient(subject.rule)).within(EQUAL)


def _compiled_single(subject: Subject, tolerance: float) -> Measured:
    case = subject.case(subject.first)
    found = in_single(case).flat_gradient(subject.rule, compiled=True)
    return deviation(case.network, found, case.flat_gradient(subject.rule)).within(tolerance)


def relative(found: Array, expected: Array) -> float:
    """The largest error, relative to the largest entry of what is expected."""
    scale = max(float(np.abs(expected).max(initial=0)), TINY)
    return float(np.abs(found - expected).max(initial=0)) / scale
