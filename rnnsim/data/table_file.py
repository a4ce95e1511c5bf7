"""Readers of numeric columns from .csv files with a header and .npz files; no code in them is run."""

from __future__ import annotations

import csv
import math
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rnnsim import checks
from rnnsim.errors import RnnsimError, UnknownName, nearest, shown_path
from rnnsim.typing import Array


class Sheet(ABC):
    """A file's columns by name.

    Attributes
    ----------
    file : str
        The file's name, for messages.
    names : sequence of str
        The columns' names.
    rows : int
        Number of rows.
    """

    def __init__(self, file: str, names: Sequence[str], rows: int) -> None:
        self.file = file
        self.names = names
        self.rows = rows

    @abstractmethod
    def numeric(self, name: str) -> bool:
        """Whether a column is to be read as numbers."""

    @abstractmethod
    def column(self, name: str) -> Array:
        """Return a column as finite numbers (rows,).

        Raises
        ------
        RnnsimError
            If it holds anything else.
        """

    def columns(self, names: Sequence[str]) -> Array:
        """Return columns as finite numbers (rows, columns).

        Raises
        ------
        UnknownName
            If there is no column of a name.
        RnnsimError
            If one holds anything else.
        """
        for name in names:
            if name not in self.names:
                raise UnknownName(f"{self.file}: {nearest('column', name, self.names)}")
        return np.stack([self.column(name) for name in names], axis=1)


def read_sheet(path: str) -> Sheet:
    """Read a file in the format that its extension names.

    Raises
    ------
    RnnsimError
        If it does not exist or cannot be read in that format.
    """
    readers = {".csv": CsvSheet, ".npz": NpzSheet}
    file = checks.path("path", path)
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise RnnsimError(f"{shown_path(path)} is neither a .csv nor a .npz file")
    try:
        return reader(file)
    except FileNotFoundError:
        raise RnnsimError(f"there is no file {shown_path(path)}") from None
    except OSError as error:
        why = error.strerror or error
        raise RnnsimError(f"{shown_path(path)} cannot be read: {why}") from None


class CsvSheet(Sheet):
    """A text file of comma-separated values: a line of column names, then a line for each row."""

    def __init__(self, path: Path) -> None:
        lines = _read_lines(path)
        if not lines:
            raise RnnsimError(f"{path.name} is empty; it needs a line of column names, then the rows")
        header = [cell.strip() for cell in lines[0][1]]
        _check_header(path.name, header)
        for line, cells in lines[1:]:
            if len(cells) != len(header):
                raise RnnsimError(
                    f"{path.name}, line {line}: {len(cells)} values; "
                    f"the header names {len(header)} columns"
                )
        super().__init__(path.name, header, len(lines) - 1)
        self._lines = lines[1:]

    def numeric(self, name: str) -> bool:
        """Decide by the first value that is not blank, which leaves out a column of dates, say."""
        place = self.names.index(name)
        present = (cells[place] for _, cells in self._lines if cells[place].strip())
        return _number(next(present, "")) is not None

    def column(self, name: str) -> Array:
        place = self.names.index(name)
        values = np.empty(self.rows)
        for row, (line, cells) in enumerate(self._lines):
            number = _number(cells[place])
            if number is None or not math.isfinite(number):
                found = repr(cells[place].strip()[:40]) if cells[place].strip() else "nothing"
                raise RnnsimError(
                    f"{self.file}, line {line}, column {name}: {found}, where a finite number is needed"
                )
            values[row] = number
        return values


def _read_lines(path: Path) -> list[tuple[int, list[str]]]:
    """Return the lines that are not blank, each with its number."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        try:
            return [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
        except (csv.Error, UnicodeDecodeError) as error:
            raise RnnsimError(f"{path.name} is not a text file of comma-separated values "
                              f"in UTF-8: {error}") from None  # fmt: skip


def _check_header(file: str, header: list[str]) -> None:
    if all(_number(name) is not None for name in header):
        raise RnnsimError(f"{file} has no header: its first line holds numbers, not column names")
    if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
        raise RnnsimError(f"{file} has semicolons or tabs between its columns; they must be commas")
    for place, name in enumerate(header):
        if not name:
            raise RnnsimError(f"{file}: column {place + 1} has no name in the header; give it one")
        if header.index(name) != place:
            raise RnnsimError(f"{file} has two columns called {name!r}; each needs its own name")


def _number(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)  # only Python reads 1_000 as a number
    except ValueError:
        return None


class NpzSheet(Sheet):
    """A NumPy archive: an array (rows,) is a column, an array (rows, c) the columns key[0], key[1]..."""

    def __init__(self, path: Path) -> None:
        arrays = _read_arrays(path)
        if not arrays:
            raise RnnsimError(f"{path.name} is empty; it needs an array of numbers at least")
        self._columns: dict[str, Array] = {}
        first, rows = "", 0
        for key, array in arrays.items():
            if array.dtype.kind not in "biuf" or array.ndim not in (1, 2):
                raise RnnsimError(f"{path.name}: {key} is of {array.dtype} and shape {array.shape}; "
                                  f"it must be of real numbers, (rows,) or (rows, columns)")  # fmt: skip
            if first and len(array) != rows:
                raise RnnsimError(f"{path.name}: {key} has {len(array)} rows and {first} has {rows}; "
                                  f"all arrays must have the same number")  # fmt: skip
            first, rows = key, len(array)
            if array.ndim == 1:
                self._columns[key] = array
            else:
                self._columns |= {f"{key}[{j}]": array[:, j] for j in range(array.shape[1])}
        super().__init__(path.name, list(self._columns), rows)

    def numeric(self, name: str) -> bool:
        return True

    def column(self, name: str) -> Array:
        values = self._columns[name].astype(np.float64)
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise RnnsimError(
                f"{self.file}, row {row} (from 0), column {name}: {values[row]}, "
                f"where a finite number is needed"
            )
        return values


def _read_arrays(path: Path) -> dict[str, Array]:
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise RnnsimError(f"{path.name} is not an .npz archive; write it with numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except Exception as error:  # noqa: BLE001 (a broken file may fail in any way)
        raise RnnsimError(f"{path.name} is broken or holds what is not numbers: {error}") from None
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):  # NumPy returns other members of the archive as bytes
            raise RnnsimError(f"{path.name}: {key} is not an array; write the file with numpy.savez")
    return arrays
