"""Plugins: a stranger's come in as our own do, and one that is broken does not stop the others."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pluggy
import pytest
from processes import run

import rnnsim
from rnnsim import registry
from rnnsim.errors import RnnsimError, RnnsimWarning, UnknownName
from rnnsim.networks.recurrent.network import RecurrentNetwork
from rnnsim.rule import Cost, Rule
from rnnsim.task import Task

hookimpl = pluggy.HookimplMarker("rnnsim")

ONE_STEP = '''
"""A rule as a stranger would write it: each error is blamed on its own step alone."""

from typing import NamedTuple

import numpy as np
import pluggy

from rnnsim.kernels import kernel
from rnnsim.rule import Cost, Rule

hookimpl = pluggy.HookimplMarker("rnnsim")


class Nothing(NamedTuple):
    empty: np.ndarray


class OneStep(Rule, frozen=True):
    """Blame each step for its own error alone."""

    name = "one-step"
    claim = "truncated"
    cost = Cost(time="n^2", memory="n")
    needs = ("immediate",)

    def memory(self, network, batch, window, rng):
        return Nothing(np.zeros(1))

    def credit(self, network):
        immediate = network.immediate

        @kernel
        def credit(params, trajectory, window, memory, grad):
            for t in range(window.first, window.first + window.length):
                immediate(params, trajectory, t, trajectory.error[t], grad)

        return credit


@hookimpl
def rnnsim_rules(register):
    register(OneStep)
'''


def install(folder: Path, name: str, code: str, version: str = "1.2") -> str:
    """Lay out a distribution with one plugin module, as pip would; give the module's name."""
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(textwrap.dedent(code))
    info = folder / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[rnnsim]\nplugin = {module}\n")
    return module


Installer = Callable[..., None]


@pytest.fixture
def installer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installer:
    """Install plugins where this process sees them, until the test ends."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def do(name: str, code: str, version: str = "1.2") -> None:
        module = install(tmp_path, name, code, version)
        monkeypatch.delitem(sys.modules, module, raising=False)

    return do


def collected() -> registry.Registry:
    return registry.collect(registry.installed_plugins())


def plugin(**hooks: Any) -> Any:
    return SimpleNamespace(**{name: hookimpl(hook) for name, hook in hooks.items()})


def rule_of(name: str) -> type[Rule]:
    class Named(Rule, frozen=True):
        """A rule."""

        claim = "approximate"
        cost = Cost("1", "1")

    Named.name = name
    return Named


# --- our own ---------------------------------------------------------------------------------------


def test_what_comes_with_rnnsim_comes_in_by_its_entry_points() -> None:
    plugins = registry.installed_plugins()
    assert {"rnnsim:rules", "rnnsim:tasks"} <= set(plugins)
    without = {name: found for name, found in plugins.items() if not name.startswith("rnnsim:")}
    found, left = registry.collect(plugins), registry.collect(without)
    assert {"bptt", "rtrl", "truncated-bptt"} <= set(found.rules)
    assert "delayed-xor" in found.tasks
    assert not left.rules
    assert not left.tasks
    for entry in (found.rules["bptt"], found.tasks["delayed-xor"]):
        assert (entry.distribution, entry.version) == ("rnnsim", rnnsim.__version__)


def test_everything_installed_has_a_name_and_a_line_about_it() -> None:
    for names, entries in ((rnnsim.rules(), registry.installed().rules),
                           (rnnsim.tasks(), registry.installed().tasks)):  # fmt: skip
        assert set(names) == set(entries)
        for name, summary in names.items():
            assert entries[name].thing.name == name
            assert len(summary) > 10


# --- a stranger's ----------------------------------------------------------------------------------


def test_a_strangers_rule_is_found_and_gives_gradients(
    installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    installer("acme-rules", ONE_STEP, "3.1")
    found = collected()
    entry = found.rules["one-step"]
    assert (entry.distribution, entry.version) == ("acme-rules", "3.1")
    assert "bptt" in found.rules
    monkeypatch.setattr(registry, "installed", lambda: found)
    rng = np.random.default_rng(0)
    net = RecurrentNetwork(2, 4, 1)
    inputs, targets = rng.standard_normal((9, 3, 2)), rng.standard_normal((9, 3, 1))

    def grads(rule: str, **options: int) -> list[np.ndarray]:
        return list(rnnsim.gradient(net, net.init(0), inputs, targets, rule, **options).grads)

    pairs = list(zip(grads("one-step"), grads("truncated-bptt", h=1), grads("truncated-bptt", h=2)))
    assert all(np.allclose(own, one, rtol=1e-12) for own, one, _ in pairs)
    assert not all(np.allclose(own, two, rtol=1e-12) for own, _, two in pairs)


def rnnsim_command(tmp_path: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """In a process that sees the plugins there; what it runs is not compiled, which takes longer."""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_DISABLE_JIT": "1"}
    return run(sys.executable, "-m", "rnnsim", *args, env=environment)


def test_a_strangers_rule_is_listed_and_trains(tmp_path: Path) -> None:
    install(tmp_path, "acme-rules", ONE_STEP, "3.1")
    listed = rnnsim_command(tmp_path, "rules")
    assert listed.returncode == 0
    line = next(line for line in listed.stdout.splitlines() if line.startswith("one-step"))
    assert line == "one-step  truncated, time per step O(n^2), memory O(n)  [acme-rules 3.1]"
    assert "    Blame each step for its own error alone." in listed.stdout
    trained = rnnsim_command(tmp_path, "run", "one-step", "delayed-xor", "--steps", "20",
                             "--optimizer", "sgd", "--hidden", "4")  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.startswith("one-step on delayed-xor, seed 0: not solved (20 steps")


def test_a_plugin_that_cannot_be_imported_does_not_stop_the_command_line(tmp_path: Path) -> None:
    install(tmp_path, "broken-one", "import nothing_of_this_name")
    listed = rnnsim_command(tmp_path, "rules")
    assert listed.returncode == 0
    assert "bptt" in listed.stdout
    assert listed.stderr.count("\n") == 1
    assert listed.stderr.startswith("rnnsim: note: the plugin plugin (broken_one) of broken-one 1.2 ")


# --- broken ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import nothing_of_this_name", "cannot be imported: ModuleNotFoundError: No module named"),
        ("def f(:", "cannot be imported: SyntaxError"),
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        ("import sys; sys.exit(3)", "cannot be imported: SystemExit: 3"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_named_and_the_others_work(
    installer: Installer, code: str, message: str
) -> None:
    installer("broken-one", code)
    installer("acme-rules", ONE_STEP)
    with pytest.warns(RnnsimWarning, match=rf"\(broken_one\) of broken-one 1\.2 {message}") as caught:
        found = collected()
    assert len(caught) == 1
    assert {"one-step", "bptt"} <= set(found.rules)


def fails(register: Any) -> None:
    raise KeyError("what is this")


def exits(register: Any) -> None:
    sys.exit(3)


def misspelt(registre: Any) -> None: ...


@pytest.mark.parametrize(
    ("hooks", "message"),
    [
        ({"rnnsim_rules": fails}, "rnnsim_rules of broken 1 failed: KeyError: 'what is this'"),
        ({"rnnsim_tasks": fails}, "rnnsim_tasks of broken 1 failed: KeyError"),
        ({"rnnsim_rules": exits}, "rnnsim_rules of broken 1 failed: SystemExit: 3"),
        ({"rnnsim_rules": misspelt}, "broken 1 has a hook that cannot be used: .*registre"),
        ({"rnnsim_rulez": lambda register: None}, "broken 1 has a hook that cannot be used: .*rulez"),
    ],
)  # fmt: skip
def test_a_plugin_whose_hook_fails_is_named_and_the_others_work(
    hooks: dict[str, Any], message: str
) -> None:
    good = plugin(rnnsim_rules=lambda register: register(rule_of("good")))
    with pytest.warns(RnnsimWarning, match=f"(?s){message}.*; the others still work") as caught:
        found = registry.collect({"a": (plugin(**hooks), "broken", "1"), "b": (good, "fine", "2")})
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert set(found.rules) == {"good"}


def test_a_good_plugin_is_no_warning() -> None:
    good = plugin(rnnsim_rules=lambda register: register(rule_of("good")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(registry.collect({"b": (good, "fine", "2")}).rules) == {"good"}


def test_a_distribution_without_metadata_is_no_matter(installer: Installer, tmp_path: Path) -> None:
    (tmp_path / "left_over-1.0.dist-info").mkdir()
    installer("acme-rules", ONE_STEP)
    assert "one-step" in collected().rules


def test_two_plugins_with_one_name_is_an_error_that_names_both(installer: Installer) -> None:
    installer("acme-rules", ONE_STEP)
    installer("other-rules", ONE_STEP)
    with pytest.raises(RnnsimError, match="two plugins offer the rule 'one-step'") as caught:
        collected()
    assert "acme-rules" in str(caught.value)
    assert "other-rules" in str(caught.value)


def test_nobody_takes_a_name_of_ours(installer: Installer) -> None:
    installer("acme-rules", ONE_STEP.replace('"one-step"', '"bptt"'))
    with pytest.raises(RnnsimError, match=r"two plugins offer the rule 'bptt': .*rnnsim"):
        collected()


def test_a_distribution_that_is_there_twice_is_the_first_one(
    installer: Installer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an import: an older copy further along the path is not seen."""
    installer("acme-rules", ONE_STEP, "2.0")
    further = tmp_path / "further"
    further.mkdir()
    install(further, "acme-rules", ONE_STEP, "1.0")
    monkeypatch.setattr(sys, "path", [*sys.path, str(further)])
    assert collected().rules["one-step"].version == "2.0"


class Nameless(Rule, frozen=True):
    """A rule that says nothing of itself."""


class NoClaim(Rule, frozen=True):
    """A rule that claims nothing."""

    name = "no-claim"
    cost = Cost("1", "1")


@pytest.mark.parametrize(
    ("hook", "thing", "message"),
    [
        ("rnnsim_rules", int, r"acme registers <class 'int'> as a rule; register takes a subclass of "
                              r"rnnsim\.rule\.Rule"),
        ("rnnsim_rules", rule_of("made")(), r"as a rule; register takes a subclass"),
        ("rnnsim_rules", "bptt", r"acme registers 'bptt' as a rule"),
        ("rnnsim_tasks", rule_of("made"), r"as a task; register takes a subclass of rnnsim\.task\.Task"),
        ("rnnsim_networks", RecurrentNetwork(1, 1, 1), r"as a network; register takes a subclass"),
        ("rnnsim_rules", Nameless, "registers the rule Nameless, which lacks name and claim and cost"),
        ("rnnsim_rules", NoClaim, "acme registers the rule NoClaim, which lacks claim$"),
    ],
)  # fmt: skip
def test_registering_something_else_is_an_error(hook: str, thing: Any, message: str) -> None:
    with pytest.raises(RnnsimError, match=message):
        registry.collect({"a": (plugin(**{hook: lambda register: register(thing)}), "acme", "1")})


# --- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("rule", "btpp", "no rule is called 'btpp'; did you mean bptt"),
        ("rule", "xyzzy", "no rule is called 'xyzzy'; there are bptt, fast-weights-1, fast-weights-2"),
        ("task", "addding", "no task is called 'addding'; did you mean adding"),
        ("task", "bptt", "no task is called 'bptt'; there are adding"),
    ],
)
def test_unknown_names_list_the_nearest(kind: str, name: str, message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        registry.lookup(kind, name)


def test_a_task_that_is_broken_does_not_stop_the_list(tmp_path: Path) -> None:
    install(tmp_path, "acme-tasks", """
        import pluggy
        from rnnsim.task import StreamTask

        class Broken(StreamTask, frozen=True):
            \"\"\"A task whose author forgot its criterion.\"\"\"

            name = "broken"

        @pluggy.HookimplMarker("rnnsim")
        def rnnsim_tasks(register):
            register(Broken)
    """)  # fmt: skip
    listed = rnnsim_command(tmp_path, "tasks")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "broken  [acme-tasks 1.2]" in listed.stdout
    assert "delayed-xor" in listed.stdout
    assert issubclass(registry.lookup("task", "delayed-xor"), Task)
