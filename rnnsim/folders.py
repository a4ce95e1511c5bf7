"""Folders of what is saved: a run, or a learner.

Each holds a readable file (TOML), arrays (safetensors), and perhaps a table (CSV), none of which holds
code.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

from rnnsim import checks, files
from rnnsim.errors import RnnsimError
from rnnsim.typing import Array

ARRAYS = "arrays.safetensors"

# Bounds of what is read
MOST = 1 << 20  # bytes of a readable file or a table; those of a run have a few thousand
MOST_HEADER = 1 << 20  # bytes of the names and shapes of arrays
MOST_DOTS = 1000  # in a line of TOML: parsing a dotted key takes time in the square of its parts
DEEPEST = 8  # levels of tables

PLAIN = (bool, int, float, str, datetime.datetime)

# SystemError: what older versions of msgspec raise of a whole number that no float can be
DAMAGES = (
    ValueError, LookupError, TypeError, RecursionError, OverflowError, SystemError, csv.Error,
    msgspec.MsgspecError,
)  # fmt: skip


# --- the folder ---------------------------------------------------------------------------------------


def check_writable(folder: str | os.PathLike[str]) -> Path:
    """Check that a run can be saved in a folder, so that it does not fail only at its end.

    Raises
    ------
    RnnsimError
        If the folder cannot be created or written to.
    """
    path = checks.path("save, the folder of a run,", folder)
    made = absent_folders(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        files.try_out(path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        remove_empty(made)
    return path


def absent_folders(path: Path) -> list[Path]:
    """A folder and those above it that do not exist, innermost first."""
    return [above for above in (path, *path.parents) if not os.path.lexists(above)]


def remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders that are empty, innermost first."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _unwritable(path: Path, error: OSError, what: str = "run") -> RnnsimError:
    why = "something else has this name" if isinstance(error, FileExistsError) else error.strerror
    return RnnsimError(f"cannot save the {what} in {path}: {why or error}")


# --- writing ------------------------------------------------------------------------------------------


def write(path: Path, contents: Mapping[str, bytes], what: str, *, durable: bool = True) -> None:
    """Write files into a folder together, creating it if necessary: all of them, or none.

    Where they are ``durable``, this holds even if the machine stops, and takes longer.

    Raises
    ------
    RnnsimError
        If the folder cannot be written to.
    """
    made = absent_folders(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        files.replace_together(path, contents, durable=durable)
    except OSError as error:
        remove_empty(made)
        raise _unwritable(path, error, what) from None


def toml_file(summary: Any) -> bytes:
    """The content of a TOML file: a mapping or a struct, without entries that are None."""
    import tomli_w

    return tomli_w.dumps(_for_toml(summary)).encode("utf-8", "replace")


def _for_toml(value: Any) -> Any:
    """A value as TOML can hold it: without entries that are None or empty tables; odd ones as text."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        parts = {str(name): _for_toml(part) for name, part in value.items() if part is not None}
        return {name: part for name, part in parts.items() if part != {}}
    if isinstance(value, tuple | list):
        return [_for_toml(part) for part in value]
    return value if isinstance(value, PLAIN) else repr(value)


def csv_file(columns: Mapping[str, Array]) -> bytes:
    """The content of a table, with a header."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values())))
    return text.getvalue().encode()


def safetensors_file(arrays: Mapping[str, Array]) -> bytes:
    """The content of a file of arrays by name."""
    from safetensors.numpy import save as to_bytes

    # safetensors corrupts arrays that are not contiguous
    return to_bytes({name: np.asarray(array, order="C") for name, array in arrays.items()})


# --- reading ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def problem_reported(what: str) -> Iterator[None]:
    """Report whatever cannot be understood of what is read, after a few words on what it is not.

    Raises
    ------
    RnnsimError
        In place of an error of ``DAMAGES``.
    """
    try:
        yield
    except RnnsimError:
        raise
    except DAMAGES as error:
        why = f"there is no {error.args[0]}" if isinstance(error, KeyError) else error
        raise RnnsimError(f"{what}: {why}") from None


def read(path: Path, texts: Sequence[str], what: str) -> tuple[dict[str, bytes], dict[str, Array]]:
    """Read files of a folder that were written together: some texts, and ``ARRAYS``.

    Returns
    -------
    dict of bytes, dict of arrays

    Raises
    ------
    RnnsimError
        If one is absent or cannot be read; ``what`` there should be in the folder, is said then.
    ValueError
        If one is damaged, or larger than it can be.
    """
    names = (*texts, ARRAYS)
    try:
        if absent := files.absent(path, names):
            raise RnnsimError(
                f"{path} is not a saved {what}: there is no {' and no '.join(absent)} in it"
            )
        with files.opened_together(path, names) as opened:
            found = {name: files.read_at_most(opened[name], MOST) for name in texts}
            return found, _read_arrays(opened[ARRAYS])
    except OSError as error:
        raise RnnsimError(f"cannot read {path}: {error.strerror or error}") from None


def parsed_toml(content: bytes, name: str) -> dict[str, Any]:
    """Parse a TOML file of at most ``MOST`` bytes.

    Raises
    ------
    ValueError
        If it is damaged, or larger, or would take long to parse.
    """
    import tomllib

    if len(content) > MOST:
        raise ValueError(f"{name} has {len(content):,} bytes, more than {MOST:,}")
    text = content.decode()
    if max(line.count(".") for line in text.split("\n")) > MOST_DOTS:
        raise ValueError(f"a line of {name} has more than {MOST_DOTS:,} dots")
    found = tomllib.loads(text)
    if not _is_flat(found, DEEPEST):
        raise ValueError(f"{name} has tables within tables, more than {DEEPEST} levels")
    return found


def _is_flat(value: Any, levels: int) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels >= 0 and all(_is_flat(part, levels - 1) for part in parts)


def _read_arrays(file: BinaryIO) -> dict[str, Array]:
    """Read a file of arrays, bounded before it is read."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    if int.from_bytes(file.read(8), "little") > MOST_HEADER:
        raise ValueError(f"the header of {ARRAYS} has more than {MOST_HEADER:,} bytes")
    file.seek(0)
    try:
        arrays: dict[str, Array] = from_bytes(files.read_at_most(file, _memory()))
    except SafetensorError as error:
        raise ValueError(f"{ARRAYS}: {error}") from None
    return arrays


def _memory() -> int:
    """The bytes of memory that the machine has."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return checks.LARGEST  # where it does not say, allocation fails by itself
