"""Folders of what is saved.

That of a run holds ``run.toml`` (settings and result), ``metrics.csv`` (the learning curve) and
``params.safetensors`` (the parameters, and what monitors recorded).
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NamedTuple

import msgspec
import numpy as np

from rnnsim import checks, files
from rnnsim.errors import RnnsimError
from rnnsim.options import Count
from rnnsim.typing import Array

BEST = "best."  # before the names of the parameters that did best
MONITOR = "monitor."  # before the names of what monitors recorded
SUMMARY, METRICS, PARAMS = "run.toml", "metrics.csv", "params.safetensors"

# Bounds of what is read; the files of a run have a few thousand bytes.
MOST = {SUMMARY: 1 << 16, METRICS: 1 << 20}  # bytes
MOST_HEADER = 1 << 20  # bytes of the parameters' names and shapes
MOST_DOTS = 1000  # in a line of run.toml: parsing a dotted key takes time in the square of its parts
DEEPEST = 8  # levels of tables in run.toml

# SystemError: what older versions of msgspec raise of a whole number that no float can be
DAMAGES = (ValueError, KeyError, RecursionError, SystemError, csv.Error, msgspec.MsgspecError)


class SavedRun(NamedTuple):
    """A run as read from its folder."""

    summary: dict[str, Any]  # the contents of run.toml
    metrics: dict[str, Array]  # the learning curve, and what monitors recorded
    params: dict[str, Array]
    best_params: dict[str, Array]  # those that did best on validation data, if they were kept

    def __repr__(self) -> str:
        return f"SavedRun(summary={self.summary!r}, ...)"

    @property
    def solved_at(self) -> int | None:
        solved_at: int | None = self.summary["result"].get("solved_at")
        return solved_at

    @property
    def loss(self) -> float:
        """The final loss; nan if it was not finite."""
        return float(self.summary["result"].get("loss", math.nan))


# --- the folder ---------------------------------------------------------------------------------------


def check_writable(folder: str | os.PathLike[str]) -> Path:
    """Check that a run can be saved in a folder, so that it does not fail only at its end.

    Raises
    ------
    RnnsimError
        If the folder cannot be created or written to.
    """
    path = checks.path("save, the folder of a run,", folder)
    made = _absent_folders(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        files.try_out(path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        _remove_empty(made)
    return path


def _absent_folders(path: Path) -> list[Path]:
    """A folder and those above it that do not exist, innermost first."""
    return [above for above in (path, *path.parents) if not os.path.lexists(above)]


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _unwritable(path: Path, error: OSError, what: str = "run") -> RnnsimError:
    why = "something else has this name" if isinstance(error, FileExistsError) else error.strerror
    return RnnsimError(f"cannot save the {what} in {path}: {why or error}")


# --- writing ------------------------------------------------------------------------------------------


def save(
    folder: str | os.PathLike[str],
    summary: Mapping[str, Any],
    metrics: Mapping[str, Array],
    params: Mapping[str, Array],
) -> Path:
    """Write a run into a folder, creating the folder if necessary.

    A run that is there already is replaced as a whole: if the process is killed, or the disk full, it
    stands. Other files in the folder are left alone.

    Parameters
    ----------
    folder : path
    summary : mapping
        The contents of run.toml.
    metrics, params : mapping of arrays

    Raises
    ------
    RnnsimError
        If the folder cannot be written to.
    """
    path = checks.path("the folder of a run", folder)
    contents = {SUMMARY: toml_file(summary), METRICS: _csv_file(metrics)}
    try:  # what could not be read again does not replace what can
        _parse(contents[SUMMARY], contents[METRICS])
        _check_params(params)
    except DAMAGES as error:
        raise RnnsimError(f"cannot save the run in {path}: {error}") from None
    contents[PARAMS] = safetensors_file(params)
    write(path, contents, "run")
    return path


def write(path: Path, contents: Mapping[str, bytes], what: str) -> None:
    """Write files into a folder together, creating it if necessary: all of them, or none.

    Raises
    ------
    RnnsimError
        If the folder cannot be written to.
    """
    made = _absent_folders(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        files.replace_together(path, contents)
    except OSError as error:
        _remove_empty(made)
        raise _unwritable(path, error, what) from None


def toml_file(summary: Any) -> bytes:
    """The content of a TOML file: a mapping or a struct, without entries that are None."""
    import tomli_w

    return tomli_w.dumps(_for_toml(summary)).encode("utf-8", "replace")


def _for_toml(value: Any) -> Any:
    """A value as TOML can hold it: without entries that are None, and anything unusual as text."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _for_toml(part) for name, part in value.items() if part is not None}
    if isinstance(value, tuple | list):
        return [_for_toml(part) for part in value]
    return value if isinstance(value, bool | int | float | str) else repr(value)


def _csv_file(columns: Mapping[str, Array]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values())))
    return text.getvalue().encode()


def safetensors_file(arrays: Mapping[str, Array]) -> bytes:
    """The content of a file of arrays by name."""
    from safetensors.numpy import save as to_bytes

    # safetensors corrupts arrays that are not contiguous
    return to_bytes({name: np.ascontiguousarray(array) for name, array in arrays.items()})


# --- reading ------------------------------------------------------------------------------------------


def load(folder: str | os.PathLike[str]) -> SavedRun:
    """Read a saved run.

    Raises
    ------
    RnnsimError
        If the folder holds no run, or a file in it is damaged.
    """
    path = checks.path("the folder of a run", folder)
    names = (SUMMARY, METRICS, PARAMS)
    try:
        absent = files.absent(path, names)
        if not absent:
            with files.opened_together(path, names) as opened:
                texts = (files.read_at_most(opened[name], MOST[name]) for name in (SUMMARY, METRICS))
                summary, metrics = _parse(*texts)
                params = _read_params(opened[PARAMS])
    except OSError as error:
        raise RnnsimError(f"cannot read {path}: {error.strerror or error}") from None
    except DAMAGES as error:
        raise RnnsimError(f"{path} holds a damaged run: {error}") from None
    if absent:
        raise RnnsimError(f"{path} is not a saved run: there is no {' and no '.join(absent)} in it")
    best, monitored = (_of_prefix(params, prefix) for prefix in (BEST, MONITOR))
    last = {name: array for name, array in params.items() if not name.startswith((BEST, MONITOR))}
    return SavedRun(summary, monitored | metrics, last, best)


def _of_prefix(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The arrays whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}


class _Result(msgspec.Struct):
    loss: float | None = None  # absent if it was not finite
    solved_at: Count | None = None
    steps: Count = checks.LARGEST
    seconds: float = 0.0
    best_step: Annotated[int, msgspec.Meta(ge=0)] | None = None
    best_loss: float | None = None

    def __post_init__(self) -> None:
        if (self.best_step or 0) > self.steps:
            raise ValueError(f"best after {self.best_step} of {self.steps} steps")
        if self.solved_at is not None and self.solved_at > self.steps:
            raise ValueError(f"solved at step {self.solved_at} of {self.steps}")
        if not (
            math.isfinite((self.loss or 0.0) + (self.best_loss or 0.0)) and 0 <= self.seconds < math.inf
        ):
            raise ValueError(f"a loss of {self.loss} after {self.seconds} seconds")


class _Settings(msgspec.Struct):
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    steps: Count = checks.LARGEST
    window: Count = 1
    batch: Count = 1
    learning_rate: float | dict[str, Any] = 0.0
    clip: float = math.inf
    weight_decay: float = 0.0
    schedule: str = ""
    schedule_steps: Count = 1
    reduction: str = ""
    stop: bool = True
    tailored: bool = False
    keep: str = "last"

    def __post_init__(self) -> None:
        rate = 0.0 if isinstance(self.learning_rate, dict) else self.learning_rate
        if not (0 <= rate < math.inf and self.clip > 0 and 0 <= self.weight_decay < math.inf):
            raise ValueError(f"a learning rate of {self.learning_rate}, clip {self.clip}")


class _Summary(msgspec.Struct):
    """What run.toml holds."""

    result: _Result
    settings: _Settings = msgspec.field(default_factory=_Settings)
    rnnsim: str = ""
    rule: dict[str, Any] = {}
    task: dict[str, Any] = {}
    optimizer: dict[str, Any] = {}
    network: str = ""
    initial_weights: dict[str, Any] = {}
    criterion: str = ""

    def __post_init__(self) -> None:
        if self.result.steps > self.settings.steps and self.result.steps < checks.LARGEST:
            raise ValueError(f"{self.result.steps} steps of {self.settings.steps}")


def _parse(summary: bytes, metrics: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """Parse run.toml and metrics.csv, and check that a run can have these values."""
    for name, content in ((SUMMARY, summary), (METRICS, metrics)):
        if len(content) > MOST[name]:
            raise ValueError(f"{name} has {len(content):,} bytes, more than {MOST[name]:,}")
    parsed = _parse_summary(summary.decode())
    return parsed, _parse_metrics(metrics.decode(), parsed["result"].get("steps", checks.LARGEST))


def _parse_summary(text: str) -> dict[str, Any]:
    import tomllib

    if max(line.count(".") for line in text.split("\n")) > MOST_DOTS:
        raise ValueError(f"a line of {SUMMARY} has more than {MOST_DOTS:,} dots")
    summary = tomllib.loads(text)
    msgspec.convert(summary, _Summary)
    if not _is_flat(summary, DEEPEST):
        raise ValueError(f"{SUMMARY} has tables within tables, more than {DEEPEST} levels")
    return summary


def _is_flat(value: Any, levels: int) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels >= 0 and all(_is_flat(part, levels - 1) for part in parts)


def _parse_metrics(text: str, steps: int) -> dict[str, Array]:
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    for name in header:
        if header.count(name) > 1:
            raise ValueError(f"two columns of {METRICS} are called {name}")
    for name in ("step", "loss"):
        if name not in header:
            raise ValueError(f"{METRICS} has no column {name}")
    columns = np.array(rows, float).reshape(len(rows), len(header)).T
    metrics = dict(zip(header, columns))
    step = metrics["step"]
    if not ((step >= 1) & (step <= steps) & (step % 1 == 0)).all() or not (np.diff(step) > 0).all():
        raise ValueError(f"the steps in {METRICS} are not whole numbers from 1 to {steps}, in order")
    checks.finite(f"loss of {METRICS}", metrics["loss"])
    return metrics


def _read_params(file: BinaryIO) -> dict[str, Array]:
    params = read_arrays(file, PARAMS)
    _check_params(params)
    return params


def read_arrays(file: BinaryIO, name: str) -> dict[str, Array]:
    """Read a file of arrays, bounded before it is read.

    Raises
    ------
    ValueError
        If it is damaged, or larger than the machine's memory.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    if int.from_bytes(file.read(8), "little") > MOST_HEADER:
        raise ValueError(f"the header of {name} has more than {MOST_HEADER:,} bytes")
    file.seek(0)
    try:
        arrays: dict[str, Array] = from_bytes(files.read_at_most(file, _memory()))
    except SafetensorError as error:
        raise ValueError(f"{name}: {error}") from None
    return arrays


def _check_params(params: Mapping[str, Array]) -> None:
    if not params:
        raise ValueError(f"{PARAMS} holds nothing")
    for name, array in params.items():
        if array.dtype.name not in checks.DTYPES:
            raise ValueError(f"{name} is of {array.dtype}; it is of {' or '.join(checks.DTYPES)}")
        if not name.startswith(MONITOR):  # which may record anything
            checks.finite(name, array)


def _memory() -> int:
    """The bytes of memory that the machine has."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return checks.LARGEST  # where it does not say, allocation fails by itself
