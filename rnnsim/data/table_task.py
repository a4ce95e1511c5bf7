"""The task of forecasting the user's own data, or of telling their classes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import msgspec
import numpy as np

from rnnsim import checks
from rnnsim.criterion import Criterion, HeldOut, Never
from rnnsim.data.arranging import (
    Arranged,
    Rows,
    Treatment,
    arranged,
    rows_in,
    series_for,
)
from rnnsim.data.columns import Columns
from rnnsim.data.facts import Facts, facts_as_data, facts_from
from rnnsim.data.forecasting import ForecastRows, rows_of, rows_of_part, rows_on_line
from rnnsim.data.given import KEPT, Given
from rnnsim.data.learnt_error import alone
from rnnsim.data.missing import treated
from rnnsim.data.parts import LEARNT, TEST, VALIDATION
from rnnsim.data.preparation import Choices, Preparation, View
from rnnsim.data.reading import Reading, read
from rnnsim.data.roles import Asked, Roles, roles_of, target_is_class
from rnnsim.data.table_source import TableSource, fill, source_of
from rnnsim.errors import RnnsimError, shown
from rnnsim.network import Network
from rnnsim.options import Positive
from rnnsim.task import Suggestion, Task
from rnnsim.typing import Array, Kernel

# Settings that did well on many series (benchmarks/README.md).
WINDOW, PASSES, PATIENCE = 50, 200, 100
MOST_STEPS = 2_000_000  # but at least one pass
LARGE = 50_000  # rows, from which on validation data are looked at more often than once a pass
SHARE = 0.2  # of the rows, of validation and test
ABSENT = (0, 0)  # the stamp of a file that is not there
CROSS_ENTROPIES = ("softmax-cross-entropy", "logistic-cross-entropy")

Names = str | tuple[str, ...]


def about(description: str) -> Any:
    """The description of an option."""
    return msgspec.Meta(description=description)


class TableTask(Task, frozen=True, dict=True):
    """Forecast the rows of a table, or tell their classes; a plugin gives it its name."""

    takes_data: ClassVar[bool] = True
    of_files: ClassVar[tuple[str, ...]] = (
        "path", "header", "separator", "encoding", "comment", "sheet",
    )  # fmt: skip

    path: Annotated[str, about("the file or files, a folder, or - for standard input")] = ""
    data: Annotated[Any, about("the data, in place of a file (from Python)")] = None
    inputs: Annotated[Names, about("input columns, comma-separated (default: those of numbers)")] = ""
    target: Annotated[Names, about("target columns, comma-separated (default: the inputs)")] = ""
    time: Annotated[str, about("the column that tells the time, or no (default: found)")] = ""
    sequence: Annotated[str, about("the column whose value tells the sequence of a row")] = ""
    kind: Annotated[
        Literal["auto", "number", "class"], about("of the target: auto: text and booleans are classes")
    ] = "auto"
    ahead: Annotated[
        int | str | tuple[int, ...] | None,
        about("rows from an input to its target, one or several: 1,5,20 (default: 1; 0 for classes)"),
    ] = None
    lags: Annotated[int, msgspec.Meta(ge=0, le=10_000, description="past rows that are inputs too")] = 0
    on_line: Annotated[
        bool,
        about("whether each row is forecast before it is learnt, once, and the second half is scored"),
    ] = False
    linear: Annotated[
        bool, about("whether a linear autoregression stands beside the network, which learns its rest")
    ] = True
    target_at: Annotated[
        Literal["each", "end"], about("a target at each row, or only at the end of each sequence")
    ] = "each"
    missing: Annotated[
        Literal["mask", "drop", "error"],
        about("rows that lack a value: mask: no error there, inputs keep their last value"),
    ] = "mask"
    gaps: Annotated[
        Literal["keep", "reset"], about("where steps of time are missing: go on, or reset the state")
    ] = "keep"
    validation: Annotated[
        float | str,
        about("rows that choices are made by: a share of them, a time from which on, or sequences"),
    ] = SHARE
    test: Annotated[
        float | str, about("rows that are kept for the final figures: a share, a time, or sequences")
    ] = SHARE
    season: Annotated[
        Annotated[int, msgspec.Meta(ge=0)] | None,
        about("rows of a season, for seasonal persistence; 0: none (default: found)"),
    ] = None
    na: Annotated[
        str | float | tuple[str | float, ...],
        about("what stands for a missing value besides NA and the like"),
    ] = ""
    header: Annotated[
        Literal["auto", "yes", "no"], about("whether the first line has the columns' names")
    ] = "auto"
    separator: Annotated[str, about("between columns (default: found)")] = ""
    decimal: Annotated[str, about("the decimal mark, . or , (default: found)")] = ""
    thousands: Annotated[str, about("the mark of thousands (default: found)")] = ""
    encoding: Annotated[str, about("of a text file (default: found)")] = ""
    comment: Annotated[str, about("what a line of comment begins with (default: found)")] = ""
    sheet: Annotated[str, about("of an Excel file (default: the first)")] = ""
    key: Annotated[str, about("the array of an .npz or .mat file, or of a mapping (default: all)")] = ""
    solved_below: Annotated[
        Positive | None,
        about("solved at this squared error on validation rows, in variances of what is learnt, summed "
              "over the targets (default: never)"),
    ] = None  # fmt: skip

    def __post_init__(self) -> None:
        self._horizons(classes=False)
        if self.data is not None and not isinstance(self.data, Given):
            msgspec.structs.force_setattr(self, "data", self._given(self.data))

    # --- what was found in the data ---

    @property
    def arranged(self) -> Arranged:
        """The data, ready to be learnt.

        Raises
        ------
        RnnsimError
            If they cannot be read or used so; the message says where and why.
        """
        stamp = _stamp(self.path)
        cached = self.__dict__.get("arranged_at")
        if cached is not None and stamp in (cached[0], ABSENT):  # a file that is gone is known still
            found: Arranged = cached[1]
            return found
        facts = self.__dict__.get("facts_kept")
        made = _arranged(self, stamp) if facts is None else self._arrange(facts)
        self.__dict__["arranged_at"] = stamp, made
        return made

    @property
    def found(self) -> Facts:
        """What a model needs of its data to be used with other rows."""
        kept: Facts | None = self.__dict__.get("facts_kept")
        return self.arranged.facts if kept is None else kept

    @property
    def facts(self) -> Mapping[str, Any]:
        return facts_as_data(self.found)

    def with_facts(self, facts: Mapping[str, Any]) -> Self:
        made: Self = msgspec.structs.replace(self)
        made.__dict__["facts_kept"] = facts_from(facts)
        return made

    def _given(self, data: Any) -> Given:
        if isinstance(data, str):
            raise RnnsimError(f"data is given from Python; a file is named by path={data}")
        if isinstance(data, Mapping) and KEPT in data:  # by a run that is loaded
            return Given.of_data(data[KEPT])
        columns = read(data, self.reading())
        self.reading().check_used(columns)
        return Given(columns.source, columns)

    def read(self) -> Columns:
        """Read the data."""
        if self.data is not None:
            if self.path:
                raise RnnsimError("path and data are both given; give one of them")
            given: Columns = self.data.columns
            return given
        if not self.path:
            raise RnnsimError(
                f"the task {self.name} needs data: a file by path=, or from Python by data="
            )
        columns = read(self.path, self.reading())
        self.reading().check_used(columns)
        return columns

    def reading(self) -> Reading:
        return Reading(
            header=self.header, separator=self.separator, decimal=self.decimal,
            thousands=self.thousands, encoding=self.encoding, comment=self.comment, sheet=self.sheet,
            key=self.key, na=self.na,
        )  # fmt: skip

    def _arrange(self, facts: Facts | None) -> Arranged:
        treatment = Treatment(
            self.missing, self.gaps == "reset", self.validation, self.test, self.season
        )
        rows = self._rows(self.read(), treatment, facts)
        choices = self._choices(rows.roles) if facts is None else facts.preparation.choices
        return arranged(rows, choices, treatment, facts)

    def _rows(self, columns: Columns, treatment: Treatment, facts: Facts | None) -> Rows:
        roles = self._roles(columns) if facts is None else facts.roles
        if self.gaps == "reset" and roles.time is None:
            raise RnnsimError(
                "gaps=reset needs a column of time, by which gaps are found; name it by time="
            )
        return rows_in(columns, roles, treatment, facts)

    def _roles(self, columns: Columns) -> Roles:
        asked = Asked(self.inputs, self.target, self.time, self.sequence, self.kind)
        horizons = self._horizons(self.ahead is None and target_is_class(columns, asked))
        return roles_of(columns, asked._replace(ahead=min(horizons)))

    def _choices(self, roles: Roles) -> Choices:
        horizons = self._horizons(roles.classes)
        if roles.classes and len(horizons) > 1:
            raise RnnsimError("classes are told at one horizon; give one number of rows by ahead=")
        has_path = self.linear and not roles.classes
        if self.on_line:
            self._check_on_line(roles)
        return Choices(horizons, self.lags, self.target_at == "end", has_path, self.on_line)

    def _check_on_line(self, roles: Roles) -> None:
        """Refuse what does not go with rows that are each forecast, and then learnt, once."""
        parts = (self.validation, self.test)
        for holds, why in (
            (roles.classes, "is for numbers, and the target is a class; choose another target="),
            (not self.linear, "is learnt beside a linear path; leave out linear=false"),
            (self.lags, "shows the network the last changes, the past is in its state; leave out lags="),
            (self.target_at == "end", "learns a target at each row; leave out target_at=end"),
            (parts != (SHARE, SHARE), "learns all rows, and scores half; leave out validation=, test="),
            (self.solved_below, "has no validation rows to be solved on; leave out solved_below="),
        ):
            if holds:
                raise RnnsimError(f"on_line {why}, or on_line")

    def _horizons(self, classes: bool) -> tuple[int, ...]:
        asked = self.ahead
        if asked is None:
            return (0 if classes else 1,)
        parts = (
            asked.split(",") if isinstance(asked, str) else [asked] if isinstance(asked, int) else asked
        )
        try:
            found = tuple(int(part) for part in parts)
        except ValueError:
            raise RnnsimError(
                f"ahead is a number of rows, or several (1,5,20), not {shown(asked)}"
            ) from None
        for horizon in found:
            checks.whole("ahead", horizon, 0, checks.LARGEST_SIZE)
        if not found or len(set(found)) < len(found):
            raise RnnsimError(f"ahead is {shown(asked)}; give each number of rows once")
        return found

    # --- the contract of a task ---

    @property
    def score(self) -> str:  # type: ignore[override]
        return "accuracy" if self.found.preparation.is_class else "squared"

    @property
    def n_in(self) -> int:
        return self.found.preparation.n_in

    @property
    def n_out(self) -> int:
        return self.found.preparation.n_out

    @property
    def input_names(self) -> tuple[str, ...]:
        return self.found.preparation.input_names

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.found.preparation.output_names

    @property
    def masks_outputs(self) -> bool:
        return self.found.masks_outputs

    @property
    def kept_outputs(self) -> int:
        return self.found.rows[LEARNT] if self.on_line else 0

    @property
    def target_delay(self) -> int:
        return max(0, max(self.found.preparation.choices.horizons) - 1)

    @property
    def baseline(self) -> float:
        return self.found.baseline

    @property
    def floors(self) -> Mapping[str, float]:
        return {} if self.found.preparation.is_class else {alone(self): self.found.baseline}

    @property
    def criterion(self) -> Criterion:
        if self.solved_below is None:
            return Never()
        return HeldOut("squared", self.solved_below, every=max(100, self.found.rows[LEARNT]))

    def check_network(self, network: Network) -> None:
        loss = getattr(network, "loss", None)
        if loss in CROSS_ENTROPIES and not self.found.preparation.is_class:
            raise RnnsimError(
                f"{loss} is for classes, and the target is a number, which is standardised; use the "
                "loss squared-error, or kind=class"
            )

    def suggestion(self, rule: str) -> Suggestion:
        learnt, validation, _ = self.found.rows
        if self.on_line:
            return Suggestion(
                init={"readout_scale": 0.0}, hidden=16, learning_rate=0.003, window=1, steps=learnt
            )
        loss = {"loss": "softmax-cross-entropy"} if self.found.preparation.is_class else {}
        return Suggestion(
            network=loss, init={"readout_scale": 0.0}, hidden=32, learning_rate=0.001, window=WINDOW,
            clip=float(WINDOW), steps=min(PASSES * learnt, max(learnt, MOST_STEPS)),
            keep="best" if validation else "last",
            keep_every=min(learnt, max(validation, LARGE)) if validation else None,
            patience=PATIENCE if validation else 0,
        )  # fmt: skip

    def held_out_shape(self) -> tuple[int, int]:
        return self.found.rows[TEST], 1

    def validation_shape(self) -> tuple[int, int]:
        return self.found.rows[VALIDATION], 1

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> TableSource:
        return source_of(self.arranged.pairs(TEST if held_out else LEARNT), batch, dtype)

    def validation_source(self, rng: np.random.Generator, batch: int, dtype: Any) -> TableSource:
        return source_of(self.arranged.pairs(VALIDATION), batch, dtype)

    def fill(self) -> Kernel:
        return fill

    # --- forecasts ---

    def data_name(self) -> str:
        if self.data is not None:
            return str(self.data.name)
        if self.path == "-":
            return "standard input"
        return self.path if "," in self.path else Path(self.path).name or self.name

    def learnt_rows(self) -> int:
        return self.found.rows[LEARNT]

    def model(self) -> tuple[Roles, Preparation]:
        return self.found.roles, self.found.final

    def new_rows(self, data: Any) -> ForecastRows:
        columns = data if isinstance(data, Columns) else read(data, self.reading())
        series = series_for(columns, self.found, self.gaps == "reset")
        roles, preparation = self.model()
        return rows_of(treated(series, "mask", columns), preparation, roles)

    def rows_of_part(self, part: int) -> ForecastRows:
        made = self.arranged
        roles, preparation = self.model()
        if preparation.choices.on_line:
            seen = View(made.prepared.inputs, made.prepared.base, made.prepared.scale)
            return rows_on_line(made.series, self.found.preparation, roles, seen)
        if part != TEST:
            preparation = self.found.preparation
        return rows_of_part(made.series, preparation, roles, made.pairs(part))

    def references(self, rows: ForecastRows) -> Mapping[str, Array]:
        preparation = rows.preparation
        said = dict(self.found.simple.forecasts(rows.series, preparation))
        found = {name: each[rows.index] for name, each in said.items()}
        if preparation.has_path:
            found["linear path"] = rows.base
        shape = (len(rows.index), len(rows.horizons), len(preparation.targets))
        return {name: each.reshape(shape) for name, each in found.items()}

    def told(self) -> str:
        return self.arranged.told


def _stamp(path: str) -> tuple[int, int]:
    """The file's modification time and size, which are part of the cache's key."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return ABSENT  # reading it reports the error
    return (status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _arranged(task: TableTask, stamp: tuple[int, int]) -> Arranged:
    return task._arrange(None)
