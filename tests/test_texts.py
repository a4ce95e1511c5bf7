"""The texts of the repository: what they name exists, what they quote is so, what they show runs.

A check gives complaints, and has a control: a text that it must complain of.
"""

from __future__ import annotations

import inspect
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

import rnnsim
from rnnsim import cli, registry
from rnnsim.cli.experiment import named_options
from rnnsim.cli.verbs import VERBS
from rnnsim.network import Network, TrajectoryFields, empty_stream
from rnnsim.rule import Rule
from rnnsim.scaffold import projects
from rnnsim.training.optimizers import optimizer_type
from rnnsim.version import __version__

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "tests/example_plugin"
FILES = (
    "README.md",
    "plugins/README.md",
    "benchmarks/README.md",
    "rnnsim/README.md",
    "rnnsim/theory.md",
)
TEXTS = {name: (ROOT / name).read_text() for name in FILES}
README, PLUGINS, BENCHMARKS, THEORY = (TEXTS[FILES[i]] for i in (0, 1, 2, 4))

Complaints = Iterator[str]

every_text = pytest.mark.parametrize("name", FILES)


def fenced(text: str, language: str) -> list[str]:
    """The blocks of code in a language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def prose(text: str) -> str:
    """A text without its blocks of code."""
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def inline(text: str) -> list[str]:
    """The code in the prose."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(text))]


def section(text: str, heading: str) -> str:
    """What stands under a heading."""
    return re.split(r"^## ", text.split(f"\n## {heading}\n")[1], flags=re.MULTILINE)[0]


# --- names ------------------------------------------------------------------------------------------


def unnamed(text: str, names: Iterator[str] | list[str]) -> Complaints:
    for name in names:
        if f"`{name}`" not in text and f"**{name}**" not in text:
            yield f"{name} is not named"


@pytest.mark.parametrize("name", ["README.md", "benchmarks/README.md", "rnnsim/theory.md"])
def test_every_rule_and_task_is_named(name: str) -> None:
    tasks, rules = list(rnnsim.tasks()), list(rnnsim.rules())
    assert not [*unnamed(TEXTS[name], tasks)]
    assert [*unnamed(TEXTS[name].replace("`adding`", "").replace("**adding**", ""), tasks)]
    if name != "benchmarks/README.md":  # whose table has the rules that reach most
        assert not [*unnamed(TEXTS[name], rules)]
        assert [*unnamed(TEXTS[name].replace("`rtrl`", ""), rules)]


def wrong_rules(text: str) -> Complaints:
    """Of the table of rules: its claims and costs."""

    def bare(cost: str) -> str:
        return re.sub(r"[()\\`]", "", cost.replace("O(", ""))

    rows = dict((row[0], row[1:]) for row in re.findall(
        r"^\| `([\w-]+)` \| (\w+) \| (O.+?) \| (O.+?) \|(?! \()", text, re.MULTILINE))  # fmt: skip
    rules = {name: entry.thing for name, entry in registry.installed().rules.items()}
    if rows.keys() != rules.keys():
        yield f"the table has {', '.join(rows)}"
    for name in rows.keys() & rules.keys():
        claim, time, memory = rows[name]
        rule = rules[name]
        if claim != rule.claim:
            yield f"{name}: {claim}"
        if bare(time) != bare(rule.cost.time) or not bare(memory).startswith(bare(rule.cost.memory)):
            yield f"{name}: {time}, {memory}"


def test_the_table_of_rules_has_their_claims_and_costs() -> None:
    assert not [*wrong_rules(README)]
    assert [*wrong_rules(README.replace("| truncated |", "| exact |"))]
    assert [*wrong_rules(README.replace("| O(n^4) |", "| O(n^3) |"))]
    assert [*wrong_rules(README.replace("| `rtrl-block` | exact", "| exact"))]


def wrong_figures(text: str) -> Complaints:
    """Of the table of tasks: the figures that tasks say were reached."""
    rows = section(text, "Tasks").splitlines()
    for name, entry in registry.installed().tasks.items():
        own = " ".join(row for row in rows if row.startswith(f"| `{name}`"))
        for figure in re.findall(r"\d[\d,.]*\d", entry.thing.reached):
            if figure not in own:
                yield f"{name}: {figure}"


def test_the_table_of_tasks_has_what_was_reached() -> None:
    assert not [*wrong_figures(BENCHMARKS)]
    assert [*wrong_figures(BENCHMARKS.replace("2,356", "2,357"))] == ["delayed-xor: 2,356"]


def missing_files(text: str) -> Complaints:
    """Of files of code in the prose, which may be named by the end of their path."""
    files = [f"/{path.relative_to(ROOT)}" for part in ("rnnsim", "plugins", "benchmarks", "tests")
             for path in (ROOT / part).rglob("*.py")]  # fmt: skip
    for code in inline(text):
        if re.fullmatch(r"[\w/]+\.py", code) and not any(file.endswith(f"/{code}") for file in files):
            yield code


def unknown_words(text: str) -> Complaints:
    """Of variables of the environment, and of extras."""
    sources = "".join(path.read_text() for path in (ROOT / "rnnsim").rglob("*.py"))
    for variable in re.findall(r"RNNSIM_\w+", text):
        if f'"{variable}"' not in sources:
            yield variable
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for names in re.findall(r"'\.\[([\w,]+)\]'", text):
        yield from set(names.split(",")) - extras.keys()


@every_text
def test_files_variables_and_extras_exist(name: str) -> None:
    assert not [*missing_files(TEXTS[name])]
    assert not [*unknown_words(TEXTS[name])]


def test_missing_files_and_unknown_words_are_found() -> None:
    assert [*missing_files("see `networks/losses.py` and `networks/lost.py`")] == ["networks/lost.py"]
    text = "`RNNSIM_CACHE_DIR`, `RNNSIM_CASH`, `pip install '.[plot,plots]'`"
    assert [*unknown_words(text)] == ["RNNSIM_CASH", "plots"]


# --- links ------------------------------------------------------------------------------------------


def anchors(text: str) -> list[str]:
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def broken_links(text: str, folder: Path) -> Complaints:
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose(text)):
        path, _, anchor = target.partition("#")
        there = folder / path
        if (path and not there.exists()) or (
            anchor and anchor not in anchors(there.read_text() if path else text)
        ):
            yield target


@every_text
def test_links_and_pictures_lead_somewhere(name: str) -> None:
    assert not [*broken_links(TEXTS[name], (ROOT / name).parent)]


def test_broken_links_are_found() -> None:
    text = "## A b\n[a](#a-b) [b](#c) ![c](benchmarks/figures/d.png) [e](rnnsim/theory.md) [f](LICENSE)"
    assert [*broken_links(text, ROOT)] == ["#c", "benchmarks/figures/d.png"]


# --- command lines ----------------------------------------------------------------------------------


def command_lines(text: str) -> list[list[str]]:
    """Commands, in blocks and in the prose, as lists of words."""
    lines = [line for block in fenced(text, "sh") for line in block.splitlines()] + inline(text)
    found = []
    for line in lines:
        if re.match(r"[\w./=-]+ ", f"{line} "):
            for part in line.split("&&"):
                words = shlex.split(part, comments=True)
                found.append([word for word in words if not re.match(r"[A-Z_]+=", word)])
    return [words for words in found if words]


def options_of_verbs() -> dict[str, click.Command]:
    return {verb: import_module(f"rnnsim.cli.{verb.replace('-', '_')}").command for verb in VERBS}


def examples() -> dict[str, Any]:
    """What the texts show how to write, by name."""
    modules = [import_module(path.stem) for path in EXAMPLES.glob("*.py")]
    found = registry.collect({module.__name__: (module, "example", "0") for module in modules})
    return {**found.rules, **found.tasks, **found.networks}


def parsed(verb: str, arguments: list[str]) -> dict[str, Any]:
    settings = cli.main.context_settings  # a verb keeps the help option that it had first
    with options_of_verbs()[verb].make_context(verb, [*arguments], **settings) as context:
        return context.params


def wrong_command(words: list[str]) -> Complaints:
    """Of a command line of rnnsim: its verb, its options, its rule, its task and their options."""
    verb, arguments = words[1], words[2:]
    if verb not in VERBS:
        yield f"there is no verb {verb}"
        return
    try:
        given = parsed(verb, arguments) if arguments else {}
    except click.UsageError as error:
        yield f"{' '.join(words)}: {error.message}"
        return
    installed = registry.installed()
    known = {**installed.rules, **installed.tasks, **installed.networks, **examples()}
    swept = given.get("what", ()) if verb == "sweep" else ()  # RULE... TASK, or a file
    if len(swept) == 1:
        if swept[0] != "FILE.toml" and not (ROOT / swept[0]).is_file():
            yield f"{' '.join(words)}: no plan of a sweep is {swept[0]}"
        return
    several = [*(given.get("rules") or ()), *swept]
    rules = [rule.partition(":") for rule in several]  # with options: NAME:h=6,...
    names = [given.get("rule"), given.get("task"), *(name for name, _, _ in rules),
             *(given.get("tasks") or ()), given.get("name")]  # fmt: skip
    used = ["table" if "." in name else name for name in names if name and not name.isupper()]  # a file
    yield from (f"{' '.join(words)}: nothing is called {name}" for name in used if name not in known)
    of_rules = [pair for _, _, text in rules if text for pair in text.split(",")]
    options = named_options((*(given.get("options") or ()), *of_rules))
    owners = [getattr(known[name].thing, "choices", known[name].thing) for name in used if name in known]
    owners += [entry.thing.choices for entry in registry.installed().networks.values()]
    owners.append(optimizer_type("adam"))
    for option in options:
        if not any(option in owner.defaults() for owner in owners):
            yield f"{' '.join(words)}: nothing has an option {option}"


def wrong_module(words: list[str]) -> Complaints:
    """Of ``python -m benchmarks.name``: that it is there and has the options."""
    path = (ROOT / words[2].replace(".", "/")).with_suffix(".py")
    if not path.exists():
        yield f"there is no {words[2]}"
        return
    for option in words[3:]:
        if option.startswith("--") and f'"{option}"' not in path.read_text():
            yield f"{words[2]} has no option {option}"


def wrong_fragment(words: list[str], modules: str) -> Complaints:
    """Of options by themselves: ``--window``, ``-o h=50``."""
    if words[0] == "-o" and len(words) == 2:
        things = [entry.thing for entry in (*registry.installed().rules.values(),
                                            *registry.installed().tasks.values())]  # fmt: skip
        if not any(named_options((words[1],)).keys() <= thing.defaults().keys() for thing in things):
            yield f"nothing has the option {words[1]}"
    elif words[0].startswith("--"):
        known = {name for command in options_of_verbs().values() for parameter in command.params
                 for name in parameter.opts}  # fmt: skip
        if words[0] not in known and f'"{words[0]}"' not in modules:
            yield f"there is no option {words[0]}"


def wrong_commands(text: str) -> Complaints:
    modules = "".join(path.read_text() for path in (ROOT / "benchmarks").glob("*.py"))
    for words in command_lines(text):
        if Path(words[0]).name == "rnnsim" and len(words) > 1:
            yield from wrong_command(words)
        elif words[:2] == ["python", "-m"]:
            yield from wrong_module(words)
        elif words[0].startswith("-"):
            yield from wrong_fragment(words, modules)


@pytest.fixture
def plugin_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the examples be importable."""
    monkeypatch.syspath_prepend(str(EXAMPLES))


@every_text
def test_command_lines_can_be_given(name: str, plugin_path: None) -> None:
    # a network of an example is not installed: what it is called is tested below
    assert not [*wrong_commands(TEXTS[name])]


@pytest.mark.parametrize("wrong", [
    "`rnnsim walk rtrl delayed-xor`", "`rnnsim sweep rtrl`", "`rnnsim run rtrl delayed-xor --step 5`",
    "`rnnsim run rtlr delayed-xor`", "`rnnsim rules rtlr`", "`rnnsim run rtrl delayed-xor -o h=2`",
    "`rnnsim run bptt a.csv -o aheads=5`", "`rnnsim predict runs/a`",
    "`rnnsim compare rtrl bptt:d=3,lag=2 --task delayed-xor`",
    "`rnnsim run rtrl delayed-xor --steps many`", "`python -m benchmarks.lost`", "`--windows 1`",
    "`python -m benchmarks.check --updated`", "`-o heigth=50`",
    "```sh\npython3 -m venv .venv && .venv/bin/rnnsim sweep rtrl\n```",
])  # fmt: skip
def test_wrong_command_lines_are_found(wrong: str, plugin_path: None) -> None:
    assert len([*wrong_commands(wrong)]) == 1


def test_the_readme_is_short_and_has_the_two_command_lines_of_ci() -> None:
    assert len(README.splitlines()) <= 150
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv ")]
    assert [line.rsplit("/", 1)[-1].split()[0] for line in lines] == ["rnnsim", "pytest"]
    assert f"version {__version__}" in README


# --- the equations ----------------------------------------------------------------------------------


def defined(theory: str) -> set[int]:
    """The numbers of equations that a theory has."""
    return set(map(int, re.findall(r"(?:^ +|: )\((\d+)\) ", theory, re.MULTILINE)))


def cited(source: str) -> set[int]:
    """Those that a source cites: ``eq. (4)``, ``eqs. 16-20``, or at the beginning of a line."""
    groups = re.findall(r"\b[Ee]qs?\. ([^a-zA-Z]*(?:(?:and|or|to) [^a-zA-Z]*)*)", source)
    numbers = [number for group in groups for number in re.findall(r"\b\d+\b", group)]
    for docstring in re.findall(r'"""(.*?)"""', source, re.DOTALL):
        numbers += re.findall(r"(?:^ +|,  +)\((\d+)\) ", docstring, re.MULTILINE)
    return set(map(int, numbers))


def sections_cited(source: str) -> set[str]:
    return set(re.findall(r"theory\.md,? (?:section )?(\d(?:\.\d)?)", source))


def test_equations_and_sections_that_the_code_cites_are_in_the_theory() -> None:
    assert defined(THEORY) == set(range(1, 33))
    headings = set(re.findall(r"^#+ (\d(?:\.\d)?)\.? ", THEORY, re.MULTILINE))
    sources = {path: path.read_text() for part in ("rnnsim", "plugins")
               for path in (ROOT / part).rglob("*.py")}  # fmt: skip
    for path, source in sources.items():
        assert cited(source) <= defined(THEORY), path
        assert sections_cited(source) <= headings, path
    of_rules = [cited(source) for path, source in sources.items() if path.parent.name == "rnnsim_rules"]
    assert set().union(*of_rules) >= {6, 7, 9, 10, *range(12, 16), *range(18, 26)}  # it finds them


def test_citations_are_found() -> None:
    source = '"""As in eqs. (3) and (99), or eq. 5.\n\n    (98) x = y\n"""  # eqs. 97-96: see there'
    assert cited(source) == {3, 99, 5, 98, 97, 96}
    assert sections_cited("(theory.md 1.9, eq. 4), theory.md, section 7") == {"1.9", "7"}
    assert defined("    (1)  a\ntext (2) b\n**C** one: (19) `d`\n") == {1, 19}


# --- what is shown runs -----------------------------------------------------------------------------


def unlike(printed: str, summary: str) -> Complaints:
    """Of a printed run: words, and numbers that rounding on another processor may move a little."""
    number = r"\d[\d,.]*\d|\d"
    if re.split(number, printed.strip()) != re.split(number, summary):
        yield summary
        return
    both = (re.findall(number, printed), re.findall(number, summary))
    pairs = [[float(x.replace(",", "")) for x in pair] for pair in zip(*both, strict=True)]
    for said, found in pairs[:-1]:  # the last one is a time
        if not said * 0.8 <= found <= said * 1.25:
            yield f"{said} is {found}"


def examples_of(text: str) -> list[str]:
    return [code for code in fenced(text, "python") if not re.match(" *(class|def) ", code)]


def test_the_first_run_is_the_one_that_is_printed() -> None:
    names: dict[str, Any] = {}
    exec(examples_of(README)[0], names)
    (printed,) = fenced(README, "text")
    summary = names["run"].summary()
    assert not [*unlike(printed, summary)]
    assert [*unlike(printed.replace("2,474 ", "3,474 "), summary)]
    assert [*unlike(printed.replace("error", "loss"), summary)]


@pytest.mark.usefixtures("uncompiled")
def test_the_other_examples_of_the_readme_run() -> None:
    names: dict[str, Any] = {"np": np, "rnnsim": rnnsim}
    (code,) = examples_of(README)
    exec(code[code.index("net = ") :], names)  # what is before, a whole run, takes long if not compiled
    net, params, inputs, path = (names[name] for name in ("net", "params", "inputs", "path"))
    given = inputs @ params.U.T + params.b
    np.testing.assert_allclose(rnnsim.input_for(net, params, path.states), given, atol=1e-9)


def test_the_examples_are_quoted_as_they_are() -> None:
    rule = (EXAMPLES / "one_step.py").read_text()
    assert fenced(PLUGINS, "toml") == [(EXAMPLES / "pyproject.toml").read_text()]
    script, hook, task, network, _ = fenced(PLUGINS, "python")
    assert script.partition("\n\nprint(")[0] + "\n\n" + hook == rule[rule.index("import rnnsim") :]
    assert task == (EXAMPLES / "smoothing_task.py").read_text()
    assert network == (EXAMPLES / "leaky_network.py").read_text()
    (short,) = (code for code in fenced(README, "python") if code not in examples_of(README))
    assert short in rule


def printed_after(text: str, command: str) -> str:
    """What a text shows that a command printed; of its several lines the last is meant."""
    (printed,) = re.findall(rf"{re.escape(command)}\n```\n\n```text\n(.*?)```", text, re.DOTALL)
    return str(printed)


def test_the_script_of_the_tutorial_prints_what_is_printed() -> None:
    script = fenced(PLUGINS, "python")[0]
    scope: dict[str, Any] = {}
    exec(script.replace("print(", "summary = ("), scope)
    assert f"```python\n{script}```\n\n```text\n" in PLUGINS
    said = PLUGINS.split(f"{script}```\n\n```text\n")[1].split("```")[0]
    first, found = said.splitlines()[0], scope["summary"].splitlines()[0]
    assert not [*unlike(f"{first} 0", f"{found} 0")]
    assert [*unlike(f"{first} 0".replace("solved at", "not solved at"), f"{found} 0")]
    by_name = printed_after(PLUGINS, "rnnsim run one-step trajectory")
    assert by_name == said


def test_the_callback_of_the_tutorial_prints_what_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = ModuleType("largest_weight")
    exec(fenced(PLUGINS, "python")[-1], vars(plugin))
    everything = {**registry.installed_plugins(), "example": (plugin, "example", "0")}
    found = registry.collect(everything)
    monkeypatch.setattr(registry, "installed", lambda: found)
    print(rnnsim.run("rtrl", "delayed-xor").summary())
    printed = printed_after(PLUGINS, "rnnsim run rtrl delayed-xor")
    said = capsys.readouterr().out
    assert not [*unlike(printed, said.strip())]
    assert [*unlike(printed.replace("in U", "in W"), said.strip())]


@pytest.mark.parametrize(
    ("kind", "name"), [("rule", "one-step"), ("task", "smoothing"), ("network", "leaky")]
)
def test_what_new_projects_print_is_what_is_printed(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projects, "find_spec", lambda module: None)  # examples are imported here
    result = CliRunner().invoke(cli.main, [f"new-{kind}", name, str(tmp_path / name)])
    printed = printed_after(PLUGINS, f"rnnsim new-{kind} {name}").replace("/home/me", str(tmp_path))
    short = {line.replace(f"{tmp_path}/", "", 1) for line in result.stdout.splitlines()[:4]}
    assert {re.sub(" +", " ", line) for line in printed.splitlines()[:4]} == {
        re.sub(" +", " ", line) for line in short
    }
    assert printed.splitlines()[4:] == result.stdout.splitlines()[4:]


@pytest.mark.usefixtures("uncompiled", "plugin_path")
def test_the_example_rule_is_truncated_bptt_of_one_step() -> None:
    rule = examples()["one-step"].thing()
    rng = np.random.default_rng(0)
    net = rnnsim.RecurrentNetwork(2, 4, 1, leak=0.5)
    params, inputs, targets = net.init(0), rng.normal(size=(9, 2, 2)), rng.normal(size=(9, 2, 1))
    ours = rnnsim.gradient(net, params, inputs, targets, rule=rule).grads
    theirs = rnnsim.gradient(net, params, inputs, targets, rule="truncated-bptt", h=1).grads
    deeper = rnnsim.gradient(net, params, inputs, targets, rule="truncated-bptt", h=2).grads
    np.testing.assert_allclose(ours.W, theirs.W, rtol=1e-12, atol=1e-14)
    assert not np.allclose(ours.W, deeper.W)


def leaky_network(*sizes: int) -> Network:
    network: Network = import_module("leaky_network").LeakyNetwork(*sizes)
    return network


def deviation(net: Network, rule: str, **options: Any) -> float:
    """Of the example network's gradient from finite differences of its loss."""
    rng, T = np.random.default_rng(0), 7
    params, inputs = net.init(0), rng.normal(size=(T, 2, 2))
    targets, resets = rng.normal(size=(T, 2, 2)), np.zeros((T, 2), bool)
    resets[3, 1] = True
    given = rnnsim.gradient(net, params, inputs, targets, rule, resets=resets, **options).grads
    flat = net.pack(params)
    differences = np.zeros_like(flat)
    for i in range(flat.size):
        for sign in (1, -1):
            moved = flat.copy()
            moved[i] += sign * 1e-6
            moved_loss = rnnsim.loss(net, net.views(moved), inputs, targets, resets=resets)
            differences[i] += sign * moved_loss / 2e-6
    return float(abs(differences - net.pack(given)).max())


@pytest.mark.usefixtures("uncompiled", "plugin_path")
def test_the_example_network_has_the_right_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    net = leaky_network(2, 3, 2)
    assert deviation(net, "bptt") < 1e-7
    assert deviation(net, "bptt", checkpoint=True) < 1e-7
    right = net.vjp

    def without_resets(params: Any, trajectory: Any, *rest: Any) -> None:
        right(params, trajectory._replace(resets=np.zeros_like(trajectory.resets)), *rest)

    monkeypatch.setattr(type(net), "vjp", staticmethod(without_resets))
    assert deviation(net, "bptt") > 1e-4


def keep_history_of_one_field(trajectory: Any, first: int, count: int) -> None:
    for i in range(count):
        trajectory.error[i] = trajectory.error[first + i]


@pytest.mark.usefixtures("uncompiled", "plugin_path")
def test_the_example_network_keeps_its_history(monkeypatch: pytest.MonkeyPatch) -> None:
    net, rng = leaky_network(2, 3, 2), np.random.default_rng(0)
    given = net.init(0), rng.normal(size=(20, 2, 2)), rng.normal(size=(20, 2, 2))

    def difference() -> float:
        options: dict[str, Any] = {"rule": "truncated-bptt", "h": 3}
        grads = [rnnsim.gradient(net, *given, **options, window=window).grads for window in (2, None)]
        return float(abs(net.pack(grads[0]) - net.pack(grads[1])).max())

    assert difference() < 1e-14
    monkeypatch.setattr(type(net), "keep_history", staticmethod(keep_history_of_one_field))
    assert difference() > 1e-3


@pytest.mark.usefixtures("plugin_path")
def test_the_example_network_learns_the_example_task_compiled() -> None:
    task = examples()["smoothing"].thing()
    run = rnnsim.run("bptt", task, network=leaky_network(1, 8, 1))
    assert run.solved_at is not None
    control = rnnsim.run("bptt", task, network=leaky_network(1, 8, 1), learning_rate=0, steps=1000)
    assert control.solved_at is None


@pytest.mark.usefixtures("uncompiled", "plugin_path")
def test_the_example_task_is_what_it_says() -> None:
    task = examples()["smoothing"].thing(keep=0.5)
    stream = empty_stream(4000, 1, 1, 1, np.float64)
    task.fill()(task.source(np.random.default_rng(1), 1, np.float64), stream, 4000)
    u, d = stream.inputs[:, 0, 0], stream.targets[:, 0, 0]
    np.testing.assert_allclose(d[1:], 0.5 * d[:-1] + 0.5 * u[1:])
    assert d.var() / 2 == pytest.approx(task.baseline, rel=0.1)


# --- what the contract is said to be ----------------------------------------------------------------


def first_column(text: str) -> list[tuple[str, str]]:
    """The code in the first column of tables, and the second column."""
    found = []
    for first, second in re.findall(r"^\| (`[^|]+) \| ([^|]*)\|", text, re.MULTILINE):
        found += [(code, second.strip()) for code in re.findall(r"`([^`]+)`", first)]
    return found


def unlike_signatures(rows: list[tuple[str, str]], function_of: Callable[[str], Any]) -> Complaints:
    """Of names in a table, with the parameters where there are some."""
    for code, _ in rows:
        name, *parameters = re.findall(r"\w+", code)
        function = function_of(name)
        if function is None:
            yield f"there is no {name}"
        elif "(" in code:
            known = [parameter for parameter in inspect.signature(function).parameters
                     if parameter != "self"]  # fmt: skip
            if known != parameters:
                yield f"{name}({', '.join(known)})"


def of_rule(name: str) -> Any:
    return getattr(Rule, name, "" if name in Rule.__annotations__ else None)


def test_the_table_of_a_rules_parts_is_the_class() -> None:
    rows = first_column(section(PLUGINS, "A rule"))
    assert len(rows) >= 15
    assert not [*unlike_signatures(rows, of_rule)]
    assert [*unlike_signatures([("credits(network)", "")], of_rule)]
    assert [*unlike_signatures([("history(rows)", "")], of_rule)]


def test_the_table_of_kernels_is_what_networks_have() -> None:
    rows = [row for row in first_column(section(PLUGINS, "What the kernels see")) if "(" in row[0]]
    net = rnnsim.RecurrentNetwork(2, 3, 1)
    assert not [*unlike_signatures(rows, lambda name: getattr(net, name, None))]
    assert [*unlike_signatures([("jvp(params, trajectory, t, v)", "")], lambda name: net.jvp)]
    names = {row[0].partition("(")[0] for row in rows}
    assert names == {"vjp", "collect", "collect_inputs", "propagate", "immediate", "jvp", "jacobian",
                     "collect_rows", "contract", "immediate_entries", "immediate_factors"}  # fmt: skip
    fast = rnnsim.FastWeightNetwork(n_slow_in=1, n_in=1, n_out=1)
    lacks = {"collect_rows", "contract", "immediate_entries", "immediate_factors"}
    assert {name for name in names if getattr(fast, name) is None} == lacks


def wrong_shapes(rows: list[tuple[str, str]], trajectory: Any, sizes: dict[str, int]) -> Complaints:
    for name, shape in rows:
        wanted = tuple(sizes[letter] for letter in re.findall(r"\w+", shape))
        if getattr(trajectory, name).shape != wanted:
            yield f"{name}: {shape}"


def test_the_fields_of_a_trajectory_have_the_shapes_of_the_table() -> None:
    rows = [row for row in first_column(section(PLUGINS, "What the kernels see"))
            if "(rows" in row[1]]  # fmt: skip
    sizes = {"rows": 5, "B": 2, "n": 3, "N": 3, "m": 4, "k": 6}
    trajectory = rnnsim.RecurrentNetwork(4, 3, 6).trajectory(5, 2)
    assert len(rows) == 8
    assert not [*wrong_shapes(rows, trajectory, sizes)]
    assert [*wrong_shapes([("inputs", "(rows, B, n)")], trajectory, sizes)]
    of_all = {name for name in vars(TrajectoryFields) if not name.startswith("_")}
    assert {name for name, _ in rows[:3]} == of_all


@pytest.mark.usefixtures("uncompiled")
def test_losses_and_errors_are_scaled_as_the_text_says() -> None:
    rng, B = np.random.default_rng(0), 3
    net = rnnsim.RecurrentNetwork(2, 4, 2)
    params, mask = net.init(0), np.array([[1.0, 0.0, 0.5]])
    stream = empty_stream(1, B, 2, 2, np.float64)
    stream = stream._replace(inputs=rng.normal(size=(1, B, 2)), targets=rng.normal(size=(1, B, 2)))
    stream.mask[:] = mask
    trajectory = net.trajectory(1, B)
    net.forward(params, net.state(B), stream, 0, trajectory, 0, 1)
    residual = stream.outputs[0] - stream.targets[0]
    losses = mask[0] * (residual**2).sum(1) / 2
    dE_dy = mask[0, :, None] * residual / B
    np.testing.assert_allclose(trajectory.losses[0], losses)
    np.testing.assert_allclose(stream.losses, [losses.sum()])
    np.testing.assert_allclose(trajectory.output_error[0], dE_dy)
    np.testing.assert_allclose(trajectory.error[0], dE_dy @ params.V)
    given = (stream.inputs, stream.targets)
    result = rnnsim.gradient(net, params, *given, mask=mask)
    assert result.loss == pytest.approx(losses.sum() / B)
    np.testing.assert_allclose(result.grads.V, dE_dy.T @ trajectory.states[0])
