"""Plugins: a stranger's come in as our own do, and one that is broken does not stop the others."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from processes import run
from strangers import ONE_STEP, install

import rnnsim
from rnnsim import hookimpl, registry
from rnnsim.errors import RnnsimError, RnnsimWarning, UnknownName
from rnnsim.networks.recurrent.network import RecurrentNetwork
from rnnsim.rule import Cost, Rule
from rnnsim.task import Task

Installer = Callable[..., None]


@pytest.fixture
def installer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installer:
    """Install plugins where this process sees them, until the test ends."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def do(name: str, code: str, version: str = "1.2") -> None:
        module = install(tmp_path, name, code, version).stem
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
    assert {"rnnsim:rules", "rnnsim:tasks", "rnnsim:networks"} <= set(plugins)
    without = {name: found for name, found in plugins.items() if not name.startswith("rnnsim:")}
    found, left = registry.collect(plugins), registry.collect(without)
    assert {"bptt", "rtrl", "truncated-bptt"} <= set(found.rules)
    assert "delayed-xor" in found.tasks
    assert {"recurrent", "gru"} <= set(found.networks)
    assert not left.rules
    assert not left.tasks
    assert not left.networks
    for entry in (found.rules["bptt"], found.tasks["delayed-xor"], found.networks["gru"]):
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


@pytest.mark.parametrize(
    ("code", "note"),
    [
        ("import nothing_of_this_name", "the plugin plugin (broken_one) of broken-one 1.2 cannot"),
        (ONE_STEP.replace("claim =", "x: int ="), "broken-one 1.2 registers the rule OneStep (FILE), "),
        (ONE_STEP.replace('"one-step"', '"bptt"'), "two plugins offer the rule 'bptt'; it is that of"),
    ],
)  # fmt: skip
def test_a_broken_plugin_does_not_stop_the_command_line(tmp_path: Path, code: str, note: str) -> None:
    note = note.replace("FILE", str(install(tmp_path, "broken-one", code)))
    listed = rnnsim_command(tmp_path, "rules")
    assert listed.returncode == 0
    assert "bptt" in listed.stdout
    assert listed.stderr.count("\n") == 1
    assert listed.stderr.startswith(f"rnnsim: note: {note}")
    assert listed.stderr.endswith("; the others still work\n")
    if "OneStep" in note:
        used = rnnsim_command(tmp_path, "run", "one-step", "delayed-xor")
        assert (used.returncode, used.stdout) == (2, "")
        assert used.stderr.splitlines()[-1].startswith(f"rnnsim: {note}which lacks claim")


# --- broken ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import nothing_of_this_name", "(FILE, line 1): ModuleNotFoundError: No module named"),
        ("def f(:", "(FILE, line 1): SyntaxError"),
        ("1 / 0", "(FILE, line 1): ZeroDivisionError"),
        ("import sys; sys.exit(3)", "(FILE, line 1): SystemExit: 3"),
        ("class Own(BaseException): ...\nraise Own('no')", "(FILE, line 2): Own: no"),
        ("raise type('E', (Exception,), {'__str__': lambda self: 1 / 0})", "(FILE, line 1): E;"),
        ("raise ValueError('two\\nlines')", "(FILE, line 1): ValueError: two lines;"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_named_and_the_others_work(
    installer: Installer, tmp_path: Path, code: str, message: str
) -> None:
    installer("broken-one", code)
    installer("acme-rules", ONE_STEP)
    file = str(tmp_path / "broken_one.py")
    said = f"(broken_one) of broken-one 1.2 cannot be imported {message.replace('FILE', file)}"
    with pytest.warns(RnnsimWarning, match=re.escape(said)) as caught:
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
        ({"rnnsim_callbacks": fails}, "rnnsim_callbacks of broken 1 failed: KeyError: 'what is this'"),
        ({"rnnsim_rules": exits}, "rnnsim_rules of broken 1 failed: SystemExit: 3"),
        ({"rnnsim_rules": misspelt}, r"broken 1: rnnsim_rules takes \(registre\); it takes \(reg"),
        ({"rnnsim_rulez": lambda register: None}, "broken 1: no hook is called 'rnnsim_rulez'; did you"),
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


def test_of_two_plugins_with_one_name_the_first_has_it(installer: Installer) -> None:
    installer("other-rules", ONE_STEP)
    installer("acme-rules", ONE_STEP)
    said = "two plugins offer the rule 'one-step'; it is that of acme-rules 1.2, not of other-rules 1.2"
    with pytest.warns(RnnsimWarning, match=said) as caught:
        found = collected()
    assert len(caught) == 1
    assert found.rules["one-step"].distribution == "acme-rules"


def test_nobody_takes_a_name_of_ours(installer: Installer) -> None:
    """Though theirs comes first by the alphabet."""
    installer("acme-rules", ONE_STEP.replace('"one-step"', '"bptt"'))
    said = rf"it is that of rnnsim {rnnsim.__version__}, not of acme-rules 1\.2; the others still work"
    with pytest.warns(RnnsimWarning, match=said):
        found = collected()
    assert found.rules["bptt"].distribution == "rnnsim"


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


def changed(**attributes: Any) -> type[Rule]:
    """A rule with some attributes that it cannot have."""
    rule = rule_of("odd")
    for name, value in attributes.items():
        setattr(rule, name, value)
    return rule


class Nameless(Rule, frozen=True):
    """A rule that says nothing of itself."""


class NoClaim(Rule, frozen=True):
    """A rule that claims nothing."""

    name = "no-claim"
    cost = Cost("1", "1")


class NoDefault(Rule, frozen=True):
    """A rule with an option that has no default."""

    name = "no-default"
    claim = "exact"
    cost = Cost("1", "1")

    h: int


class Fails:
    def __get__(self, rule: Rule | None, kind: type[Rule]) -> str:
        raise KeyError("a property")


class FailingProperty(Rule, frozen=True):
    """A rule whose claim cannot be read."""

    name = "failing-property"
    claim = Fails()  # type: ignore[assignment]
    cost = Cost("1", "1")


# hook, what is registered, what the note says, and the name that cannot be used for it
ODD: list[tuple[str, Any, str, str]] = [
    ("rnnsim_rules", int, r"registers the rule int, which is no subclass of rnnsim\.rule\.Rule", ""),
    ("rnnsim_rules", rule_of("made")(), r"which is no subclass of rnnsim\.rule\.Rule", "made"),
    ("rnnsim_rules", "bptt", r"registers 'bptt', which is no subclass", ""),
    ("rnnsim_rules", None, r"registers None, which is no subclass", ""),
    ("rnnsim_rules", np.zeros((40, 40)), r"registers array\(\[\[0., 0., .*which is no sub", ""),
    ("rnnsim_tasks", rule_of("made"), r"which is no subclass of rnnsim\.task\.Task", "made"),
    ("rnnsim_networks", RecurrentNetwork(1, 1, 1), r"which is no subclass of rnnsim\.network", ""),
    ("rnnsim_rules", Nameless, r"the rule Nameless \(.*\), which lacks name and claim and cost", ""),
    ("rnnsim_rules", NoClaim, r"registers the rule NoClaim \(.*\), which lacks claim;", "no-claim"),
    ("rnnsim_rules", NoDefault, r"NoDefault \(.*\), whose option h has no default", "no-default"),
    ("rnnsim_rules", FailingProperty, "cannot be used: KeyError: 'a property'", "failing-property"),
    ("rnnsim_rules", changed(name=3), "whose name is 3; it is text without spaces", ""),
    ("rnnsim_rules", changed(name=["odd"]), r"whose name is \['odd'\]; it is text", ""),
    ("rnnsim_rules", changed(name="two\nlines"), "whose name is 'two.{1,2}nlines'; it is", ""),
    ("rnnsim_rules", changed(claim="best"), "whose claim is 'best'; it is one of exact, ", "odd"),
    ("rnnsim_rules", changed(claim=[]), "which lacks claim", "odd"),
    ("rnnsim_rules", changed(claim=np.zeros(2)), "cannot be used: ValueError", "odd"),
    ("rnnsim_rules", changed(cost="n^2"), r"whose cost is 'n\^2'; it is a Cost", "odd"),
    ("rnnsim_rules", changed(needs="vjp"), "whose needs is the text 'vjp'", "odd"),
    ("rnnsim_rules", changed(networks="recurrent"), "whose networks is the text 'recurrent'", "odd"),
    ("rnnsim_rules", changed(__doc__=3), "cannot be used: AttributeError", "odd"),
]  # fmt: skip


@pytest.mark.parametrize(("hook", "thing", "message", "name"), ODD, ids=[said for _, _, said, _ in ODD])
def test_registering_something_else_is_a_note_and_using_it_the_error(
    hook: str, thing: Any, message: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = plugin(rnnsim_rules=lambda register: register(rule_of("good")))
    bad = plugin(**{hook: lambda register: register(thing)})
    with pytest.warns(RnnsimWarning, match=rf"^acme 1 .*?{message}.*the others still work") as caught:
        found = registry.collect({"a": (bad, "acme", "1"), "b": (good, "fine", "2")})
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert set(found.rules) == {"good"}
    assert not found.tasks
    assert not found.networks
    if name:
        monkeypatch.setattr(registry, "installed", lambda: found)
        with pytest.raises(RnnsimError, match=f"^acme 1 .*{message}".removesuffix(";")):
            registry.lookup(hook.removeprefix("rnnsim_").removesuffix("s"), name)


def test_an_unknown_name_may_be_that_of_a_broken_plugin(
    installer: Installer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installer("broken-one", "raise KeyError('what')")
    with pytest.warns(RnnsimWarning):
        found = collected()
    monkeypatch.setattr(registry, "installed", lambda: found)
    with pytest.raises(UnknownName, match=r"no rule is called 'theirs'; there are bptt") as caught:
        registry.lookup("rule", "theirs")
    assert str(caught.value).splitlines()[1] == (
        "the plugin plugin (broken_one) of broken-one 1.2 cannot be imported "
        f"({tmp_path}/broken_one.py, line 1): KeyError: 'what'"
    )
    assert registry.lookup("rule", "bptt").name == "bptt"


@pytest.mark.parametrize("what", ["entry_points.txt", "METADATA"])
def test_a_distribution_that_cannot_be_read_does_not_stop_the_others(
    installer: Installer, tmp_path: Path, what: str
) -> None:
    installer("acme-rules", ONE_STEP)
    install(tmp_path, "damaged", ONE_STEP)
    (tmp_path / "damaged-1.2.dist-info" / what).write_bytes(b"[rnnsim]\nplugin = \xff\xfe\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = collected()
    assert found.rules["one-step"].distribution == "acme-rules"
    assert "bptt" in found.rules


def test_a_task_that_cannot_be_made_is_one_line(installer: Installer, tmp_path: Path) -> None:
    code = """
        from rnnsim.task import StreamTask
        import pluggy

        class Broken(StreamTask, frozen=True):
            \"\"\"A task whose author forgot what its options are called.\"\"\"

            name = "broken"

            def __post_init__(self):
                self.lenght > 0

        @pluggy.HookimplMarker("rnnsim")
        def rnnsim_tasks(register):
            register(Broken)
    """
    install(tmp_path, "acme-tasks", code)
    done = rnnsim_command(tmp_path, "run", "bptt", "broken")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "rnnsim: the task broken of acme-tasks 1.2 cannot be made: AttributeError: "
    )
    assert done.stderr.count("\n") == 1


def test_a_module_that_is_reloaded_takes_effect_by_name(
    installer: Installer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    installer("acme-rules", ONE_STEP)
    found = collected()
    monkeypatch.setattr(registry, "installed", lambda: found)
    before = registry.lookup("rule", "one-step")
    assert registry.lookup("rule", "one-step") is before
    (tmp_path / "acme_rules.py").write_text(ONE_STEP.replace('"truncated"', '"approximate"'))
    module = importlib.reload(sys.modules["acme_rules"])
    after = registry.lookup("rule", "one-step")
    assert after is module.OneStep
    assert (before.claim, after.claim) == ("truncated", "approximate")
    assert type(registry.make_rule("one-step", {})) is after
    # one that is called something else now is no longer that rule
    (tmp_path / "acme_rules.py").write_text(ONE_STEP.replace('"one-step"', '"two-steps"'))
    importlib.reload(module)
    assert registry.lookup("rule", "one-step") is before


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
