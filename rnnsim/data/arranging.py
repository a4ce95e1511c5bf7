"""From what was read to rows that a network learns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from rnnsim.data.columns import CATEGORY, EMPTY, Column, Columns
from rnnsim.data.facts import Facts
from rnnsim.data.missing import treated
from rnnsim.data.on_line import (
    on_line_preparation,
)
from rnnsim.data.pairs import Pairs, PartRows, baseline, pairs_again, pairs_of, part_rows
from rnnsim.data.parts import (
    LEARNT,
    NAMES,
    TEST,
    VALIDATION,
    is_share,
    many_and_short,
    parts_of,
)
from rnnsim.data.preparation import Choices, Preparation, Prepared, preparation_of
from rnnsim.data.role_table import described
from rnnsim.data.roles import Roles
from rnnsim.data.row_blocks import in_whole_blocks
from rnnsim.data.series import Series, series_of
from rnnsim.data.simple import Simple, simple_of
from rnnsim.errors import RnnsimError, UnknownName, nearest, shown
from rnnsim.typing import Integers

SHOWN = 8  # names of classes


class Treatment(NamedTuple):
    """How rows are treated, whatever model they are for.

    Attributes
    ----------
    missing : "mask", "drop" or "error"
    resets_at_gaps : bool
    validation, test : float or str
        See :func:`rnnsim.data.parts.parts_of`.
    season : int or None
        Of seasonal persistence, in rows; by default it is looked for.
    """

    missing: str = "mask"
    resets_at_gaps: bool = False
    validation: Any = 0.2
    test: Any = 0.2
    season: int | None = None


@dataclass(frozen=True)
class Arranged:
    """Data that are ready to be learnt.

    Attributes
    ----------
    source : str
    facts : Facts
    series : Series
    part : (rows,) int array
    prepared : Prepared
        By ``facts.preparation``; where the test is prepared otherwise, without rows that it alone has.
    part_rows : tuple of three PartRows
        Those that are learnt, for validation and for the test.
    told : str
        What a user should know: the columns, what each is for, and what was noticed.
    """

    source: str
    facts: Facts
    series: Series
    part: Integers
    prepared: Prepared
    part_rows: tuple[PartRows, PartRows, PartRows]
    told: str

    def pairs(self, part: int) -> Pairs:
        """The rows of a part (:mod:`rnnsim.data.parts`), made when they are first asked for."""
        found: Pairs = getattr(self, f"_{NAMES[part]}")
        return found

    @cached_property
    def _learnt(self) -> Pairs:
        return pairs_of(self.part_rows[LEARNT], self.prepared)

    @cached_property
    def _validation(self) -> Pairs:
        return pairs_of(self.part_rows[VALIDATION], self.prepared)

    @cached_property
    def _test(self) -> Pairs:
        rows, preparation, final = self.part_rows[TEST], self.facts.preparation, self.facts.final
        if final.path is preparation.path:
            return pairs_of(rows, self.prepared)
        return pairs_again(rows, self.series, preparation, final)


class Rows(NamedTuple):
    """What columns become; they themselves, which take as much memory, are not needed any more.

    Attributes
    ----------
    source : str
    roles : Roles
    series : Series
    told : str
        What a user should know of the columns.
    """

    source: str
    roles: Roles
    series: Series
    told: str


def rows_in(columns: Columns, roles: Roles, treatment: Treatment, facts: Facts | None = None) -> Rows:
    """Put the rows of data in order, and treat values that are missing, for a new model or by its facts.

    Raises
    ------
    RnnsimError
        If the data cannot be used so; the message says what would do.
    """
    if facts is None:
        series = series_of(columns, roles, resets_at_gaps=treatment.resets_at_gaps)
    else:
        series = series_for(columns, facts, treatment.resets_at_gaps)
    series = treated(series, treatment.missing, columns)
    told = "\n  ".join([described(columns, roles), *series.notes])
    return Rows(columns.source, roles, series, told)


def arranged(rows: Rows, choices: Choices, treatment: Treatment, facts: Facts | None = None) -> Arranged:
    """Arrange data for a model: a new one, or by the facts of one that there is.

    Raises
    ------
    RnnsimError
        If the data cannot be used so; the message says what would do.
    """
    source, roles, series, told = rows
    _check_length(series, choices, source)
    if choices.on_line:
        return _arranged_on_line(rows, choices, treatment, facts)
    part = parts_of(series, treatment.validation, treatment.test, whole=choices.at_end)
    judged = None
    if facts is None:
        preparation, final, judged = preparation_of(series, part, choices, source)
    else:
        preparation, final = facts.preparation, facts.final
    seen = series.rows if final.path is preparation.path else _without_test(part)
    prepared = preparation.prepared(series, seen=seen)
    learnt, validation, test = (
        part_rows(prepared, preparation, part, one) for one in (LEARNT, VALIDATION, TEST)
    )
    if not len(learnt.rows):
        raise RnnsimError(f"{source}: no row that is learnt has a target; let more rows be learnt")
    pairs = pairs_of(learnt, prepared)
    if facts is None:
        facts = Facts(
            roles=roles,
            preparation=preparation,
            final=final,
            rows=(len(learnt.rows), len(validation.rows), len(test.rows)),
            baseline=baseline(pairs, preparation.is_class),
            masks_outputs=prepared.weights.shape[1] > 1,
            simple=simple_of(series, part, preparation, treatment.season, judged),
        )
    return Arranged(
        source=source,
        facts=facts,
        series=series,
        part=part,
        prepared=prepared,
        part_rows=(learnt, validation, test),
        told="\n  ".join(
            [
                told,
                *_whole_parts(series, part, treatment, choices),
                *_constant_where_learnt(preparation, series),
                *_classes_not_learnt(preparation, pairs),
            ]
        ),
    )


def _without_test(part: Integers) -> int:
    """How many rows, from the first on, have all that are not in the test."""
    return min(in_whole_blocks(int(np.flatnonzero(part != TEST)[-1]) + 1), len(part))


def _arranged_on_line(
    rows: Rows, choices: Choices, treatment: Treatment, facts: Facts | None
) -> Arranged:
    """All rows are learnt once, as they come; the second half of their forecasts is the test."""
    source, roles, series, told = rows
    preparation, final, view = on_line_preparation(series, choices, source)
    prepared = preparation.prepared(series, view)
    late = np.arange(series.rows) >= series.rows // 2
    weights = prepared.weights * prepared.settled[:, None]
    learnt = PartRows(weights, series.starts, np.arange(series.rows))
    test = learnt._replace(weights=weights * late[:, None])
    nothing = PartRows(weights[:0], learnt.resets[:0], learnt.rows[:0])
    if facts is None:
        facts = Facts(
            roles=roles, preparation=preparation, final=final, rows=(series.rows, 0, series.rows),
            baseline=baseline(pairs_of(learnt, prepared), False), masks_outputs=weights.shape[1] > 1,
            simple=Simple(season=treatment.season or 0),
        )  # fmt: skip
    return Arranged(
        source=source, facts=facts, series=series, part=np.full(series.rows, LEARNT),
        prepared=prepared, part_rows=(learnt, nothing, test),
        told=told,
    )  # fmt: skip


def series_for(columns: Columns, facts: Facts, resets_at_gaps: bool = False) -> Series:
    """Arrange other data as the series of a model: its inputs, its classes; targets may be absent.

    Raises
    ------
    UnknownName
        If a column that it needs is absent.
    """
    roles, preparation = facts.roles, facts.preparation
    needed = [*roles.inputs, *([roles.sequence] if roles.sequence else [])]
    for name in needed:
        if name not in columns.columns:
            raise UnknownName(f"{columns.source}: {nearest('column', name, columns.columns)}")
    _check_numbers(columns, facts)
    present = dict(columns.columns)
    for name in roles.targets:
        if name not in present:
            present[name] = Column(name, EMPTY, np.full(columns.rows, np.nan))
    if roles.time not in present:
        roles = roles._replace(time=None)
    classes = preparation.targets if preparation.is_class else ()
    with_targets = Columns(
        columns.source, present, columns.rows, columns.lengths, columns.names, columns.notes,
        columns.place,
    )  # fmt: skip
    return series_of(
        with_targets, roles, features=preparation.features, classes=classes,
        resets_at_gaps=resets_at_gaps,
    )  # fmt: skip


def _check_numbers(columns: Columns, facts: Facts) -> None:
    """Refuse text in a column that held numbers: its values would be numbers of categories."""
    roles, made = facts.roles, facts.preparation
    names = [one.column for one in made.features if one.category is None]
    for name in dict.fromkeys([*names, *(() if made.is_class else roles.targets)]):
        column = columns.columns.get(name)
        if column is None or column.kind != CATEGORY:
            continue
        from rnnsim.data.cells import is_number

        texts = [text for text in column.categories if not is_number(text)] or list(column.categories)
        row = int(np.flatnonzero(column.values == column.categories.index(texts[0]))[0])
        raise RnnsimError(f"{columns.source}, {columns.place(row)}: {name} is {shown(texts[0])}; it "
                          "must be a number, as in the data that were learnt")  # fmt: skip


def _check_length(series: Series, choices: Choices, source: str) -> None:
    furthest = max(choices.horizons)
    longest = int(np.bincount(series.sequence).max()) if series.rows else 0
    if longest <= furthest:
        raise RnnsimError(f"{source}: the longest sequence has {longest:,} rows, which is too few to be "
                          f"forecast {furthest:,} rows ahead")  # fmt: skip


def _constant_where_learnt(preparation: Preparation, series: Series) -> list[str]:
    """The columns that do not change where they are learnt."""
    constant = preparation.inputs_scaling.constant
    names = [str(one) for one, is_constant in zip(series.features, constant) if is_constant]
    if not names:
        return []
    return [f"{', '.join(names)}: the same in all rows that are learnt; not scaled"]


def _classes_not_learnt(preparation: Preparation, learnt: Pairs) -> list[str]:
    """The classes that no row has from which is learnt what they are."""
    if not preparation.is_class:
        return []
    there = np.asarray(learnt.targets[learnt.weights[:, 0] > 0].any(axis=0))
    names = [name for name, is_there in zip(preparation.targets, there) if not is_there]
    if not names:
        return []
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    what, have = ("classes", "have outputs") if len(names) > 1 else ("a class", "has an output")
    return [f"{', '.join(names[:SHOWN])}{more}: {what} of no row that is learnt, and {have} all the "
            "same; validation= and test= choose other parts"]  # fmt: skip


def _whole_parts(series: Series, part: Integers, treatment: Treatment, choices: Choices) -> list[str]:
    """That shares are of whole sequences, where a user may have expected those of rows."""
    if choices.at_end or not many_and_short(series):
        return []
    if not any(is_share(asked, series) for asked in (treatment.validation, treatment.test)):
        return []
    first = np.flatnonzero(np.diff(series.sequence, prepend=-1))
    learnt, validation, test = np.bincount(part[first], minlength=3)
    return [f"there are more sequences than rows in any of them, so that shares are of whole sequences: "
            f"{learnt:,} are learnt, {validation:,} for validation, {test:,} the test"]  # fmt: skip
