"""Controls: fast-weight networks with broken derivatives, which each check of a gradient must reject.

Their outputs and losses are right. What the rules ask for (``vjp``, ``collect``, ``propagate``)
is computed from a trajectory, and each control changes one thing in it.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from cases import FLOOR, assert_equal_gradients, differences_of_loss
from fast_weight_cases import (
    ARCHITECTURE_1,
    ARCHITECTURE_2,
    FAST_PLAIN,
    FAST_TYPICAL,
    Composition,
    FastCase,
    check_against_fast_oracle,
    make_fast_case,
)

pytestmark = pytest.mark.usefixtures("uncompiled")  # the broken kernels are plain Python

SMALL = dataclasses.replace(FAST_TYPICAL, T=5, slow_hidden=(2,), n_out=1)


@cache
def differences(architecture: int) -> dict[str, np.ndarray]:
    return differences_of_loss(make_fast_case(SMALL, Composition(architecture)))


def check_against_differences(case: FastCase, rule: str, options: dict[str, Any]) -> None:
    """As for every network; the loss of the small case, which no control breaks, is taken once."""
    assert_equal_gradients(
        case.gradient(rule, **options).grads, differences(case.net.architecture), 1e-6, FLOOR
    )


Check = Callable[["FastCase", str, dict[str, Any]], None]
CHECKS: list[Check] = [check_against_fast_oracle, check_against_differences]
RULES = [("bptt", {}), ("bptt", {"checkpoint": True}), ("rtrl", {}), ("truncated-bptt", {"h": 20})]


def read_late(trajectory: Any) -> Any:
    """gamma of step t where that of t+1 belongs: the output read after the step, not before it."""
    error = np.zeros_like(trajectory.error)
    error[1:] = trajectory.error[:-1]
    return trajectory._replace(error=error)


def forget_slow_start(trajectory: Any) -> Any:
    """p(0) = 0 also where S sets the initial fast weights."""
    return trajectory._replace(slow_start=False)


def cross_resets(trajectory: Any) -> Any:
    """Credit goes on to the steps before a reset."""
    return trajectory._replace(starts=np.zeros_like(trajectory.starts))


def fade_never(trajectory: Any) -> Any:
    """dsigma/dw = 1."""
    return trajectory._replace(by_state=np.ones_like(trajectory.by_state))


def change_in_full(trajectory: Any) -> Any:
    """dsigma/dBox w = 1."""
    return trajectory._replace(by_drive=np.ones_like(trajectory.by_drive))


def swap_partials(trajectory: Any) -> Any:
    """s_a where s_b belongs in eq. (25)."""
    return trajectory._replace(by_origin=trajectory.by_origin[:, :, ::-1])


def forget_to(trajectory: Any) -> Any:
    """Only the first term of eq. (25)."""
    return trajectory._replace(by_origin=trajectory.by_origin * np.array([[1.0], [0.0]]))


def forget_slow_slopes(trajectory: Any) -> Any:
    """f' = 1 in all of S."""
    return trajectory._replace(slow_slopes=np.ones_like(trajectory.slow_slopes))


BROKEN = {
    ARCHITECTURE_1: [
        read_late,
        forget_slow_start,
        cross_resets,
        fade_never,
        change_in_full,
        forget_slow_slopes,
    ],
    ARCHITECTURE_2: [read_late, forget_slow_start, swap_partials, forget_to],
}
CONTROLS = [
    pytest.param(composition, broken, id=f"{composition.architecture}-{broken.__name__}")
    for composition, controls in BROKEN.items()
    for broken in controls
]


def with_kernels(case: FastCase, **kernels: Any) -> FastCase:
    network = copy.copy(case.network)
    for name, function in kernels.items():
        setattr(network, name, function)
    return dataclasses.replace(case, network=network)


def break_case(case: FastCase, broken: Callable[[Any], Any]) -> FastCase:
    """Let the derivatives see a changed trajectory: in every kernel it is the second argument."""

    def seeing(function: Any) -> Any:
        def sees(params: Any, trajectory: Any, *rest: Any) -> None:
            function(params, broken(trajectory), *rest)

        return sees

    names = ("vjp", "collect", "propagate")
    return with_kernels(case, **{name: seeing(getattr(case.network, name)) for name in names})


def reject(check: Check, case: FastCase, rule: str, options: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="is off by"):
        check(case, rule, options)


def variants(check: Check, architecture: int) -> list[tuple[str, dict[str, Any]]]:
    """Differences take their time: they are held against one rule that sweeps and one that carries."""
    if check is check_against_differences:
        return [("bptt", {}), ("rtrl", {})]
    return [*RULES, (f"fast-weights-{architecture}", {})]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("composition", BROKEN, ids=str)
def test_derivatives_that_are_not_broken_pass(check: Check, composition: Composition) -> None:
    case = break_case(make_fast_case(SMALL, composition), lambda trajectory: trajectory)
    for rule, options in variants(check, composition.architecture):
        check(case, rule, options)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("composition", "broken"), CONTROLS)
def test_broken_derivatives_are_rejected(
    check: Check, composition: Composition, broken: Callable[[Any], Any]
) -> None:
    case = break_case(make_fast_case(SMALL, composition), broken)
    for rule, options in variants(check, composition.architecture):
        reject(check, case, rule, options)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("composition", BROKEN, ids=str)
def test_a_gradient_that_is_a_little_small_is_rejected(check: Check, composition: Composition) -> None:
    """By 1%, in all weights or in the biases of S's outputs, which come last."""
    case = make_fast_case(SMALL, composition)
    for first in (0, -case.params.b2.size):

        def constrain(trajectory: Any, grad: Any, first: int = first) -> None:
            grad.flat[first:] *= 0.99

        for rule, options in variants(check, composition.architecture):
            reject(check, with_kernels(case, constrain=constrain), rule, options)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("field", ["hidden", "output"])
@pytest.mark.parametrize("composition", BROKEN, ids=str)
def test_traces_that_are_lost_are_rejected(check: Check, field: str, composition: Composition) -> None:
    """Those of the weights into hidden units, or into S's outputs, once a window of two steps."""
    case = make_fast_case(SMALL, composition)
    propagate = case.network.propagate

    def forgets(params: Any, trajectory: Any, first: int, count: int, traces: Any, grad: Any) -> None:
        getattr(traces, field)[:] = 0
        propagate(params, trajectory, first, count, traces, grad)

    check(case, "rtrl", {"window": 2})
    reject(check, with_kernels(case, propagate=forgets), "rtrl", {"window": 2})


# Each control is broken in the one way that its name says: it is right where that makes no difference.
SUM = (lambda a, b: a + b, lambda a, b: 1.0, lambda a, b: 1.0)
FROM_ALONE = (lambda a, b: 2 * a, lambda a, b: 2.0, lambda a, b: 0.0)
HARMLESS = [
    (forget_slow_start, dataclasses.replace(SMALL, initial=0.3), ARCHITECTURE_1),
    (cross_resets, FAST_PLAIN, ARCHITECTURE_1),
    (fade_never, SMALL, Composition(1, "additive")),
    (change_in_full, SMALL, Composition(1, "additive")),
    (forget_slow_slopes, FAST_PLAIN, ARCHITECTURE_1),
    (swap_partials, SMALL, Composition(2, g=SUM)),
    (forget_to, SMALL, Composition(2, g=FROM_ALONE)),
]


@pytest.mark.parametrize(("broken", "sizes", "composition"), HARMLESS)
def test_broken_derivatives_are_right_where_nothing_hangs_on_them(
    broken: Callable[[Any], Any], sizes: Any, composition: Composition
) -> None:
    case = break_case(make_fast_case(sizes, composition), broken)
    for rule, options in RULES:
        check_against_fast_oracle(case, rule, options)


def test_an_output_read_after_the_step_is_rejected() -> None:
    """Eq. (16): y(t) is of w(t-1). One step more of the same row would read w(t)."""
    case = make_fast_case(FAST_PLAIN)
    first = {name: array[:1] for name, array in case.arguments.items() if name != "inputs"}
    first["inputs"] = tuple(array[:1] for array in case.arguments["inputs"])
    late = {name: np.concatenate([array, array]) for name, array in first.items() if name != "inputs"}
    late["inputs"] = tuple(np.concatenate([array, array]) for array in first["inputs"])
    late["mask"] = np.array([[0.0] * FAST_PLAIN.B, [1.0] * FAST_PLAIN.B])
    losses = [dataclasses.replace(case, arguments=arguments).loss() for arguments in (first, late)]
    expected = sum(step.loss for step in case.path.steps[0])
    assert losses[0] == pytest.approx(expected, rel=1e-12)
    assert abs(losses[1] - expected) > 1e-3
