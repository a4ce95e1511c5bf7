"""Files on disk: several of a folder replaced as one, and contents read within a bound.

New files are written into a *draft*, a folder inside the one that they are for, and flushed to disk.
They take the place of the old ones in a single step, when the draft is renamed to ``COMMITTED``; then
they are moved out of it, one by one. Readers look there first. So a process that is killed at any
moment, or a full disk, leaves all of the old files or all of the new ones. Whatever else the folder
holds stays, and it may be a link, a mount point or the current folder, which could not be renamed.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

COMMITTED = ".rnnsim-committed"

_DRAFT = re.compile(r"\.rnnsim-draft-[0-9a-f]{16}")
_STALE = 60.0  # seconds without a write after which a draft is a leftover of a killed process
_ATTEMPTS = 100  # while other processes write


# --- writing ------------------------------------------------------------------------------------------


def replace_together(folder: Path, contents: Mapping[str, bytes], *, durable: bool = True) -> None:
    """Replace files of a folder by new ones: all of them, or none.

    Parameters
    ----------
    folder : path
        It exists.
    contents : mapping
        The content of each file, by name.
    durable : bool
        Whether they are flushed to disk, so that this holds also if the machine stops, and not only if
        the process is killed.

    Raises
    ------
    OSError
        If they cannot be written; the old files stand.
    """
    for name in contents:
        if (folder / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, f"{name} is a folder")
    _remove_stale_drafts(folder)
    draft = _draft_in(folder)
    try:
        draft.mkdir()
        for name, content in contents.items():
            _write_new(draft / name, content, durable)
        _flush(draft, durable)
        _commit(draft, folder)
    finally:
        _remove(draft)
    with contextlib.suppress(OSError):  # the new files are found where they are
        _flush(folder, durable)
        _move_out(folder)
        _flush(folder, durable)


def try_out(folder: Path) -> None:
    """Make and remove a draft, to see whether files can be written.

    Raises
    ------
    OSError
        If not.
    """
    draft = _draft_in(folder)
    draft.mkdir()
    draft.rmdir()


def replace(path: Path, content: bytes) -> None:
    """Replace one file, or create it: it has its old content or the new one.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    draft = _draft_in(path.parent)
    try:
        _write_new(draft, content)
        os.replace(draft, path)
    finally:
        _remove(draft)


def _draft_in(folder: Path) -> Path:
    return folder / f".rnnsim-draft-{os.urandom(8).hex()}"


def _write_new(path: Path, content: bytes, durable: bool = True) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        if durable:
            os.fsync(file.fileno())


def _flush(folder: Path, durable: bool) -> None:
    """Flush the names in a folder to disk, where the system can."""
    if not durable:
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(draft: Path) -> None:
    with contextlib.suppress(OSError):
        shutil.rmtree(draft) if draft.is_dir() else draft.unlink()


def _commit(draft: Path, folder: Path) -> None:
    for _ in range(_ATTEMPTS):
        _move_out(folder)  # what another process, perhaps a killed one, has committed
        try:
            draft.rename(folder / COMMITTED)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return
    raise OSError(errno.EBUSY, "other processes write there all the time")


def _move_out(folder: Path) -> None:
    """Move committed files to their places; several processes may do so at once."""
    committed = folder / COMMITTED
    with contextlib.suppress(FileNotFoundError):
        for path in list(committed.iterdir()):
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                os.replace(path, folder / path.name)
        with contextlib.suppress(OSError):  # another process has committed anew
            committed.rmdir()


def _remove_stale_drafts(folder: Path, seconds: float = _STALE) -> None:
    for path in folder.iterdir():
        if _DRAFT.fullmatch(path.name):
            with contextlib.suppress(OSError):  # removed meanwhile
                written = max(part.stat().st_mtime for part in (path, *path.glob("*")))
                if time.time() - written >= seconds:
                    _remove(path)


# --- one process at a time -----------------------------------------------------------------------------


class Lock:
    """A lock that ends with its process, however that ends.

    Where the system or the file system has no such locks, it excludes nobody.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take the lock on a path that exists; whether nobody else has it."""
        try:
            import fcntl

            self._descriptor = os.open(self.path, os.O_RDONLY)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._close()
            return False
        except (ImportError, OSError):
            self._close()
        return True

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class FolderLock(Lock):
    """A lock on a folder, in which nothing is left of it."""

    def acquire(self) -> bool:
        """Take the lock, creating the folder if necessary; whether nobody else has it.

        Raises
        ------
        OSError
            If the folder cannot be created.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        free = self.take()
        if self._descriptor is not None:
            _remove_stale_drafts(self.path, -math.inf)  # of a killed process: nobody else writes
        return free

    def release(self) -> None:
        """Give the lock back."""
        self._close()


class FileLock(Lock):
    """A lock by a file of its own, beside what it protects, which is there while the lock is held."""

    def acquire(self) -> bool:
        """Take the lock; whether nobody else has it.

        Raises
        ------
        OSError
            If the file cannot be created.
        """
        self.path.touch()
        return self.take()

    def release(self) -> None:
        """Give the lock back, if it is held."""
        if self._descriptor is not None:
            self.path.unlink(missing_ok=True)
        self._close()


# --- reading ------------------------------------------------------------------------------------------


def absent(folder: Path, names: Sequence[str]) -> list[str]:
    """The names of which a folder has no file."""
    folders = (folder / COMMITTED, folder)  # in this order: files are moved from the one to the other
    return [name for name in names if not any((place / name).is_file() for place in folders)]


@contextlib.contextmanager
def opened_together(folder: Path, names: Sequence[str]) -> Iterator[Mapping[str, BinaryIO]]:
    """Open files of a folder that were written together, whoever replaces them meanwhile.

    Raises
    ------
    OSError
        If one cannot be opened.
    """
    for _ in range(_ATTEMPTS):
        with contextlib.ExitStack() as stack:
            try:
                files, again = (
                    {name: stack.enter_context(_place(folder, name).open("rb")) for name in names}
                    for _ in range(2)
                )
            except FileNotFoundError:  # moved to its place meanwhile
                if absent(folder, names):
                    raise
                continue
            # once new files are committed, no name leads to an old one any more
            if all(os.path.sameopenfile(files[n].fileno(), again[n].fileno()) for n in names):
                yield files
                return
    raise OSError(errno.EBUSY, "other processes write there all the time")


def _place(folder: Path, name: str) -> Path:
    committed = folder / COMMITTED / name
    return committed if committed.is_file() else folder / name


def read_at_most(file: BinaryIO, most: int) -> bytes:
    """Read a file to its end.

    Raises
    ------
    ValueError
        If it has more than ``most`` bytes; none is read then.
    """
    size = os.fstat(file.fileno()).st_size
    if size > most:
        raise ValueError(f"{Path(file.name).name} has {size:,} bytes, more than {most:,}")
    return file.read(size)
