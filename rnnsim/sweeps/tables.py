"""The summary of a sweep as a table: as text, CSV, Markdown, LaTeX or HTML."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Collection, Mapping, Sequence
from textwrap import fill
from typing import Any, NamedTuple

from rnnsim import checks
from rnnsim.runs import html_tables
from rnnsim.runs.seeds import table
from rnnsim.sweeps.ranking import BY_LOSS, BY_STEPS
from rnnsim.sweeps.summaries import TEST, Row, Summary

MOST_SAID = 3  # problems that are listed
LEAST_P = 1e-4  # that is written as a number
CHOSEN, AT_EDGE = "*", "!"  # marks of a learning rate
WIDTH = 105  # of what is said in text
CONTROL = "- its control"


ESCAPED = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
           "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
           "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}  # fmt: skip


class Plain:
    """How entries are written: as text."""

    def text(self, text: str) -> str:
        """A name, or whatever else comes from a plugin or the user."""
        return " ".join(text.split())

    def number(self, text: str) -> str:
        """A number that is formatted, such as ``1,322`` or ``1.2e-05``, or a word in its place."""
        return text

    def spread(self, median: str, low: str, high: str) -> str:
        """A median with its quartiles."""
        return f"{median} [{low} to {high}]"


class Markdown(Plain):
    """As text, no sign of which is read as markup."""

    def text(self, text: str) -> str:
        return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", super().text(text))


class Latex(Plain):
    """For LaTeX: numbers are mathematics."""

    def text(self, text: str) -> str:
        return "".join(ESCAPED.get(sign, sign) for sign in super().text(text))

    def number(self, text: str) -> str:
        return f"${self._inside(text)}$"

    def spread(self, median: str, low: str, high: str) -> str:
        median, low, high = map(self._inside, (median, low, high))
        return rf"${median}\;[{low}, {high}]$"

    def _inside(self, text: str) -> str:
        if text.isalpha():
            return rf"\mathrm{{{text}}}"
        mantissa, _, exponent = text.partition("e")
        power = rf" \times 10^{{{int(exponent)}}}" if exponent else ""
        return mantissa.replace(",", "{,}") + power


STYLES = {"text": Plain(), "markdown": Markdown(), "latex": Latex()}
FORMATS = ("text", "csv", "markdown", "latex")


def check_format(format: str) -> None:
    """Check the name of a format.

    Raises
    ------
    RnnsimError
        If there is none of this name.
    """
    checks.known_name("format", format, FORMATS)


def formatted(summary: Summary, format: str) -> str:
    """Format the summary of a sweep.

    Raises
    ------
    RnnsimError
        If there is no such format.
    """
    check_format(format)
    if format == "csv":
        return as_csv(summary)
    if format == "latex":
        return as_latex(summary)
    style = STYLES[format]
    grid = Grid.of(summary, style)
    parts = [table(grid.rows, grid.first, grid.left)] if grid.rows else []
    above, below = ([style.text(line) for line in lines] for lines in (head(summary), notes(summary)))
    if format == "text":
        above, below = (["\n".join(fill(line, WIDTH) for line in lines)] for lines in (above, below))
    return "\n\n".join(filter(None, [*above, *parts, *below]))


def as_csv(summary: Summary) -> str:
    """All numbers as they are, with the choices that vary in columns of their own."""
    cells = []
    for row in summary.rows:
        settings = {**dict.fromkeys(summary.varied), **row.cell.varied}
        named = {_heading(name, {*row.numbers, "role"}): value for name, value in settings.items()}
        cells.append({"role": row.cell.role, **named, **row.numbers})
    file = io.StringIO()
    writer = csv.DictWriter(file, list(cells[0]) if cells else ["role"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells)
    return file.getvalue().rstrip("\n")


def as_latex(summary: Summary) -> str:
    """A table for LaTeX with the package booktabs; what is said of it stands in comments."""
    style = STYLES["latex"]
    rows, first, left = Grid.of(summary, style)
    comments = [f"% {Plain().text(line)}" for line in (*head(summary), *notes(summary))]
    columns = [name for name in rows[0][1] if any(row[name] for _, row in rows)] if rows else []
    signs = "".join("l" if name in left else "r" for name in columns)
    lines = [[first, *columns], *([label, *(row[name] for name in columns)] for label, row in rows)]
    heading, *others = (" & ".join(entries) + r" \\" for entries in lines)
    return "\n".join([
        *comments, rf"\begin{{tabular}}{{l{signs}}}", r"\toprule", heading, r"\midrule", *others,
        r"\bottomrule", r"\end{tabular}",
    ])  # fmt: skip


def as_html(summary: Summary) -> str:
    """What a notebook shows of it."""
    rows, first, _ = Grid.of(summary, Plain())
    title, *others = head(summary)
    above = html_tables.grid(title, rows, first) if rows else html_tables.lines([title])
    return above + html_tables.lines([*others, *notes(summary)])


# --- what is said above and below ---------------------------------------------------------------------


def head(summary: Summary) -> list[str]:
    """What was done, a line each."""
    counts = ", ".join(f"{count:,} {name}" for name, count in summary.outcomes.items())
    total, cells = sum(summary.outcomes.values()), len(summary.rows)
    lines = [f"{_many(total, 'run')} of {_many(cells, 'cell')}" + (f": {counts}." if counts else ".")]
    if summary.versions:
        changed = "; ".join(f"{name} {', '.join(each)}" for name, each in summary.versions.items())
        lines.append(f"Not all runs are by the same versions, and may differ by that: {changed}.")
    lines += _of_rates(summary)
    if any(row.numbers["results"] > 1 for row in summary.rows):
        lines.append("Medians, with quartiles in brackets, are over seeds; a run that does not solve "
                     "its task counts as the latest, one that diverges as the worst.")  # fmt: skip
    by = {measure for measure in summary.ranks.by if measure}
    if by:
        measures = {BY_STEPS: BY_STEPS, BY_LOSS: f"{BY_LOSS} where none solved it"}
        said = (
            BY_LOSS if by == {BY_LOSS} else "; ".join(measures[name] for name in measures if name in by)
        )
        tested = " and ".join(
            name for name, kind in (("steps to solve", BY_STEPS), ("log loss", BY_LOSS)) if kind in by
        )
        lines.append(f"Rules are ranked by {said}. p: {tested} beside those of the best, {TEST} over "
                     "the rules of a task; the best is chosen by the same runs.")  # fmt: skip
    if summary.ranks.mean:
        ranks = ", ".join(f"{name} {rank:.3g}" for name, rank in summary.ranks.mean.items())
        lines.append(f"Mean rank over {summary.ranks.tasks} tasks or settings: {ranks}.")
    return lines


def _of_rates(summary: Summary) -> list[str]:
    """How learning rates were chosen."""
    choices = [row.cell.choice for row in summary.rows if row.numbers["rate_chosen"] and row.cell.choice]
    if not choices:
        return []
    rates = _range([len(choice["rates"]) for choice in choices])
    seeds = _range([choice["seeds"] for choice in choices])
    by = " or ".join(dict.fromkeys(str(choice["by"]) for choice in choices))
    same = " each" if rates.isdigit() and seeds.isdigit() else ""
    lines = [f"Learning rates with {CHOSEN} are chosen for each rule, task and setting by {by}, from "
             f"{rates} rates x {seeds} seeds{same}, which are no seeds of the results "
             f"({summary.trials:,} runs more)."]  # fmt: skip
    if any(choice["at_edge"] for choice in choices):
        lines.append(f"{AT_EDGE} after a learning rate: it is the least or the greatest that was tried, "
                     "and one beyond may be better.")  # fmt: skip
    return lines


def notes(summary: Summary) -> list[str]:
    """Why runs have no result, a line each."""
    lines = [
        f"{_many(count, 'run')} {outcome}: {error or 'nothing is said'}"
        for outcome, error, count in summary.problems[:MOST_SAID]
    ]
    more = summary.problems[MOST_SAID:]
    if more:
        lines.append(
            f"and {_many(sum(count for *_, count in more), 'run')} for {len(more):,} other reasons"
        )
    return lines


# --- entries ------------------------------------------------------------------------------------------


class Grid(NamedTuple):
    """The entries of a table.

    Attributes
    ----------
    rows : list
        Of each the label, and the other entries by the heading of their column.
    first : str
        The heading of the labels.
    left : list of str
        The headings of those columns that hold text.
    """

    rows: list[tuple[str, dict[str, str]]]
    first: str
    left: list[str]

    @classmethod
    def of(cls, summary: Summary, style: Plain) -> Grid:
        """Make the table of a sweep."""
        first, *others = ("label", *COLUMNS) if any(row.cell.label for row in summary.rows) else COLUMNS
        scores = list(dict.fromkeys(row.cell.score for row in summary.rows))
        detailed = any(row.numbers["published"] for row in summary.rows)
        rows = []
        for row in summary.rows:
            figures = _figures(row, scores, detailed, style)
            settings = {_heading(name, figures): "" for name in summary.varied}
            about = {"label": row.cell.label, "rule": row.cell.rule, "task": row.cell.task}
            settings |= {_heading(name, figures): _set(value) for name, value in row.cell.varied.items()}
            entries = {**{name: about[name] for name in others}, **settings}
            label = CONTROL if row.is_control else about[first]
            if row.is_control:
                entries = dict.fromkeys(entries, "")
            rows.append((style.text(label), {
                style.text(name): entry for name, entry in
                (*((name, style.text(text)) for name, text in entries.items()), *figures.items())
            }))  # fmt: skip
        left = [*others, *(_heading(name, figures) for name in summary.varied)] if rows else []
        return cls(rows, first, [style.text(name) for name in left])


COLUMNS = ("rule", "task")


def _heading(name: str, others: Collection[str]) -> str:
    """The heading of a setting, which may be called like one of the other columns."""
    return f"{name} (setting)" if name in {*others, "label", *COLUMNS} else name


def _set(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _figures(row: Row, scores: Sequence[str], detailed: bool, style: Plain) -> dict[str, str]:
    """The columns of numbers; in detail those by which published figures are compared."""
    numbers = row.numbers
    done, solved, rank, p = (numbers[name] for name in ("results", "solved", "rank", "p"))
    found = {
        "learning rate": _rate(row, style),
        "seeds": style.number(f"{numbers['runs']:,}"),
        "solved": "" if solved is None or not done else style.number(f"{solved:,}"),
    }
    if detailed:
        found["published"] = _published(numbers, style)
    found["steps to solve"] = _spread(numbers, "solved_at", "{:,}", "never", style)
    if detailed:
        for name, heading in (("q10", "10%"), ("q90", "90%")):
            at = numbers[f"solved_at_{name}"]
            found[heading] = "" if at is None else style.number(_written(at, "{:,}", "never"))
    found["loss"] = _spread(numbers, "loss", "{:.3g}", "diverged", style)
    for name in scores:
        own = name == row.cell.score
        found[name] = _spread(numbers, "score", "{:.3g}", "diverged", style) if own else ""
    for name in ("diverged", "failed", "refused"):
        found[name] = style.number(f"{numbers[name]:,}") if numbers[name] else ""
    found["rank"] = "" if rank is None else style.number(f"{rank:g}")
    small = f"<{LEAST_P:g}".replace("e-0", "e-")
    found["p"] = "" if p is None else style.number(small if p < LEAST_P else f"{p:.2g}")
    return found


def _rate(row: Row, style: Plain) -> str:
    """The learning rate, with its marks."""
    rate, numbers = row.cell.learning_rate, row.numbers
    if rate is None:
        return ""
    marks = CHOSEN * numbers["rate_chosen"] + AT_EDGE * numbers["rate_at_edge"]
    return style.number(f"{rate:.4g}") + style.text(marks)


def _published(numbers: Mapping[str, Any], style: Plain) -> str:
    """The share within a published figure."""
    within = numbers["within_published"]
    return "" if within is None else style.text(f"{within:.0%} by {numbers['published']:,}")


def _spread(numbers: Mapping[str, Any], name: str, form: str, lost: str, style: Plain) -> str:
    """The median, with quartiles if there are several seeds, and some of them a number."""
    median, *quartiles = (numbers[f"{name}_{quantile}"] for quantile in ("median", "q25", "q75"))
    if median is None:
        return ""
    written = [_written(value, form, lost) for value in (median, *quartiles)]
    if numbers["results"] == 1 or {*written} == {lost}:
        return style.number(written[0])
    return style.spread(*written)


def _written(value: float, form: str, lost: str) -> str:
    return form.format(value) if math.isfinite(value) else lost


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"
