"""Several Python threads at once, before anything is compiled and after; and forked processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numba
import pytest
from processes import run

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="kernels run as Python")

SCRIPT = """
import multiprocessing, sys, threading
from concurrent.futures import ThreadPoolExecutor
import numba
import numpy as np
from rnnsim.compiler import compiled
from rnnsim.kernels import kernel
from rnnsim.numerics import threads
from rnnsim.numerics.blas_threads import blas_libraries
from rnnsim.numerics.parallel import in_parallel

threads.Cores.look = lambda self: self.most  # however busy the machine is

@kernel
def square(x):
    return x * x

@kernel(allocates=False)
def add_part(i, x, out):
    for j in range(x.shape[1]):
        out[i] += square(x[i, j]) / (j + 1)

@kernel(allocates=False)
def add_all(x, out):
    for repeat in range(50):
        in_parallel(add_part, out.size, x, out)

start = threading.Barrier(8)

def work(seed, together=False):
    x, out = np.random.default_rng(seed).random((16, 200)), np.zeros(16)
    if together:
        start.wait()
    with threads.shared_work():
        compiled(add_all)(x, out)
    return out.tolist()

def work_together(seed):
    return work(seed, together=True)

if __name__ == "__main__":
    with ThreadPoolExecutor(8) as pool:
        for repeat in range(20):  # at first they all want it compiled
            found = list(pool.map(work_together, range(8)))
            assert found == [work(seed) for seed in range(8)]
    assert blas_libraries()[0].threads() == BLAS
    if hasattr(os := __import__("os"), "fork"):
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map_async(work, range(8)).get(timeout=60) == found
    print(numba.threading_layer(), "works")
"""


LAYERS = {"omp": "omppool", "workqueue": "workqueue", "tbb": "tbbpool"}  # with their modules


@pytest.mark.parametrize("layer", LAYERS)
def test_any_number_of_python_threads_and_forked_children(layer: str, tmp_path: Path) -> None:
    """They find what one thread finds, on every threading layer; the cache is empty at first."""
    pytest.importorskip(f"numba.np.ufunc.{LAYERS[layer]}", exc_type=ImportError)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("BLAS", "2"))
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2",
                   "OPENBLAS_NUM_THREADS": "2", "RNNSIM_CACHE_DIR": str(tmp_path)}  # fmt: skip
    done = run(sys.executable, str(script), env=environment, timeout=300)
    assert (done.returncode, done.stdout) == (0, f"{layer} works\n"), done.stderr
