"""``rnnsim check``: measure what a rule, a network or a task claims."""

from __future__ import annotations

import sys
from typing import Any

import click

from rnnsim.cli.experiment import check_options, named_options, verbose
from rnnsim.cli.printing import as_json, print_summary
from rnnsim.errors import RnnsimError


@click.command("check")
@click.argument("name")
@click.option("--task", metavar="TASK", help="A task that the rule has to learn.")
@click.option("--seed", type=int, default=0, show_default=True,
              help="Seed of the parameters, the sequences and the draws.")  # fmt: skip
@click.option("--reference", metavar="RULE",
              help="An exact rule with which gradients are compared; by default bptt.")  # fmt: skip
@click.option("-o", "options", multiple=True, metavar="NAME=VALUE",
              help="An option of the rule or the task; may be repeated.")  # fmt: skip
@as_json
@verbose
def command(
    name: str,
    task: str | None,
    seed: int,
    reference: str | None,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Measure what a rule, a network or a task claims: a line for each claim, beside what it is.

    A rule's gradient, its memory and its costs; a network's derivatives; a task's data. The exit status
    is 1 if a claim fails. Where a figure is shown there is nothing to pass.
    """
    from rnnsim.runs.progress import compilation_announced
    from rnnsim.testing.checking import kind_of, network_checks, rule_checks, task_checks
    from rnnsim.testing.report import Report

    kind, chosen = kind_of(name), named_options(options)
    checks: Any
    if kind == "rule":
        check_options(chosen, rule_checks)
        other: dict[str, Any] = {} if reference is None else {"reference": reference}
        checks = rule_checks(name, task=task, seed=seed, **other, **chosen)
    else:
        taken = {"--task": task, "--reference": reference, "-o": chosen if kind == "network" else None}
        for option, given in taken.items():
            if given:
                raise RnnsimError(f"{option} does not go with {name}, which is a {kind}")
        check_options(chosen, task_checks)
        checks = (
            task_checks(name, seed=seed, **chosen) if kind == "task" else network_checks(name, seed=seed)
        )
    report = Report(name, [])
    with compilation_announced():
        for check in checks:
            report.findings.append(check.run())
            click.echo(report.findings[-1], err=as_json)
    print_summary(as_json, report.as_dict, report.verdict)
    if not report.passed:
        sys.exit(1)
