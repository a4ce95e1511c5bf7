"""A task that forecasts series of its own, by which runs on the user's own data are tested."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from rnnsim import registry
from rnnsim.criterion import Criterion, Never
from rnnsim.data.arranging import Arranged, Treatment, arranged, rows_in, series_for
from rnnsim.data.columns import CATEGORY, NUMBER, TIME, Column, Columns, Reading
from rnnsim.data.facts import Facts
from rnnsim.data.forecasting import ForecastRows, rows_of, rows_of_part
from rnnsim.data.pairs import Pairs
from rnnsim.data.parts import LEARNT, TEST, VALIDATION
from rnnsim.data.preparation import Choices, Preparation
from rnnsim.data.roles import Roles
from rnnsim.errors import RnnsimError
from rnnsim.kernels import kernel
from rnnsim.network import Stream
from rnnsim.task import Suggestion, Task

ROWS, DAY = 120, 86_400.0
WEATHER = ("rain", "sun")
TEXTS = {"sky": WEATHER}


class Source(NamedTuple):
    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    resets: np.ndarray
    place: np.ndarray


class Waves(Task, frozen=True):
    """Two noisy waves, day by day, and the sky, which is clear where the first is high."""

    name = "waves"
    score = "squared"

    ahead: tuple[int, ...] = (1,)
    is_class: bool = False
    holes: bool = False
    seed: int = 0

    @property
    def roles(self) -> Roles:
        targets = ("sky",) if self.is_class else ("high", "low")
        return Roles(("high", "low"), targets, time="day", classes=self.is_class)

    @property
    def arranged(self) -> Arranged:
        return arranged_of(self)

    @property
    def facts_found(self) -> Facts:
        return self.arranged.facts

    def data_name(self) -> str:
        return "two waves"

    def learnt_rows(self) -> int:
        return self.facts_found.rows[LEARNT]

    def model(self) -> tuple[Roles, Preparation]:
        return self.roles, self.facts_found.preparation

    def reading(self) -> Reading:
        return Reading()

    def new_rows(self, data: Any) -> ForecastRows:
        columns = data if isinstance(data, Columns) else read(data)
        series = series_for(columns, self.facts_found)
        return rows_of(series, self.facts_found.preparation, self.roles)

    def rows_of_part(self, part: int) -> ForecastRows:
        made = self.arranged
        return rows_of_part(made.series, made.facts.preparation, self.roles, made.pairs(part))

    def references(self, rows: ForecastRows) -> Mapping[str, np.ndarray]:
        if self.is_class:
            return {}
        now = rows.series.d[rows.index]
        return {"persistence": np.repeat(now[:, None], len(self.ahead), axis=1)}

    # --- the contract of a task ---

    @property
    def n_in(self) -> int:
        return self.facts_found.preparation.n_in

    @property
    def n_out(self) -> int:
        return self.facts_found.preparation.n_out

    @property
    def baseline(self) -> float:
        return self.facts_found.baseline

    @property
    def criterion(self) -> Criterion:
        return Never()

    def held_out_shape(self) -> tuple[int, int]:
        return self.facts_found.rows[TEST], 1

    def validation_shape(self) -> tuple[int, int]:
        return self.facts_found.rows[VALIDATION], 1

    def suggestion(self, rule: str) -> Suggestion:
        loss = {"loss": "softmax-cross-entropy"} if self.is_class else {}
        return Suggestion(network=loss, hidden=2, learning_rate=0.02, steps=80, window=20)

    def source(
        self, rng: np.random.Generator, batch: int, dtype: Any, *, held_out: bool = False
    ) -> Source:
        return source(self.arranged.pairs(TEST if held_out else LEARNT), batch, dtype)

    def validation_source(self, rng: np.random.Generator, batch: int, dtype: Any) -> Source:
        return source(self.arranged.pairs(VALIDATION), batch, dtype)

    def fill(self) -> Any:
        return fill


@cache
def arranged_of(task: Waves) -> Arranged:
    choices = Choices(tuple(task.ahead), lags=1)
    return arranged(rows_in(table(task.seed, task.holes), task.roles, Treatment()), choices, Treatment())


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the task be known by its name, as saved runs need it."""
    known = registry.installed()
    tasks = {**known.tasks, Waves.name: registry.Entry(Waves, "acme-tasks", "1.0")}
    found = dataclasses.replace(known, tasks=tasks)
    monkeypatch.setattr(registry, "installed", lambda: found)


def source(pairs: Pairs, batch: int, dtype: Any) -> Source:
    return Source(
        np.ascontiguousarray(pairs.inputs, dtype), np.ascontiguousarray(pairs.targets, dtype),
        pairs.weights.min(axis=1), pairs.resets, np.zeros(batch, int),
    )  # fmt: skip


@kernel(allocates=False)
def fill(source: Source, stream: Stream, rows: int) -> int:
    for t in range(rows):
        for b in range(stream.mask.shape[1]):
            row = source.place[b] % source.weights.shape[0]
            source.place[b] += 1
            stream.inputs[t, b] = source.inputs[row]
            stream.targets[t, b] = source.targets[row]
            stream.mask[t, b] = source.weights[row]
            stream.resets[t, b] = source.resets[row]
    return rows


def table(seed: int = 0, holes: bool = False, rows: int = ROWS) -> Columns:
    """The data: a day, two numbers and a category."""
    rng, t = np.random.default_rng(seed), np.arange(rows)
    high = 20 + 5 * np.sin(t / 4) + rng.normal(0, 0.5, rows)
    low = -3 + np.cos(t / 4) + rng.normal(0, 0.1, rows)
    sky = (high > 20).astype(float)
    if holes:
        low[rng.random(rows) < 0.2] = np.nan
    day = 1.6e9 // DAY * DAY + t * DAY
    return columns_of({"day": day, "high": high, "low": low, "sky": sky}, "waves")


def columns_of(arrays: Mapping[str, np.ndarray], source: str = "a dict") -> Columns:
    kinds = {"day": TIME, "sky": CATEGORY}
    found = {
        name: Column(name, kinds.get(name, NUMBER), np.asarray(values, float), TEXTS.get(name, ()))
        for name, values in arrays.items()
    }
    rows = len(next(iter(found.values())).values) if found else 0
    return Columns(source, found, rows, (rows,))


def as_text(columns: Columns) -> str:
    """The lines of a .csv file."""
    lines = [",".join(columns.columns)]
    for row in range(columns.rows):
        cells = []
        for one in columns.columns.values():
            value = one.values[row]
            if np.isnan(value):
                cells.append("")
            elif one.kind == TIME:
                cells.append(str(np.datetime64(int(value), "s").astype("M8[D]")))
            else:
                cells.append(one.categories[int(value)] if one.categories else repr(float(value)))
        lines.append(",".join(cells))
    return "\n".join(lines) + "\n"


def read(data: Any) -> Columns:
    """What a user gives: a mapping of arrays, or the path of a .csv file as ``as_text`` has it."""
    if isinstance(data, Mapping) and data:
        return columns_of(data)
    if not isinstance(data, str):
        raise RnnsimError("data must be rows: a path, or a mapping of arrays")
    header, *lines = Path(data).read_text().splitlines()
    names = header.split(",")
    rows = [line.split(",") for line in lines]

    def number(name: str, cell: str) -> float:
        if name == "day":
            return float(np.datetime64(cell, "s").astype(int))
        return float(WEATHER.index(cell)) if name == "sky" else float(cell or "nan")

    return columns_of({name: np.array([number(name, row[i]) for row in rows])
                       for i, name in enumerate(names)}, data)  # fmt: skip
