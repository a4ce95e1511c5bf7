"""What holds for every task is what the kit checks; and that tasks cost little before they are used."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from processes import run

from rnnsim.registry import installed
from rnnsim.testing import check_task


@pytest.mark.parametrize("name", sorted(installed().tasks))
def test_it_is_what_it_says(name: str, options: dict[str, dict[str, Any]]) -> None:
    report = check_task(name, **options.get(name, {}))
    assert report.passed, "\n".join(map(str, report.failures))


def test_listing_tasks_stays_quick() -> None:
    code = (
        "import sys, rnnsim; rnnsim.tasks(); "
        "print([name for name in ('numba', 'sklearn', 'scipy') if name in sys.modules])"
    )
    assert run(sys.executable, "-c", code, check=True).stdout.strip() == "[]"


def test_generators_pass_into_cached_machine_code(tmp_path: Path) -> None:
    """A second process takes the kernel from the disk and draws the same."""
    code = (
        "import numpy as np\nfrom rnnsim.compiler import compiled\n"
        "from rnnsim.registry import make_task\n"
        "from rnnsim.network import empty_stream\n"
        "task, stream = make_task('flip-flop', {}), empty_stream(100, 2, 3, 1, 'float64')\n"
        "fill = compiled(task.fill())\n"
        "fill(task.source(np.random.default_rng(3), 2, 'float64'), stream, 100)\n"
        "print(stream.inputs.ravel().astype(int), sum(fill.dispatcher.stats.cache_hits.values()))"
    )
    env = os.environ | {"RNNSIM_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": "0"}
    first, second = (
        run(sys.executable, "-c", code, env=env, check=True).stdout.rsplit(" ", 1) for _ in range(2)
    )
    assert first[0] == second[0]
    assert (int(first[1]), int(second[1])) == (0, 1)
