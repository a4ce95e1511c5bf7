"""The measurements of a case and their output: ratios, bars, tables, JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from benchmarks.cases import MEANS, Case
from benchmarks.entries import OURS

TORCH = "PyTorch"


class Row(NamedTuple):
    """One group's times in one case."""

    group: str
    label: str  # of the entry that was timed
    others: list[str]  # labels of the entries that were tried and were slower
    times: list[float]  # microseconds per unit, for each round
    ratios: list[float]  # its time over rnnsim's in the same round; for a yardstick, the inverse
    counts: bool  # whether rnnsim is compared to it, or it is only shown
    bar: float | None  # the minimum ratio that is wanted, or for a yardstick the maximum
    yardstick: bool

    @classmethod
    def of(
        cls, case: Case, group: str, labels: Sequence[str], way: int,
        times: Sequence[float], ours: Sequence[float],
    ) -> Self:  # fmt: skip
        """Make the row of a group whose entry ``way`` was timed."""
        yardstick = group in case.ceilings
        ratios = [theirs / mine for theirs, mine in zip(times, ours, strict=True)]
        return cls(
            group=group,
            label=labels[way],
            others=[label for i, label in enumerate(labels) if i != way],
            times=list(times),
            ratios=[1 / ratio for ratio in ratios] if yardstick else ratios,
            counts=group in case.bars,
            bar=case.ceilings[group] if yardstick else case.bars.get(group),
            yardstick=yardstick,
        )

    @property
    def median(self) -> float:
        return float(np.median(self.times))

    @property
    def ratio(self) -> float:
        return float(np.median(self.ratios))

    @property
    def spread(self) -> tuple[float, float]:
        low, high = np.quantile(self.ratios, [0.25, 0.75])
        return float(low), float(high)

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None if there is no bar."""
        if self.bar is None:
            return None
        return self.ratio <= self.bar if self.yardstick else self.ratio >= self.bar


class Result(NamedTuple):
    """The rows of a case."""

    case: str
    family: str
    unit: str
    disagreement: float  # the largest relative difference between answers
    rows: list[Row]

    def row(self, group: str) -> Row | None:
        return next((row for row in self.rows if row.group == group), None)


# --- text ---


def report(result: Result) -> str:
    """Format the lines of a case."""
    head = f"{result.case} (us a {result.unit}; all agree to {result.disagreement:.0e})"
    return "\n".join([head, *map(line, result.rows)])


def line(row: Row) -> str:
    """Format the line of a group: its time, its ratio, and the fastest entry."""
    said = f"  {row.group:18s}{row.median:14.3f} us"
    if row.group != OURS:
        low, high = row.spread
        said += f"{row.ratio:8.2f}  ({low:.2f} to {high:.2f})"
    if row.yardstick:
        said += f"  rnnsim's to its, at most {row.bar:g}: {verdict(row.met)}"
    elif row.bar is not None:
        said += f"  wanted {row.bar:g}: {verdict(row.met)}"
    return said + (f"  [{row.label}]" if row.others else "")


def verdict(met: bool | None) -> str:
    return "" if met is None else "met" if met else "not met"


def mean_lines(results: Iterable[Result]) -> list[str]:
    """Format a line for each family whose ratios have a common bar, over the cases in ``results``."""
    lines = []
    for family, wanted in MEANS.items():
        ratios = [
            row.ratio
            for result in results
            if result.family == family
            for row in result.rows
            if row.counts
        ]
        if ratios:
            mean = geometric_mean(ratios)
            lines.append(f"{family}: geometric mean of {len(ratios)} ratios {mean:.2f}, "
                         f"wanted {wanted:g}: {verdict(mean >= wanted)}")  # fmt: skip
    return lines


def geometric_mean(ratios: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(ratios))))


# --- Markdown ---


def markdown(results: Sequence[Result]) -> str:
    """Format a Markdown table with a line for each group that counts and for each yardstick."""
    table = [
        "| case | rnnsim | JAX | ratio | PyTorch's ratio | wanted | |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for result in results:
        ours, torch = result.row(OURS), result.row(TORCH)
        assert ours is not None
        counting = [row for row in result.rows if row.counts]
        for row in counting:
            case = result.case + (f", {row.group}" if len(counting) > 1 else "")
            low, high = row.spread
            cells = [
                case, duration(ours.median), duration(row.median),
                f"{row.ratio:.2f} [{low:.2f}, {high:.2f}]",
                f"{torch.ratio:.1f}" if torch else "",
                f"{row.bar:g}" if row.bar is not None else "", verdict(row.met),
            ]  # fmt: skip
            table.append(f"| {' | '.join(cells)} |")
        for row in result.rows:
            if row.yardstick:
                cells = [
                    f"{result.case}, beside a {row.group}", duration(ours.median), "",
                    f"{row.ratio:.2f} times", "", f"at most {row.bar:g}", verdict(row.met),
                ]  # fmt: skip
                table.append(f"| {' | '.join(cells)} |")
    means = [f"\n{line}." for line in mean_lines(results)]
    return "\n".join([*table, *means])


def duration(microseconds: float) -> str:
    """Format a time with three significant digits."""
    value, unit = (microseconds / 1000, "ms") if microseconds >= 1000 else (microseconds, "us")
    digits = max(0, 2 - int(np.floor(np.log10(value))))
    return f"{value:.{digits}f} {unit}"


# --- JSON ---


def as_json(result: Result) -> dict[str, Any]:
    """Make a case's entry in the JSON file, with all measurements and derived numbers."""
    rows = [
        {**row._asdict(), "median": row.median, "ratio": row.ratio, "spread": row.spread, "met": row.met}
        for row in result.rows
    ]
    return {**result._asdict(), "rows": rows}


def from_json(entry: Mapping[str, Any]) -> Result:
    """Read a case's entry in the JSON file."""
    rows = [Row(**{name: row[name] for name in Row._fields}) for row in entry["rows"]]
    return Result(**{**entry, "rows": rows})
