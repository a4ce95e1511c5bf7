"""The folder of compiled kernels: complete files, evicted least recently used first.

There are no locks. A file is written under a temporary name and renamed; one that is damaged or cannot
be trusted (:mod:`rnnsim.compiler.trust`) counts as absent; a file may be removed while another process
reads it. If the folder cannot be written to, nothing is kept.
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

from rnnsim.compiler.trust import is_trusted_file, keep_to_user, make_trusted, trusted_folder
from rnnsim.errors import RnnsimError

FOLDER = "RNNSIM_CACHE_DIR"
SIZE = "RNNSIM_CACHE_SIZE"
MEGABYTES = 512.0  # a run writes one or two
MEGABYTE = 1_000_000

_NAME = re.compile(r"(?P<kernel>.+)-[0-9a-f]{40}\.kernel")  # other files in the folder are never touched
_NOTE = re.compile(r".+-[0-9a-f]{40}\.note")  # what one process found out for later ones
_DRAFT = re.compile(r"\.draft-[0-9a-f]{16}\.kernel")
_STALE = 60.0  # seconds after which a draft is a leftover of a killed process
_CHECKSUM = 32  # bytes at the beginning of a file: SHA-256 of the rest


class KernelFile(NamedTuple):
    """A file of the folder."""

    path: Path
    kernel: str
    size: int  # bytes
    used: float  # when it was last read or written, in seconds since the epoch


def folder() -> Path:
    """The folder: ``$RNNSIM_CACHE_DIR``, or one in the user's cache folder."""
    if chosen := os.environ.get(FOLDER):
        return Path(chosen)
    try:
        return _users_cache() / "rnnsim"
    except RuntimeError:  # no home: neither HOME is set nor does the system know this user
        return Path(f"/tmp/rnnsim-{getattr(os, 'getuid', int)()}")


def _users_cache() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def max_bytes() -> float:
    """The maximum size of all files in bytes: ``$RNNSIM_CACHE_SIZE`` megabytes, 0 for no cache.

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
    """The file of a kernel; the digest identifies everything that it depends on."""
    return folder() / f"{re.sub(r'[^a-zA-Z0-9_.-]', '_', kernel)}-{digest[:40]}.kernel"


def note_path(subject: str, digest: str) -> Path:
    """The file of a note; the digest identifies everything that it depends on."""
    return folder() / f"{subject}-{digest[:40]}.note"


def read(path: Path) -> bytes | None:
    """Read a file and mark it as used; None if there is none that can be trusted."""
    most = max_bytes()
    if not most or (place := trusted_folder(path.parent)) is None:
        return None
    path = place / path.name
    try:
        with open(path, "rb", opener=_open_file) as file:
            status = os.fstat(file.fileno())
            if not 0 < status.st_size <= most or not is_trusted_file(path, status):
                return None
            stored = file.read()
    except OSError:
        return None
    checksum, content = stored[:_CHECKSUM], stored[_CHECKSUM:]
    if hashlib.sha256(content).digest() != checksum:  # damaged machine code can do anything
        return None
    with contextlib.suppress(OSError):  # the folder may be read-only
        os.utime(path)
    return content


def _open_file(path: str, flags: int) -> int:
    """Open a file, which is no link, without waiting for anything, should it be a pipe."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def write(path: Path, content: bytes) -> bool:
    """Write a file, and evict the least recently used ones; return whether it was written."""
    most = max_bytes()
    if len(content) > most or (place := make_trusted(path.parent)) is None:
        return False
    path, draft = place / path.name, place / f".draft-{os.urandom(8).hex()}.kernel"
    try:
        with draft.open("xb") as file:
            keep_to_user(file)
            file.write(hashlib.sha256(content).digest())
            file.write(content)
        os.replace(draft, path)  # atomic, also with concurrent writers
    except OSError:  # read-only, another user's, or full
        return False
    finally:
        _remove(draft)
    _evict(most)
    return True


def can_write() -> bool:
    """Whether a kernel can be written: tried out, as permissions do not reveal a full disk."""
    if max_bytes() < MEGABYTE or (place := make_trusted(folder())) is None:
        return False
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(MEGABYTE))
    except OSError:
        return False
    return True


def files() -> list[KernelFile]:
    """The kernel files, most recently used first."""
    found = []
    for path, status in _entries():
        if name := _NAME.fullmatch(path.name):
            found.append(KernelFile(path, name["kernel"], status.st_size, status.st_mtime))
    return sorted(found, key=lambda file: file.used, reverse=True)


def clear() -> list[KernelFile]:
    """Remove all files, and return those that were removed."""
    _remove_drafts()
    for path, _ in _entries():
        if _NOTE.fullmatch(path.name):
            _remove(path)
    return [file for file in files() if _remove(file.path)]


def _evict(most: float) -> None:
    """Remove least recently used files until the rest fits."""
    _remove_drafts()
    total = 0
    for file in files():
        total += file.size
        if total > most:
            _remove(file.path)


def _remove_drafts() -> None:
    """Remove leftovers of killed processes."""
    for path, status in _entries():
        if _DRAFT.fullmatch(path.name) and time.time() - status.st_mtime > _STALE:
            _remove(path)


def _entries() -> Iterator[tuple[Path, os.stat_result]]:
    with contextlib.suppress(OSError), os.scandir(folder()) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # removed meanwhile
                yield Path(entry.path), entry.stat(follow_symlinks=False)


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:  # removed already, not ours, or open on Windows
        return False
    return True
