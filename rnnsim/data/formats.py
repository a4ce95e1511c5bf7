"""Files that are not text: Parquet, Arrow, workbooks of Excel, arrays of NumPy and MATLAB."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from rnnsim.data.blocks import Progress, TextSource
from rnnsim.data.columns import EVERYWHERE, Reading
from rnnsim.data.delimited import read_text
from rnnsim.data.frames import table_of_array, table_of_arrays, table_of_frame
from rnnsim.data.tables import Table
from rnnsim.errors import RnnsimError, UnknownName, nearest, shown_path

Reader = Callable[[Path, Reading, Progress | None], Table]

TEXT = (".csv", ".tsv", ".txt", ".tab", ".dat", ".data", ".asc")
OTHERS = (
    ".parquet",
    ".feather",
    ".arrow",
    ".xlsx",
    ".xls",
    ".xlsm",
    ".xlsb",
    ".ods",
    ".npy",
    ".npz",
    ".mat",
)


def read_file(path: Path, options: Reading, progress: Progress | None = None) -> Table:
    """Read a file in the format that its first bytes tell, or else its name.

    Raises
    ------
    RnnsimError
        If it does not exist or cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
        return _reader(path, start)(path, options, progress)
    except FileNotFoundError:
        raise RnnsimError(f"there is no file {shown_path(path)}") from None
    except OSError as error:
        raise RnnsimError(f"{shown_path(path)} cannot be read: {error.strerror or error}") from None


def _reader(path: Path, start: bytes) -> Reader:
    suffix = path.suffix.casefold()
    if start.startswith(b"\x93NUMPY"):
        return _npy
    if start.startswith(b"PAR1"):
        return _parquet
    if start.startswith(b"ARROW1"):
        return _arrow
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        return _workbook
    if start.startswith(b"MATLAB") or suffix == ".mat":
        return _mat
    if start.startswith(b"PK"):
        with zipfile.ZipFile(path) if zipfile.is_zipfile(path) else _broken(path) as archive:
            names = archive.namelist()
        sheets = any(name.startswith("xl/") or name == "content.xml" for name in names)
        return _workbook if sheets else _npz
    if suffix in OTHERS:
        raise RnnsimError(f"{path.name} is broken, or no {suffix} file")
    inner = Path(path.stem).suffix.casefold() if suffix == ".gz" else suffix
    if inner in TEXT or not inner:
        return _text
    raise RnnsimError(f"{path.name} is of no format that is known: {' '.join((*TEXT, *OTHERS))}, "
                      f"the text files also with .gz")  # fmt: skip


def _broken(path: Path) -> Any:
    raise RnnsimError(f"{path.name} is broken: it begins as an archive, and is not one")


def _text(path: Path, options: Reading, progress: Progress | None) -> Table:
    return read_text(TextSource(path.name, path), options, progress)


def _parquet(path: Path, options: Reading, progress: Progress | None) -> Table:
    """Read column by column, so that the columns of polars need not all be in memory beside ours."""
    try:
        names = list(pl.read_parquet_schema(path))
        parts = []
        for i, name in enumerate(names):
            parts.append(table_of_frame(pl.read_parquet(path, columns=[name]), options, path.name))
            if progress is not None:
                progress(path.stat().st_size * (i + 1) // len(names))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _not_read(path, error) from None
    rows = parts[0].rows if parts else 0
    return Table(path.name, [column for part in parts for column in part.columns], rows)


def _arrow(path: Path, options: Reading, progress: Progress | None) -> Table:
    try:
        return table_of_frame(pl.read_ipc(path), options, path.name)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _not_read(path, error) from None


def _not_read(path: Path, error: Exception) -> RnnsimError:
    why = str(error).splitlines()[0] if str(error) else type(error).__name__
    return RnnsimError(f"{path.name} is broken or holds what cannot be read: {why}")


def _workbook(path: Path, options: Reading, progress: Progress | None) -> Table:
    """Read a sheet as text, which is then judged like that of a text file."""
    try:
        import fastexcel
    except ImportError:
        raise RnnsimError(f"{path.name}: workbooks need fastexcel: pip install 'rnnsim[data]'") from None
    try:
        book = fastexcel.read_excel(path)
        if options.sheet and options.sheet not in book.sheet_names:
            raise UnknownName(f"{path.name}: {nearest('sheet', options.sheet, book.sheet_names)}")
        sheet = book.load_sheet(options.sheet or 0, header_row=None, skip_rows=0, dtypes="string")
        cells = pl.DataFrame(sheet).with_columns(pl.all().str.replace_all(r"\s*\n\s*", " "))
    except (fastexcel.FastExcelError, pl.exceptions.PolarsError) as error:
        raise _not_read(path, error) from None
    text = cells.write_csv(include_header=False, quote_style="necessary")
    plain = options._replace(separator=",", decimal=options.decimal or ".", encoding="utf-8")
    table = read_text(TextSource(path.name, text.encode(), "row"), plain)
    table.options = EVERYWHERE | {"header", "comment", "sheet"}
    if len(book.sheet_names) > 1 and not options.sheet:
        found = f"it is the first of {len(book.sheet_names)} sheets, {book.sheet_names[0]}"
        table.notes.insert(0, f"{found}; sheet= names another")
    return table


def _npy(path: Path, options: Reading, progress: Progress | None) -> Table:
    try:
        array = np.load(path, allow_pickle=False)
    except Exception as error:  # noqa: BLE001 (a broken file may fail in any way)
        raise RnnsimError(f"{path.name} is broken or holds what is not numbers: {error}") from None
    return table_of_array(array, options, path.name)


def _npz(path: Path, options: Reading, progress: Progress | None) -> Table:
    try:
        with np.load(path, allow_pickle=False) as archive:
            keys = list(archive.files)
            chosen = [_key(path, options.key, keys)] if options.key else keys
            arrays = {key: archive[key] for key in chosen}
    except RnnsimError:
        raise
    except Exception as error:  # noqa: BLE001 (a broken file may fail in any way)
        raise RnnsimError(f"{path.name} is broken or holds what is not numbers: {error}") from None
    if not arrays:
        raise RnnsimError(f"{path.name} is empty; it needs an array of numbers at least")
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):  # NumPy returns other members of the archive as bytes
            raise RnnsimError(f"{path.name}: {key} is not an array; write the file with numpy.savez")
    return table_of_arrays(arrays, options, path.name)


def _mat(path: Path, options: Reading, progress: Progress | None) -> Table:
    from scipy.io import loadmat

    try:
        found = loadmat(path)
    except NotImplementedError:
        raise RnnsimError(f"{path.name} is of MATLAB's version 7.3; save it with -v7") from None
    except Exception as error:  # noqa: BLE001 (a broken file may fail in any way)
        raise _not_read(path, error) from None
    arrays = {key: _as_column(value) for key, value in found.items() if not key.startswith("__")}
    if not arrays:
        raise RnnsimError(f"{path.name} is empty; it needs an array of numbers at least")
    return table_of_arrays(arrays, options, path.name)


def _as_column(array: Any) -> Any:
    """MATLAB's vectors are matrices of one row or one column."""
    return (
        array.ravel()
        if isinstance(array, np.ndarray) and array.ndim == 2 and 1 in array.shape
        else array
    )


def _key(path: Path, key: str, keys: list[str]) -> str:
    if key not in keys:
        raise UnknownName(f"{path.name}: {nearest('array', key, keys)}")
    return key
