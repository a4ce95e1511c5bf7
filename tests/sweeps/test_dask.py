"""Sweeps on a Dask cluster on loopback: a scheduler and workers, some of which are killed or too old."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
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
LONG: dict[str, Any] = {**SMALL, "steps": 100_000, "stop": False}
SECONDS = 120.0  # for what takes some seconds
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
        self.begin("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        wait_for(lambda: file.exists() and file.read_text().endswith("}"), "the scheduler")
        self.address: str = json.loads(file.read_text())["address"]

    def begin(self, what: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "dask", what, *arguments, "--no-dashboard"]
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log, env={**os.environ, **environment})
        self.processes.append(process)
        return process

    def worker(self, **environment: str) -> subprocess.Popen[bytes]:
        process = self.begin(
            "worker", self.address, "--no-nanny", "--nthreads", "1", "--host", "127.0.0.1",
            "--local-directory", str(self.folder), **environment,
        )  # fmt: skip
        log = self.folder / f"{len(self.processes) - 1}.log"
        wait_for(lambda: "Registered to" in log.read_text(), "a worker")
        return process

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


def start_sweep(file: Path, address: str, seeds: int) -> subprocess.Popen[bytes]:
    """A coordinator of its own, by the command that users have."""
    options = [word for name, value in LONG.items() if name != "stop"
               for word in (f"--{name.replace('_', '-')}", str(value))]  # fmt: skip
    words = ["sweep", "rtrl", "delayed-xor", "--seeds", str(seeds), "--out", str(file), *options]
    return subprocess.Popen(
        [sys.executable, "-m", "rnnsim", *words, "--dask", address],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_cluster_finds_the_same_though_a_worker_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    """No run is lost, and all results are to the bit those of one core."""
    lost, _ = cluster.worker(), cluster.worker()
    file = tmp_path / "found.sqlite"
    process = start_sweep(file, cluster.address, 12)
    wait_for(lambda: recorded(file) >= 2, "a result")
    assert recorded(file) < 12
    lost.send_signal(signal.SIGKILL)
    printed, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    assert printed.decode().startswith("12 runs of 1 cell: ")
    found = rnnsim.Sweep.load(file)
    same(rnnsim.sweep("rtrl", "delayed-xor", 12, **{**LONG, "stop": True}), found)
    assert np.isfinite(found.runs.solved_at).any()


def test_a_coordinator_that_is_killed_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    cluster.worker()
    cluster.worker()
    file = tmp_path / "found.sqlite"
    first = start_sweep(file, cluster.address, 10)
    wait_for(lambda: recorded(file) >= 2, "a result")
    first.kill()
    first.communicate()
    before = rnnsim.Sweep.load(file).runs
    assert 2 <= len(before.cell) < 10
    again = start_sweep(file, cluster.address, 10)
    _, said = again.communicate(timeout=SECONDS)
    assert again.returncode == 0, said
    found = rnnsim.Sweep.load(file)
    kept = found.runs.of(np.isin(found.runs.seed, before.seed))
    np.testing.assert_array_equal(kept.seconds, before.seconds)  # they were not run again
    same(rnnsim.sweep("rtrl", "delayed-xor", 10, **{**LONG, "stop": True}), found)


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


def workers_of(found: rnnsim.Sweep) -> set[str]:
    import sqlite3

    store: Any = found._store
    database: sqlite3.Connection = store._database
    return {name for (name,) in database.execute("select worker from runs")}


def test_a_cluster_without_workers_is_refused(cluster: Cluster) -> None:
    with pytest.raises(RnnsimError, match=r"has no workers; start some by `dask worker tcp://"):
        rnnsim.sweep("rtrl", "delayed-xor", 2, dask=cluster.address, **SMALL)


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
