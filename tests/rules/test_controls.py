"""Controls: broken rules that each check of a gradient must reject."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from cases import PLAIN, TYPICAL, Case, check_against_differences, check_against_oracle, make_case

from rnnsim.kernels import kernel
from rnnsim.networks.recurrent.network import RecurrentNetwork
from rnnsim.rule import Rule
from rnnsim_rules.bptt import BPTT

Check = Callable[["Case", str | Rule, dict[str, Any]], None]


class Scaled(BPTT, frozen=True):
    """BPTT whose gradient is 1% too small."""

    name = "scaled"

    def learn(self, network: Any) -> Any:
        learn = super().learn(network)

        @kernel
        def scaled(
            params: Any,
            state: Any,
            stream: Any,
            row: int,
            trajectory: Any,
            window: Any,
            memory: Any,
            grad: Any,
        ) -> int:
            code = learn(params, state, stream, row, trajectory, window, memory, grad)
            grad.W[:] *= 0.99
            return int(code)

        return scaled


class Transposed(BPTT, frozen=True):
    """BPTT with W where W^T belongs."""

    name = "transposed"

    def learn(self, network: Any) -> Any:
        return super().learn(with_pullback(network, transposed_pullback))


class Leakless(BPTT, frozen=True):
    """BPTT that forgets that the state leaks through from step to step."""

    name = "leakless"

    def learn(self, network: Any) -> Any:
        return super().learn(with_pullback(network, leakless_pullback))


def with_pullback(network: RecurrentNetwork, vjp: Any) -> RecurrentNetwork:
    broken = RecurrentNetwork.__new__(RecurrentNetwork)
    broken.__dict__.update(network.__dict__, vjp=vjp)
    return broken


@kernel
def transposed_pullback(
    params: Any, trajectory: Any, t: int, begin: int, end: int, own_error: bool, after: Any,
    delta: Any, before: Any,
) -> None:  # fmt: skip
    _, R, n = after.shape
    for b in range(begin, end):
        for r in range(R):
            if own_error:
                after[b, r] += trajectory.error[t, b]
            delta[b, r] = trajectory.leak * trajectory.slopes[t, b] * after[b, r]
            before[b, r] = (1 - trajectory.leak) * after[b, r]
            for i in range(n):
                for j in range(n):
                    before[b, r, i] += params.W[i, j] * delta[b, r, j]
            if trajectory.resets[t, b]:
                before[b, r] = 0


@kernel
def leakless_pullback(
    params: Any, trajectory: Any, t: int, begin: int, end: int, own_error: bool, after: Any,
    delta: Any, before: Any,
) -> None:  # fmt: skip
    _, R, n = after.shape
    for b in range(begin, end):
        for r in range(R):
            if own_error:
                after[b, r] += trajectory.error[t, b]
            delta[b, r] = trajectory.leak * trajectory.slopes[t, b] * after[b, r]
            before[b, r] = 0
            for i in range(n):
                for j in range(n):
                    before[b, r, i] += params.W[j, i] * delta[b, r, j]
            if trajectory.resets[t, b]:
                before[b, r] = 0


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("check", [check_against_oracle, check_against_differences])
@pytest.mark.parametrize("broken", [Scaled(), Transposed(), Leakless()], ids=lambda rule: rule.name)
def test_broken_rules_are_rejected(check: Check, broken: Rule) -> None:
    case = make_case(dataclasses.replace(TYPICAL, n=3, T=5, B=2, seed=4))
    check(case, "bptt", {})
    with pytest.raises(AssertionError, match="is off by"):
        check(case, broken, {})


@pytest.mark.usefixtures("uncompiled")
def test_a_rule_that_forgets_the_leak_is_right_without_one() -> None:
    """The control is broken in the one way that its name says."""
    check_against_oracle(make_case(PLAIN), Leakless(), {})
