"""``rnnsim check``: what was measured beside what is claimed, and the exit status."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from rnnsim.cli import main
from rnnsim.testing import Check, Measured

pytestmark = pytest.mark.usefixtures("uncompiled")


def checked(*words: str) -> Result:
    return CliRunner().invoke(main, ["check", *words])


@pytest.mark.parametrize("name", ["rtrl", "recurrent", "steady-state-xor"])
def test_a_line_for_each_check(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnsim.testing.tasks.ROWS", 10_000)
    result = checked(name)
    assert result.exit_code == 0, result.output
    *lines, verdict = result.stdout.splitlines()
    assert len(lines) >= 15
    assert all(": claimed " in line and "; measured " in line for line in lines)
    judged = [line for line in lines if line.startswith("ok  ")]
    assert verdict == f"{name} does what it claims in {len(judged)} checks"


def test_the_status_is_1_where_a_claim_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **given: object) -> list[Check]:
        assert given == {"seed": 3, "task": None, "reference": "rtrl", "checkpoint": "true"}
        return [
            Check("right", "all well", lambda: Measured("all well")),
            Check("wrong", "the gradient", lambda: Measured("another", False)),
            Check("beside", "time", lambda: Measured("1 us", None)),
        ]

    monkeypatch.setattr("rnnsim.testing.checking.rule_checks", broken)
    words = ("bptt", "--seed", "3", "--reference", "rtrl", "-o", "checkpoint=true")
    result = checked(*words)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "ok     right: claimed all well; measured all well",
        "FAILS  wrong: claimed the gradient; measured another",
        "shown  beside: claimed time; measured 1 us",
        "bptt fails 1 of 2 checks",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("recurrent", "--task", "copy"),
        ("recurrent", "-o", "leak=0.5"),
        ("copy", "--task", "adding"),
        ("copy", "--reference", "rtrl"),
    ],
)
def test_what_does_not_go_together_is_refused(words: tuple[str, ...]) -> None:
    result = checked(*words)
    assert result.exit_code == 2
    assert f"{words[1]} does not go with {words[0]}" in result.stderr
