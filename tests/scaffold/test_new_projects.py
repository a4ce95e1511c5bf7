"""New plugin projects: they are installed as they are written, are listed, run, and pass the kit."""

from __future__ import annotations

import importlib.util
import os
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner
from processes import run

from rnnsim import registry
from rnnsim.cli import main
from rnnsim.errors import RnnsimError
from rnnsim.scaffold import new_project
from rnnsim.scaffold.projects import rendered
from rnnsim.testing.checking import network_checks, rule_checks, task_checks
from rnnsim.testing.report import Check

EXAMPLES = Path(__file__).parents[1] / "example_plugin"
KINDS = ("rule", "task", "network")
# Of the kit, what compiles or learns: authors run the whole, which takes them a minute.
LONG = ("compiled", "learns", "time per step", "memory", "operations", "cuts", "loop")


def load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # where the kernels of its classes are looked for
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def loaded() -> Iterator[Callable[[Path], ModuleType]]:
    before = {*sys.modules}
    yield load
    for name in {*sys.modules} - before:
        del sys.modules[name]


# --- what is written --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_project_is_one_file_with_its_tests_and_what_installs_it(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "there" / "own"
    result = CliRunner().invoke(main, [f"new-{kind}", "my-own", str(folder)])
    assert (result.exit_code, result.stderr) == (0, "")
    module = {"rule": "my_own", "task": "my_own_task", "network": "my_own_network"}[kind]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [f"{module}.py", f"test_{module}.py", "README.md", "pyproject.toml"]
    )
    first, *_ = result.stdout.splitlines()
    assert first == f"{folder / module}.py       the {kind}: edit it"
    assert f"\ninstall it:  pip install -e {folder}\n" in result.stdout
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == "rnnsim-my-own"
    assert project["project"]["entry-points"]["rnnsim"] == {"my-own": module}
    for path in folder.iterdir():
        assert "$" not in path.read_text()
        assert all(len(line) <= 110 for line in path.read_text().splitlines())


def test_the_network_and_the_task_are_those_of_the_tutorial() -> None:
    for kind, name in (("network", "leaky"), ("task", "smoothing")):
        module = f"{name}_{kind}"
        assert rendered(kind, name, module)[f"{module}.py"] == (EXAMPLES / f"{module}.py").read_text()


@pytest.mark.parametrize("name", ["traces", "rule", "kernel"])
def test_a_class_is_called_like_nothing_else_in_its_file(
    name: str, tmp_path: Path, loaded: Callable[[Path], ModuleType]
) -> None:
    (file, *_) = new_project("rule", name, tmp_path / name)
    found = registry.collect({"own": (loaded(file), "own", "1")})
    assert set(found.rules) == {name}
    assert found.rules[name].thing().memory.__qualname__.startswith(f"{name.capitalize()}")


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("rule", "My Rule", "name is 'My Rule'; it is lower-case letters and digits, words being"),
        ("rule", "-x", "name is '-x'; it is"), ("rule", "3x", "name is '3x'; it is"),
        ("rule", "x" * 41, "it is lower-case"),
        ("rule", "import", "name is import, a word of Python, which no module is called; give another"),
        ("rule", "json", r"name is json, but there is a module json already \(.*json.*\); give another"),
        ("rule", "numpy", "there is a module numpy already"),
        ("rule", "rnnsim-tasks", "there is a module rnnsim_tasks already"),
        ("rule", "bptt", r"there is a rule bptt already, of rnnsim \S+; give another name"),
        ("task", "adding", "there is a task adding already"),
        ("network", "recurrent", "there is a network recurrent already"),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_is_refused(kind: str, name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RnnsimError, match=said):
        new_project(kind, name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name, said in (("full", "is not empty; give a folder that is"), ("file", "is a file; give a")):
        with pytest.raises(RnnsimError, match=said):
            new_project("rule", "own", tmp_path / name)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["notes"]
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert len(new_project("rule", "own", tmp_path / "empty")) == 4


# --- what they are ----------------------------------------------------------------------------------


def checks_of(kind: str, module: ModuleType) -> list[Check]:
    registered = registry.collect({"own": (module, "own", "1")})
    (entry,) = registered.of(kind).values()
    make = {"rule": rule_checks, "task": task_checks, "network": network_checks}[kind]
    return make(entry.thing)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_passes_the_kit(
    kind: str, tmp_path: Path, loaded: Callable[[Path], ModuleType]
) -> None:
    (file, *_) = new_project(kind, "my-own", tmp_path / kind)
    checks = [check for check in checks_of(kind, loaded(file)) if not check.name.startswith(LONG)]
    assert len(checks) >= 5
    assert [finding for finding in (check.run() for check in checks) if finding.passed is False] == []


@pytest.mark.usefixtures("uncompiled")
def test_the_kit_rejects_what_is_written_where_it_is_broken(
    tmp_path: Path, loaded: Callable[[Path], ModuleType]
) -> None:
    """The control."""
    (file, *_) = new_project("rule", "my-own", tmp_path / "rule")
    right = "keep = 0.0 if trajectory.resets[t, b] else memory.keep"
    assert right in file.read_text()
    file.write_text(file.read_text().replace(right, "keep = 0.0 if t == window.first else memory.keep"))
    found = {check.name: check.run() for check in checks_of("rule", loaded(file))
             if check.name.startswith(("windows", "pieces"))}  # fmt: skip
    assert any(finding.passed is False for finding in found.values())


# --- that they are installed ------------------------------------------------------------------------


def pip(*words: str) -> None:
    """Without an index: what builds them is installed, as for anybody who develops."""
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command = (sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", *words)
    done = run(*command, env=environment)
    assert done.returncode == 0, done.stderr


def rnnsim_in(folder: Path, *words: str) -> str:
    """In a process that finds what is installed there; what it runs is not compiled."""
    code = f"import site; site.addsitedir({str(folder)!r}); from rnnsim.cli import main; main({words!r})"
    done = run(sys.executable, "-c", code, env={**os.environ, "NUMBA_DISABLE_JIT": "1"})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


RUN = ("--steps", "60", "--hidden", "3", "--window", "6", "--optimizer", "sgd")


def test_they_are_installed_listed_and_run(tmp_path: Path) -> None:
    """Those that are new, and those of the tutorial, all by one command."""
    for kind in KINDS:
        new_project(kind, "my-own", tmp_path / kind)
    target = tmp_path / "target"
    pip("--target", str(target), *(str(tmp_path / kind) for kind in KINDS[:1]), str(EXAMPLES))
    listed = rnnsim_in(target, "rules") + rnnsim_in(target, "tasks")
    assert (
        "\nmy-own  approximate, time per step O(n^2), memory O(n^2)  [rnnsim-my-own 0.1.0]\n" in listed
    )
    assert (
        "\none-step  truncated, time per step O(n^2), memory O(n)  [rnnsim-one-step 0.1.0]\n" in listed
    )
    assert "\nsmoothing  [rnnsim-one-step 0.1.0]\n" in listed
    run = rnnsim_in(target, "run", "my-own", "smoothing", *RUN)
    assert run.startswith("my-own on smoothing, seed 0: not solved (60 steps")
    run = rnnsim_in(target, "run", "bptt", "smoothing", "--network", "leaky", *RUN)
    assert run.startswith("bptt on smoothing, seed 0: not solved (60 steps")


@pytest.mark.parametrize("kind", ["task"])
def test_a_project_that_is_edited_needs_no_new_installation(kind: str, tmp_path: Path) -> None:
    (file, *_) = new_project(kind, "my-own", tmp_path / kind)
    pip("--prefix", str(tmp_path / "prefix"), "-e", str(tmp_path / kind))
    (folder,) = (tmp_path / "prefix").glob("lib/python*/site-packages")
    assert "The exponential average of a stream" in rnnsim_in(folder, "tasks", "my-own")
    file.write_text(file.read_text().replace("The exponential average of", "What I made of"))
    assert "What I made of a stream" in rnnsim_in(folder, "tasks", "my-own")
