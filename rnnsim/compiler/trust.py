"""Who else may write where kernels are kept: the files hold code that is executed.

The folder and each file that is read must belong to this user or to root, and nobody else may write to
them. The folder is the one to which links lead, and is used by that name. Not everyone may write to a
folder above it either, or anyone could put another one in its place, unless it is sticky as ``/tmp`` is.
(Owner and group of those above do not matter: on shared and mounted disks they are often somebody else.)
Where this does not hold, the cache is not used, and a line on standard error says so, once in a process.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from pathlib import Path
from typing import Any

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def trusted_folder(folder: Path) -> Path | None:
    """The folder without links in its name; None if it cannot be trusted, or cannot be reached."""
    try:
        real = os.path.realpath(folder, strict=True)
        doubt = _doubt(real, os.stat(real)) or _doubt_above(real)
    except OSError:  # it does not exist, or links lead in a circle
        return None
    if doubt:
        _warn(doubt)
    return None if doubt else Path(real)


def make_trusted(folder: Path) -> Path | None:
    """Make a folder where there is none, to which others may not write; as ``trusted_folder``."""
    try:
        _make(folder)
    except OSError:
        return None
    return trusted_folder(folder)


def is_trusted_file(path: Path, status: os.stat_result) -> bool:
    """Whether this is a regular file that only this user or root has written."""
    doubt = _doubt(path, status)
    if doubt:
        _warn(doubt)
    return not doubt and stat.S_ISREG(status.st_mode)


def _doubt(path: str | Path, status: os.stat_result) -> str:
    if not hasattr(os, "geteuid"):
        return ""
    if status.st_uid not in (os.geteuid(), 0):
        return f"{path} belongs to another user"
    if status.st_mode & OTHERS_WRITE:
        return f"others may write to {path}; chmod go-w takes that away"
    return ""


def _doubt_above(folder: str) -> str:
    while hasattr(os, "geteuid") and folder != (above := os.path.dirname(folder)):
        mode = os.stat(above).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return f"everyone may write to {above}"
        folder = above
    return ""


def _make(folder: Path) -> None:
    if not folder.is_dir():
        _make(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(0o777 & ~OTHERS_WRITE)


def keep_to_user(file: Any) -> None:
    """Take the right to write to an open file from others, whatever the umask leaves them."""
    if hasattr(os, "fchmod"):
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        os.fchmod(file.fileno(), mode & ~OTHERS_WRITE)


_warned: list[str] = []


def _warn(doubt: str) -> None:
    if not _warned:
        _warned.append(doubt)
        print(f"rnnsim: the kernel cache is not used: {doubt}", file=sys.stderr)
