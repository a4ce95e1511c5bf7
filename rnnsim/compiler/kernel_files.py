"""The folder of compiled kernels: files that are whole or absent, of which the oldest in use go first.

Nobody is asked or waited for. A file is written beside its place and moved there at once; one that is
damaged, or that somebody else could have put there, counts as absent; one that goes while another
process reads it costs that process nothing. Where nothing can be written, nothing is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rnnsim.errors import RnnsimError

FOLDER = "RNNSIM_CACHE_DIR"
SIZE = "RNNSIM_CACHE_SIZE"
MEGABYTES = 512.0  # a run writes one or two
MEGABYTE = 1_000_000

_NAME = re.compile(r"(?P<kernel>.+)-[0-9a-f]{40}\.kernel")  # nothing else in the folder is touched
_NOTE = re.compile(r".+-[0-9a-f]{40}\.note")  # what a process has found out for the next
_DRAFT = re.compile(r"\.draft-[0-9a-f]{16}\.kernel")
_STALE = 60.0  # seconds after which nobody is still writing a draft
_CHECKSUM = 32  # bytes at the beginning of a file: the hash of what follows


class KernelFile(NamedTuple):
    """A file of the folder."""

    path: Path
    kernel: str
    size: int  # bytes
    used: float  # when it was last read or written, in seconds since the epoch


def folder() -> Path:
    """The folder: ``$RNNSIM_CACHE_DIR``, or the user's own cache folder."""
    if chosen := os.environ.get(FOLDER):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "rnnsim"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "rnnsim"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rnnsim"


def max_bytes() -> float:
    """The most bytes that the files may take: ``$RNNSIM_CACHE_SIZE`` megabytes, 0 for no cache at all.

    Raises
    ------
    RnnsimError
        If the variable is not such a number.
    """
    text = os.environ.get(SIZE) or str(MEGABYTES)
    try:
        megabytes = float(text)
    except ValueError:
        megabytes = math.nan
    if not megabytes >= 0:
        raise RnnsimError(f"{SIZE} is {text!r}; it is a number of megabytes, 0 for no cache")
    return megabytes * MEGABYTE


def path_of(kernel: str, digest: str) -> Path:
    """Where a kernel's machine code is; the digest stands for everything that it depends on."""
    return folder() / f"{re.sub(r'[^a-zA-Z0-9_.-]', '_', kernel)}-{digest[:40]}.kernel"


def note_path(subject: str, digest: str) -> Path:
    """Where a note is kept; the digest stands for everything that it depends on."""
    return folder() / f"{subject}-{digest[:40]}.note"


def read(path: Path) -> bytes | None:
    """Give a file's content, and mark it as used; None where there is none that can be trusted."""
    try:
        with path.open("rb") as file:
            if not _is_ours(os.fstat(file.fileno())):
                return None
            stored = file.read()
    except OSError:
        return None
    checksum, content = stored[:_CHECKSUM], stored[_CHECKSUM:]
    if hashlib.sha256(content).digest() != checksum:  # LLVM can do anything with one that is damaged
        return None
    with contextlib.suppress(OSError):  # in a folder that is read-only
        os.utime(path)
    return content


def _is_ours(status: os.stat_result) -> bool:
    """Whether this user wrote a file, or the system's administrator: it is run as it is."""
    return not hasattr(os, "getuid") or status.st_uid in (os.getuid(), 0)


def write(path: Path, content: bytes) -> bool:
    """Keep a file's content, and let go what has not been used for longest; say whether it is kept."""
    most = max_bytes()
    if len(content) > most:
        return False
    draft = path.with_name(f".draft-{os.urandom(8).hex()}.kernel")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("xb") as file:
            file.write(hashlib.sha256(content).digest())
            file.write(content)
        os.replace(draft, path)  # whole or not at all, whoever else writes
    except OSError:  # read-only, somebody else's, full
        return False
    finally:
        _remove(draft)
    _evict(most)
    return True


def can_write() -> bool:
    """Whether a kernel can be kept: found out by doing it, as permissions do not tell of a full disk."""
    if max_bytes() < MEGABYTE:
        return False
    try:
        folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder()) as file:
            file.write(bytes(MEGABYTE))
    except OSError:
        return False
    return True


def files() -> list[KernelFile]:
    """The files of the folder, those used last first."""
    found = []
    for path, status in _entries():
        if name := _NAME.fullmatch(path.name):
            found.append(KernelFile(path, name["kernel"], status.st_size, status.st_mtime))
    return sorted(found, key=lambda file: file.used, reverse=True)


def clear() -> list[KernelFile]:
    """Remove the files, and give those that are gone."""
    _remove_drafts()
    for path, _ in _entries():
        if _NOTE.fullmatch(path.name):
            _remove(path)
    return [file for file in files() if _remove(file.path)]


def _evict(most: float) -> None:
    """Remove what has not been used for longest, until the rest is small enough."""
    _remove_drafts()
    total = 0
    for file in files():
        total += file.size
        if total > most:
            _remove(file.path)


def _remove_drafts() -> None:
    """Remove what a process that was killed has left."""
    for path, status in _entries():
        if _DRAFT.fullmatch(path.name) and time.time() - status.st_mtime > _STALE:
            _remove(path)


def _entries() -> Iterator[tuple[Path, os.stat_result]]:
    with contextlib.suppress(OSError), os.scandir(folder()) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # gone in the meantime
                yield Path(entry.path), entry.stat(follow_symlinks=False)


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:  # gone already, or not ours; on Windows, being read
        return False
    return True
