"""Each mistake that the author of a rule can make is said in a line that names the author's file."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest
from click.testing import CliRunner
from example_plugin.leaky_network import LeakyNetwork
from strangers import ONE_STEP

import rnnsim
from rnnsim import RnnsimError, RnnsimWarning, registry
from rnnsim.cli import main
from rnnsim.compiler import listeners
from rnnsim.network import Network
from rnnsim.registry import Registry
from rnnsim.rule import Rule

needs_jit = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")

Load = Callable[[str], ModuleType]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Import a plugin from a file of its own."""

    def do(code: str) -> ModuleType:
        file = tmp_path / "acme.py"
        file.write_text(code)
        spec = importlib.util.spec_from_file_location("acme", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "acme", module)
        spec.loader.exec_module(module)
        return module

    return do


def changed(old: str, new: str) -> str:
    """The plugin with a mistake in it."""
    assert ONE_STEP.count(old) == 1
    return ONE_STEP.replace(old, new)


def registered(module: ModuleType) -> Registry:
    return registry.collect({"acme": (module, "acme-rules", "1.2")})


# --- at registration --------------------------------------------------------------------------------

NAME, MARK, HOOK = '    name = "one-step"\n', "@rnnsim.hookimpl", "def rnnsim_rules(register)"
CALLBACKS = "def rnnsim_callbacks(register)"
IS = "acme-rules 1.2 registers the rule OneStep (FILE), whose "
HAS = "acme-rules 1.2 (FILE): "
NO_HOOK = ("it has no hook, and so registers nothing; there are rnnsim_rules, rnnsim_tasks, "
           "rnnsim_networks, rnnsim_callbacks, each marked by @rnnsim.hookimpl")  # fmt: skip
MISSPELT = "no hook is called 'rnnsim_rule'; did you mean rnnsim_rules?"

AT_REGISTRATION = {
    "an option without default": (
        changed(NAME, f"{NAME}    h: int\n"),
        f"{IS}option h has no default; every option has one, as in h: int = 20",
    ),
    "an option without type": (
        changed(NAME, f"{NAME}    h = 5\n"),
        f"{IS}h has no type, and so is no option; h: int = 5 is one, and ClassVar a constant",
    ),
    "a part of the contract that is misspelt": (
        changed("needs =", "need ="),
        f"{IS}need has no type, and so is no option; need: tuple = ('immediate',) is one, and "
        "ClassVar a constant",
    ),
    "a credit with other parameters": (
        changed("def credit(self, network)", "def credit(self)"),
        f"{IS}credit takes (self); it takes (self, network)",
    ),
    "a memory with other parameters": (
        changed("def memory(self, network, batch, window, rng)", "def memory(self, network)"),
        f"{IS}memory takes (self, network); it takes (self, network, batch, window, rng)",
    ),
    "no hook": (changed(f"{MARK}\n{HOOK}", "def hook(register)"), HAS + NO_HOOK),
    "nothing at all": ("", HAS + NO_HOOK),
    "a hook that is not marked": (
        changed(MARK, ""),
        f"{HAS}rnnsim_rules is not marked as a hook; write @rnnsim.hookimpl above it",
    ),
    "a hook of another project": (
        changed(MARK, '@__import__("pluggy").HookimplMarker("rnsim")'),
        f"{HAS}rnnsim_rules is marked as a hook of 'rnsim'; write @rnnsim.hookimpl above it",
    ),
    "a misspelt hook": (changed(HOOK, "def rnnsim_rule(register)"), HAS + MISSPELT),
    "a misspelt hook that is not marked": (
        changed(f"{MARK}\n{HOOK}", "def rnnsim_rule(register)"),
        f"{HAS}{NO_HOOK} ({MISSPELT})",
    ),
    "a hook with other parameters": (
        changed(HOOK, "def rnnsim_rules(self, register)"),
        f"{HAS}rnnsim_rules takes (self, register); it takes (register)",
    ),
    "a callback with other parameters": (
        changed(
            f"{HOOK}:\n    register(OneStep)", f"{CALLBACKS}:\n    register(lambda step, loss: None)"
        ),
        "acme-rules 1.2 registers the callback <lambda> (FILE), which takes (step, loss); it takes one "
        "argument, a Seen, what there is to see of a run",
    ),
    "a hook that fails": (
        changed("register(OneStep)", "register(TwoSteps)"),
        "rnnsim_rules of acme-rules 1.2 failed (FILE, line 42): NameError: name 'TwoSteps' is not "
        "defined",
    ),
}


@pytest.mark.parametrize("mistake", AT_REGISTRATION)
def test_a_mistake_is_a_line_at_registration(mistake: str, load: Load) -> None:
    code, said = AT_REGISTRATION[mistake]
    module = load(code)
    with pytest.warns(RnnsimWarning) as caught:
        found = registered(module)
    assert [str(note.message) for note in caught] == [
        f"{said.replace('FILE', str(module.__file__))}; the others still work"
    ]
    assert not found.rules


@pytest.mark.parametrize(
    "code",
    [
        ONE_STEP,
        changed(NAME, f"{NAME}    h: int = 5\n    LIMIT = 3\n"),
        changed(MARK, '@__import__("pluggy").HookimplMarker("rnnsim")'),
        changed("def credit(self, network)", "def credit(self, network, more=0)"),
        changed(HOOK, "def helper(x): ...\n\n\n@rnnsim.hookimpl\ndef rnnsim_rules(register)"),
    ],
)
def test_what_is_right_is_registered(code: str, load: Load) -> None:
    """The control."""
    code = code.replace("@rnnsim.hookimpl\ndef helper", "def helper")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(registered(load(code)).rules) == {"one-step"}


# --- at the first use -------------------------------------------------------------------------------

RETURNED = "return Nothing(np.zeros(1))"
IT = "; it returns a NamedTuple of arrays and numbers"
TAKES = "(params, trajectory, window, memory, grad)"
CREDIT = f"def credit{TAKES}"
MAKES = "        return credit\n"

AT_FIRST_USE = {
    "a memory that is nothing": (changed(RETURNED, "return"), f"memory returns nothing{IT}"),
    "a memory that is a dict": (
        changed(RETURNED, "return {'p': 0}"),
        f"memory returns {{'p': 0}}, of type dict{IT}",
    ),
    "a memory that is a tuple": (
        changed(RETURNED, "return (1, 2)"), f"memory returns (1, 2), of type tuple{IT}",
    ),
    "a memory without fields": (
        changed(RETURNED, "return NamedTuple('Empty', [])()"),
        f"memory returns a NamedTuple without fields{IT}",
    ),
    "a memory with something else": (
        changed(RETURNED, "return Nothing('p')"),
        f"memory returns a NamedTuple whose empty is 'p', of type str{IT}",
    ),
    "a memory with an array of objects": (
        changed(RETURNED, "return Nothing(np.array([None]))"),
        "memory returns a NamedTuple whose empty is array([None], dtype=object), of type ndarray" + IT,
    ),
    "a credit that returns nothing": (
        changed(MAKES, ""), f"credit returns None; it returns a kernel that takes {TAKES}",
    ),
    "a kernel with other parameters": (
        changed(CREDIT, "def credit(params, trajectory, grad)"),
        f"the kernel of credit takes (params, trajectory, grad); it takes {TAKES}",
    ),
}  # fmt: skip
FAILING = {
    "a parameter that the network lacks": (
        changed(RETURNED, 'return Nothing(np.zeros(network.shapes["W"]))'),
        "(FILE, line 26): memory fails on a leaky network, whose parameters are a, U, V: KeyError: 'W'",
    ),
    "an attribute that the network lacks": (
        changed("immediate = network.immediate", "immediate = network.inmediate"),
        "(FILE, line 29): credit fails on a leaky network, whose parameters are a, U, V: "
        "AttributeError: 'Leaky' object has no attribute 'inmediate'",
    ),
}


class Leaky(LeakyNetwork):
    """The example, which trains by one step too."""

    @staticmethod
    def immediate(
        params: Any, trajectory: Any, t: int, begin: int, end: int, row: Any, grad: Any
    ) -> None:
        for i in range(params.a.size):
            grad.a[i] += row[0, i] * trajectory.entering[t, 0, i]


NET: Network = Leaky(1, 3, 1)
DATA = (NET.init(0), np.ones((4, 1)), np.ones((4, 1)))
DOORS: dict[str, Callable[[Rule], Any]] = {
    "gradient": lambda rule: rnnsim.gradient(NET, *DATA, rule=rule),
    "learner": lambda rule: rnnsim.Learner(NET, rule, window=2).learn(*DATA[1:]),
}


def refusal(module: ModuleType, use: Callable[[Rule], Any]) -> str:
    """What is said when the rule is used, and that nothing was compiled before."""
    compiled: list[str] = []

    def listen(owner: str, cacheable: bool) -> None:
        compiled.append(owner)

    listeners.append(listen)
    try:
        with pytest.raises(RnnsimError) as caught:
            use(module.OneStep())
    finally:
        listeners.remove(listen)
    assert not compiled
    return str(caught.value).replace(str(module.__file__), "FILE")


@pytest.mark.parametrize("mistake", AT_FIRST_USE)
@pytest.mark.parametrize("door", DOORS)
def test_a_mistake_is_a_line_at_the_first_use(mistake: str, door: str, load: Load) -> None:
    code, said = AT_FIRST_USE[mistake]
    assert refusal(load(code), DOORS[door]) == f"one-step (FILE): {said}"


@pytest.mark.parametrize("mistake", FAILING)
def test_what_fails_names_the_line_and_the_network(mistake: str, load: Load) -> None:
    code, said = FAILING[mistake]
    assert refusal(load(code), DOORS["gradient"]) == f"one-step {said}"


def test_a_rule_without_credit_says_so(load: Load) -> None:
    code = changed("def credit(self, network)", "def kredit(self, network)")
    said = "one-step (FILE) has no credit(self, network), which it needs"
    assert refusal(load(code), DOORS["gradient"]) == said


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("door", DOORS)
def test_a_rule_that_is_right_is_used(door: str, load: Load) -> None:
    """The control."""
    DOORS[door](load(ONE_STEP).OneStep())


# --- while compiling --------------------------------------------------------------------------------

IMMEDIATE = "immediate(params, trajectory, t, 0, B, trajectory.error[t], grad)"
ALL = "all that Numba says: --verbose, or RNNSIM_VERBOSE=1"
HERE = "  in FILE, line 35: "

WHILE_COMPILING = {
    "a name that is not defined": (
        changed(IMMEDIATE, "grad.U[0, 0] += factr"),
        "NameError: name 'factr' is not defined",
        [f"{HERE}grad.U[0, 0] += factr"],
    ),
    "a parameter that the network lacks": (
        changed(IMMEDIATE, "grad.U[0, 0] += params.W[0, 0]"),
        "params has no W; there are a, U, V",
        [f"{HERE}grad.U[0, 0] += params.W[0, 0]"],
    ),
    "a field that the trajectory lacks": (
        changed(IMMEDIATE, "grad.U[0, 0] += trajectory.slopes[t, 0, 0]"),
        "trajectory has no slopes; there are inputs, resets, entering, states, losses, output_error, "
        "error",
        [f"{HERE}grad.U[0, 0] += trajectory.slopes[t, 0, 0]"],
    ),
    "a parameter that is lacking in a helper": (
        changed(IMMEDIATE, "helper(params, grad)")
        + "\n\n@kernel\ndef helper(params, grad):\n    grad.U[0, 0] += params.W[0, 0]\n",
        "params has no W; there are a, U, V",
        [
            "  in FILE, line 47: grad.U[0, 0] += params.W[0, 0]",
            "  called in FILE, line 35: helper(params, grad)",
        ],
    ),
    "an argument of another type": (
        changed("trajectory.error[t]", "1.0"),
        "No implementation of function Function(<built-in function getitem>) found for signature: "
        ">>> getitem(float64, Tuple(Literal[int](0), int64))",
        [
            "  in NETWORK, line LINE: grad.a[i] += row[0, i] * trajectory.entering[t, 0, i]",
            f"  called in FILE, line 35: {IMMEDIATE.replace('trajectory.error[t]', '1.0')}",
        ],
    ),
    "an argument that is missing": (
        changed("trajectory.error[t], ", ""),
        "immediate is called with other arguments than it takes: TypeError: missing a required "
        "argument: 'grad'",
        [f"{HERE}{IMMEDIATE.replace('trajectory.error[t], ', '')}"],
    ),
    "an array in place of a number": (
        changed(IMMEDIATE, "grad.U[0, 0] += memory.empty"),
        "No implementation of function Function(<built-in function iadd>) found for signature: "
        ">>> iadd(float64, array(float64, 1d, C))",
        [f"{HERE}grad.U[0, 0] += memory.empty"],
    ),
    "something that NumPy lacks": (
        changed(IMMEDIATE, "grad.U[0, 0] += np.linalg.slogdett(params.U)"),
        "AttributeError: module 'numpy.linalg' has no attribute 'slogdett'",
        [f"{HERE}grad.U[0, 0] += np.linalg.slogdett(params.U)"],
    ),
    "Python that Numba does not support": (
        changed(IMMEDIATE, "\n                with open('x') as x:\n                    pass"),
        "UnsupportedBytecodeError: The 'with (context manager) as (variable):' construct is not "
        "supported",
        ["  in FILE, line 31: @kernel"],
    ),
}  # fmt: skip


@needs_jit
@pytest.mark.parametrize("mistake", WHILE_COMPILING)
def test_a_mistake_in_a_kernel_names_its_line(mistake: str, load: Load) -> None:
    code, cause, places = WHILE_COMPILING[mistake]
    module = load(code)
    with pytest.raises(RnnsimError) as caught:
        DOORS["gradient"](module.OneStep())
    network = Leaky.immediate.__code__
    names = {"FILE": module.__file__, "NETWORK": network.co_filename, "LINE": network.co_firstlineno + 5}
    lines = "\n".join([f"Numba cannot compile a kernel of one-step: {cause}", *places, ALL])
    for name, value in names.items():
        lines = lines.replace(name, str(value))
    assert str(caught.value) == lines
    assert caught.value.__suppress_context__  # no traceback of Numba's either
    assert type(caught.value.__context__).__module__ != "rnnsim.errors"


@needs_jit
def test_where_a_mistake_shows_in_the_core_both_lines_are_named(load: Load) -> None:
    module = load(changed("trajectory.error[t]", "1.0"))
    net = rnnsim.RecurrentNetwork(1, 3, 1)
    with pytest.raises(RnnsimError) as caught:
        rnnsim.gradient(net, net.init(0), *DATA[1:], rule=module.OneStep())
    _, shows, called, last = str(caught.value).splitlines()
    assert shows.startswith(f"  in {Path(rnnsim.__file__).parent}/n")
    assert called.startswith(f"  called in {module.__file__}, line 35: immediate(params, traj")
    assert last == ALL


@needs_jit
def test_all_that_numba_says_is_shown_if_it_is_wanted(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load(changed(IMMEDIATE, "grad.U[0, 0] += params.X[0]"))
    found = registry.collect({**registry.installed_plugins(), "acme": (module, "acme-rules", "1.2")})
    monkeypatch.setattr(registry, "installed", lambda: found)
    short, whole = (
        CliRunner().invoke(main, ["run", "one-step", "delayed-xor", *words]).stderr.splitlines()
        for words in ([], ["--verbose"])
    )
    said = [
        "rnnsim: Numba cannot compile a kernel of one-step: params has no X; there are W, U, b, V, c",
        f"  in {module.__file__}, line 35: grad.U[0, 0] += params.X[0]",
    ]
    assert short[-3:] == [*said, ALL]
    assert [line for line in whole if line in said] == said
    assert ALL not in whole
    assert len(whole) > 40
    assert any(line.startswith("Failed in nopython mode pipeline") for line in whole)
