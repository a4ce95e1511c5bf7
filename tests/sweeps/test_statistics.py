"""What the runs of a cell come to, the ranks of rules and the paired test, by loops in plain Python."""

from __future__ import annotations

import itertools
import math
import statistics as oracle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sweeps import DIVERGED, FAILED, REFUSED, cell, complete, made, solved
from scipy import stats

from rnnsim.sweeps.paired import EXACT, holm, signed_rank
from rnnsim.sweeps.ranking import BY_LOSS, BY_STEPS, Ranking, ranking
from rnnsim.sweeps.result import Sweep
from rnnsim.sweeps.statistics import QUANTILES, Statistics, results_of, statistics

NO_STEADY_STATE = {"outcome": "no steady state", "error": "it did not settle"}
LOSSES = st.one_of(st.floats(0, 1e6), st.sampled_from([0.0, 0.5, 1.0]))
RUN = st.one_of(
    st.builds(solved, st.integers(1, 30), LOSSES, score=LOSSES, validation_loss=LOSSES),
    st.builds(complete, st.one_of(LOSSES, st.none()), score=LOSSES),
    st.sampled_from([DIVERGED, NO_STEADY_STATE, FAILED, REFUSED]),
)
CELLS = st.lists(st.lists(RUN, max_size=9), min_size=1, max_size=5)


def of(sweep: Sweep) -> Statistics:
    return statistics(sweep.cells, sweep.runs)


def ranked(sweep: Sweep) -> Ranking:
    results = results_of(sweep.cells, sweep.runs)
    return ranking(sweep.cells, statistics(sweep.cells, sweep.runs, results), results)


# --- quantiles and counts, by loops -------------------------------------------------------------------


def nearest(values: Sequence[float], q: float) -> float:
    """The value of the nearest seed; of two that are as near the one with an even place."""
    return sorted(values)[round(q * (len(values) - 1))] if values else math.nan


def linear(values: Sequence[float], q: float) -> float:
    ordered, at = sorted(values), q * (len(values) - 1)
    low, high, part = ordered[math.floor(at)], ordered[math.ceil(at)], at % 1
    if part == 0 or low == high:
        return low
    infinite = [value for value in (low, high) if math.isinf(value)]
    return infinite[0] if infinite else low + part * (high - low)


def expected(name: str, runs: Sequence[Any]) -> list[float]:
    with_result = [run for run in runs if run["outcome"] not in ("failed", "refused")]
    lost = ("diverged", "no steady state")
    values = [
        math.inf if run["outcome"] in lost or run.get(name) is None else run[name] for run in with_result
    ]
    if name == "solved_at":
        return [nearest(values, q) for q in QUANTILES.values()]
    all_diverged = all(run["outcome"] in lost for run in with_result)
    if not values or (not all_diverged and not any(map(math.isfinite, values))):
        return [math.nan] * len(QUANTILES)
    return [linear(values, q) for q in QUANTILES.values()]


@given(CELLS)
@settings(deadline=None)
def test_each_cell_is_what_a_loop_over_its_runs_finds(cells: list[list[Any]]) -> None:
    found = of(made(*((cell(i), runs) for i, runs in enumerate(cells))))
    for i, runs in enumerate(cells):
        ended = [run["outcome"] for run in runs]
        assert found.runs[i] == len(runs)
        assert found.failed[i] == ended.count("failed")
        assert found.refused[i] == ended.count("refused")
        assert found.diverged[i] == ended.count("diverged") + ended.count("no steady state")
        assert found.results[i] == len(runs) - ended.count("failed") - ended.count("refused")
        assert found.solved[i] == ended.count("solved")
        for name in ("solved_at", "loss", "validation_loss", "score"):
            np.testing.assert_allclose(getattr(found, name)[i], expected(name, runs), rtol=1e-12)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=12))
def test_medians_are_those_of_the_standard_library(values: list[float]) -> None:
    found = of(made((cell(), [complete(value) for value in values])))
    names = list(QUANTILES)
    assert found.loss[0, names.index("median")] == pytest.approx(oracle.median(values))
    if len(values) > 1:
        low, _, high = oracle.quantiles(values, method="inclusive")
        assert found.loss[0, names.index("q25")] == pytest.approx(low)
        assert found.loss[0, names.index("q75")] == pytest.approx(high)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_quantiles_of_steps_are_those_of_the_nearest_seed(steps: list[int]) -> None:
    found = of(made((cell(), [solved(at) for at in steps])))
    same = np.quantile(steps, list(QUANTILES.values()), method="nearest")
    assert found.solved_at[0].tolist() == same.tolist()


def test_where_higher_is_better_the_worst_is_below_all() -> None:
    runs = [complete(score=0.9), complete(score=0.7), DIVERGED]
    better, worse = (of(made((cell(score=name), runs))).score[0] for name in ("accuracy", "error"))
    assert better.tolist() == [-math.inf, -math.inf, 0.7, pytest.approx(0.8), pytest.approx(0.86)]
    assert worse.tolist() == [pytest.approx(0.74), pytest.approx(0.8), 0.9, math.inf, math.inf]


def test_a_run_that_solved_its_task_and_then_diverged_did_not() -> None:
    found = of(made((cell(), [{**DIVERGED, "solved_at": 5}, solved(9)])))
    assert (found.solved[0], found.share_solved[0]) == (1, 0.5)


def test_the_share_within_a_published_figure() -> None:
    runs = [solved(10), solved(11), complete(), FAILED]
    found = of(made((cell(0, published=10), runs), (cell(1), runs), (cell(2, published=5), [FAILED])))
    np.testing.assert_array_equal(found.within, [1 / 3, math.nan, math.nan])


def test_runs_of_other_cells_are_left_out() -> None:
    sweep = made((cell(0, role="trial"), [solved(1)]), (cell(1), [solved(2)]))
    assert statistics(sweep.cells[1:], sweep.runs).solved_at[0].tolist() == [2.0] * 5
    assert statistics([], sweep.runs).runs.size == 0


# --- the paired test ----------------------------------------------------------------------------------


def counted_out(differences: Sequence[float]) -> float:
    """The exact two-sided p-value, over all choices of signs."""
    some = [each for each in differences if each != 0]
    sizes = sorted(map(abs, some))
    ranks = [
        sizes.index(abs(each)) + (sizes.count(abs(each)) + 1) / 2 for each in some
    ]  # fmt: skip
    observed = sum(rank for rank, each in zip(ranks, some) if each > 0)
    sums = [
        sum(rank for rank, sign in zip(ranks, signs) if sign)
        for signs in itertools.product((False, True), repeat=len(ranks))
    ]
    below = sum(each <= observed for each in sums) / len(sums)
    above = sum(each >= observed for each in sums) / len(sums)
    return min(1.0, 2 * min(below, above))


@given(
    st.lists(st.sampled_from([-math.inf, -3.0, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, math.inf]), max_size=9)
)
@settings(deadline=None)
def test_the_test_is_exact_with_ties_zeros_and_infinite_differences(differences: list[float]) -> None:
    assert signed_rank(np.array(differences)) == pytest.approx(counted_out(differences), rel=1e-12)


@given(st.integers(2, EXACT), st.integers(0, 1000), st.floats(-1, 1))
@settings(deadline=None)
def test_it_is_that_of_scipy(count: int, seed: int, shift: float) -> None:
    differences = np.random.default_rng(seed).normal(shift, size=count)
    same = stats.wilcoxon(differences, mode="exact").pvalue
    assert signed_rank(differences) == pytest.approx(same, rel=1e-9)


@given(st.integers(0, 1000), st.floats(-0.3, 0.3))
@settings(deadline=None)
def test_it_is_normal_for_many_also_with_ties(seed: int, shift: float) -> None:
    differences = np.round(np.random.default_rng(seed).normal(shift, size=2 * EXACT), 1)
    same = stats.wilcoxon(differences, mode="approx", correction=False, zero_method="wilcox").pvalue
    assert signed_rank(differences) == pytest.approx(same, rel=1e-9)
    assert signed_rank(np.zeros(3)) == signed_rank(np.zeros(0)) == 1.0


def test_holms_correction() -> None:
    """The example of three tests: the smallest thrice, the next twice, never below the one before."""
    assert holm(np.array([0.04, 0.01, 0.03])).tolist() == pytest.approx([0.06, 0.03, 0.06])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]
    assert holm(np.zeros(0)).size == 0


# --- ranks --------------------------------------------------------------------------------------------


def test_rules_are_ranked_by_what_is_solved_and_then_when() -> None:
    sweep = made(
        (cell(0, "slow"), [solved(30), solved(40), solved(50)]),
        (cell(1, "half"), [solved(1), complete(0.01), complete(0.01)]),
        (cell(2, "fast"), [solved(3), solved(4), solved(5)]),
        (cell(2, "fast", role="control"), [complete()] * 3),
        (cell(3, "elsewhere", "other"), [solved(1)] * 3),
        (cell(4, "lost"), [FAILED] * 3),
    )
    found = ranked(sweep)
    by_rule = {each.rule: i for i, each in enumerate(sweep.cells) if each.role == "result"}
    assert [found.rank[by_rule[rule]] for rule in ("fast", "slow", "half")] == [1, 2, 3]
    others = [i for i in range(len(sweep.cells)) if np.isnan(found.rank[i])]
    assert {sweep.cells[i].rule for i in others} == {"fast", "elsewhere", "lost"}
    assert {found.by[by_rule[rule]] for rule in ("fast", "slow", "half")} == {BY_STEPS}
    assert found.p[by_rule["slow"]] == holm(np.array([counted_out([-27, -36, -45]), 0.75]))[0]
    assert np.isnan(found.p[by_rule["fast"]])


@pytest.mark.parametrize("criterion", ["never: it has no criterion of its own", "an error of 0"])
def test_rules_are_ranked_by_their_loss_where_nothing_is_solved(criterion: str) -> None:
    sweep = made(
        (cell(0, "a", criterion=criterion), [complete(0.2), complete(0.3), complete(0.4)]),
        (cell(1, "b", criterion=criterion), [complete(0.1), complete(0.2), DIVERGED]),
        (cell(2, "c", criterion=criterion), [complete(0.2), complete(0.3), complete(0.4)]),
    )
    found = ranked(sweep)
    assert found.rank.tolist() == [2.5, 1.0, 2.5]
    assert {*found.by} == {BY_LOSS}


def test_seeds_are_paired() -> None:
    """A rule that is a little worse with every seed is found to be; with the seeds mixed it is not."""
    losses = np.random.default_rng(0).lognormal(sigma=3, size=20)
    better = dict(enumerate(complete(loss) for loss in losses))
    worse = {seed: complete(1.01 * run["loss"]) for seed, run in better.items()}
    mixed = dict(zip(np.random.default_rng(1).permutation(20).tolist(), worse.values()))

    def p(other: dict[int, Any]) -> float:
        found = ranked(made((cell(0, "a", criterion=""), better), (cell(1, "b", criterion=""), other)))
        return float(found.p[np.isfinite(found.p)][0])

    assert p(worse) == pytest.approx(2 / 2**20)
    assert p(mixed) > 0.3
    assert p({seed + 20: run for seed, run in worse.items()}) == 1.0  # no seed that both have
    assert p({seed + 15: run for seed, run in mixed.items()}) != p(mixed)


def test_without_a_difference_few_are_found() -> None:
    """The control of the test and its correction: four rules alike, 400 tasks."""
    random = np.random.default_rng(0)
    cells = [
        (cell(i, f"rule {i % 4}", f"task {i // 4}", criterion=""),
         [complete(loss) for loss in random.lognormal(size=12)])
        for i in range(1600)
    ]  # fmt: skip
    found = ranked(made(*cells))
    small = (found.p < 0.05).reshape(-1, 4).any(axis=1).mean()
    assert 0.01 < small < 0.15  # the best is chosen by the same runs
    assert found.tasks == 400
    assert all(2.3 < rank < 2.7 for rank in found.mean.values())


def test_mean_ranks_are_over_tasks_that_have_all_rules() -> None:
    tasks = {"x": {"a": 1, "b": 2, "c": 3}, "y": {"a": 3, "b": 2, "c": 5}, "z": {"a": 2, "b": 1}}
    sweep = made(*(
        (cell(0, rule, task), [solved(at)])
        for task, rules in tasks.items() for rule, at in rules.items()
    ))  # fmt: skip
    found = ranked(sweep)
    assert (dict(found.mean), found.tasks) == ({"a": 1.5, "b": 1.5, "c": 3.0}, 2)
    one = made((cell(0, "a"), [solved(1)]), (cell(1, "b"), [solved(2)]))
    assert (dict(ranked(one).mean), ranked(one).tasks) == ({}, 0)


def test_several_rates_of_a_rule_are_told_apart() -> None:
    sweep = made(*(
        (cell(0, rule, task, learning_rate=rate), [solved(int(1000 * rate) + place)])
        for task in ("x", "y") for place, (rule, rate) in enumerate((("a", 0.1), ("a", 0.2), ("b", 0.3)))
    ))  # fmt: skip
    assert dict(ranked(sweep).mean) == {"a at 0.1": 1.0, "a at 0.2": 2.0, "b": 3.0}
    assert np.isnan(
        ranked(made((cell(0), [solved(1)]), (cell(1, learning_rate=1.0), [solved(2)]))).rank
    ).all()


@given(CELLS)
@settings(deadline=None)
def test_ranks_of_any_runs_are_ranks(cells: list[list[Any]]) -> None:
    found = ranked(made(*((cell(i, f"rule {i}"), runs) for i, runs in enumerate(cells))))
    ranks = found.rank[np.isfinite(found.rank)]
    assert ranks.sum() == len(ranks) * (len(ranks) + 1) / 2
    p = found.p[np.isfinite(found.p)]
    assert len(p) == max(len(ranks) - 1, 0)
    assert ((p >= 0) & (p <= 1)).all()
