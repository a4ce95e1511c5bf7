"""Which part of rnnsim may import which, read from the sources; imports inside functions count too."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import rnnsim
from rnnsim.registry import installed

ROOT = Path(__file__).parents[1]
# from the bottom to the top: a module imports what is on its own level or below
BASE = ["errors", "options", "typing", "checks", "arrays", "files", "pickling", "version"]
CONTRACTS = ["kernels", "network", "network_*", "rule", "task", "criterion", "hookspecs"]
ABOVE = [["compiler"], ["numerics"], ["networks"], ["plugin_checks"], ["registry", "folders"],
         ["training"], ["data"], ["runs"], ["sweeps"], ["testing", "benchmarking", "scaffold", ""],
         ["cli", "__main__"]]  # fmt: skip
LEVELS = [BASE, CONTRACTS, *ABOVE]
FOR_PLUGINS = [*BASE, *CONTRACTS, "numerics", "numerics.*", "networks.activations", "networks.losses",
               "networks.initial_weights", "networks.dense", "networks.readout",
               "networks.stepping"]  # fmt: skip
FOR_ONE_PLUGIN = {"rnnsim_tasks.table": ["data", "data.*"]}
INTERNALS = ["llvmlite*", "numba.core*", "numba.np*", "numba.cpython*", "numba._*", "numba.extending.*"]
PUBLIC = ["numba.extending.overload", "numba.extending.intrinsic", "numba.extending.register_jitable"]

PACKAGES = ("rnnsim", "rnnsim_rules", "rnnsim_tasks", "rnnsim_networks")

Sources = dict[str, str]  # by the name of the module


def sources() -> Sources:
    found = {}
    for root in (ROOT, ROOT / "plugins"):
        for path in sorted(root.glob("rnnsim*/**/*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


def matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def imports(code: Sources) -> dict[str, set[str]]:
    """Of each module: the modules that it imports; of other packages the names, too."""
    found: dict[str, set[str]] = {name: set() for name in code}
    for name, source in code.items():
        package = [*name.split("."), ""] if any(other.startswith(f"{name}.") for other in code) else None
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                above = (package or name.split("."))[: -node.level] if node.level else []
                module = ".".join([*above, *filter(None, [node.module])])
                for alias in node.names:
                    whole = f"{module}.{alias.name}"
                    of_module = whole not in code and module.startswith("rnnsim")
                    found[name].add(module if of_module else whole)
    return found


def wrong_direction(code: Sources) -> Iterator[str]:
    def level(name: str) -> int:
        part = name.removeprefix("rnnsim").removeprefix(".").partition(".")[0]
        return next(i for i, names in enumerate(LEVELS) if matches(part, names))

    for name, others in imports(code).items():
        own, for_it = name.partition(".")[0], [*FOR_PLUGINS, *FOR_ONE_PLUGIN.get(name, [])]
        for other in others:
            if other.partition(".")[0] not in PACKAGES:
                continue
            inside = other.partition(".")[0] == own
            if own == "rnnsim":
                right = inside and level(other) <= level(name)
            else:
                right = inside or matches(other.removeprefix("rnnsim."), for_it)
            if not right:
                yield f"{name} imports {other}"


def circles(code: Sources) -> Iterator[str]:
    graph = {
        name: {other for other in others if other in code} for name, others in imports(code).items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield " imports ".join(reversed(error.args[1]))


def names_of_rules_and_tasks(code: Sources) -> Iterator[str]:
    """As strings, except in docstrings and as defaults in signatures and of the fields of a class."""
    names = {*installed().rules, *installed().tasks}
    for name, source in code.items():
        nodes = list(ast.walk(ast.parse(source)))
        excepted = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.arguments):
                excepted |= {id(default) for default in (*node.defaults, *node.kw_defaults)}
            if isinstance(node, ast.ClassDef):
                excepted |= {id(field.value) for field in node.body if isinstance(field, ast.AnnAssign)}
        for node in nodes:
            said = isinstance(node, ast.Constant) and id(node) not in excepted and node.value in names
            if said and name.partition(".")[0] == "rnnsim":
                yield f"{name}, line {node.lineno}: {node.value!r}"


def internals_of_the_compiler(code: Sources) -> Iterator[str]:
    for name, others in imports(code).items():
        for other in others if not matches(name, ["rnnsim.compiler", "rnnsim.compiler.*"]) else ():
            if matches(other, INTERNALS) and not matches(other, PUBLIC):
                yield f"{name} imports {other}"


def modules_named_like_a_function(code: Sources) -> Iterator[str]:
    yield from {f"rnnsim.{name}" for name in rnnsim.__all__} & {*code}


CHECKS: dict[Callable[[Sources], Iterator[str]], list[Sources]] = {  # with what each must find
    wrong_direction: [
        {"rnnsim.errors": "def f():\n    from rnnsim.compiler import cache", "rnnsim.compiler": ""},
        {"rnnsim.network": "if TYPE_CHECKING:\n    from rnnsim.networks.losses import loss_kernel"},
        {"rnnsim.training.loop": "import rnnsim"},
        {"rnnsim.runs.running": "from rnnsim_rules.bptt import BPTT", "rnnsim_rules.bptt": ""},
        {"rnnsim_rules.bptt": "from rnnsim.networks.recurrent import network"},
        {"rnnsim_tasks.digits": "from rnnsim.data.table import TableTask"},
        {"rnnsim_rules.bptt": "from rnnsim_tasks import draw", "rnnsim_tasks.draw": ""},
        {"rnnsim_networks.gru.forward": "from rnnsim.networks.recurrent import forward"},
        {"rnnsim_rules.bptt": "import rnnsim_networks.gru", "rnnsim_networks.gru": ""},
    ],
    circles: [
        {"rnnsim.rule": "from rnnsim import task", "rnnsim.task": "def f():\n    import rnnsim.rule"},
        {
            "rnnsim.runs": "",
            "rnnsim.runs.one": "from .two import f",
            "rnnsim.runs.two": "from . import one",
        },
    ],
    names_of_rules_and_tasks: [
        {"rnnsim.runs.running": "def f(rule='rtrl'):\n    'bptt'\n    return rule == 'bptt'"},
        {"rnnsim.cli.tasks": "HARD = {'adding': 3}"},
    ],
    internals_of_the_compiler: [
        {"rnnsim.numerics.blas": "from numba import _helperlib"},
        {"rnnsim.numerics.blas": "from numba.core import types"},
        {"rnnsim.arrays": "import llvmlite.ir"},
        {"rnnsim_rules.bptt": "from numba.extending import models, overload"},
    ],
    modules_named_like_a_function: [{"rnnsim.run": ""}],
}
FINE: Sources = {
    "rnnsim.errors": "import numba",
    "rnnsim.arrays": "from rnnsim.errors import RnnsimError\nfrom numba.extending import overload",
    "rnnsim.compiler.cache": "from numba.core import types",
    "rnnsim.runs.running": "def f(rule='rtrl', *, task='adding'):\n    'bptt'",
    "rnnsim_rules.bptt": "from rnnsim.numerics import linalg\nfrom rnnsim_rules import rtrl",
    "rnnsim_rules.rtrl": "from rnnsim.networks.losses import loss_kernel",
    "rnnsim_tasks.table": "from rnnsim.data.table import TableTask",
    "rnnsim_networks.gru": "from rnnsim.networks.readout import read_linear",
    "rnnsim.data.table": "from rnnsim import registry",
    "rnnsim.numerics.linalg": "",
    "rnnsim.registry": "class Entry(NamedTuple):\n    rule: str = 'bptt'",
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_sources_are_in_order(check: Callable[[Sources], Iterator[str]]) -> None:
    assert list(check(sources())) == []


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_what_is_out_of_order_is_found(check: Callable[[Sources], Iterator[str]]) -> None:
    """The control: exactly one thing in each of the invented sources, and nothing where all is well."""
    for invented in CHECKS[check]:
        assert len(list(check(invented))) == 1, invented
    assert list(check(FINE)) == []
