"""Ctrl-C and SIGTERM: one line, the status that shells have, and soon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

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


def ended_by(code: str, number: int, *words: str) -> tuple[int, str, float]:
    """Send a process a signal once it has begun: its status, what it says, and how long it takes."""
    with subprocess.Popen(
        [sys.executable, "-c", HEAD + code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.read(5) == b"begun"
            if words:
                os.kill(process.pid, signal.SIGINT)
                time.sleep(0.5)
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
    assert found[:2] == (status, line)
    assert found[2] < SOON


def test_where_ctrl_c_is_ignored_it_stays_so_and_sigterm_works() -> None:
    ignored = "signal.signal(signal.SIGINT, signal.SIG_IGN)" + RUN
    assert ended_by(ignored, signal.SIGTERM, "ignored")[:2] == (143, "rnnsim: terminated\n")


@pytest.mark.parametrize(("number", "status", "line"), ENDS)
@pytest.mark.parametrize("work", [STUCK, DROPPED], ids=["in a call of machine code", "in a destructor"])
def test_what_is_in_the_way_of_a_signal(work: str, number: int, status: int, line: str) -> None:
    found = ended_by(COMMAND.replace("WORK", work.strip()), number)
    assert found[:2] == (status, line)
    assert found[2] < SOON
