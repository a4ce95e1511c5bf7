"""The cache of machine code is never stale: what another process finds in it."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import numba
import pytest

from rnnsim.compiler import kernel_files

FOREIGN = ("NUMBA_DISABLE_JIT", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "RNNSIM_CACHE_SIZE")

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
            from rnnsim.compiler import compiled
            from helper import helper

            def root(x):
                return 10.0 * helper(x)

            run = compiled(root)
            print(run(1.0))
            """,
        )

    def write(self, name: str, source: str) -> None:
        (self.folder / name).write_text(textwrap.dedent(source))

    def run(self, *arguments: str, **variables: str) -> str:
        """Run it, and give what it printed."""
        done = subprocess.run([sys.executable, "-W", "error", "program.py", *arguments], cwd=self.folder,
                              env=self.environment(variables), capture_output=True, text=True,
                              timeout=120, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def environment(self, variables: dict[str, str]) -> dict[str, str]:
        own = {"RNNSIM_CACHE_DIR": str(self.cache), "PYTHONDONTWRITEBYTECODE": "1"}
        return {k: v for k, v in os.environ.items() if k not in FOREIGN} | own | variables

    def files(self) -> dict[str, tuple[int, bytes]]:
        """What is in the cache: which file of the disk each is, and its content."""
        found = sorted(self.cache.glob("*.kernel"))
        return {path.name: (path.stat().st_ino, path.read_bytes()) for path in found}


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
import sys
import numpy as np
import rnnsim

losses = {  # a user's own are called; rnnsim's are inlined
    "one": (lambda y, d: 1.0, lambda y, d: y - d),
    "two": (lambda y, d: 2.0, lambda y, d: y - d),
}
for loss in sys.argv[1:]:
    network = rnnsim.RecurrentNetwork(1, 2, 2, loss=losses[loss], check_derivatives=False)
    params, row = network.init()._replace(c=np.ones(2)), np.ones((1, 2))
    print(round(rnnsim.loss(network, params._replace(V=0 * params.V), row[:, :1], row), 6))
"""

TWO_LOSSES = ["one", "two"]

CLOSURES = """
import sys
import numpy as np
from rnnsim.compiler import compiled
from rnnsim.kernels import kernel

def inner(factor):
    @kernel(inlined=False)  # so that it has a name in machine code
    def body(x, y):
        for i in range(x.size):
            for j in range(y.size):
                if x[i] > y[j]:
                    y[j] += factor * np.sin(x[i])
                elif x[i] < -y[j]:
                    y[j] -= factor * np.cos(x[i]) * np.exp(y[j])
                else:
                    y[j] += factor
        return factor
    return body

def outer(f, g):
    @kernel
    def outermost(x, y):
        return f(x, y) + g(x, y) + f(y, x)
    return outermost

for factor in map(float, sys.argv[1:]):
    x, y = np.linspace(-1, 1, 5), np.linspace(-2, 1, 7)
    print(compiled(outer(inner(factor), inner(10 * factor)))(x, y))
"""


@needs_jit
def test_closures_of_one_factory_are_not_mixed_up_either(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outermost and inner kernels have the same names and numbers in both files."""
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    program.write("program.py", CLOSURES)
    assert [program.run("2"), program.run("3")] == ["24.0", "36.0"]
    assert len(program.files()) == 2
    assert program.run("2", "3").split() == ["24.0", "36.0"]
    assert program.run("3", "2").split() == ["36.0", "24.0"]
    assert len(program.files()) == 2  # nothing was compiled anew


def test_code_of_two_processes_is_not_mixed_up_in_a_third(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numba numbers functions from 1 in each process, so that two files use one name for different code.

    A file holds all that it calls, and is linked to nothing in another. Without optimisation nothing is
    inlined, and there are more names to be mixed up.
    """
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # the order of compiler flags is in the names, too
    program.write("program.py", LOSSES)
    for loss in TWO_LOSSES:
        program.run(loss, NUMBA_OPT="0")
    assert program.run(*TWO_LOSSES, NUMBA_OPT="0").split() == ["1.0", "2.0"]


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


def test_a_corrupt_file_is_compiled_anew(program: Program) -> None:
    assert program.run() == "20.0"
    (path,) = program.cache.glob("*.kernel")
    content = path.read_bytes()
    middle = len(content) // 2
    for damaged in (
        b"",
        content[:middle],
        b"not machine code" * 100,
        pickle.dumps(5),
        content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
    ):
        path.write_bytes(damaged)
        assert program.run() == "20.0"
        before = program.files()
        assert before[path.name][1] != damaged  # compiled, and written again
        assert program.run() == "20.0"
        assert program.files() == before


ODD = {
    "a number": "5",
    "nothing": "()",
    "nine of nothing": "(None,) * 9",
    "one part less": "payload[:-1]",
    "an error": "Raises()",
    "of another kind": "(name, 'bitcode', bitcode), *rest",
    "no code": "(name, kind, (b'', bitcode)), *rest",
    "no bitcode": "(name, kind, (code, b'')), *rest",
    "garbage": "(name, kind, (b'x' * 999, b'y' * 999)), *rest",
    "half the code": "(name, kind, (code[: len(code) // 2], bitcode)), *rest",
    "half the bitcode": "(name, kind, (code, bitcode[: len(bitcode) // 2])), *rest",
    "no function": "payload[0], None, *rest[1:]",
    "no environment": "*payload[:2], {}, *rest[2:]",
    "other arguments": "*payload[:3], rest[2].replace(args=()), *rest[3:]",
    "an environment that is none": "*payload[:-1], (1,)",
}

SPOILT = """
import json, os, pickle, sys
from rnnsim.compiler import compiled, kernel_files
import rnnsim.compiler.cache  # with it Numba, once for all
from helper import helper

def root(x):
    return 10.0 * helper(x)

class Raises:
    def __reduce__(self):
        return eval, ("1 / 0",)

def in_a_fork(work):
    # a process of its own, which may crash; nothing is compiled before
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        work()
        sys.stdout.flush()
        os._exit(0)
    return os.waitpid(child, 0)[1]

def spoil_and_run(odd):
    (file,) = kernel_files.files()
    content = kernel_files.read(file.path)
    digest, payload = content[:64], pickle.loads(content[64:])
    (name, kind, (code, bitcode)), *rest = payload
    odd = eval(f"({odd})")
    assert kernel_files.write(file.path, digest + pickle.dumps(odd))
    assert compiled(root)(1.0) == 20.0
    payload = pickle.loads(kernel_files.read(file.path)[64:])
    assert len(payload[0][2][0]) == len(code)  # compiled, and written again
    print("right", end=" ")

in_a_fork(lambda: compiled(root)(1.0))
for name, odd in json.loads(sys.argv[1]).items():
    status = in_a_fork(lambda: spoil_and_run(odd))
    print(name, status)
"""


@needs_jit
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_an_odd_file_is_compiled_anew(program: Program) -> None:
    """Its hash is right, and its checksum too: something else has written it."""
    program.write("program.py", SPOILT)
    assert program.run(json.dumps(ODD)).splitlines() == [f"right {name} 0" for name in ODD]


@needs_jit
def test_a_file_under_the_name_of_another_is_not_taken_for_it(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RNNSIM_CACHE_DIR", str(program.cache))
    program.write("program.py", CLOSURES)
    assert program.run("2", "3").split() == ["24.0", "36.0"]
    one, two = program.cache.glob("*.kernel")
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    assert kernel_files.read(one) is not None  # the control: as a file it is sound
    assert program.run("2", "3").split() == ["24.0", "36.0"]
    assert kernel_files.read(one) != kernel_files.read(two)
    (note,) = program.cache.glob("*.note")
    assert kernel_files.write(note, b"[]")
    assert program.run("2").split() == ["24.0"]


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


# --- other circumstances -------------------------------------------------------------------------------

PATCHED = """
import sys
import llvmlite, numba, numpy, scipy
import rnnsim

module, version = sys.argv[1:]
assert hasattr(sys.modules[module], version)
setattr(sys.modules[module], version, getattr(sys.modules[module], version) + ".1")
"""


@needs_jit
def test_code_of_another_version_is_not_found(program: Program) -> None:
    assert program.run() == "20.0"
    assert program.run() == "20.0"
    assert len(program.files()) == 1  # the control: the same version finds it
    source = (program.folder / "program.py").read_text()
    program.write("program.py", PATCHED + source)
    packages = ["rnnsim.version", "numba", "llvmlite", "numpy", "scipy", "sys"]
    for number, package in enumerate(packages, start=2):
        assert program.run(package, "version" if package == "sys" else "__version__") == "20.0"
        assert len(program.files()) == number, package


SETTINGS = {
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "+sse2",
    "NUMBA_ENABLE_AVX": "0",
    "NUMBA_OPT": "0",
    "NUMBA_BOUNDSCHECK": "1",
    "NUMBA_DEBUGINFO": "1",
}


@needs_jit
def test_code_for_another_processor_or_setting_is_not_found(program: Program) -> None:
    assert program.run() == "20.0"
    for number, (name, value) in enumerate(SETTINGS.items(), start=2):
        before = program.files()
        for _ in range(2):  # the second time it is found
            assert program.run(**{name: value}) == "20.0"
            after = program.files()
            assert len(after) == number, name
            assert after.items() > before.items()


@needs_jit
def test_settings_that_change_no_code_find_it(program: Program) -> None:
    """The control: not every variable makes another file."""
    assert program.run() == "20.0"
    before = program.files()
    assert program.run(NUMBA_NUM_THREADS="1", NUMBA_THREADING_LAYER="workqueue") == "20.0"
    assert program.files() == before


@needs_jit
def test_the_order_of_the_fields_is_part_of_the_key(program: Program) -> None:
    """Numba's words for a named tuple leave it out, and the bytecode knows names alone."""
    pair = "from typing import NamedTuple\n\nclass Pair(NamedTuple):\n    {}: float\n    {}: float\n"
    program.write(
        "program.py",
        """
        from rnnsim.compiler import compiled
        from helper import Pair

        print(compiled(lambda pair: pair.first)(Pair(first=1.0, second=2.0)))
        """,
    )
    for fields in (("first", "second"), ("second", "first")):
        program.write("helper.py", pair.format(*fields))
        assert program.run() == "1.0"
    assert len(program.files()) == 2


@needs_jit
@pytest.mark.parametrize(("size", "kept"), [(10, 1), (1_000_000, 0)])
def test_what_holds_addresses_of_its_process_is_not_kept(program: Program, size: int, kept: int) -> None:
    """Of a large array the code has the address, where another process has something else."""
    program.write(
        "program.py",
        f"""
        import numpy as np
        from rnnsim.compiler import compiled

        TABLE = np.arange({size}.0)
        print(compiled(lambda i: TABLE[i])(7))
        """,
    )
    for _ in range(2):
        assert program.run() == "7.0"
        assert len(program.files()) == kept


FORKED = """
import os, sys
import numpy as np
import rnnsim
import rnnsim.compiler.cache

def use(*names):
    losses = {
        "one": (lambda y, d: 1.0, lambda y, d: y - d),
        "two": (lambda y, d: 2.0, lambda y, d: y - d),
    }
    for name in names:
        network = rnnsim.RecurrentNetwork(1, 2, 2, loss=losses[name], check_derivatives=False)
        row = np.ones((1, 2))
        print(round(rnnsim.loss(network, network.init(), row[:, :1], row), 6), flush=True)

if sys.argv[1] == "both":
    use("one", "two")
else:
    for name in ("one", "two"):
        child = os.fork()
        if child == 0:
            use(name)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
"""


@needs_jit
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_code_of_two_forked_processes_is_not_mixed_up_in_a_third(program: Program) -> None:
    program.write("program.py", FORKED)
    settings = {"PYTHONHASHSEED": "0", "NUMBA_OPT": "0"}
    assert program.run("forked", **settings).split() == ["1.0", "2.0"]
    assert program.run("both", **settings).split() == ["1.0", "2.0"]


# --- several processes ---------------------------------------------------------------------------------


@needs_jit
def test_several_processes_fill_it_at_once_and_one_is_killed(program: Program) -> None:
    """One of them is killed while it writes; the others, and those who come later, do not notice."""
    program.write(
        "killed.py",
        """
        import io, os
        from pathlib import Path
        import rnnsim.compiler.kernel_files

        class Draft(io.BufferedWriter):  # half of it is written, and then the process is no more
            def write(self, content):
                super().write(content[: len(content) // 2])
                self.flush()
                os.kill(os.getpid(), 9)

        def opened(path, mode="r", *others, **named):
            return Draft(io.FileIO(path, mode)) if mode == "xb" else usual(path, mode, *others, **named)

        usual, Path.open = Path.open, opened
        import program
        """,
    )
    together = [
        subprocess.Popen([sys.executable, name], cwd=program.folder, env=program.environment({}),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for name in ("program.py", "killed.py", "program.py")
    ]  # fmt: skip
    done = [(process.communicate(timeout=120), process.returncode) for process in together]
    assert [code for _, code in done] == [0, -9, 0], done
    assert [out for (out, _), _ in done] == ["20.0\n", "", "20.0\n"]
    assert len(list(program.cache.glob("root-*.kernel"))) == 1
    assert len(list(program.cache.glob(".draft-*.kernel"))) == 1
    before = program.files()
    assert program.run() == "20.0"
    assert program.files() == before  # it was found


@needs_jit
def test_it_may_be_cleared_while_another_process_runs(program: Program) -> None:
    source = (program.folder / "program.py").read_text()
    program.write("program.py", source + "input()\nprint(run(1.0), run(1))\n")
    with subprocess.Popen([sys.executable, "program.py"], cwd=program.folder,
                          env=program.environment({}), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "20.0\n"
        clear = [sys.executable, "-m", "rnnsim", "cache", "--clear"]
        said = subprocess.run(
            clear, env=program.environment({}), capture_output=True, text=True, check=True
        )
        assert said.stdout.startswith("removed 1 file, ")
        assert program.files() == {}
        assert process.communicate("\n", timeout=120)[0] == "20.0 20.0\n"
    assert len(program.files()) == 1  # of run(1), which was compiled afterwards
