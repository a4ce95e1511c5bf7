"""The pieces of the fast back end: where Numba lacks what one needs, its plain form is used."""

from __future__ import annotations

import ast
import compileall
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numba
import pytest

import rnnsim.compiler
from rnnsim.compiler import pieces
from rnnsim.compiler.fingerprint import fingerprint
from rnnsim.compiler.pieces import PIECES, Piece
from rnnsim.errors import RnnsimError

needs_jit = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

FOLDER = Path(rnnsim.compiler.__file__).parent
NAMES = [(piece, name) for piece in PIECES for name in piece.needs]


MODULES = ("numba.core.cgutils", "numba.core.types", "numba.core.config", "numba.core.compiler",
           "llvmlite.ir")  # fmt: skip


# --- every private name is probed ----------------------------------------------------------------------


def is_private(module: str) -> bool:
    return module.startswith(("numba.core", "numba.np", "numba._", "llvmlite"))


def private_names(source: str) -> set[str]:
    """The names that a file takes from private modules, as ``pieces`` writes them."""
    found, modules = set(), {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and is_private(node.module or ""):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in MODULES:
                    modules[alias.asname or alias.name] = whole
                else:
                    found.add(f"{node.module}:{alias.name}")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in modules:
            found.add(f"{modules[node.value.id]}:{node.attr}")  # type: ignore[attr-defined]
    return found


def unlisted(names: set[str]) -> set[str]:
    """Those that no piece lists, not even as the class of a method that it lists."""
    listed = {name for _, name in NAMES} | {name.split(".")[0] for _, name in NAMES if ":" in name}
    listed |= {name.rsplit(".", 1)[0] for _, name in NAMES}
    return names - listed


@pytest.mark.parametrize("path", sorted(FOLDER.glob("**/*.py")), ids=lambda path: path.name)
def test_every_private_name_in_the_compiler_is_probed(path: Path) -> None:
    assert unlisted(private_names(path.read_text())) == set()


def test_a_name_that_is_not_probed_would_be_noticed() -> None:
    imports = "from numba.core import cgutils\nfrom numba.core.codegen import Odd\n"
    found = private_names(f"{imports}cgutils.odd()")
    assert found == {"numba.core.codegen:Odd", "numba.core.cgutils:odd"}
    assert unlisted(found) == found


@pytest.mark.parametrize(("piece", "name"), NAMES, ids=[f"{p.name}-{name}" for p, name in NAMES])
def test_a_name_that_is_gone_is_noticed(
    piece: Piece, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pieces.missing(piece) is None
    module, _, attributes = name.partition(":")
    *parents, last = attributes.split(".")
    thing = import_module(module)
    for parent in parents:
        thing = getattr(thing, parent)
    classes = thing.__mro__ if isinstance(thing, type) else type(thing).__mro__
    owner = next((base for base in classes if last in vars(base)), thing)
    monkeypatch.delattr(owner, last)
    assert pieces.missing(piece) is not None


# --- the package works without it ----------------------------------------------------------------------

PROGRAM = """
import sys
import numpy as np
import numba.core.caching, numba.core.codegen, numba.core.pythonapi, numba.core.typing.templates

numba.njit(lambda x: x)(1)  # imports all that Numba compiles with
exec(sys.argv[1])

from rnnsim.compiler import bind_arguments, compiled
from rnnsim.kernels import kernel
from rnnsim.numerics.parallel import in_parts
from rnnsim.numerics.views import as_vector

@kernel(allocates=False)
def double(x, begin, end):
    for i in range(begin, end):
        x[i] *= 2.0

@kernel(allocates=False)
def double_all(x):
    in_parts(double, x.size, 2, as_vector(x))

x = np.arange(4.0).reshape(2, 2)
compiled(double_all)(x)
bind_arguments(double_all, x)()
print(x.sum())
"""

# what each piece is bereft of; Numba itself does not use it any more once it is imported
TAKEN = {
    "linking": "del numba.core.codegen.JITCodeLibrary",
    "native code": "del numba.core.typing.templates.make_intrinsic_template",
    "binding of arguments": "from rnnsim.compiler import pieces\n"
    "found = pieces._exists\n"  # which Numba needs itself, so it is only hidden
    "pieces._exists = lambda name: 'get_value_type' not in name and found(name)",
    "sharing of calls": "import llvmlite.ir; del llvmlite.ir.IRBuilder.cmpxchg",
    "cache": "del numba.core.caching._Cache",
    "locking": "from rnnsim.compiler import pieces\n"
    "found = pieces._exists\n"
    "pieces._exists = lambda name: 'global_compiler_lock' not in name and found(name)",
    "locating": "from rnnsim.compiler import pieces\n"
    "found = pieces._exists\n"
    "pieces._exists = lambda name: 'do_boundscheck' not in name and found(name)",
}


def program(folder: Path, take: str = "", **environment: str) -> tuple[str, str, int]:
    """What the program printed, said on standard error, and how many kernels it left in the cache."""
    inherited = {name: value for name, value in os.environ.items() if name != "NUMBA_DISABLE_JIT"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, take], capture_output=True, text=True, timeout=120, check=False,
        env={**inherited, "RNNSIM_CACHE_DIR": str(folder), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr, len(list(folder.glob("*.kernel")))


def test_each_piece_is_taken_away() -> None:
    assert list(TAKEN) == [piece.name for piece in PIECES]


@pytest.mark.parametrize("piece", PIECES, ids=[piece.name for piece in PIECES])
def test_the_package_works_without_a_piece(piece: Piece, tmp_path: Path) -> None:
    printed, said, kernels = program(tmp_path, TAKEN[piece.name])
    assert printed == "24.0"
    lines = [line for line in said.splitlines() if piece.otherwise in line]
    assert len(lines) == 1
    assert f"Numba {numba.__version__}" in lines[0]
    assert (kernels > 0) == (piece.name != "cache")


def test_the_fast_back_end_says_nothing(tmp_path: Path) -> None:
    assert program(tmp_path)[:2] == ("24.0", "")
    # the second process does not probe: it finds its kernels, and what the first has found out
    assert program(tmp_path, "import rnnsim.compiler.pieces as p; p.missing = None")[:2] == ("24.0", "")


@pytest.mark.parametrize("how", ["in a zip file", "without its sources"])
def test_the_package_works_as_python_finds_it(how: str, tmp_path: Path) -> None:
    """Its own code is part of the key of what it compiles, whatever form it is in."""
    package = tmp_path / "package" / "rnnsim"
    shutil.copytree(FOLDER.parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    place = package.parent
    if how == "in a zip file":
        place = Path(shutil.make_archive(str(tmp_path / "zipped"), "zip", package.parent))
        shutil.rmtree(package.parent)
    else:
        assert compileall.compile_dir(package, quiet=1, legacy=True)
        for source in package.glob("**/*.py"):
            source.unlink()
    take = "import rnnsim.compiler.pieces as p; assert p.__file__.startswith(sys.path[0]), p.__file__"
    printed, said, kernels = program(tmp_path / "cache", take, PYTHONPATH=str(place))
    assert (printed, said) == ("24.0", "")
    assert kernels > 0


@pytest.mark.parametrize("lacking", [OSError, ImportError, AttributeError])
def test_without_its_own_code_nothing_is_kept(
    lacking: type[Exception], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing(*_: object) -> None:
        raise lacking

    monkeypatch.setattr("pkgutil.walk_packages", nothing)
    monkeypatch.delenv("RNNSIM_COMPILER", raising=False)
    for cached in (pieces.sources, pieces.absent):
        cached.cache_clear()
    assert pieces.absent() == ("cache",)
    assert pieces.CACHE.otherwise in capsys.readouterr().err
    for cached in (pieces.sources, pieces.absent):
        cached.cache_clear()


def test_the_plain_back_end_is_chosen(tmp_path: Path) -> None:
    assert program(tmp_path, RNNSIM_COMPILER="plain") == ("24.0", "", 0)


def test_a_back_end_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNSIM_COMPILER", "quick")
    pieces.absent.cache_clear()
    with pytest.raises(RnnsimError, match="RNNSIM_COMPILER is 'quick'; it is fast or plain"):
        pieces.names_in_use()
    pieces.absent.cache_clear()


def test_machine_code_of_one_back_end_is_not_found_by_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def function(x: float) -> float:
        return x

    fast = fingerprint(function)
    monkeypatch.setattr("rnnsim.compiler.fingerprint._remembered", {})
    assert fingerprint(function) == fast
    monkeypatch.setattr("rnnsim.compiler.fingerprint._remembered", {})
    monkeypatch.setattr("rnnsim.compiler.fingerprint.names_in_use", lambda: ())
    assert fingerprint(function) != fast
