"""The folder of compiled kernels: whole files or none, within a bound, whoever else uses it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from processes import run

from rnnsim.compiler import kernel_files, trust
from rnnsim.compiler.kernel_files import can_write, clear, files, path_of, read, write
from rnnsim.errors import RnnsimError

KILOBYTE = 1000
CHECKSUM = 32

posix = pytest.mark.skipif(sys.platform == "win32", reason="rights and users are POSIX")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RNNSIM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("RNNSIM_CACHE_SIZE", raising=False)
    monkeypatch.setattr(trust, "_warned", [])
    return tmp_path / "cache"


def place(number: int, kernel: str = "rule.loop") -> Path:
    return path_of(kernel, f"{number:064x}"[::-1])


def fill(number: int, *, size: int = KILOBYTE, used: float = 0.0) -> Path:
    """Write a file that was used so many seconds ago."""
    path = place(number)
    assert write(path, bytes(size - CHECKSUM))
    os.utime(path, (time.time() - used, time.time() - used))
    return path


def bounded(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setenv("RNNSIM_CACHE_SIZE", f"{size / 1e6}")


def test_what_is_written_is_read() -> None:
    assert read(place(1)) is None
    assert write(place(1), b"one")
    assert write(place(2), b"two")
    assert (read(place(1)), read(place(2))) == (b"one", b"two")
    assert write(place(1), b"another")
    assert read(place(1)) == b"another"
    assert [file.kernel for file in files()] == ["rule.loop", "rule.loop"]


def test_a_kernel_of_any_name_has_a_file_in_the_folder(folder: Path) -> None:
    assert write(place(1, "../a rule/of mine.loop"), b"one")
    assert [file.path.parent for file in files()] == [folder]
    assert read(place(1, "../a rule/of mine.loop")) == b"one"


@pytest.mark.parametrize("damage", [b"", b"\0", b"x" * CHECKSUM])
def test_a_damaged_file_counts_as_absent(damage: bytes) -> None:
    assert write(place(1), b"one")
    place(1).write_bytes(damage + place(1).read_bytes()[len(damage) or 1 :])
    assert read(place(1)) is None


# --- the bound -----------------------------------------------------------------------------------------


def test_the_least_recently_used_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    bounded(monkeypatch, 3 * KILOBYTE)
    read_again, _, newer = (fill(i, used=100.0 - i) for i in range(3))
    assert read(read_again) is not None
    last = fill(3)  # one must go: the second
    assert {file.path for file in files()} == {read_again, newer, last}
    fill(4, size=2 * KILOBYTE)  # and now two
    assert {file.path for file in files()} == {place(4), last}


def test_within_the_bound_nothing_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    bounded(monkeypatch, 3 * KILOBYTE)
    kept = {fill(i, used=1e9) for i in range(3)}
    assert {file.path for file in files()} == kept


def test_what_is_larger_than_the_bound_is_not_kept_and_takes_nobody_s_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bounded(monkeypatch, 3 * KILOBYTE)
    kept = fill(0, used=100.0)
    assert not write(place(1), bytes(4 * KILOBYTE))
    assert [file.path for file in files()] == [kept]


def test_no_cache_at_all(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    bounded(monkeypatch, 0)
    assert not write(place(1), b"one")
    assert not can_write()
    assert not folder.exists()
    monkeypatch.delenv("RNNSIM_CACHE_SIZE")
    assert write(place(1), b"one")
    bounded(monkeypatch, 0)
    assert read(place(1)) is None


@pytest.mark.parametrize("text", ["much", "-1", "nan", "1 GB"])
def test_a_bound_that_is_no_number_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNSIM_CACHE_SIZE", text)
    with pytest.raises(RnnsimError, match=f"RNNSIM_CACHE_SIZE is '{text}'; it is a number of megabytes"):
        kernel_files.max_bytes()


def test_what_is_not_a_kernel_stays(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Whatever folder the variable names: a home, say."""
    folder.mkdir()
    strangers = [
        folder / name for name in ("thesis.tex", "loop.kernel", f"{'0' * 40}.kernel", "-1.kernel")
    ]
    for path in strangers:
        path.write_bytes(bytes(10 * KILOBYTE))
        os.utime(path, (0, 0))
    bounded(monkeypatch, 2 * KILOBYTE)
    fill(0)
    fill(1)
    assert len(clear()) == 2
    assert sorted(folder.iterdir()) == sorted(strangers)


def test_drafts_that_nobody_writes_any_more_go(folder: Path) -> None:
    fill(0)
    stale, fresh = (folder / f".draft-{letter * 16}.kernel" for letter in "ab")
    fresh.write_bytes(b"half")
    for remove in (lambda: fill(1), clear):
        stale.write_bytes(b"half")
        os.utime(stale, (time.time() - 120, time.time() - 120))
        remove()
        assert (stale.exists(), fresh.exists()) == (False, True)


# --- what cannot be written ----------------------------------------------------------------------------


def test_a_file_in_the_place_of_the_folder(folder: Path) -> None:
    folder.write_text("mine")
    assert not can_write()
    assert not write(place(1), b"one")
    assert (files(), clear(), read(place(1))) == ([], [], None)
    assert folder.read_text() == "mine"


def in_a_process(source: str, *before: str) -> str:
    done = subprocess.run([*before, sys.executable, "-c", textwrap.dedent(source)], capture_output=True,
                          text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@posix
def test_a_full_disk_costs_only_time(folder: Path) -> None:
    """A limit on the size of files fails where a full disk does: in the middle of a write."""
    fill(0)
    said = in_a_process(
        """
        import resource
        from rnnsim.compiler.kernel_files import can_write, path_of, read, write

        small, large = (path_of("rule.loop", letter * 64) for letter in "ab")
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        print(can_write(), write(large, bytes(10_000)), read(large), write(small, b"small"), read(small))
        """
    )
    assert said == "False False None True b'small'\n"
    assert len(list(folder.iterdir())) == 2  # no draft is left


AS_NOBODY = """
import os
from rnnsim.compiler.kernel_files import can_write, clear, files, path_of, read, write

os.setgid(65534)
os.setuid(65534)
first, second = (path_of("rule.loop", letter * 64) for letter in "ab")
print(can_write(), write(second, b"mine"), read(first), len(files()), len(clear()))
"""

root_only = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become somebody else"
)


def reachable_by_all(folder: Path) -> None:
    for above in folder.parents:
        if above.stat().st_uid == os.getuid() and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o055)


@root_only
def test_a_folder_of_the_administrator_is_read(folder: Path) -> None:
    """As in a container image: kernels compiled by root beforehand, for users who cannot write there."""
    assert write(path_of("rule.loop", "a" * 64), b"root's")
    reachable_by_all(folder)
    folder.chmod(0o755)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert in_a_process(AS_NOBODY) == 'False False b"root\'s" 1 0\n'
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@root_only
def test_code_of_another_user_is_not_run(folder: Path) -> None:
    assert write(path_of("rule.loop", "a" * 64), b"somebody's")
    reachable_by_all(folder)
    os.chown(folder, 65534, 65534)
    folder.chmod(0o755)
    os.chown(path_of("rule.loop", "a" * 64), 12345, 12345)
    assert in_a_process(AS_NOBODY) == "True True None 2 2\n"


# --- whom to trust -------------------------------------------------------------------------------------


def warned(capsys: pytest.CaptureFixture[str], doubt: str) -> None:
    assert capsys.readouterr().err == f"rnnsim: the kernel cache is not used: {doubt}\n"


@posix
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757, 0o1777])
def test_a_folder_that_others_may_write_to_is_not_used(
    folder: Path, mode: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fill(0)
    before = path.read_bytes()
    folder.chmod(mode)
    assert (read(path), write(path, b"another"), can_write()) == (None, False, False)
    assert path.read_bytes() == before
    warned(capsys, f"others may write to {folder}; chmod go-w takes that away")
    folder.chmod(0o755)
    assert read(path) is not None  # the control


@posix
@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_a_file_that_others_may_write_to_is_not_used(
    mode: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fill(0)
    path.chmod(mode)
    assert (read(path), read(path)) == (None, None)
    warned(capsys, f"others may write to {path}; chmod go-w takes that away")
    assert write(path, b"another")
    assert read(path) == b"another"


@root_only
@pytest.mark.parametrize("through_link", [False, True])
def test_a_folder_of_another_user_is_not_used(
    folder: Path, through_link: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fill(0)
    real = folder.rename(folder.with_name("real")) if through_link else folder
    if through_link:
        folder.symlink_to(real)
    assert read(path) is not None  # the control
    os.chown(real, 12345, 12345)
    assert (read(path), write(path, b"another"), can_write()) == (None, False, False)
    warned(capsys, f"{real} belongs to another user")


@posix
def test_a_folder_that_anybody_may_replace_is_not_used(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fill(0)
    for mode, trusted in ((0o777, False), (0o1777, True), (0o755, True)):
        tmp_path.chmod(mode)
        assert (read(path) is not None) == trusted
    warned(capsys, f"everyone may write to {tmp_path}")


@posix
@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
def test_what_is_made_is_trusted_whatever_the_umask(
    tmp_path: Path, mask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNSIM_CACHE_DIR", str(tmp_path / "a" / "b" / "cache"))
    before = os.umask(mask)
    try:
        path = fill(0)
    finally:
        os.umask(before)
    assert read(path) is not None
    assert path.stat().st_mode & 0o777 == 0o644 & ~mask
    assert path.parent.stat().st_mode & 0o777 == 0o755 & ~mask


@posix
def test_only_a_file_is_read() -> None:
    """Not a pipe, for which it would wait, and no link, whose target another may choose."""
    path = fill(0)
    content = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    assert read(path) is None
    path.unlink()
    path.with_name("target").write_bytes(content)
    path.symlink_to("target")
    assert read(path) is None
    path.unlink()
    path.mkdir()
    assert read(path) is None


def test_a_file_larger_than_all_may_be_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    path = fill(0, size=4 * KILOBYTE)
    bounded(monkeypatch, 3 * KILOBYTE)
    assert read(path) is None


@posix
def test_without_a_home_it_is_among_the_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def unknown(user: int) -> None:
        raise KeyError(user)

    for name in ("RNNSIM_CACHE_DIR", "HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert kernel_files.folder() == Path(f"/tmp/rnnsim-{os.getuid()}")


@posix
def test_the_list_says_that_they_are_not_used(folder: Path) -> None:
    fill(0)
    folder.chmod(0o777)
    result = run(sys.executable, "-m", "rnnsim", "cache")
    assert result.stdout.startswith("rule.loop ")
    doubt = f"others may write to {folder}; chmod go-w takes that away"
    assert result.stderr == f"rnnsim: the kernel cache is not used: {doubt}\n"


@posix
def test_a_read_only_folder_is_read(folder: Path) -> None:
    path = fill(0)
    folder.chmod(0o500)
    try:
        assert read(path) is not None
        if os.getuid() != 0:  # whom no rights hold back
            assert not can_write()
            assert not write(place(1), b"one")
            assert clear() == []
    finally:
        folder.chmod(0o700)


# --- several processes ---------------------------------------------------------------------------------

BUSY = """
import random, sys
from rnnsim.compiler.kernel_files import clear, path_of, read, write

random.seed(int(sys.argv[1]))
found = 0
for _ in range(400):
    number = random.randrange(8)
    path = path_of("rule.loop", f"{number:064x}"[::-1])
    content = read(path)
    assert content in (None, bytes([number]) * 968), "damaged"
    found += content is not None
    if content is None:
        assert write(path, bytes([number]) * 968)
    if random.random() < 0.01:
        clear()
print(found)
"""


def test_processes_that_write_read_and_clear_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for three of eight files, so that all the time one process removes what another reads."""
    bounded(monkeypatch, 3 * KILOBYTE)
    together = [
        subprocess.Popen([sys.executable, "-c", BUSY, str(seed)], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
        for seed in range(3)
    ]  # fmt: skip
    for process in together:
        out, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        assert int(out) > 20
    fill(0)
    assert sum(file.size for file in files()) <= 3 * KILOBYTE
    assert all(path.name.startswith("rule.loop-") for path in folder.iterdir())
