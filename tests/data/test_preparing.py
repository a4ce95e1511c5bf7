"""From series to rows that are learnt, beside plain loops: scaling, missing values, horizons, lags."""

from __future__ import annotations

from typing import Any

import naive_tables as naive
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rnnsim.data import row_blocks
from rnnsim.data.arranging import Arranged, Treatment, arranged, rows_in, series_for
from rnnsim.data.columns import CATEGORY, NUMBER, TIME, Column, Columns
from rnnsim.data.facts import facts_as_data, facts_from
from rnnsim.data.missing import carried_forward, treated
from rnnsim.data.parts import LEARNT, TEST, VALIDATION, parts_of
from rnnsim.data.preparation import Choices, one_hot
from rnnsim.data.roles import Roles
from rnnsim.data.scaling import scaling_of
from rnnsim.data.series import Feature, Series, series_of
from rnnsim.errors import RnnsimError, UnknownName

NAN = np.nan


def columns_of(lengths: tuple[int, ...] = (), **values: Any) -> Columns:
    """Columns of numbers, of text or of times."""
    found = {}
    for name, given_values in values.items():
        array = np.asarray(given_values)
        if array.dtype.kind == "U":
            texts, index = np.unique(array, return_inverse=True)
            found[name] = Column(name, CATEGORY, index.astype(float), tuple(texts))
        elif array.dtype.kind == "M":
            found[name] = Column(name, TIME, array.astype("M8[s]").astype(float))
        else:
            found[name] = Column(name, NUMBER, array.astype(float))
    rows = len(next(iter(found.values())).values)
    names = tuple(f"file {i}" for i in range(len(lengths))) if len(lengths) > 1 else ()
    return Columns("a table", found, rows, lengths or (rows,), names)


def arrange(columns: Columns, roles: Roles, choices: Choices | None = None, **given: Any) -> Arranged:
    treatment = Treatment(**given)
    return arranged(rows_in(columns, roles, treatment), choices or Choices((1,)), treatment)


AB = Roles(("a", "b"), ("b",))


@st.composite
def drawn_series(draw: st.DrawFn) -> tuple[Columns, Choices]:
    """Sequences of two columns, of which values are missing; what is learnt has some of each."""
    lengths = tuple(draw(st.lists(st.integers(16, 30), min_size=1, max_size=3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = 100 * rng.standard_normal((sum(lengths), 2)) + 7
    values[rng.random(values.shape) < draw(st.sampled_from([0.0, 0.2]))] = NAN
    values[:3] = rng.standard_normal((3, 2))
    horizons = tuple(draw(st.lists(st.integers(0, 6), min_size=1, max_size=3, unique=True)))
    return columns_of(lengths, a=values[:, 0], b=values[:, 1]), Choices(
        horizons, draw(st.integers(0, 4))
    )


@given(drawn_series())
def test_rows_are_those_of_plain_loops(case: tuple[Columns, Choices]) -> None:
    columns, choices = case
    made = arrange(columns, AB, choices)
    series, prepared, preparation = made.series, made.prepared, made.facts.preparation
    learnt = made.part == LEARNT
    x, d = series.x, series.d
    mean, scale = naive.scaling(x[learnt])
    mean_d, scale_d = naive.scaling(d[learnt])
    filled = (naive.carried_forward(x, series.starts, mean) - mean) / scale
    lacking = np.isnan(x[learnt]).any(axis=0)
    now = np.hstack([filled, np.isnan(x[:, lacking])])
    assert preparation.n_in == prepared.inputs.shape[1] == len(preparation.input_names)
    for t in range(len(x)):
        rows = [naive.before(now, series.starts, t, lag) for lag in range(1 + choices.lags)]
        np.testing.assert_allclose(prepared.inputs[t], np.concatenate(rows), atol=1e-12)
        for j, h in enumerate(choices.horizons):
            target = naive.ahead(d, series.starts, t, h)
            weight = prepared.weights[t, min(j, prepared.weights.shape[1] - 1)]
            if target is None or np.isnan(target[0]):
                assert weight == 0
                assert prepared.targets[t, j] == 0
            else:
                assert weight == 1
                assert prepared.targets[t, j] == pytest.approx((target[0] - mean_d[0]) / scale_d[0])
                in_units = (prepared.base + prepared.scale * prepared.targets)[t, j]
                assert in_units == pytest.approx(target[0], rel=1e-9, abs=1e-9)


@given(drawn_series(), st.integers(0, 2**32 - 1))
def test_inputs_depend_on_no_later_row(case: tuple[Columns, Choices], seed: int) -> None:
    columns, choices = case
    made = arrange(columns, AB, choices)
    preparation, series = made.facts.preparation, made.series
    rng = np.random.default_rng(seed)
    t = int(rng.integers(1, series.rows))
    changed = Series(**{**vars(series), "x": np.vstack([series.x[:t], series.x[t:] + 1.0])})
    before = preparation.view(series).inputs
    after = preparation.view(changed).inputs
    np.testing.assert_array_equal(before[:t], after[:t])
    if np.isfinite(series.x[t]).any():  # the control: the row itself is seen
        assert (before[t] != after[t]).any()


@given(drawn_series())
def test_each_target_is_in_one_part_and_what_is_learnt_uses_no_other(
    case: tuple[Columns, Choices],
) -> None:
    columns, choices = case
    made = arrange(columns, AB, choices)
    counts = np.zeros((made.series.rows, len(choices.horizons)))
    for number, pairs in enumerate(map(made.pairs, (LEARNT, VALIDATION, TEST))):
        for row, weight in zip(
            pairs.rows, np.broadcast_to(pairs.weights, (len(pairs.rows), counts.shape[1]))
        ):
            counts[row] += weight
            for j, h in enumerate(choices.horizons):
                if weight[j]:
                    assert made.part[row + h] == number
        np.testing.assert_array_equal(pairs.inputs, made.prepared.inputs[pairs.rows])
        new = np.flatnonzero(pairs.resets)
        assert (pairs.rows[new] == 0).sum() <= 1
        for t in range(1, len(pairs.rows)):  # a reset exactly where rows do not follow one another
            follows = pairs.rows[t] == pairs.rows[t - 1] + 1 and not made.series.starts[pairs.rows[t]]
            assert pairs.resets[t] == (not follows)
    np.testing.assert_array_equal(counts, np.broadcast_to(made.prepared.weights, counts.shape))


@given(drawn_series())
def test_facts_are_the_same_as_data_and_for_other_rows(case: tuple[Columns, Choices]) -> None:
    columns, choices = case
    made = arrange(columns, AB, choices)
    again = facts_from(facts_as_data(made.facts))
    assert again.roles == made.facts.roles
    series = series_for(columns, again)
    np.testing.assert_array_equal(again.preparation.view(series).inputs, made.prepared.inputs)
    without = Columns("others", {"a": columns.columns["a"], "b": columns.columns["b"]}, columns.rows,
                      columns.lengths)  # fmt: skip
    np.testing.assert_array_equal(
        again.preparation.view(series_for(without, again)).inputs, made.prepared.inputs
    )


@given(drawn_series(), st.booleans(), st.sampled_from(["each", "end"]))
def test_blocks_of_rows_do_not_show(
    case: tuple[Columns, Choices], has_path: bool, target_at: str
) -> None:
    columns, choices = case
    choices = choices._replace(has_path=has_path, at_end=target_at == "end" and len(columns.lengths) > 2)
    try:
        made = arrange(columns, AB, choices)
    except RnnsimError:  # there may be too few targets
        assume(False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_blocks, "BLOCK", 5)
        patch.setattr(row_blocks, "SUMMED", 5)
        again = arrange(columns, AB, choices)
    assert again.facts.rows == made.facts.rows
    assert again.facts.baseline == pytest.approx(made.facts.baseline, rel=1e-9)
    for part in (LEARNT, VALIDATION, TEST):
        for array, other in zip(again.pairs(part), made.pairs(part)):
            np.testing.assert_allclose(array, other, rtol=1e-8, atol=1e-8)
    assert len(made.prepared.inputs) == made.series.rows
    if has_path and len(columns.lengths) == 1:  # the test, which ends it, is prepared by itself
        before = int(np.flatnonzero(made.part != TEST)[-1]) + 1
        assert len(again.prepared.inputs) == min(-(-before // 5) * 5, made.series.rows)


def test_the_sum_over_rows_is_that_of_all_of_them() -> None:
    values = np.random.default_rng(0).standard_normal((2 * row_blocks.SUMMED + 3, 2))
    found = row_blocks.total(len(values), lambda rows: values[rows])
    np.testing.assert_allclose(found, values.sum(axis=0), rtol=1e-9)
    few = values[: row_blocks.SUMMED]
    np.testing.assert_array_equal(row_blocks.total(len(few), lambda rows: few[rows]), few.sum(axis=0))
    np.testing.assert_array_equal(row_blocks.total(0, lambda rows: values[:0]), [0, 0])


def test_targets_that_are_the_inputs_take_no_memory_of_their_own() -> None:
    columns = columns_of(a=np.arange(9.0), b=np.arange(9.0) ** 2)
    same = series_of(columns, Roles(("a", "b"), ("a", "b")))
    assert same.d is same.x
    assert treated(same, "mask", columns).d is treated(same, "mask", columns).x
    kept = same.select(np.arange(9) > 3)
    assert kept.d is kept.x
    other = series_of(columns, Roles(("a", "b"), ("b", "a")))  # the control
    np.testing.assert_array_equal(other.d, other.x[:, ::-1])


# --- missing values ------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_values_are_carried_forward_within_their_sequence(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 3))
    x[rng.random(x.shape) < 0.4] = NAN
    starts = rng.random(rows) < 0.2
    starts[0] = True
    at_first = rng.standard_normal(3)
    found = carried_forward(x, starts, at_first)
    np.testing.assert_array_equal(found, naive.carried_forward(x, starts, at_first))


def test_missing_is_masked_dropped_or_refused() -> None:
    columns = columns_of(a=[1.0, NAN, 3, 4, 5, 6], b=[1.0, 2, 3, np.inf, 5, 6])
    series = series_of(columns, AB)
    masked = treated(series, "mask", columns)
    assert np.isnan(masked.x).sum() == 2  # inf, too
    assert np.isnan(masked.d).sum() == 1
    dropped = treated(series, "drop", columns)
    assert dropped.order.tolist() == [0, 2, 4, 5]
    with pytest.raises(RnnsimError, match=r"^a table, row 1 \(from 0\), column a: no finite number, "
                       "and missing=error; mask or drop goes on without it$"):  # fmt: skip
        treated(series, "error", columns)
    with pytest.raises(RnnsimError, match="every row lacks a value"):
        treated(series_of(columns_of(a=[NAN, 1], b=[1, NAN]), AB), "drop", columns)


def test_a_reset_whose_row_is_dropped_is_one_of_the_next() -> None:
    columns = columns_of((3, 3), a=[1.0, 2, 3, NAN, 5, 6], b=[1.0, 2, 3, 4, 5, 6])
    dropped = treated(series_of(columns, AB), "drop", columns)
    assert dropped.starts.tolist() == [True, False, False, True, False]


# --- scaling -------------------------------------------------------------------------------------------


def test_a_column_that_is_constant_where_it_is_learnt_is_said_and_not_scaled() -> None:
    b = np.r_[np.full(8, 5.0), 6, 7]
    made = arrange(columns_of(a=np.arange(10.0), b=b), AB, validation=0.1, test=0.1)
    assert made.told.splitlines()[-1] == "  b: the same in all rows that are learnt; not scaled"
    np.testing.assert_allclose(made.prepared.inputs[:, 1], b - 5)


def test_numbers_too_large_or_none_are_refused() -> None:
    with pytest.raises(RnnsimError, match=r"too large to be standardised, up to .*; rescale them"):
        scaling_of(np.array([[1e308], [-1e308]]), ("a",), "it")
    with pytest.raises(RnnsimError, match=r"^it: column a has no value in the rows that are learnt"):
        scaling_of(np.array([[NAN], [NAN]]), ("a",), "it")


# --- parts ---------------------------------------------------------------------------------------------


def some_series(lengths: tuple[int, ...], **given: Any) -> Series:
    rows = sum(lengths)
    return series_of(columns_of(lengths, a=np.arange(rows), b=np.arange(rows), **given),
                     AB._replace(time="t" if "t" in given else None))  # fmt: skip


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=4).map(tuple),
    st.floats(0.1, 0.4), st.floats(0.1, 0.4),
)  # fmt: skip
def test_shares_are_the_last_rows_of_each_sequence(
    lengths: tuple[int, ...], validation: float, test: float
) -> None:
    assume(len(lengths) <= max(lengths))  # else shares are of whole sequences
    series = some_series(lengths)
    is_test = naive.last_rows(series.sequence, test, np.zeros(series.rows, bool))
    expected = np.where(is_test, TEST, LEARNT)
    expected[naive.last_rows(series.sequence, validation, is_test)] = VALIDATION
    if len(set(expected.tolist())) < 3:
        with pytest.raises(RnnsimError, match="none is left for the"):
            parts_of(series, validation, test)
        return
    np.testing.assert_array_equal(parts_of(series, validation, str(test)), expected)


def test_parts_by_time_by_sequence_and_of_whole_sequences() -> None:
    days = np.datetime64("2020-01-01") + np.arange(10)
    series = some_series((10,), t=days)
    found = parts_of(series, "2020-01-05", "2020-01-08T12:00")
    assert found.tolist() == 4 * [0] + 4 * [1] + 2 * [2]
    three = some_series((3, 4, 5))
    assert parts_of(three, "file 0", "file 2").tolist() == 3 * [1] + 4 * [0] + 5 * [2]
    assert parts_of(three, 0.3, 0.3, whole=True).tolist() == 3 * [0] + 4 * [1] + 5 * [2]
    years = series_of(columns_of(a=np.arange(6), b=np.arange(6), t=1990 + np.arange(6)),
                      AB._replace(time="t"))  # fmt: skip
    assert parts_of(years, 1993, "1995").tolist() == [0, 0, 0, 1, 1, 2]
    assert parts_of(some_series((5,)), 0, 0.2).tolist() == [0, 0, 0, 0, 2]  # nothing is to be chosen


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((0.2, 1.5), "test is 1.5; as a share it is at least 0 and below 1"),
        ((-0.1, 0.2), "validation is -0.1; as a share it is at least 0 and below 1"),
        (("2020-01-01", 0.2), "validation is '2020-01-01'; it is a share of the rows"),
        ((0.2, 0.0001), "of 20 rows none is left for the test part"),
        ((0.5, 0.5), "of 20 rows none is left for the learnt part"),
    ],
)
def test_parts_that_there_cannot_be(given: tuple[Any, Any], message: str) -> None:
    with pytest.raises(RnnsimError, match=message):
        parts_of(some_series((20,)), *given)
    timed = some_series((20,), t=np.datetime64("2020-01-01") + np.arange(20))
    with pytest.raises(RnnsimError, match=r"test is 'soon', which is no share \(0.2\), no sequence, and "
                                          r"no time \(2020-01-31 or 2020-01-31T12:00\)"):  # fmt: skip
        parts_of(timed, 0.2, "soon")


# --- time and sequences --------------------------------------------------------------------------------


def test_rows_are_sorted_by_sequence_and_time_which_is_said() -> None:
    t = np.datetime64("2020-01-01") + np.array([2, 1, 1, 0, 3, 2])
    columns = columns_of(t=t, who=list("xyxyxy"), a=np.arange(6), b=np.arange(6))
    series = series_of(columns, Roles(("a", "b"), ("b",), "t", "who"))
    assert series.names == ("x", "y")
    assert series.order.tolist() == [2, 0, 4, 3, 1, 5]
    assert series.starts.tolist() == [True, False, False, True, False, False]
    assert series.notes == ()
    newest_first = columns_of(t=np.sort(t)[[5, 3, 1, 0]], a=np.arange(4), b=np.arange(4))
    series = series_of(newest_first, AB._replace(time="t"))
    assert series.order.tolist() == [3, 2, 1, 0]
    assert series.notes == ("the rows are sorted by time, in which they did not come",)


def test_a_gap_in_time_is_said_and_may_be_a_reset() -> None:
    t = np.datetime64("2020-01-01") + np.array([0, 1, 2, 3, 9, 10, 11, 12, 13, 14])
    columns = columns_of(t=t, a=np.arange(10), b=np.arange(10))
    roles = AB._replace(time="t")
    kept = series_of(columns, roles)
    assert kept.notes == (
        "t leaves out steps at one place; the longest gap is 6 steps long; gaps=reset begins a new "
        "sequence there",
    )
    assert kept.starts.sum() == 1
    reset = series_of(columns, roles, resets_at_gaps=True)
    assert np.flatnonzero(reset.starts).tolist() == [0, 4]
    assert reset.notes[0].endswith("6 steps long; a new sequence begins there")
    months = np.datetime64("2020-01") + np.arange(10)  # 28 to 31 days
    assert series_of(columns_of(t=months, a=np.arange(10), b=np.arange(10)), roles).notes == ()
    with pytest.raises(RnnsimError, match=r", row 1 \(from 0\): two rows of one sequence have the "
                       "same t; if the rows are of several sequences, name their column by "
                       "sequence="):  # fmt: skip
        series_of(columns_of(t=t[[0, 0, 1]], a=[1, 2, 3], b=[1, 2, 3]), roles)


def test_a_row_without_a_time_or_a_sequence_is_refused() -> None:
    columns = columns_of(t=[1.0, NAN, 3], a=[1, 2, 3], b=[1, 2, 3])
    for role, what in (("time", "the time"), ("sequence", "the name of the sequence")):
        with pytest.raises(RnnsimError, match=rf"a table, row 1 \(from 0\): t, {what}, has no value"):
            series_of(columns, AB._replace(**{role: "t"}))


# --- classes and categories ----------------------------------------------------------------------------


def test_categories_are_an_input_for_each_and_missing_ones_stay_missing() -> None:
    columns = columns_of(c=["red", "blue", "red"], b=[1.0, 2, 3])
    columns.columns["c"].values[1] = NAN
    series = series_of(columns, Roles(("c", "b"), ("b",)))
    assert list(map(str, series.features)) == ["c=blue", "c=red", "b"]
    np.testing.assert_array_equal(series.x, [[0, 1, 1], [NAN, NAN, 2], [0, 1, 3]])
    other = columns_of(c=["green", "red", "red"], b=[1.0, 2, 3])  # a category that no model knows
    found = series_of(other, Roles(("c", "b"), ("b",)), features=series.features)
    np.testing.assert_array_equal(found.x, [[0, 0, 1], [0, 1, 2], [0, 1, 3]])


LABELS = Roles(("a",), ("label",), classes=True)


def test_classes_are_one_hot_and_known_by_name_in_other_data() -> None:
    columns = columns_of(a=np.arange(10), label=list("uudduudduu"))
    made = arrange(columns, LABELS, Choices((0,)))
    assert made.facts.preparation.targets == ("d", "u")
    hot = np.array([[0, 1], [0, 1], [1, 0], [1, 0]])
    np.testing.assert_array_equal(made.prepared.targets, hot[np.arange(10) % 4])
    assert made.prepared.weights.shape == (10, 1)
    share = np.array([2, 4]) / 6
    assert made.facts.baseline == pytest.approx(-(share * np.log(share)).sum())
    other = columns_of(a=np.arange(3), label=["u", "x", "d"])  # x is none that it knows
    series = series_for(other, made.facts)
    np.testing.assert_array_equal(series.d[:, 0], [1, NAN, 0])
    unlabelled = series_for(columns_of(a=np.arange(3)), made.facts)
    assert np.isnan(unlabelled.d).all()
    with pytest.raises(UnknownName, match="a table: no column is called 'a'"):
        series_for(columns_of(label=["u", "d"]), made.facts)


def test_classes_of_numbers_and_of_columns_of_0_and_1() -> None:
    numbers = columns_of(a=np.arange(4), label=[0.0, 2, 1, 2])
    assert series_of(numbers, LABELS).classes == ("0", "1", "2")
    hot = columns_of(a=np.arange(4), up=[1, 0, 0, NAN], down=[0, 1, 1, 0])
    series = series_of(hot, Roles(("a",), ("up", "down"), classes=True))
    assert series.classes == ("up", "down")
    np.testing.assert_array_equal(series.d[:, 0], [0, 1, 1, NAN])
    with pytest.raises(RnnsimError, match="one column of classes is learnt at a time"):
        series_of(columns_of(a=np.arange(2), up=[1, 1], down=[0, 1]),
                  Roles(("a",), ("up", "down"), classes=True))  # fmt: skip
    with pytest.raises(RnnsimError, match="label has 1 classes; there are 2 to 1,000"):
        series_of(columns_of(a=np.arange(2), label=["u", "u"]), LABELS)
    with pytest.raises(RnnsimError, match="label holds text; as a target it is learnt by kind=class"):
        series_of(columns_of(a=np.arange(2), label=["u", "d"]), LABELS._replace(classes=False))


def test_targets_at_the_end_of_each_sequence() -> None:
    columns = columns_of((3, 4, 5), a=np.arange(12), label=list("uuuddddddddd"))
    made = arrange(columns, LABELS, Choices((0,), at_end=True), validation="file 1", test="file 2")
    assert np.flatnonzero(made.prepared.weights[:, 0]).tolist() == [2, 6, 11]
    assert [len(found.rows) for found in made.part_rows] == [3, 4, 5]


def test_one_hot_leaves_out_what_is_no_class() -> None:
    found = one_hot(np.array([[0.0], [2], [NAN], [3]]), 3)
    np.testing.assert_array_equal(found, [[1, 0, 0], [0, 0, 1], [NAN] * 3, [NAN] * 3])


# --- what is too short ---------------------------------------------------------------------------------


def test_data_that_are_too_short_are_refused() -> None:
    columns = columns_of((5, 5), a=np.arange(10), b=np.arange(10))
    with pytest.raises(RnnsimError, match="the longest sequence has 5 rows, which is too few to be "
                                          "forecast 20 rows ahead"):  # fmt: skip
        arrange(columns, AB, Choices((1, 20)))
    with pytest.raises(RnnsimError, match="no row that is learnt has a target; let more rows be learnt"):
        arrange(columns, AB, Choices((4,)), validation=0.4, test=0.2)


def test_an_input_of_too_many_texts_is_refused() -> None:
    columns = columns_of(c=[f"text {i}" for i in range(101)], b=np.arange(101))
    with pytest.raises(RnnsimError, match="c has 101 different texts, and as an input at most 100"):
        series_of(columns, Roles(("c",), ("b",)))


def test_features_are_called_by_column_and_category() -> None:
    assert str(Feature("c", "red")) == "c=red"
    assert str(Feature("c")) == "c"
