"""BPTT(h, h') against a literal statement of theory.md 1.3, one error at a time."""

from __future__ import annotations

import dataclasses
from typing import Any

import naive
import numpy as np
import pytest
from cases import (
    PLAIN,
    TYPICAL,
    Case,
    Sizes,
    assert_equal_gradients,
    check_against_oracle,
    drawn_sizes,
    existing,
    make_case,
)
from hypothesis import given
from hypothesis import strategies as st

from rnnsim.registry import make_rule

RULE = "truncated-bptt"

# h > h', h = h', h' = 1, h' that divides neither T nor the windows, sweeps longer than the sequence
REACHES = [(1, 1), (2, 1), (3, 3), (3, 2), (4, 3), (5, 2), (5, 1), (7, 7), (8, 5), (20, 3), (20, 20)]


def check_against_words(case: Case, h: int, h_prime: int, **how: Any) -> None:
    """The gradient is that of the naive statement of BPTT(h, h')."""
    found = case.gradient(RULE, h=h, h_prime=h_prime, **how).grads
    expected = naive.truncated_bptt(case.net, case.data, h, h_prime)
    assert_equal_gradients(found, existing(case, expected), 1e-10)


@given(sizes=drawn_sizes(), reach=st.sampled_from(REACHES))
def test_it_is_what_the_words_say(sizes: Sizes, reach: tuple[int, int]) -> None:
    check_against_words(make_case(sizes), *reach)


@given(sizes=drawn_sizes(), reach=st.sampled_from(REACHES), width=st.integers(1, 13))
def test_windows_of_any_width_change_nothing(sizes: Sizes, reach: tuple[int, int], width: int) -> None:
    check_against_words(make_case(sizes), *reach, window=width)


@pytest.mark.parametrize(("h", "h_prime"), REACHES)
@pytest.mark.parametrize("width", [1, 2, 3, 5, 40])
def test_a_long_stream_with_resets_and_a_leak(h: int, h_prime: int, width: int) -> None:
    """40 steps, so that sweeps, windows and the end fall apart in every way."""
    check_against_words(make_case(dataclasses.replace(TYPICAL, T=40)), h, h_prime, window=width)


@given(sizes=drawn_sizes(), more=st.integers(0, 5), h_prime=st.integers(1, 20))
def test_from_h_of_T_on_it_is_exact_for_every_h_prime(sizes: Sizes, more: int, h_prime: int) -> None:
    case = make_case(sizes)
    h = max(sizes.T + more, h_prime)
    found = case.gradient(RULE, h=h, h_prime=h_prime).grads
    assert_equal_gradients(found, existing(case, naive.bptt(case.net, case.data)), 1e-10)


def test_a_last_window_that_is_shorter_has_its_whole_history() -> None:
    """Two windows, of steps 1-2 and 3: the one sweep goes back from 3 to 1."""
    check_against_words(make_case(dataclasses.replace(TYPICAL, T=3)), 3, 3, window=2)


def test_h_prime_is_h_by_default() -> None:
    case = make_case(TYPICAL)
    default = case.gradient(RULE, h=3).grads
    assert_equal_gradients(default, case.gradient(RULE, h=3, h_prime=3).grads._asdict(), 0)


def test_the_readout_is_never_truncated() -> None:
    case = make_case(TYPICAL)
    exact = naive.bptt(case.net, case.data)
    grads = case.gradient(RULE, h=1).grads
    for name in ("V", "c"):
        np.testing.assert_allclose(getattr(grads, name), exact[name], rtol=1e-12, atol=1e-14)


def test_the_grid_counts_from_the_first_step_and_not_from_resets() -> None:
    case = make_case(dataclasses.replace(TYPICAL, T=12, B=1))
    resets = np.zeros((12, 1), bool)
    resets[4] = True  # a grid counted from here would fall on 7, 10 and not on 6, 9
    case = dataclasses.replace(
        case, arguments=case.arguments | {"resets": resets}, data=case.data._replace(resets=resets)
    )
    check_against_words(case, 3, 3)
    check_against_words(case, 4, 3)


# --- controls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("h", "h_prime"), [(3, 2), (5, 2), (4, 4), (4, 1)])
def test_another_h_or_h_prime_is_rejected(h: int, h_prime: int) -> None:
    case = make_case(dataclasses.replace(PLAIN, T=12))
    check_against_words(case, 4, 2)
    found = case.gradient(RULE, h=h, h_prime=h_prime).grads
    with pytest.raises(AssertionError, match="is off by"):
        assert_equal_gradients(found, naive.truncated_bptt(case.net, case.data, 4, 2), 1e-10)


def test_the_exact_gradient_is_rejected() -> None:
    case = make_case(PLAIN)
    expected = naive.truncated_bptt(case.net, case.data, 3, 2)
    with pytest.raises(AssertionError, match="is off by"):
        assert_equal_gradients(case.gradient("bptt").grads, expected, 1e-10)


@given(sizes=drawn_sizes(), k=st.integers(1, 14), width=st.integers(1, 13))
def test_the_last_chunk_is_detached_where_it_begins(sizes: Sizes, k: int, width: int) -> None:
    """``last=chunk`` with h = h' = k: BPTT of each k steps by itself, as "detach every k steps"."""
    case = make_case(sizes)
    found = case.gradient(RULE, h=k, last="chunk", window=width).grads
    assert_equal_gradients(found, existing(case, naive.bptt_in_windows(case.net, case.data, k)), 1e-10)


def test_the_full_sweep_at_the_end_goes_further() -> None:
    """The control: by default it is another gradient, unless h' divides T."""
    case = make_case(dataclasses.replace(PLAIN, T=8))
    for k, same in ((4, True), (3, False)):
        full, chunk = (case.gradient(RULE, h=k, last=last).grads for last in ("full", "chunk"))
        assert all(np.allclose(a, b, rtol=1e-12, atol=0) for a, b in zip(full, chunk)) is same


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(("h", "h_prime", "last"), [(5, 2, "full"), (5, 5, "full"), (5, 2, "chunk")])
def test_it_is_exact_as_far_as_it_says_that_it_reaches(h: int, h_prime: int, last: str) -> None:
    options = {"h": h, "h_prime": h_prime, "last": last}
    reach = make_rule(RULE, options).reach(make_case(TYPICAL).network)
    for T in range(1, reach + 1):
        check_against_oracle(make_case(dataclasses.replace(TYPICAL, resets=False, T=T)), RULE, options)
    case = make_case(dataclasses.replace(TYPICAL, resets=False, T=reach + 1))
    with pytest.raises(AssertionError, match="is off by"):
        check_against_oracle(case, RULE, options)
    assert make_rule("bptt", {}).reach(case.network) is None
