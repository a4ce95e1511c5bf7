"""Saved runs: ``run.toml`` (settings and result), ``metrics.csv`` and ``params.safetensors``."""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from rnnsim import checks
from rnnsim.errors import RnnsimError
from rnnsim.typing import Array

SUMMARY, METRICS, PARAMS = "run.toml", "metrics.csv", "params.safetensors"


class SavedRun(NamedTuple):
    """A run as read from its folder."""

    summary: dict[str, Any]  # the contents of run.toml
    metrics: dict[str, Array]
    params: dict[str, Array]

    def __repr__(self) -> str:
        return f"SavedRun(summary={self.summary!r}, ...)"

    @property
    def solved_at(self) -> int | None:
        solved_at: int | None = self.summary["result"].get("solved_at")
        return solved_at

    @property
    def loss(self) -> float:
        return float(self.summary["result"]["loss"])


def prepare(folder: str | Path) -> Path:
    """Create a folder to save in, so that a run does not fail only when it is to be saved.

    Raises
    ------
    RnnsimError
        If the folder cannot be created or written to.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _unwritable(path, error) from None
    return path


def _unwritable(path: Path, error: OSError) -> RnnsimError:
    return RnnsimError(f"cannot save the run in {path}: {error.strerror or error}")


class _Result(msgspec.Struct):
    loss: float
    solved_at: int | None = None


class _Summary(msgspec.Struct):
    """The part of run.toml that is required."""

    result: _Result


def save(
    folder: str | Path,
    summary: Mapping[str, Any],
    metrics: Mapping[str, Array],
    params: Mapping[str, Array],
) -> Path:
    """Write a run into a folder, creating the folder if necessary.

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
    import tomli_w
    from safetensors.numpy import save_file

    path = prepare(folder)
    try:
        (path / SUMMARY).write_text(tomli_w.dumps(summary), encoding="utf-8")
        with open(path / METRICS, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(metrics)
            writer.writerows(zip(*(column.tolist() for column in metrics.values())))
        # safetensors corrupts arrays that are not contiguous
        save_file({name: np.ascontiguousarray(array) for name, array in params.items()}, path / PARAMS)
    except OSError as error:
        raise _unwritable(path, error) from None
    return path


def load(folder: str | Path) -> SavedRun:
    """Read a saved run.

    Raises
    ------
    RnnsimError
        If the folder holds no run, or a file in it is damaged.
    """
    import tomllib

    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = checks.path("the folder of a run", folder)
    absent = [name for name in (SUMMARY, METRICS, PARAMS) if not (path / name).is_file()]
    if absent:
        raise RnnsimError(f"{path} is not a saved run: there is no {' and no '.join(absent)} in it")
    try:
        summary = tomllib.loads((path / SUMMARY).read_text(encoding="utf-8"))
        msgspec.convert(summary, _Summary)
        with open(path / METRICS, newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        columns = np.array(rows, float).reshape(len(rows), len(header)).T
        params = load_file(path / PARAMS)
    except (
        ValueError,
        KeyError,
        RecursionError,
        OSError,
        csv.Error,
        msgspec.MsgspecError,
        SafetensorError,
    ) as error:
        raise RnnsimError(f"{path} holds a damaged run: {error}") from None
    return SavedRun(summary, dict(zip(header, columns)), params)
