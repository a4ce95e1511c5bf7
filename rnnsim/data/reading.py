"""From the user's data, wherever they are, to columns."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnsim import checks
from rnnsim.data.columns import Columns, Reading
from rnnsim.errors import RnnsimError, shown, shown_path

if TYPE_CHECKING:
    from rnnsim.data.blocks import Progress
    from rnnsim.data.tables import Table

__all__ = ["Columns", "Reading", "read"]

STANDARD_INPUT = "-"
LARGE = 1 << 26  # bytes from which a bar is shown

_shows_progress = ContextVar("shows_progress", default=False)


@contextmanager
def showing_progress(shown: bool) -> Iterator[None]:
    """Show a bar in this context while a large file is read, which may be when it is first needed."""
    before = _shows_progress.set(shown)
    try:
        yield
    finally:
        _shows_progress.reset(before)


def read(
    source: Any,
    options: Reading = Reading(),  # noqa: B008
    *,
    progress: bool | None = None,
) -> Columns:
    """Read the user's data, and judge what each column is.

    Parameters
    ----------
    source : str or Path
        A file of text (.csv, .tsv, .txt, with .gz too), Parquet, Arrow, Excel, NumPy (.npy, .npz) or
        MATLAB (.mat); ``-`` for standard input. Several files, each of them a sequence: a folder, a
        pattern such as ``day*.csv``, or paths with commas between them.
    source : array, frame, mapping, or list
        Or: an array (rows,) or (rows, c), or with fields; a mapping from names to arrays; a frame or
        series of pandas, polars or Arrow; a list of any of these, or of paths, each a sequence.
    options : Reading
        How to read it; by default, that is found out.
    progress : bool, optional
        Whether to show a bar while a large file is read; by default only in :func:`showing_progress`.

    Returns
    -------
    Columns

    Raises
    ------
    RnnsimError
        If it cannot be read with certainty. The message names the line and what to do.
    """
    from rnnsim.data.tables import joined

    _check(options)
    progress = _shows_progress.get() if progress is None else progress
    if isinstance(source, str | Path):
        if source == STANDARD_INPUT:
            return joined([_standard_input(options)])
        paths = _paths(source)
        return joined(
            _read_files(paths, options, progress), shown_path(source) if len(paths) > 1 else ""
        )
    several = isinstance(source, list | tuple) and not _is_row(source)
    if not several:
        return joined([_in_memory(source, options)])
    if not source:
        raise RnnsimError("data is an empty list; it needs a sequence at least")
    if all(isinstance(each, str | Path) for each in source):
        return joined(_read_files([checks.path("path", each) for each in source], options, progress),
                      f"{len(source)} files")  # fmt: skip
    tables = [_in_memory(each, options, f"sequence {i} (from 0)") for i, each in enumerate(source)]
    return joined(tables, f"{len(source)} sequences")


def _check(options: Reading) -> None:
    if not isinstance(options, Reading):
        raise RnnsimError(f"options are a Reading, not {shown(options)}")
    for name, value in options._asdict().items():
        if name != "na" and not isinstance(value, str):
            raise RnnsimError(f"{name} is text, not {shown(value)}")
    several = options.na if isinstance(options.na, list | tuple) else [options.na]
    if not all(isinstance(one, str | int | float | np.number) for one in several):
        raise RnnsimError(f"na is a value, or several, that mean missing, not {shown(options.na)}")
    if options.header not in ("auto", "yes", "no"):
        raise RnnsimError(f"header is auto, yes or no, not {shown(options.header)}")


def _is_row(source: Sequence[Any]) -> bool:
    """Whether a list is itself a column of numbers, or rows of them, and no list of sequences."""
    return all(isinstance(each, int | float | np.number) for each in source) and len(source) > 0


# --- files ---------------------------------------------------------------------------------------------


def _paths(source: str | Path) -> list[Path]:
    """The files that a path means: itself, those of a folder or of a pattern, or several."""
    path = checks.path("path", source)
    text = str(source)
    if path.is_dir():
        return _of_folder(path)
    if path.exists():
        return [path]
    if has_magic(text):
        found = [Path(name) for name in sorted(glob(text), key=_by_numbers)]
        files = [each for each in found if each.is_file()]
        if not files:
            raise RnnsimError(f"there is no file like {shown_path(text)}")
        return files
    if "," in text:
        return [checks.path("path", part.strip()) for part in text.split(",") if part.strip()]
    return [path]


def _of_folder(folder: Path) -> list[Path]:
    from rnnsim.data.formats import OTHERS, TEXT

    files: dict[str, list[Path]] = {}
    for each in sorted(folder.iterdir(), key=lambda each: _by_numbers(each.name)):
        suffix = "".join(each.suffixes[-2:]) if each.suffix.casefold() == ".gz" else each.suffix
        if each.is_file() and suffix.casefold().removesuffix(".gz") in (*TEXT, *OTHERS):
            files.setdefault(suffix.casefold(), []).append(each)
    if not files:
        raise RnnsimError(f"{shown_path(folder)} is a folder without a file of data")
    if len(files) > 1:
        one = next(iter(files))
        raise RnnsimError(f"{shown_path(folder)} has files of several kinds ({', '.join(files)}); "
                          f"name some of them: {shown_path(folder)}/*{one}")  # fmt: skip
    return next(iter(files.values()))


def _by_numbers(name: str) -> list[Any]:
    """A key by which run2 comes before run10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _read_files(paths: Sequence[Path], options: Reading, progress: bool) -> list[Table]:
    from rnnsim.data.formats import read_file

    tables = []
    with _bar(paths, progress) as progress_of:
        for path, show in zip(paths, progress_of):
            tables.append(read_file(path, options, show))
    return tables


@contextmanager
def _bar(paths: Sequence[Path], shown: bool) -> Iterator[Iterable[Progress | None]]:
    """Yield for each file a function that updates a bar of the bytes read; None where none is shown."""
    sizes = [path.stat().st_size if path.is_file() else 0 for path in paths]
    if not shown or sum(sizes) < LARGE:
        yield [None] * len(paths)
        return
    from tqdm import tqdm

    name = paths[0].name if len(paths) == 1 else f"{len(paths)} files"
    with tqdm(total=sum(sizes), desc=f"reading {name}", unit="B", unit_scale=True, leave=False) as bar:

        def of(before: int) -> Progress:
            return lambda done: bar.update(max(0, before + done - bar.n)) and None

        yield [of(sum(sizes[:i])) for i in range(len(paths))]


def _standard_input(options: Reading) -> Table:
    from rnnsim.data.blocks import TextSource
    from rnnsim.data.delimited import read_text

    return read_text(TextSource("standard input", sys.stdin.buffer.read()), options)


# --- what is in memory ---------------------------------------------------------------------------------


def _in_memory(source: Any, options: Reading, name: str = "") -> Table:
    from rnnsim.data.frames import is_frame, table_of_array, table_of_arrays, table_of_frame

    if isinstance(source, Mapping):
        if not source:
            raise RnnsimError("data is an empty mapping; it needs an array at least")
        return table_of_arrays(source, options, name or "the mapping")
    if is_frame(source):
        return table_of_frame(source, options, name)
    if isinstance(source, np.ndarray | list | tuple) or hasattr(source, "__array__"):
        return table_of_array(source, options, name or "the array")
    raise RnnsimError(f"data is a path, an array, a frame, a mapping of arrays, or a list of these; "
                      f"not {shown(source)}")  # fmt: skip
