"""What a kernel refers to counts: values as they are when ``compiled`` is called, in every process."""

from __future__ import annotations

import random
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest

from rnnsim.compiler import compiled
from rnnsim.compiler.fingerprint import fingerprint
from rnnsim.compiler.references import reachable_functions
from rnnsim.compiler.snapshot import snapshot
from rnnsim.kernels import kernel

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


class Constants(NamedTuple):
    low: float
    high: float


SOURCE = """
def deepest(x):
    return x + offset

def helper(x):
    return deepest(x) * gain

@kernel
def root(x, more=step):
    return helper(x) + table[1] * constants.high + more + own(x) + settings.shift + settings.inner.by(x)
"""


def program() -> dict[str, Any]:
    """A namespace with a kernel that refers to a value of every kind."""
    settings, inner = types.ModuleType("settings"), types.ModuleType("inner")
    settings.shift, settings.inner = 0.25, inner  # type: ignore[attr-defined]
    inner.by = lambda x: x - 1.0  # type: ignore[attr-defined]
    scope: dict[str, Any] = {
        "kernel": kernel, "offset": 0.5, "gain": 2.0, "step": 0.125, "table": np.array([1.0, 2.0, 3.0]),
        "constants": Constants(1.0, 3.0), "settings": settings, "own": numba.njit(lambda x: 0.0 * x),
        "__name__": "notebook",
    }  # fmt: skip
    exec(SOURCE, scope)
    return scope


def change_array(scope: dict[str, Any], value: float) -> None:
    scope["table"][1] = value  # in place


def change_helper(scope: dict[str, Any], value: float) -> None:
    exec(f"def deepest(x):\n    return x * {value!r} + offset", scope)  # a notebook's cell, run again


def change_closure(scope: dict[str, Any], value: float) -> None:
    scope["settings"].inner.by = lambda x: x - value


def change_default(scope: dict[str, Any], value: float) -> None:
    scope["root"].__defaults__ = (value,)


def change_compiled(scope: dict[str, Any], value: float) -> None:
    scope["own"] = numba.njit(lambda x: value * x)


CHANGES: dict[str, Callable[[dict[str, Any], float], None]] = {
    "a global": lambda scope, value: scope.update(offset=value),
    "a global of a helper": lambda scope, value: scope.update(gain=value),
    "an array in place": change_array,
    "a helper defined anew": change_helper,
    "a closure": change_closure,
    "a module's attribute": lambda scope, value: setattr(scope["settings"], "shift", value),
    "a named tuple": lambda scope, value: scope.update(constants=Constants(1.0, value)),
    "a default": change_default,
    "the user's own compiled function": change_compiled,
}


def in_python(scope: dict[str, Any], x: float) -> float:
    own = scope["own"]
    scope["own"] = own.py_func
    try:
        return float(scope["root"](x))
    finally:
        scope["own"] = own


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed(change: str) -> None:
    scope = program()
    before = compiled(scope["root"])
    assert before(0.75) == in_python(scope, 0.75)
    old = before(0.75)
    CHANGES[change](scope, 5.5)
    assert compiled(scope["root"])(0.75) == in_python(scope, 0.75) != old
    assert before(0.75) == old  # and what was compiled earlier stays what it was


def test_values_are_those_of_the_call_of_compiled() -> None:
    """Numba would read them at the first call of the kernel."""
    scope = program()
    scope["offset"] = 17.0
    function, expected = compiled(scope["root"]), in_python(scope, 1.0)
    for change in CHANGES.values():
        change(scope, -3.0)
    assert function(1.0) == expected


def test_a_copy_is_identified_as_what_it_was_copied_from() -> None:
    scope = program()
    scope["own"] = scope["own"].py_func  # a compiled one has further options
    copy, key = snapshot(scope["root"])
    assert fingerprint(copy).hash == fingerprint(scope["root"]).hash == key.hash
    assert copy is snapshot(scope["root"])[0]
    originals = {scope[name] for name in ("root", "helper", "deepest")}
    assert not originals & set(reachable_functions(copy))


def test_functions_that_call_each_other_are_copied() -> None:
    scope = {"kernel": kernel, "by": 1, "__name__": "notebook"}
    exec("@kernel\ndef root(n):\n    return 0 if n <= 0 else by + root(n - 1)", scope)
    copy: Any = snapshot(scope["root"])[0]  # type: ignore[arg-type]
    assert copy.__globals__["root"] is copy
    scope["by"] = 3
    assert (copy(4), scope["root"](4)) == (4, 12)  # type: ignore[operator]


def test_what_is_not_described_has_a_key_of_this_process_only() -> None:
    class Opaque:
        pass

    one, other = Opaque(), Opaque()
    keys = {fingerprint(lambda x, thing=thing: thing).hash for thing in (one, other)}
    assert len(keys) == 2


EDITS = 8


def random_edits(seed: int) -> None:
    """Apply changes at random; each time machine code gives what Python gives."""
    rng = random.Random(seed)
    scope = program()
    for _ in range(EDITS):
        change = rng.choice(sorted(CHANGES))
        CHANGES[change](scope, rng.choice([-1.5, 0.5, 2.5]))
        found, expected = compiled(scope["root"])(0.75), in_python(scope, 0.75)
        assert found == expected, (change, found, expected)


def test_random_edits_in_processes_that_share_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file never holds code that its name does not describe: each process uses what others wrote."""
    code = "import sys; from test_snapshot import random_edits; random_edits(int(sys.argv[1]))"
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    for size in ("512", "512", "0"):  # the third has no cache
        monkeypatch.setenv("RNNSIM_CACHE_DIR", str(tmp_path))
        monkeypatch.setenv("RNNSIM_CACHE_SIZE", size)
        for seed in (1, 2):
            subprocess.run([sys.executable, "-c", code, str(seed)], check=True, timeout=300)


def test_a_copy_that_is_interrupted_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scope = program()
    scope["gain"] = 2.125  # so that its functions have not been copied yet

    class Interrupts:
        def __call__(self, *arguments: Any) -> Any:
            raise KeyboardInterrupt

    monkeypatch.setattr("rnnsim.compiler.snapshot.names_of", Interrupts())
    with pytest.raises(KeyboardInterrupt):
        compiled(scope["root"])
    monkeypatch.undo()
    assert compiled(scope["root"])(0.75) == in_python(scope, 0.75)
