"""The side-by-side benchmark: what it refuses to time, and what it makes of times."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import side_by_side
from benchmarks.cases import CASES, MEANS
from benchmarks.cases.bptt import BPTTGradient
from benchmarks.cases.case import TOLERANCE, Case
from benchmarks.cases.delayed_xor import DelayedXorOnLine, OneStep
from benchmarks.cases.equilibrium import Equilibrium
from benchmarks.cases.fast_weights import FastWeightGradient, FlipFlopOnLine
from benchmarks.cases.forward import ForwardPass
from benchmarks.cases.rtrl import RTRL, YARDSTICK
from benchmarks.entries import OURS, Entries
from benchmarks.rows import (
    TORCH,
    Result,
    Row,
    as_json,
    duration,
    from_json,
    geometric_mean,
    markdown,
    mean_lines,
    report,
)
from benchmarks.turns import Answers, disagreement

SMALL = BPTTGradient(100, 1, 4, 32, 2, "float64")
LARGE = RTRL(64, "float64")


def row(case: Case, group: str, times: list[float], ours: list[float]) -> Row:
    return Row.of(case, group, ["slow way", "fast way"], 1, times, ours)


def result(case: Case, rows: list[Row]) -> Result:
    return Result(case.name, case.family, case.unit, 3e-15, rows)


# --- ratios and bars ---


def test_a_ratio_is_of_the_same_round() -> None:
    made = row(SMALL, "JAX", [20.0, 90.0, 40.0], [10.0, 30.0, 10.0])
    assert made.ratios == [2, 3, 4]
    assert (made.ratio, made.spread, made.median) == (3, (2.5, 3.5), 40)
    assert (made.label, made.others) == ("fast way", ["slow way"])


@pytest.mark.parametrize(("time", "met"), [(20.0, True), (19.9, False)])
def test_a_bar_is_met_from_its_value_on(time: float, met: bool) -> None:
    made = row(SMALL, "JAX", [time], [10.0])
    assert (made.bar, made.met, made.counts) == (2, met, True)


@pytest.mark.parametrize(("ours", "met"), [(14.0, True), (14.1, False)])
def test_a_yardstick_is_a_ceiling(ours: float, met: bool) -> None:
    made = row(LARGE, YARDSTICK, [10.0], [ours])
    assert made.ratio == pytest.approx(ours / 10)
    assert (made.bar, made.met, made.counts) == (1.4, met, False)


def test_a_group_without_a_bar_is_not_judged() -> None:
    made = row(SMALL, TORCH, [50.0], [10.0])
    assert (made.bar, made.met, made.counts) == (None, None, False)


def test_the_mean_of_a_family_is_geometric_and_of_what_counts() -> None:
    assert geometric_mean([1, 4]) == pytest.approx(2)
    measured = [
        result(SMALL, [row(SMALL, "JAX", [time], [10.0]), row(SMALL, TORCH, [1.0], [10.0])])
        for time in (10.0, 40.0)
    ]
    measured.append(result(LARGE, [row(LARGE, "JAX", [1.0], [10.0])]))
    assert mean_lines(measured) == ["bptt: geometric mean of 2 ratios 2.00, wanted 2: met"]
    assert mean_lines(measured[:1]) == ["bptt: geometric mean of 1 ratios 1.00, wanted 2: not met"]
    assert mean_lines(measured[2:]) == []


# --- agreement ---


def answers(**errors: float) -> Answers:
    """Made-up answers of two libraries, that of each group wrong in one number by so much."""
    truth = np.linspace(-1, 2, 12).reshape(3, 4)

    def answer(error: float) -> dict[str, Any]:
        wrong = truth.copy()
        wrong[1, 2] += 2 * error  # 2 is the largest
        return {"loss": np.array(3.0), "W": wrong}

    groups = {group.replace("_", " "): [answer(0), answer(error)] for group, error in errors.items()}
    ours = {OURS: [answer(0), answer(errors.get(OURS, 0))], YARDSTICK: [None]}
    return {"rnnsim": ours, "jax": {group: ways for group, ways in groups.items() if group != OURS}}


def test_answers_that_differ_by_rounding_agree() -> None:
    assert disagreement("case", answers(JAX=1e-12), 1e-10) == pytest.approx(1e-12, rel=1e-3)
    assert disagreement("case", answers(JAX=0.0), 1e-10) == 0


@pytest.mark.parametrize("group", ["JAX_dense", "JAX_structured", OURS])
@pytest.mark.parametrize("error", [1e-6, -1e-6, np.nan, np.inf])
def test_a_wrong_gradient_is_not_timed(group: str, error: float) -> None:
    wrong = answers(**{"JAX_dense": 0.0, "JAX_structured": 0.0, group: error})
    with pytest.raises(SystemExit, match=f"{group.replace('_', ' ')} differs in W"):
        disagreement("case", wrong, TOLERANCE["float64"])


def test_an_answer_that_lacks_a_part_is_not_timed() -> None:
    lacking = answers(JAX=0.0)
    del lacking["jax"]["JAX"][1]["W"]  # type: ignore[attr-defined, index]
    with pytest.raises(KeyError, match="W"):
        disagreement("case", lacking, 1e-10)


# --- tables ---


def made_up() -> list[Result]:
    bptt = [
        row(SMALL, OURS, [100.0, 100.0], [100.0, 100.0]),
        row(SMALL, "JAX", [240.0, 280.0], [100.0, 100.0]),
        row(SMALL, TORCH, [4000.0, 4000.0], [100.0, 100.0]),
    ]
    rtrl = [
        row(LARGE, OURS, [1230.0], [1230.0]),
        row(LARGE, YARDSTICK, [615.0], [1230.0]),
        row(LARGE, "JAX", [615.0], [1230.0]),
    ]
    return [result(SMALL, bptt), result(LARGE, rtrl)]


def test_markdown_has_a_line_for_each_case_and_yardstick() -> None:
    lines = markdown(made_up()).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:5]]
    assert cells == [
        [SMALL.name, "100 us", "260 us", "2.60 [2.50, 2.70]", "40.0", "2", "met"],
        [LARGE.name, "1.23 ms", "615 us", "0.50 [0.50, 0.50]", "", "1.2", "not met"],
        [f"{LARGE.name}, beside a {YARDSTICK}", "1.23 ms", "", "2.00 times", "", "at most 1.4",
         "not met"],
    ]  # fmt: skip
    assert lines[-1] == "bptt: geometric mean of 1 ratios 2.60, wanted 2: met."
    assert len({line.count("|") for line in lines[:5]}) == 1


@pytest.mark.parametrize(
    ("microseconds", "said"),
    [(0.1234, "0.123 us"), (9.87, "9.87 us"), (99.6, "99.6 us"), (999.4, "999 us"), (1e5, "100 ms")],
)
def test_durations_have_three_digits(microseconds: float, said: str) -> None:
    assert duration(microseconds) == said


def test_the_report_names_the_way_and_the_verdict() -> None:
    said = report(made_up()[0]).splitlines()
    assert said[0] == f"{SMALL.name} (us a gradient; all agree to 3e-15)"
    assert said[2].endswith("2.60  (2.50 to 2.70)  wanted 2: met  [fast way]")


def test_json_gives_back_the_results(tmp_path: Any, capsys: Any) -> None:
    import json

    measured = made_up()
    written = json.loads(json.dumps([as_json(result) for result in measured]))
    assert [from_json(entry) for entry in written] == measured
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"cases": written}))
    side_by_side.main(["--read", str(path), "--markdown"])
    assert markdown(measured) in capsys.readouterr().out


# --- the cases ---


def test_cases_have_names_of_their_own_and_something_to_be_compared_with() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert all(case.bars for case in CASES)
    assert all(bar is None or bar > 0 for case in CASES for bar in case.bars.values())
    assert set(MEANS) <= {case.family for case in CASES}


def test_a_case_that_there_is_not_is_named() -> None:
    assert side_by_side.choose(["flip-flop"]) == [case for case in CASES if "flip-flop" in case.name]
    with pytest.raises(SystemExit, match="no case contains nonsense; there are:\n  bptt gradient"):
        side_by_side.choose(["nonsense"])


def test_the_bars_are_those_that_were_promised() -> None:
    bars = {case.name: case.bars for case in CASES}
    assert bars["bptt gradient, T 1000, B 1, m 4, n 64, k 2, float32"] == {"JAX": 2}
    assert bars["bptt gradient, T 100, B 1, m 4, n 128, k 2, float64"] == {"JAX": 1.2}
    assert bars["rtrl whole sequence, n 16, B 1, float64"] == {"JAX": 1.5}
    assert bars["rtrl whole sequence, n 32, B 8, float32"] == {"JAX": 1.2}
    assert bars["rtrl on-line, n 128, B 1, float64"] == {"JAX": 0.9}
    assert bars["rtrl-block beside RTRL, n 128, float64"] == {"JAX": 20}
    assert bars["recurrent-backprop, n 512, B 1"] == {"JAX": 2}
    assert bars["rtrl on delayed-xor, on-line, n 8"] == {"JAX": 1.5}


# --- the libraries' entries at small sizes ---


def given(entries: Entries) -> dict[str, list[Any]]:
    return {group: [way.answer() for way in ways if way.answer] for group, ways in entries.items()}


def check(case: Case, library: str) -> None:
    """All of a library's entries agree with rnnsim's, and do the work that they say."""
    theirs = getattr(case, library)()
    both = {"rnnsim": given(case.rnnsim()), library: given(theirs)}
    assert disagreement(case.name, both, case.tolerance) > 0
    assert all(way.work() > 0 for ways in theirs.values() for way in ways)


TINY: list[Case] = [
    BPTTGradient(6, 1, 3, 4, 2, "float64"),
    BPTTGradient(6, 4, 3, 4, 2, "float64"),
    BPTTGradient(6, 4, 3, 4, 2, "float32"),
    RTRL(8, "float64"),
    RTRL(8, "float64", B=2),
    RTRL(8, "float64", online=True),
    Equilibrium(8, 3),
    ForwardPass(6, 1, 3, 4, 2, "float64", "states"),
    ForwardPass(6, 4, 3, 4, 2, "float32", "loss"),
    DelayedXorOnLine(8, bar=None, steps=1024),
    OneStep(4, steps=300),
    FastWeightGradient(1, 2, 4, 4, 4, steps=10),
    FastWeightGradient(2, 2, 4, 4, 4, steps=10),
    FlipFlopOnLine(2, steps=1024),
]


@pytest.mark.parametrize("case", TINY, ids=lambda case: case.name)
def test_jax_agrees(case: Case) -> None:
    pytest.importorskip("jax", reason="needs JAX: pip install 'rnnsim[peers]'")
    check(case, "jax")


@pytest.mark.parametrize("case", TINY[:3], ids=lambda case: case.name)
def test_pytorch_agrees(case: Case) -> None:
    pytest.importorskip("torch", reason="needs PyTorch: pip install 'rnnsim[peers]'")
    check(case, "torch")
