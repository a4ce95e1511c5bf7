"""How long it takes to read a large table, and how much memory.

    python -m benchmarks.reading [--rows 1000000] [--columns 20] [--repeats 3]

The same random walks are written to a temporary folder as .csv (with all digits), .csv.gz, .npz, .npy
and Parquet, and each file is read in a fresh process. Of the repeats, the fastest is printed: seconds,
and the greatest memory in use above what the process had with its modules loaded, beside the bars: for
a million rows of 20 columns 5 s for .csv, 1 s for .npz and Parquet, and three times the memory of the
numbers. The exit status is 1 if a bar is missed; for other sizes there is none.
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
MEMORY = 3.0  # times that of the numbers

PROGRAM = """
import json, resource, sys, time
import rnnsim.data.formats
from rnnsim.data.reading import read

def peak():
    if sys.platform == "linux":  # where ru_maxrss of a new process begins at that of its parent
        with open("/proc/self/status") as status:
            return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

before, begun = peak(), time.perf_counter()
columns = read(sys.argv[1])
seconds = time.perf_counter() - begun
total = sum(float(column.values.sum()) for column in columns.columns.values())
print(json.dumps([seconds, peak() - before, columns.rows, len(columns.columns), total]))
"""


class Reading(NamedTuple):
    """What it took to read a file.

    Attributes
    ----------
    seconds : float
    memory : int
        In bytes, above what the process had.
    """

    seconds: float
    memory: int


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
    seconds, memory, rows, columns, total = json.loads(done.stdout)
    expected = sum(float(column.sum()) for column in np.ascontiguousarray(table.T))
    if (rows, columns) != table.shape or not np.isclose(total, expected, rtol=1e-9):
        raise RuntimeError(f"{path.name} was not read as it was written")
    return Reading(seconds, memory)


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
            seconds, memory = min(one.seconds for one in seen), min(one.memory for one in seen)
            bar = SECONDS.get(name, np.inf) if full else np.inf
            missed += (seconds > bar) + (memory > most)
            limits = f" (at most {bar:g} s)" if np.isfinite(bar) else ""
            print(f"{name}: {seconds:.2f} s{limits}, {memory / 1e6:.0f} MB above the start, "
                  f"{memory / table.nbytes:.2f} times the numbers", flush=True)  # fmt: skip
    if full:
        print(f"the bar for memory is {MEMORY:g} times the numbers; {missed} bars were missed")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
