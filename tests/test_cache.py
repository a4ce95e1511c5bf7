"""The cache of machine code is never stale: what another process finds in it, and the fingerprint."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
from collections import namedtuple
from enum import IntEnum
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from rnnsim.kernels import fingerprint

needs_jit = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


# --- the cache, seen from another process --------------------------------------------------------------


class Program:
    """A kernel in one file that calls a helper in another, run by a new process each time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.write("helper.py", "def helper(x):\n    return x + 1.0\n")
        self.write(
            "program.py",
            """
            import numba
            from rnnsim.kernels import compiled
            from helper import helper

            def root(x):
                return 10.0 * helper(x)

            run = compiled(root)
            print(run(1.0))
            """,
        )

    def write(self, name: str, source: str) -> None:
        (self.folder / name).write_text(textwrap.dedent(source))

    def run(self, *arguments: str) -> str:
        """Run it, and give what it printed."""
        variables = {"RNNSIM_CACHE_DIR": str(self.cache), "PYTHONDONTWRITEBYTECODE": "1"}
        environment = {k: v for k, v in os.environ.items() if k != "NUMBA_DISABLE_JIT"}
        done = subprocess.run(
            [sys.executable, "-W", "error", "program.py", *arguments],
            cwd=self.folder,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def files(self) -> dict[str, tuple[int, bytes]]:
        """What is in the cache: when each file was written, and its content."""
        found = sorted(self.cache.iterdir()) if self.cache.is_dir() else []
        return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


def test_an_edited_helper_is_seen_by_the_next_process(program: Program) -> None:
    assert program.run() == "20.0"
    program.write("helper.py", "def helper(x):\n    return x + 2.0\n")
    assert program.run() == "30.0"
    program.write("helper.py", "STEP = 2.5\n\ndef helper(x):\n    return x + STEP\n")
    assert program.run() == "35.0"
    program.write("helper.py", "STEP = 3.5\n\ndef helper(x):\n    return x + STEP\n")
    assert program.run() == "45.0"
    assert len(program.files()) == 4


LOSSES = """
import itertools, sys
import numpy as np
import numba.core.bytecode
import rnnsim
import rnnsim.cache

if sys.argv[1] == "as-numba":
    numba.core.bytecode.FunctionIdentity._unique_ids = itertools.count(1)
losses = {  # a user's own are called; rnnsim's are inlined
    "one": (lambda y, d: 1.0, lambda y, d: y - d),
    "two": (lambda y, d: 2.0, lambda y, d: y - d),
}
for loss in sys.argv[2:]:
    network = rnnsim.RecurrentNetwork(1, 2, 2, loss=losses[loss])
    params, row = network.init()._replace(c=np.ones(2)), np.ones((1, 2))
    print(round(rnnsim.loss(network, params._replace(V=0 * params.V), row[:, :1], row), 6))
"""

TWO_LOSSES = ["one", "two"]


@pytest.mark.parametrize(("numbering", "seen"), [("ours", "1.0 2.0"), ("as-numba", "1.0 1.0")])
def test_code_of_two_processes_is_not_mixed_up_in_a_third(
    program: Program, monkeypatch: pytest.MonkeyPatch, numbering: str, seen: str
) -> None:
    """Numba's own numbering is the control: it links one loss in the place of the other."""
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # the order of compiler flags is in the names, too
    program.write("program.py", LOSSES)
    for loss in TWO_LOSSES:
        program.run(numbering, loss)
    assert program.run(numbering, *TWO_LOSSES).split() == seen.split()


def test_the_next_process_does_not_compile(program: Program) -> None:
    assert program.run() == "20.0"
    before = program.files()
    assert len(before) == 1
    # the second process may not compile: this compiler raises
    source = (program.folder / "program.py").read_text()
    no_compiler = """
    from numba.core.dispatcher import _FunctionCompiler

    def refuse(*arguments):
        raise AssertionError("compiled")

    _FunctionCompiler.compile = refuse
    """
    program.write("program.py", source.replace("run = ", textwrap.dedent(no_compiler) + "run = "))
    assert program.run() == "20.0"
    assert program.files() == before
    program.write("helper.py", "def helper(x):\n    return x + 2.0\n")
    with pytest.raises(
        AssertionError, match="AssertionError: compiled"
    ):  # the control: here it must compile
        program.run()


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "another", "flipped"])
def test_a_corrupt_file_is_compiled_anew(program: Program, damage: str) -> None:
    assert program.run() == "20.0"
    (path,) = program.cache.iterdir()
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "empty": b"",
            "cut": content[:middle],
            "garbage": b"not machine code" * 100,
            "another": pickle.dumps(5),
            "flipped": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
        }[damage]
    )
    assert program.run() == "20.0"
    before = program.files()
    assert program.run() == "20.0"
    assert program.files() == before


def test_a_cache_that_cannot_be_written_costs_only_time(program: Program) -> None:
    program.cache.write_text("a file where the folder should be")
    assert program.run() == "20.0"
    assert program.cache.read_text() == "a file where the folder should be"


def test_what_a_user_compiled_is_part_of_the_key(program: Program) -> None:
    """Functions under @njit, their options, and a @vectorize'd one."""
    program.write("helper.py", "import numba\n\n@numba.njit\ndef helper(x):\n    return x + 1.0\n")
    assert program.run() == "20.0"
    program.write("helper.py", "import numba\n\n@numba.njit\ndef helper(x):\n    return x + 2.0\n")
    assert program.run() == "30.0"
    program.write("helper.py", "import numba\n\n@numba.vectorize\ndef helper(x):\n    return x + 3.0\n")
    assert program.run() == "40.0"
    program.write("helper.py", "import numba\n\n@numba.vectorize\ndef helper(x):\n    return x + 4.0\n")
    assert program.run() == "50.0"


# --- the fingerprint -----------------------------------------------------------------------------------


def scaled_by(factor: Any) -> Any:
    return lambda x: x * factor


def third_of(table: Any) -> Any:
    return lambda x: x * table[0][2]


def calling(*functions: Any) -> Any:
    return lambda x: functions[0](x)


LARGE = np.zeros(5000)


def changed(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array[len(array) // 2] = 1  # where repr() leaves the numbers out
    return array


CHANGED = changed(LARGE)


def njit(**options: Any) -> Any:
    return numba.njit(**options)(lambda x: x + 1.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda x: x + 1.0, lambda x: x + 2.0),
        (lambda x: x + 1.0, lambda x: x - 1.0),
        (lambda x: x + 1, lambda x: x + 1.0),
        (scaled_by(2.0), scaled_by(3.0)),
        (scaled_by(2), scaled_by(2.0)),
        (scaled_by(np.float64(2)), scaled_by(np.float32(2))),
        (scaled_by(np.zeros(2)), scaled_by(np.ones(2))),
        (scaled_by(np.zeros(2)), scaled_by(np.zeros(2, np.float32))),
        (scaled_by(LARGE), scaled_by(CHANGED)),
        (scaled_by((LARGE,)), scaled_by((CHANGED,))),
        (third_of(((1, 2, 3),)), third_of(((1, 2, 4),))),
        (scaled_by(lambda x: x + 1.0), scaled_by(lambda x: x + 2.0)),
        (calling(lambda x: x + 1.0), calling(lambda x: x + 2.0)),
        (lambda x, y=1.0: x + y, lambda x, y=2.0: x + y),
        (lambda x: [x + i for i in range(3)], lambda x: [x + i for i in range(4)]),
        (lambda x, *, y=1.0: x + y, lambda x, *, y=2.0: x + y),
        (lambda x, y=(LARGE,): x + y[0], lambda x, y=(CHANGED,): x + y[0]),
        (scaled_by(np.sin), scaled_by(np.cos)),
        (scaled_by((1, 2)), scaled_by((1, (2,)))),
        (scaled_by(IntEnum("Gain", {"low": 1})), scaled_by(IntEnum("Gain", {"low": 2}))),
        (scaled_by(namedtuple("Pair", "a b")), scaled_by(namedtuple("Pair", "b a"))),
        pytest.param(scaled_by(njit()), scaled_by(njit(fastmath=True)), marks=needs_jit),
    ],
)
def test_different_code_has_different_fingerprints(one: Any, other: Any) -> None:
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize(
    "make",
    [
        lambda: lambda x: x + 1.0,
        lambda: scaled_by(2.0),
        lambda: scaled_by(LARGE.copy()),
        lambda: scaled_by((LARGE.copy(), 2.0)),
        lambda: scaled_by(lambda x: x + 1.0),
        lambda: calling(lambda x: x + 1.0),
        lambda: calling(scaled_by(lambda x: x), scaled_by(2.0)),
    ],
)
def test_the_same_code_has_the_same_fingerprint(make: Any) -> None:
    assert fingerprint(make()) == fingerprint(make())


def test_a_function_of_a_module_in_a_package_is_part_of_the_key() -> None:
    """``package.module.f`` in a kernel: f is found behind two names."""

    def kernel_of(f: Any) -> Any:
        module = type(os)("module")
        module.f = f
        package = type(os)("package")
        package.module = module
        scope: dict[str, Any] = {"package": package, "__name__": "user"}
        exec("def root(x):\n    return package.module.f(x)", scope)
        return scope["root"]

    assert fingerprint(kernel_of(lambda x: x + 1)) != fingerprint(kernel_of(lambda x: x + 2))
    assert fingerprint(kernel_of(lambda x: x + 1)) == fingerprint(kernel_of(lambda x: x + 1))
