"""That the README says what is so."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import rnnsim
from rnnsim import registry

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_every_rule_and_task_is_in_the_readme() -> None:
    for name in (*rnnsim.rules(), *rnnsim.tasks()):
        assert f"`{name}`" in README


def test_claims_and_distributions_of_the_table_are_those_of_the_rules() -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (\w+) \| O", README, re.MULTILINE))
    assert rows == {name: entry.thing.claim for name, entry in registry.installed().rules.items()}


def test_the_python_examples_run() -> None:
    # one after the other, as a reader would type them; the plugin is another file, tested below
    examples = [code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL)
                if "import pluggy" not in code]  # fmt: skip
    assert len(examples) == 3
    names: dict[str, object] = {}
    for code in examples:
        exec(code, names)
    assert names["run"].solved_at is not None  # type: ignore[attr-defined]


def test_the_plugin_in_the_readme_is_the_example_plugin() -> None:
    module = (ROOT / "tests/example_plugin/one_step.py").read_text()
    code = module[module.index("import pluggy") :]
    assert code in README


def test_the_example_plugin_is_truncated_bptt_of_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests/example_plugin"))
    import one_step

    found = registry.collect({"one-step": (one_step, "rnnsim-one-step", "0.1.0")})
    rule = found.rules["one-step"].thing()
    rng = np.random.default_rng(0)
    net = rnnsim.RecurrentNetwork(2, 4, 1, leak=0.5)
    params, inputs, targets = net.init(0), rng.normal(size=(9, 2, 2)), rng.normal(size=(9, 2, 1))
    ours = rnnsim.gradient(net, params, inputs, targets, rule=rule).grads
    theirs = rnnsim.gradient(net, params, inputs, targets, rule="truncated-bptt", h=1).grads
    deeper = rnnsim.gradient(net, params, inputs, targets, rule="truncated-bptt", h=2).grads
    np.testing.assert_allclose(ours.W, theirs.W, rtol=1e-12, atol=1e-14)
    assert not np.allclose(ours.W, deeper.W)
    del sys.modules["one_step"]
