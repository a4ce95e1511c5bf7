"""How long it takes to read a large table and to begin to learn from it, and how much memory.

    python -m benchmarks.reading [--rows 1000000] [--columns 20] [--repeats 3]

The same random walks are written to a temporary folder as .csv (with all digits), .csv.gz, .npz, .npy
and Parquet, and each file is given to ``rnnsim.run("bptt", file)`` in a fresh process, until the first
step has been learnt. Of the repeats, the fastest is printed, whose kernels were compiled before: seconds
of reading and from there to the first step, in which libraries are loaded too, and the greatest memory
in use by then above what the process had with its modules loaded. Beside them are the bars: for a
million rows of 20 columns 5 s of reading for .csv, 1 s for .npz and Parquet, three times the memory of
the numbers, and the first step 2 s later. The exit status is 1 if a bar is missed; for other sizes there
is none.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROWS, COLUMNS = 1_000_000, 20
SECONDS = {"csv": 5.0, "npz": 1.0, "parquet": 1.0}
MEMORY = 3.0  # times that of the numbers, while they are read
FIRST_STEP = 2.0  # seconds after that, of the files that have a bar

PROGRAM = """
import json, resource, sys, time
import rnnsim
import rnnsim.data.formats
from rnnsim.data import table_task

def peak():
    if sys.platform == "linux":  # where ru_maxrss of a new process begins at that of its parent
        with open("/proc/self/status") as status:
            return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

found = {}

def read(*given):
    begun = time.perf_counter()
    columns = read_a_table(*given)
    found.update(seconds=time.perf_counter() - begun, memory=peak() - before)
    found["rows"], found["columns"] = columns.rows, len(columns.columns)
    found["total"] = sum(float(column.values.sum()) for column in columns.columns.values())
    found["read"] = time.perf_counter()
    return columns

def look(seen):
    if seen.step:
        found["first_step"] = time.perf_counter() - found.pop("read")
        print(json.dumps({**found, "memory_by_then": peak() - before}))
        sys.exit()

read_a_table, table_task.read = table_task.read, read
before = peak()
rnnsim.run("bptt", sys.argv[1], callback=look)
"""


class Reading(NamedTuple):
    """What it took to read a file, and to begin to learn from it.

    Attributes
    ----------
    seconds : float
    memory : int
        In bytes, above what the process had.
    first_step : float
        Seconds from there to the first step that is learnt.
    memory_by_then : int
    """

    seconds: float
    memory: int
    first_step: float
    memory_by_then: int


def write(table: np.ndarray, folder: Path) -> dict[str, Path]:
    """Write a table in each format; the files by their formats."""
    import polars as pl

    frame = pl.DataFrame({f"x{i}": np.ascontiguousarray(column) for i, column in enumerate(table.T)})
    writers: dict[str, Callable[[Path], object]] = {
        "csv": frame.write_csv,
        "csv.gz": lambda path: compressed(folder / "table.csv", path),
        "npz": lambda path: np.savez(path, x=table),
        "npy": lambda path: np.save(path, table),
        "parquet": frame.write_parquet,
    }
    files = {name: folder / f"table.{name}" for name in writers}
    for name, path in files.items():
        writers[name](path)
    return files


def compressed(path: Path, to: Path) -> None:
    """Compress a file."""
    import gzip
    import shutil

    with path.open("rb") as file, gzip.open(to, "wb", compresslevel=1) as other:
        shutil.copyfileobj(file, other)


def reading(path: Path, table: np.ndarray) -> Reading:
    """Read a file in a fresh process.

    Raises
    ------
    RuntimeError
        If what was read is not the table.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    rows, columns, total = (found.pop(name) for name in ("rows", "columns", "total"))
    expected = sum(float(column.sum()) for column in np.ascontiguousarray(table.T))
    if (rows, columns) != table.shape or not np.isclose(total, expected, rtol=1e-9):
        raise RuntimeError(f"{path.name} was not read as it was written")
    return Reading(**found)


def _beside(seconds: float, bar: float) -> str:
    return f"{seconds:.2f} s" + (f" (at most {bar:g} s)" if np.isfinite(bar) else "")


def _of(memory: int, table: np.ndarray) -> str:
    return f"{memory / 1e6:.0f} MB, {memory / table.nbytes:.2f} times the numbers"


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--columns", type=int, default=COLUMNS)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args(words)
    table = np.cumsum(np.random.default_rng(0).standard_normal((given.rows, given.columns)), axis=0)
    full = (given.rows, given.columns) == (ROWS, COLUMNS)
    most = MEMORY * table.nbytes if full else np.inf
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, path in write(table, Path(folder)).items():
            seen = [reading(path, table) for _ in range(given.repeats)]
            found = Reading(*map(min, zip(*seen)))
            bar, first = (SECONDS[name], FIRST_STEP) if full and name in SECONDS else (np.inf, np.inf)
            missed += (found.seconds > bar) + (found.memory > most) + (found.first_step > first)
            print(f"{name}: read in {_beside(found.seconds, bar)} with {_of(found.memory, table)}; "
                  f"first step {_beside(found.first_step, first)} later, by then with "
                  f"{_of(found.memory_by_then, table)}", flush=True)  # fmt: skip
    if full:
        print(f"reading may take {MEMORY:g} times the memory of the numbers; {missed} bars were missed")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
