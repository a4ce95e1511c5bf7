"""The summary of a sweep as text, CSV, Markdown, LaTeX, HTML and plain data."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sweeps import CHOICE, DIVERGED, FAILED, REFUSED, cell, complete, made, solved

from rnnsim.errors import RnnsimError
from rnnsim.sweeps.result import Sweep
from rnnsim.sweeps.tables import AT_EDGE, CONTROL, FORMATS

NEVER = "never: it has no criterion of its own"


def several() -> Sweep:
    """Two rules with controls and trials on a task; one on another, which cannot be solved."""
    chosen = {**CHOICE, "at_edge": True}
    return made(
        (cell(0, "a", "x", choice=CHOICE, learning_rate=0.01), [solved(1200), solved(1300), complete()]),
        (cell(0, "a", "x", role="control", learning_rate=0.0), [complete()] * 3),
        (cell(0, "a", "x", role="trial", learning_rate=0.01), [complete()] * 2),
        (cell(1, "b", "x", choice=chosen), [solved(10), DIVERGED, FAILED]),
        (cell(1, "b", "x", role="control", learning_rate=0.0), [complete()] * 3),
        (cell(2, "b", "y", criterion=NEVER, score="accuracy"), [complete(1e-5, score=0.5)]),
        (cell(3, "c", "y"), [REFUSED]),
    )


def rows_of(text: str) -> list[list[str]]:
    """The entries of the table in a text, without its line of dashes."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[entry.strip() for entry in line[1:-1].split(" | ")] for line in (lines[:1] + lines[2:])]


def table_of(text: str) -> list[dict[str, str]]:
    head, *rows = rows_of(text)
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_the_table() -> None:
    head, *rows = rows_of(several().summary())
    assert head == ["rule", "task", "learning rate", "seeds", "solved", "steps to solve", "loss",
                    "accuracy", "diverged", "failed", "refused", "rank", "p"]  # fmt: skip
    assert rows == [
        ["a", "x", "0.01*", "3", "2", "1,300 [1,200 to never]", "0.1 [0.1 to 0.3]", "", "", "", "", "1",
         ""],
        [CONTROL, "", "0", "3", "0", "never", "0.5 [0.5 to 0.5]", "", "", "", "", "", ""],
        ["b", "x", "0.1*!", "3", "1", "10 [10 to never]", "diverged", "", "1",
         "1", "", "2", "1"],
        [CONTROL, "", "0", "3", "0", "never", "0.5 [0.5 to 0.5]", "", "", "", "", "", ""],
        ["b", "y", "0.1", "1", "", "", "1e-05", "0.5", "", "", "", "", ""],
        ["c", "y", "0.1", "1", "", "", "", "", "", "", "1", "", ""],
    ]  # fmt: skip


def test_no_setting_is_lost_to_a_column_of_its_name() -> None:
    """A plugin's option may be called p, or the loss of a network be varied."""
    found = made((cell(varied={"p": 0.5, "criterion": "strict", "loss": "squared", "role": 3}),
                  [complete()]))  # fmt: skip
    (row,) = csv.DictReader(io.StringIO(found.summary("csv")))
    assert (row["p (setting)"], row["criterion (setting)"], row["loss"]) == ("0.5", "strict", "squared")
    assert (row["p"], row["role"], row["role (setting)"]) == ("", "result", "3")


def test_what_was_done_stands_above_and_what_went_wrong_below() -> None:
    text = " ".join(several().summary().split())
    above, _, below = text.partition("| rule")
    for said in (
        "14 runs of 6 cells: 3 solved, 8 complete, 1 diverged, 1 failed, 1 refused.",
        "by median validation loss, from 3 rates x 2 seeds each, which are no seeds of the results (2 "
        "runs more)",
        f"{AT_EDGE} after a learning rate",
        "steps to solve beside those of the best, Wilcoxon's signed-rank test",
        "Holm's correction",
    ):
        assert said in above
    assert "1 run failed: MemoryError: none is left" in below
    assert "1 run refused: hidden is 0" in below
    assert "not finite" not in below


def test_what_does_not_apply_is_not_said() -> None:
    text = made((cell(0, criterion=NEVER), [complete()])).summary()
    assert text.startswith("1 run of 1 cell: 1 complete.\n\n|")
    for word in ("solve", "rank", "Wilcoxon", "rate*", "brackets", "failed"):
        assert word not in text


def test_only_the_first_problems_are_listed() -> None:
    runs = [{"outcome": "failed", "error": f"odd {i % 5}"} for i in range(12)]
    text = made((cell(), runs)).summary()
    assert re.findall(r"odd \d", text) == ["odd 0", "odd 1", "odd 2"]
    assert "and 4 runs for 2 other reasons" in text


def test_a_sweep_without_runs() -> None:
    empty = made()
    assert empty.summary() == empty.summary("markdown") == "0 runs of 0 cells."
    assert empty.summary("csv") == "role"
    assert "tabular" in empty.summary("latex")
    assert empty._repr_html_().startswith("<div>0 runs")
    assert made((cell(), [])).as_dict()["cells"][0]["loss_median"] is None


def test_labels_settings_and_published_figures() -> None:
    sweep = made(
        (cell(0, label="tuned", varied={"window": 5, "loss": "own", "leak": 0.25}, published=1200),
         [solved(1000), solved(2000)]),
        (cell(1, label="plain", varied={"window": 10}), [solved(1000)]),
    )  # fmt: skip
    first, second = table_of(sweep.summary())
    assert (first["label"], first["rule"], first["window"], first["leak"]) == (
        "tuned",
        "one",
        "5",
        "0.25",
    )
    assert first["loss (setting)"] == "own"
    assert first["published"] == "50% by 1,200"
    assert (first["10%"], first["90%"]) == ("1,000", "2,000")
    assert (second["window"], second["leak"], second["published"]) == ("10", "", "")


def test_a_control_of_several_rates_stands_below_the_last() -> None:
    sweep = made(
        *((cell(i, rule, learning_rate=rate), [complete()])
          for i, (rule, rate) in enumerate((("a", 0.1), ("a", 0.2), ("b", 0.1)))),
        (cell(1, "a", role="control", learning_rate=0.0), [complete()]),
    )  # fmt: skip
    assert [row["rule"] for row in table_of(sweep.summary())] == ["a", "a", CONTROL, "b"]
    moved = made(
        (cell(5, "a", role="control"), [complete()]), (cell(1, "a"), [complete()]), (cell(2, "b"), [])
    )
    assert [row["rule"] for row in table_of(moved.summary())] == ["a", CONTROL, "b"]


def test_csv_has_the_numbers_as_they_are() -> None:
    rows = list(csv.DictReader(io.StringIO(several().summary("csv"))))
    assert [row["role"] for row in rows] == ["result", "control"] * 2 + ["result"] * 2
    first = rows[0]
    assert (first["solved"], first["share_solved"]) == ("2", str(2 / 3))
    assert [first[f"solved_at_{q}"] for q in ("q10", "median", "q90")] == ["1200", "1300", "inf"]
    assert float(first["loss_q75"]) == pytest.approx(0.3)
    assert (rows[2]["p"], rows[2]["rank"], rows[2]["rate_at_edge"]) == ("1.0", "2.0", "True")
    assert (rows[4]["solved"], rows[4]["score_median"], rows[5]["loss_median"]) == ("", "0.5", "")
    assert len({len(line) for line in csv.reader(io.StringIO(several().summary("csv")))}) == 1


def test_plain_data() -> None:
    found = several().as_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["outcomes"] == {"solved": 3, "complete": 8, "diverged": 1, "failed": 1, "refused": 1}
    assert found["trials"] == 2
    first = found["cells"][0]
    assert (first["solved_at_median"], first["solved_at_q90"]) == (1300, None)
    assert first["choice"]["rates"] == CHOICE["rates"]
    assert found["problems"][0] == {
        "outcome": "failed", "error": "MemoryError: none is left", "runs": 1
    }  # fmt: skip


# --- what comes from plugins and users ----------------------------------------------------------------

ODD = r"a|b & 50%_of $x$ {y} ~^#\ <i>*`[z]"


def odd() -> Sweep:
    return made(
        (cell(0, ODD, "x\ny", label=ODD, varied={ODD: ODD}, score=ODD), [complete(score=1e-7), FAILED])
    )


def unescaped(line: str) -> list[str]:
    """The entries of a row of LaTeX, of which all that means something to it is escaped."""
    plain = re.sub(r"\\(text\w+\{\}|[{}&%$#_])", "?", line.removesuffix(r"\\"))
    outside = re.sub(r"\$[^$]*\$", "0", plain)
    assert not re.search(r"[\\{}%$#_~^<>|]", outside), line
    return plain.split(" & ")


def test_latex_is_escaped_and_rows_have_all_columns() -> None:
    for sweep in (odd(), several()):
        text = sweep.summary("latex")
        comments = [line for line in text.splitlines() if line.startswith("%")]
        begin, *body = [line for line in text.splitlines() if line not in comments]
        columns = re.fullmatch(r"\\begin\{tabular\}\{([lr]+)\}", begin)
        assert columns
        rows = [line for line in body if line.endswith(r"\\")]
        assert {len(unescaped(row)) for row in rows} == {len(columns[1])}
        assert len(rows) == 1 + sum(each.role != "trial" for each in sweep.cells)
        rest = [line for line in body if line not in rows]
        assert rest == [r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}"]
    assert r"$1{,}300\;[1{,}200, \mathrm{never}]$" in several().summary("latex")
    assert r"$1 \times 10^{-5}$" in several().summary("latex")


def test_what_is_not_escaped_would_be_found() -> None:
    """The control."""
    for line in ("a_b & 1", "50% & 1", r"a $ 1", r"a & \b", "a{b}", "a~b", "a<b"):
        with pytest.raises(AssertionError):
            unescaped(line)


def test_markdown_is_escaped() -> None:
    text = odd().summary("markdown")
    head, rule, row = [line for line in text.splitlines() if line.startswith("|")]
    bars = {len(re.findall(r"(?<!\\)\|", line)) for line in (head, rule, row)}
    assert len(bars) == 1
    for line in (head, row):
        assert not re.search(r"(?<!\\)[*`_<>]", line.replace(r"\\", "")), line


def test_html_is_escaped() -> None:
    page = odd()._repr_html_()
    assert "<i>" not in page
    assert page.count("&lt;i&gt;") >= 3
    assert '<img alt="learning curves"' in several()._repr_html_() or "no learning curves" in page


@given(st.text(max_size=20), st.sampled_from(FORMATS), st.lists(
    st.sampled_from([DIVERGED, FAILED, REFUSED, complete(), complete(0.0), complete(None), solved(7)]),
    max_size=4))  # fmt: skip
@settings(deadline=None)
def test_any_name_and_any_runs_can_be_shown(name: str, format: str, runs: list[Any]) -> None:
    name = name.encode(errors="replace").decode()
    sweep = made((cell(0, name, name, label=name, varied={name: name}), runs), (cell(1), runs))
    text = sweep.summary(format)
    assert "nan" not in re.sub(re.escape(name), "", text) or "nan" in name
    if format == "text" and sweep.cells[0].rule.isprintable():
        assert len(table_of(text)) == 2 or "|" in name


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(RnnsimError, match="no format is called 'latx'; did you mean latex"):
        several().summary("latx")


def test_numbers_are_those_of_the_statistics() -> None:
    """The control of the table: another run changes it."""
    one, other = (
        made((cell(), [solved(5), solved(at)])).as_dict()["cells"][0]["solved_at_q75"] for at in (6, 7)
    )
    assert (one, other) == (6, 7)
    assert math.isfinite(one)
