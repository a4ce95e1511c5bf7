"""Ctrl-C and SIGTERM: one line, the status that shells have, and soon."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rnnsim

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")

SOON = 5.0  # seconds
ENDS = [(signal.SIGINT, 130, "rnnsim: interrupted\n"), (signal.SIGTERM, 143, "rnnsim: terminated\n")]

HEAD = """
import os, signal, sys, time
if "ignored" not in sys.argv:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run in the background
def begin():
    os.write(1, b"begun")
"""
RUN = """
from rnnsim.cli import main
from rnnsim.training.task_training import TaskTraining
refill = TaskTraining._refill
def refill_and_say(self):
    refill(self)
    if self.step:  # it is under way
        begin()
TaskTraining._refill = refill_and_say
main(["run", "bptt", "delayed-xor", "--steps", "100000000", "--no-stop"])
"""
COMMAND = """
import click
from rnnsim.cli import Group, interrupts
interrupts.PATIENCE = 1.0

@click.command("work")
def work():
    WORK

class Only(Group):
    def get_command(self, ctx, name):
        return work

Only()(["work"])
"""
STUCK = "import hashlib; begin(); hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"
DROPPED = """
    class Deleted:
        def __del__(self):
            time.sleep(0.2)  # the signal arrives here, where Python drops what is raised
    begin()
    while True:
        Deleted()
"""


COMPILING = """
from rnnsim.cli import main
from rnnsim.compiler import compose
compile_ = compose._compile
def compile_and_say(*arguments):
    begin()
    compose._compile = compile_
    return compile_(*arguments)
compose._compile = compile_and_say
main(["run", "rtrl", "delayed-xor", "--steps", "100"])
"""
SAVING = """
from rnnsim.cli import main
fsync = os.fsync
def slowly(file):
    os.fsync = fsync
    begin()
    time.sleep(2)
    fsync(file)
os.fsync = slowly
main(["run", "bptt", "delayed-xor", "--steps", "20", "--seed", "1", "--save", FOLDER])
"""


def ended_by(
    code: str, number: int, *words: str, later: float = 0.0, **variables: str
) -> tuple[int, str, float]:
    """Send a process a signal once it has begun: its status, what it says, and how long it takes."""
    with subprocess.Popen(
        [sys.executable, "-c", HEAD + code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", **variables},
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            printed = b""
            while not printed.endswith(b"begun"):
                printed += process.stdout.read(1) or pytest.fail(f"it ended: {printed!r}")
            if words:
                os.kill(process.pid, signal.SIGINT)
                time.sleep(0.5)
                assert process.poll() is None
            time.sleep(later)
            assert process.poll() is None
            began = time.monotonic()
            os.kill(process.pid, number)
            said = process.communicate(timeout=60)[1].decode()
            return process.returncode, said, time.monotonic() - began
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "status", "line"), ENDS)
def test_a_run_is_interrupted(number: int, status: int, line: str) -> None:
    found = ended_by(RUN, number)
    word = line.removesuffix("\n")
    assert found[0] == status
    assert re.fullmatch(rf"{word} after [\d,]+ steps; it was not saved \(--save DIR .*\)\n", found[1])
    assert found[2] < SOON


@pytest.mark.parametrize(("number", "status", "line"), ENDS)
def test_a_run_that_is_kept_ends_in_order(number: int, status: int, line: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    found = ended_by(RUN.replace('"--no-stop"', f'"--no-stop", "--save", {str(folder)!r}'), number)
    run = rnnsim.load(folder)
    assert found[0] == status
    word = line.removesuffix("\n")
    assert found[1] == f"{word} after {run.steps:,} steps; to go on: rnnsim resume {folder}\n"
    assert found[2] < SOON
    assert (run.outcome, math.isfinite(run.loss)) == ("interrupted", True)


def test_where_ctrl_c_is_ignored_it_stays_so_and_sigterm_works() -> None:
    ignored = "signal.signal(signal.SIGINT, signal.SIG_IGN)" + RUN
    status, said, _ = ended_by(ignored, signal.SIGTERM, "ignored")
    assert (status, said.startswith("rnnsim: terminated after ")) == (143, True)


@pytest.mark.parametrize(("number", "status", "line"), ENDS)
@pytest.mark.parametrize("work", [STUCK, DROPPED], ids=["in a call of machine code", "in a destructor"])
def test_what_is_in_the_way_of_a_signal(work: str, number: int, status: int, line: str) -> None:
    found = ended_by(COMMAND.replace("WORK", work.strip()), number)
    assert found[:2] == (status, line)
    assert found[2] < SOON


@pytest.mark.parametrize(("number", "status", "line"), ENDS)
@pytest.mark.parametrize("later", [0.3, 4.0])  # Numba's passes, and LLVM's
def test_while_it_compiles(number: int, status: int, line: str, later: float, tmp_path: Path) -> None:
    found = ended_by(
        COMPILING, number, later=later, NUMBA_DISABLE_JIT="0", RNNSIM_CACHE_DIR=str(tmp_path)
    )
    said = found[1].splitlines(keepends=True)
    assert (found[0], said[-1]) == (status, line)
    assert all(one.startswith("compiling ") for one in said[:-1])
    assert found[2] < SOON


@pytest.mark.parametrize(("number", "status", "line"), ENDS)
def test_while_it_saves(number: int, status: int, line: str, tmp_path: Path) -> None:
    """It is saved, and the one that was there replaced."""
    folder = tmp_path / "run"
    rnnsim.run("bptt", "delayed-xor", steps=10, save=folder)
    found = ended_by(SAVING.replace("FOLDER", repr(str(folder))), number)
    assert found[:2] == (status, f"{line.strip()} after 20 steps\n")
    assert found[2] < SOON
    assert rnnsim.load(folder).experiment.seed == 1
    assert {file.name for file in folder.iterdir()} == {"run.toml", "metrics.csv", "arrays.safetensors"}
