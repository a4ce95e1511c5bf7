"""The results of a sweep: one SQLite file, which the process that hands out the runs alone writes.

What is written together is there as a whole or not at all, whatever happens to the process, and others
may read meanwhile. Tables:

``cells``
    The settings, each with its place in the plan. ``role`` is ``result``, ``control`` (a learning rate
    of 0) or ``trial`` (one of the learning rates that are tried), ``rule`` and ``task`` are names with
    the options that are not the defaults, ``varied`` (JSON) the other choices that the plan varies.
    ``experiment`` (JSON) is everything that determines a run but its seed, as in the file of a run,
    with digests in place of arrays and of the user's data, and the versions of plugins. ``key`` is a
    hash of the two, by which a cell is found again. ``choice`` (JSON) says how the learning rate was
    chosen, ``published`` is the step of a published figure, ``score`` the name of the task's.
``runs``
    Of each cell and seed: how it ended (``outcome``), when it was solved, the steps done, loss and score
    on test data, the loss on validation data, seconds, the worker, and what went wrong.
``curves``
    Their learning curves, arrays by name in the format of safetensors.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnsim import files
from rnnsim.errors import RnnsimError, shown_path
from rnnsim.typing import Array

FORMAT = 1
MAGIC = b"SQLite format 3\0"
PATIENCE = 60.0  # seconds that reading and writing wait for one another
ROLES = ("result", "control", "trial")
OUTCOMES = ("solved", "complete", "stopped early", "diverged", "no steady state", "failed", "refused")
WITHOUT_RESULT = ("failed", "refused")
SCHEMA = """
    create table about (name text primary key, value text) without rowid;
    create table cells (
        id integer primary key, key text unique not null, place integer, role text not null,
        label text, rule text, task text, varied text, learning_rate real, steps integer,
        criterion text, published integer, choice text, experiment text, score text
    );
    create table runs (
        cell integer not null references cells, seed integer not null, outcome text not null,
        solved_at integer, steps integer, loss real, score real, validation_loss real, seconds real,
        worker text, error text, primary key (cell, seed)
    ) without rowid;
    create table curves (
        cell integer not null, seed integer not null, curve blob, primary key (cell, seed)
    ) without rowid;
"""


class Cell(NamedTuple):
    """One setting of a sweep, as it is kept."""

    id: int
    place: int  # in the order of the plan
    role: str
    label: str
    rule: str
    task: str
    varied: Mapping[str, Any]
    learning_rate: float | None  # None: one for each parameter
    steps: int
    criterion: str
    published: int | None
    choice: Mapping[str, Any] | None  # how the learning rate was chosen
    experiment: Mapping[str, Any]
    score: str = "score"  # the name of the task's


class Outcome(NamedTuple):
    """What came of one run; numbers that there are not are None."""

    cell: int
    seed: int
    outcome: str
    solved_at: int | None = None
    steps: int = 0
    loss: float | None = None
    score: float | None = None
    validation_loss: float | None = None
    seconds: float = 0.0
    worker: str = ""
    error: str = ""
    curve: bytes = b""


class Runs(NamedTuple):
    """What came of many runs, an array of R entries each; nan where there is no number.

    ``solved_at`` is inf of a run that came to its end and did not solve its task.
    """

    cell: Array
    seed: Array
    outcome: Array  # indices into OUTCOMES
    solved_at: Array
    steps: Array
    loss: Array
    score: Array
    validation_loss: Array
    seconds: Array

    def of(self, chosen: Array) -> Runs:
        """Some of them."""
        return Runs(*(array[chosen] for array in self))


CELL = ", ".join(Cell._fields)
RUN = ", ".join(Outcome._fields[:-1])


class Store:
    """An open file of results; without a path, one in memory.

    Raises
    ------
    RnnsimError
        If the file cannot be read or written, or is none of a sweep.
    """

    def __init__(self, path: Path | None = None, *, writes: bool = True, content: bytes = b"") -> None:
        self.path = path
        with self._problems_said():
            if path is not None and not writes and not path.is_file():
                raise RnnsimError(f"there is no file of results {shown_path(path)}")
            self._check_kind()
            name = ":memory:" if path is None else str(path.absolute())  # a file may be called so
            self._database = sqlite3.connect(name, timeout=PATIENCE, isolation_level=None)
            if content:
                self._database.deserialize(content)
            self._begin(writes)

    def _check_kind(self) -> None:
        """Refuse a file of another kind before SQLite touches it."""
        if self.path is None or not self.path.is_file():
            return
        with self.path.open("rb") as file:
            head = file.read(len(MAGIC))
        if head and head != MAGIC:
            raise RnnsimError(f"{shown_path(self.path)} is no file of the results of a sweep")

    def _begin(self, writes: bool) -> None:
        tables = {name for (name,) in self._database.execute("select name from sqlite_master")}
        if not tables and writes:
            with self._together():
                for statement in filter(str.strip, SCHEMA.split(";")):
                    self._database.execute(statement)
                self._database.execute("insert into about values ('format', ?)", (str(FORMAT),))
        elif not {"about", "cells", "runs", "curves"} <= tables:
            raise RnnsimError(f"{shown_path(self.path)} is no file of the results of a sweep")
        elif self.about("format") != str(FORMAT):
            raise RnnsimError(f"{shown_path(self.path)} has results in format {self.about('format')}, "
                              f"and this version of rnnsim reads format {FORMAT}")  # fmt: skip

    @contextmanager
    def _problems_said(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise RnnsimError(f"the results of the sweep in {shown_path(self.path)} cannot be read or "
                              f"written: {error}") from None  # fmt: skip

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Write all of it or nothing."""
        with self._problems_said():
            try:
                self._database.execute("begin immediate")
                yield
                self._database.execute("commit")
            except BaseException:
                if self._database.in_transaction:  # SQLite may have ended it, where the disk is full
                    self._database.execute("rollback")
                raise

    def close(self) -> None:
        self._database.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """With its content, where it is in memory."""
        content = b"" if self.path else self._database.serialize()
        return _opened, (self.path, content)

    # --- writing ---

    def add_cells(self, cells: Sequence[tuple[str, Cell]]) -> list[int]:
        """Add cells, each with its key, or find those that are there; their numbers, in this order.

        What is said of a cell that is there already is as it is given now.
        """
        columns = Cell._fields[1:]
        marks = ", ".join("?" * (len(columns) + 1))
        changes = ", ".join(f"{name} = excluded.{name}" for name in columns)
        command = (f"insert into cells (key, {', '.join(columns)}) values ({marks}) "
                   f"on conflict (key) do update set {changes} returning id")  # fmt: skip
        with self._together():
            return [
                self._database.execute(command, (key, *map(_as_column, cell[1:]))).fetchall()[0][0]
                for key, cell in cells
            ]

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Write down what came of some runs; all of it, or nothing."""
        marks = ", ".join("?" * (len(Outcome._fields) - 1))
        with self._together():
            for outcome in outcomes:
                *numbers, curve = outcome
                self._database.execute(f"insert or replace into runs ({RUN}) values ({marks})", numbers)
                self._database.execute(
                    "insert or replace into curves values (?, ?, ?)",
                    (outcome.cell, outcome.seed, curve),
                )

    def add_versions(self, versions: Mapping[str, str]) -> None:
        """Write down by which versions runs are carried out."""
        known = self.versions()
        if versions not in known:
            with self._together():
                self._database.execute(
                    "insert or replace into about values ('versions', ?)",
                    (json.dumps([*known, dict(versions)]),),
                )

    # --- reading ---

    def about(self, name: str) -> str:
        """What was written down about the whole sweep; nothing if nothing was."""
        with self._problems_said():
            found = self._database.execute("select value from about where name = ?", (name,)).fetchone()
        return str(found[0]) if found else ""

    def versions(self) -> list[dict[str, str]]:
        """By which versions of Python, libraries and plugins runs were carried out, in this order."""
        found: list[dict[str, str]] = json.loads(self.about("versions") or "[]")
        return found

    def cells(self) -> list[Cell]:
        """All cells, in the order of the plan."""
        with self._problems_said():
            rows = self._database.execute(f"select {CELL} from cells order by place, id").fetchall()
        return [Cell(*map(_of_column, Cell._fields, row)) for row in rows]

    def done(self, but: Sequence[str] = ()) -> set[tuple[int, int]]:
        """The cells and seeds of the runs that are there, but for those that ended in some ways."""
        marks = ", ".join("?" * len(but))
        command = f"select cell, seed from runs where outcome not in ({marks})"
        with self._problems_said():
            return set(self._database.execute(command, tuple(but)).fetchall())

    def runs(self) -> Runs:
        """What came of all runs, by cell and seed."""
        codes = " ".join(f"when '{name}' then {i}" for i, name in enumerate(OUTCOMES))
        chosen = ", ".join(
            f"case outcome {codes} end" if name == "outcome" else name for name in Runs._fields
        )
        with self._problems_said():
            rows = self._database.execute(f"select {chosen} from runs order by cell, seed").fetchall()
        table = np.array(rows, float).reshape(len(rows), len(Runs._fields))
        whole = {"cell", "seed", "outcome", "steps"}
        columns = {
            name: table[:, i].astype(np.int64) if name in whole else np.ascontiguousarray(table[:, i])
            for i, name in enumerate(Runs._fields)
        }
        found = Runs(**columns)
        ended = ~np.isin(found.outcome, [OUTCOMES.index(name) for name in WITHOUT_RESULT])
        found.solved_at[np.isnan(found.solved_at) & ended] = np.inf
        return found

    def problems(self) -> list[tuple[int, int, str, str]]:
        """The cell, the seed, the outcome and the error of each run for which something is said."""
        with self._problems_said():
            return self._database.execute(
                "select cell, seed, outcome, error from runs where error != '' order by cell, seed"
            ).fetchall()

    def curves(self, cells: Sequence[int]) -> Iterator[tuple[int, int, dict[str, Array]]]:
        """The cell, the seed and the learning curve of each run of some cells."""
        from safetensors.numpy import load

        marks = ", ".join("?" * len(cells))
        with self._problems_said():
            command = f"select cell, seed, curve from curves where cell in ({marks}) order by cell, seed"
            with closing(self._database.execute(command, tuple(cells))) as rows:
                for cell, seed, curve in rows:
                    if curve:
                        yield cell, seed, load(curve)


@contextmanager
def kept_alone(path: Path | None) -> Iterator[None]:
    """Let no other process write results into a file.

    Raises
    ------
    RnnsimError
        If another does, or there is no folder in which the file could be.
    """
    if path is None:
        yield
        return
    if not path.parent.is_dir():
        raise RnnsimError(f"the results of the sweep cannot be kept in {shown_path(path)}: there is no "
                          f"folder {shown_path(path.parent)}")  # fmt: skip
    if path.is_dir():
        raise RnnsimError(
            f"the results of a sweep are kept in a file, and {shown_path(path)} is a folder"
        )
    lock = files.FileLock(path.with_name(f".{path.name}.lock"))
    try:
        free = lock.acquire()
    except OSError as error:
        raise RnnsimError(f"the results of the sweep cannot be kept in {shown_path(path)}: "
                          f"{error.strerror or error}") from None  # fmt: skip
    if not free:
        raise RnnsimError(f"another process writes the results of a sweep into {shown_path(path)}; wait "
                          "for its end, or choose another file")  # fmt: skip
    try:
        yield
    finally:
        lock.release()


def is_results(path: Path) -> bool:
    """Whether a file is one of SQLite, as the results of a sweep are."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _opened(path: Path | None, content: bytes) -> Store:
    return Store(path, writes=False, content=content)


def _as_column(value: Any) -> Any:
    return json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else value


def _of_column(name: str, value: Any) -> Any:
    return json.loads(value) if name in ("varied", "choice", "experiment") and value else value
