"""Files that are replaced together: at every moment all of the old ones, or all of the new."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import run

from rnnsim import files

NAMES = ("one", "two", "three")

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork, no signals")


def contents(letter: str, size: int = 10) -> dict[str, bytes]:
    return {name: letter.encode() * size for name in NAMES}


def read(folder: Path) -> dict[str, bytes]:
    with files.opened_together(folder, NAMES) as opened:
        return {name: files.read_at_most(file, 10**7) for name, file in opened.items()}


def test_files_are_replaced_and_others_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert files.absent(tmp_path, NAMES) == list(NAMES)
    for letter in "ab":
        files.replace_together(tmp_path, contents(letter))
        assert read(tmp_path) == contents(letter)
        assert sorted(os.listdir(tmp_path)) == sorted([*NAMES, "notes.txt"])
    assert files.absent(tmp_path, NAMES) == []


def test_a_folder_may_be_a_link_or_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    files.replace_together(tmp_path / "link", contents("a"))
    assert read(tmp_path / "real") == contents("a")
    monkeypatch.chdir(tmp_path / "real")
    files.replace_together(Path(), contents("b"))
    assert read(tmp_path / "link") == contents("b")
    assert (tmp_path / "link").is_symlink()


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        files.replace_together(tmp_path, contents("a"))
        files.replace(tmp_path / "figure.png", b"drawn")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o666 & ~mask}


def test_a_failure_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.replace_together(tmp_path, contents("a"))
    files.replace(tmp_path / "figure.png", b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.replace_together(tmp_path, contents("b"))
    with pytest.raises(OSError, match="No space left"):
        files.replace(tmp_path / "figure.png", b"new")
    assert read(tmp_path) == contents("a")
    assert (tmp_path / "figure.png").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == sorted([*NAMES, "figure.png"])


def test_a_folder_in_the_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    with pytest.raises(OSError, match="two is a folder"):
        files.replace_together(tmp_path, contents("a"))
    assert os.listdir(tmp_path) == ["two"]


def test_a_link_in_the_place_of_a_file_stays(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to("figure.png")
    files.replace(tmp_path / "link.png", b"drawn")
    assert (tmp_path / "figure.png").read_bytes() == b"drawn"
    assert (tmp_path / "link.png").is_symlink()


def test_leftovers_of_killed_processes_go(tmp_path: Path) -> None:
    stale, fresh = (tmp_path / f".rnnsim-draft-{letter * 16}" for letter in "ab")
    for draft in (stale, fresh):
        draft.mkdir()
        (draft / "one").write_bytes(b"half")
    for path in (stale / "one", stale):
        os.utime(path, (time.time() - 120, time.time() - 120))
    files.replace_together(tmp_path, contents("a"))
    assert (stale.exists(), fresh.exists()) == (False, True)


def test_what_was_committed_is_read_and_put_in_place_by_the_next(tmp_path: Path) -> None:
    """A process was killed after its last step but one: two of three files are still to be moved."""
    files.replace_together(tmp_path, contents("a"))
    (tmp_path / "one").write_bytes(contents("b")["one"])
    (tmp_path / files.COMMITTED).mkdir()
    for name in ("two", "three"):
        (tmp_path / files.COMMITTED / name).write_bytes(contents("b")[name])
    assert read(tmp_path) == contents("b")
    files.replace_together(tmp_path, {"two": b"c"})
    assert read(tmp_path) == {**contents("b"), "two": b"c"}
    assert sorted(os.listdir(tmp_path)) == sorted(NAMES)


def test_what_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10**12)
    with (
        files.opened_together(tmp_path, ["large"]) as opened,
        pytest.raises(ValueError, match=r"large has 1,000,000,000,000 bytes, more than 100"),
    ):
        files.read_at_most(opened["large"], 100)


# --- killed --------------------------------------------------------------------------------------------

KILLED = """
import json, os, shutil, signal, sys, time
from pathlib import Path

from rnnsim import files

NAMES, folder, how = ("one", "two", "three"), Path(sys.argv[1]), sys.argv[2]
SIZE = 200_000

def contents(number):
    return {name: f"{number:06}".encode() * SIZE for name in NAMES}

def naively(folder, contents):
    for name, content in contents.items():
        (folder / name).write_bytes(content)

write = naively if how == "naively" else files.replace_together

def kill_at(step):
    def count(event, arguments):
        nonlocal step
        of_files = event.startswith(("os.", "open", "shutil."))
        if of_files and any(str(folder) in str(argument) for argument in arguments):
            step -= 1
            if step < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)

def saver(number, step):
    child = os.fork()
    if child == 0:
        if step is not None:
            kill_at(step)
        write(folder, contents(number))
        os._exit(0)
    return child

def found():
    '''The numbers of the files that are read, each of one number alone.'''
    for draft in folder.glob(".rnnsim-draft-*"):
        shutil.rmtree(draft)
    with files.opened_together(folder, NAMES) as opened:
        texts = [file.read().decode() for file in opened.values()]
    return [int(text[:6]) if text and text == text[:6] * SIZE else -1 for text in texts]

files.replace_together(folder, contents(0))
seen, number = [], 0
for step in range(200):  # just before each operation on a file
    number += 1
    _, status = os.waitpid(saver(number, step), 0)
    seen.append([number, *found()])
    if status == 0:
        break
else:
    sys.exit("it never came to its end")
for moment in range(30):  # and at any time
    number += 1
    child = saver(number, None)
    time.sleep(moment * 0.0005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    seen.append([number, *found()])
print(json.dumps(seen))
"""


def killed(folder: Path, how: str) -> list[list[int]]:
    done = run(sys.executable, "-c", KILLED, str(folder), how, timeout=120)
    assert done.returncode == 0, done.stderr
    seen: list[list[int]] = json.loads(done.stdout)
    return seen


@posix
def test_a_process_killed_at_any_moment_leaves_the_old_files_or_the_new(tmp_path: Path) -> None:
    seen = killed(tmp_path, "together")
    before = 0
    for number, one, two, three in seen:
        assert one == two == three
        assert one in (before, number)
        before = one
    assert before > 0
    assert len(seen) > 35  # so many moments
    files.replace_together(tmp_path, contents("a"))
    assert read(tmp_path) == contents("a")


@posix
def test_files_written_one_by_one_would_be_noticed(tmp_path: Path) -> None:
    """The control."""
    assert any(
        len({one, two, three}) > 1 or one < 0 for _, one, two, three in killed(tmp_path, "naively")
    )


# --- several at once -----------------------------------------------------------------------------------

BUSY = """
import sys, time
from pathlib import Path

from rnnsim import files

folder, letter, until = Path(sys.argv[1]), sys.argv[2], time.monotonic() + 2
times = 0
while time.monotonic() < until:
    files.replace_together(folder, {name: letter.encode() * 1000 for name in ("one", "two", "three")})
    times += 1
print(times)
"""


@posix
def test_processes_that_write_and_read_at_once(tmp_path: Path) -> None:
    files.replace_together(tmp_path, contents("a", 1000))
    writers = [
        subprocess.Popen([sys.executable, "-c", BUSY, str(tmp_path), letter], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
        for letter in "bc"
    ]  # fmt: skip
    seen = set()
    while any(writer.poll() is None for writer in writers):
        found = read(tmp_path)
        assert len(set(found.values())) == 1
        seen.add(found["one"][:1])
    for writer in writers:
        out, error = writer.communicate(timeout=60)
        assert writer.returncode == 0, error
        assert int(out) > 5
    assert seen >= {b"b", b"c"}
    assert sorted(os.listdir(tmp_path)) == sorted(NAMES)
