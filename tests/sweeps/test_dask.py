"""Sweeps on a Dask cluster on loopback: a scheduler and workers, some of which are killed or too old."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from same_sweeps import recorded, same

import rnnsim
from rnnsim.errors import RnnsimError
from rnnsim.sweeps.working import differences, versions_here

pytest.importorskip("distributed", reason="a Dask cluster is one of dask.distributed")

SMALL: dict[str, Any] = {"hidden": 4, "optimizer": "adam", "learning_rate": 0.02, "steps": 3000}
LONG: dict[str, Any] = {**SMALL, "steps": 100_000}
SECONDS = 300.0  # for what takes some seconds where the machine does nothing else
# On its path, a process believes that an older Numba is installed.
OLDER = """
from importlib import metadata
installed = metadata.version
metadata.version = lambda name: "0.1" if name == "numba" else installed(name)
"""


class Cluster:
    """A scheduler with workers of one thread each, which nothing starts again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, list[subprocess.Popen[bytes]]()
        file = folder / "scheduler.json"
        where = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        self.begin("dask", "scheduler", *where, "--no-dashboard")
        wait_for(lambda: file.exists() and file.read_text().endswith("}"), "the scheduler")
        self.address: str = json.loads(file.read_text())["address"]

    def begin(self, module: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Begin a process, which ends with the test."""
        words = [sys.executable, "-m", module, *arguments]
        with (self.folder / f"{len(self.processes) + 1}.log").open("wb") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log, env={**os.environ, **environment})
        self.processes.append(process)
        return process

    @property
    def log(self) -> Path:
        """What the last process has printed."""
        return self.folder / f"{len(self.processes)}.log"

    def worker(self, **environment: str) -> subprocess.Popen[bytes]:
        process = self.begin(
            "dask", "worker", self.address, "--no-nanny", "--nthreads", "1", "--host", "127.0.0.1",
            "--local-directory", str(self.folder), "--no-dashboard", **environment,
        )  # fmt: skip
        wait_for(lambda: "Registered to" in self.log.read_text(), "a worker")
        return process

    def sweep(self, file: Path, seeds: int) -> subprocess.Popen[bytes]:
        """A coordinator in a process of its own, by the command that users have."""
        options = [word for name, value in LONG.items()
                   for word in (f"--{name.replace('_', '-')}", str(value))]  # fmt: skip
        words = ["sweep", "rtrl", "delayed-xor", "--seeds", str(seeds), "--out", str(file), *options]
        return self.begin("rnnsim", *words, "--dask", self.address)

    def wait(self, process: subprocess.Popen[bytes]) -> str:
        """What the last process has printed, once it has ended well."""
        assert process.wait(SECONDS) == 0, self.log.read_text()
        return self.log.read_text()

    def end(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


def wait_for(there: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + SECONDS
    while not there():
        assert time.monotonic() < until, f"{what} is late"
        time.sleep(0.05)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(tmp_path)
    yield found
    found.end()


def test_a_cluster_finds_the_same_though_a_worker_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    """No run is lost, and all results are to the bit those of one core."""
    lost, _ = cluster.worker(), cluster.worker()
    file = tmp_path / "found.sqlite"
    process = cluster.sweep(file, 12)
    wait_for(lambda: recorded(file) >= 2, "a result")
    assert recorded(file) < 12
    lost.send_signal(signal.SIGKILL)
    assert "12 runs of 1 cell: " in cluster.wait(process)
    found = rnnsim.Sweep.load(file)
    same(rnnsim.sweep("rtrl", "delayed-xor", 12, **LONG), found)
    assert np.isfinite(found.runs.solved_at).any()


def test_a_coordinator_that_is_killed_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    cluster.worker()
    cluster.worker()
    file = tmp_path / "found.sqlite"
    first = cluster.sweep(file, 10)
    wait_for(lambda: recorded(file) >= 2, "a result")
    first.kill()
    first.wait()
    before = rnnsim.Sweep.load(file).runs
    assert 2 <= len(before.cell) < 10
    cluster.wait(cluster.sweep(file, 10))
    found = rnnsim.Sweep.load(file)
    kept = found.runs.of(np.isin(found.runs.seed, before.seed))
    np.testing.assert_array_equal(kept.seconds, before.seconds)  # they were not run again
    same(rnnsim.sweep("rtrl", "delayed-xor", 10, **LONG), found)


def test_a_worker_with_other_versions_is_left_out(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "older").mkdir()
    (tmp_path / "older/sitecustomize.py").write_text(OLDER)
    cluster.worker(PYTHONPATH=str(tmp_path / "older"))
    with pytest.raises(RnnsimError, match=r"worker tcp://.* has numba 0\.1 \(not .*\); install there"):
        rnnsim.sweep("rtrl", "delayed-xor", 2, dask=cluster.address, **SMALL)
    right = cluster.worker()
    found = rnnsim.sweep("rtrl", "delayed-xor", 4, dask=cluster.address, **SMALL)
    same(rnnsim.sweep("rtrl", "delayed-xor", 4, **SMALL), found)
    assert {int(name.rpartition(":")[2]) for name in workers_of(found)} == {right.pid}


def test_where_no_worker_is_left_that_can_be_used_a_sweep_ends(cluster: Cluster, tmp_path: Path) -> None:
    """It does not send its runs for ever to those that refuse them."""
    (tmp_path / "older").mkdir()
    (tmp_path / "older/sitecustomize.py").write_text(OLDER)
    right = cluster.worker()
    cluster.worker(PYTHONPATH=str(tmp_path / "older"))
    file = tmp_path / "found.sqlite"
    process = cluster.sweep(file, 12)
    wait_for(lambda: recorded(file) >= 2, "a result")
    right.send_signal(signal.SIGKILL)
    process.wait(SECONDS)
    assert process.returncode == 2
    assert "has numba 0.1" in cluster.log.read_text()
    assert 2 <= recorded(file) < 12


def workers_of(found: rnnsim.Sweep) -> set[str]:
    import sqlite3

    store: Any = found._store
    database: sqlite3.Connection = store._database
    return {name for (name,) in database.execute("select worker from runs")}


def test_a_cluster_without_workers_is_refused(cluster: Cluster) -> None:
    with pytest.raises(RnnsimError, match=r"has no workers; start some by `dask worker tcp://"):
        rnnsim.sweep("rtrl", "delayed-xor", 2, dask=cluster.address, **SMALL)


def test_clients_that_failed_keep_no_other_from_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is left to be collected while another begins, where it would wait for that one's lock."""
    import distributed

    failed: list[weakref.ref[Any]] = []
    begin = distributed.Client.__init__

    def recorded(self: Any, *given: Any, **named: Any) -> None:
        failed.append(weakref.ref(self))
        begin(self, *given, **named)

    monkeypatch.setattr(distributed.Client, "__init__", recorded)
    gc.disable()
    try:
        for address in ("xyzzy", "nul\0", "tcp://127.0.0.1:1"):
            with pytest.raises(RnnsimError, match="no Dask scheduler answers"):
                rnnsim.sweep("rtrl", "delayed-xor", 2, dask=address, **SMALL)
        assert [client() for client in failed] == [None] * 3
    finally:
        gc.enable()


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RnnsimError, match=re.escape("pip install 'rnnsim[dask]'")):
        rnnsim.sweep("rtrl", "delayed-xor", 2, dask="tcp://127.0.0.1:1", **SMALL)


def test_versions_differ_by_what_is_missing_on_either_side() -> None:
    here = versions_here()
    assert {"python", "numpy", "numba", "rnnsim"} <= here.keys()
    assert differences(here, here) == ""
    there = {**here, "numpy": "1.0", "extra": "2"}
    del there["numba"]
    assert differences(here, there) == (
        f"extra missing (not 2), numba {here['numba']} (not installed), numpy {here['numpy']} (not 1.0)"
    )
