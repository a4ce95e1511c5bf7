"""``rnnsim bench``: measure what rules cost, and whether a change made them slower."""

from __future__ import annotations

import os
import sys

import click

from rnnsim.cli.printing import as_json, print_summary
from rnnsim.errors import RnnsimError


@click.command("bench")
@click.argument("rules", nargs=-1, required=True, metavar="RULE...")
@click.option(
    "--task", metavar="TASK", help="Where a task is needed; by default the smallest that suits."
)
@click.option("--compare", metavar="REV", help="Compare the work tree with this revision.")
@click.option("--quick", is_flag=True, help="Measure everything once, and skip cold compilation.")
@as_json
@click.pass_context
def command(
    context: click.Context,
    rules: tuple[str, ...],
    task: str | None,
    compare: str | None,
    quick: bool,
    as_json: bool,
) -> None:
    """Measure rules: time per step, memory, how both scale, how soon they learn, the first run.

    The task that a rule learns is one of rnnsim or of the rule's own package, unless another is given.

    With --compare, in the repository of rnnsim or of a plugin, the work tree and the revision are
    installed in separate environments. Instructions are counted first, where valgrind is installed;
    then times are measured alternately. A time counts as worse only if it is confirmed by additional
    rounds of that row. The exit status is 1 if a count or a time is worse.
    """
    from rnnsim import registry

    names = list(dict.fromkeys(rules))
    for rule in names:
        registry.lookup("rule", rule)
    if task is not None:
        choose(context, names, task)
    if compare is None:
        measure(names, quick, as_json)
    else:
        judge(names, compare, as_json)


def choose(context: click.Context, rules: list[str], task: str) -> None:
    """Let the processes that measure take a task, until the command ends; the rules must fit it."""
    from rnnsim.benchmarking.suite import choices
    from rnnsim.training.experiment import configure

    for rule in rules:
        configure(rule, task)  # says why, if it cannot
        if not choices.suits(task, rule):
            raise RnnsimError(f"{rule} is not measured on {task}, which is for another kind of network; "
                              f"the default is {choices.task_for(rule)}")  # fmt: skip
    before, os.environ[choices.CHOICE] = os.environ.get(choices.CHOICE, ""), task
    context.call_on_close(lambda: os.environ.update({choices.CHOICE: before}))


def measure(rules: list[str], quick: bool, as_json: bool) -> None:
    """Measure rules and print their tables."""
    from rnnsim.benchmarking.suite.choices import task_for
    from rnnsim.benchmarking.table import as_dict, report
    from rnnsim.benchmarking.through_asv import Suite, by_key, failures, of_rules

    suite = Suite(select=of_rules(rules))
    left_out = "starting.ColdRun" if quick else "nothing"
    only = [name for name in suite.benchmarks if not name.startswith(left_out)]
    rows = suite.run(only=only, rounds=1 if quick else None)
    if not rows:
        raise RnnsimError(f"asv, in a new process, finds no benchmark of {', '.join(rules)}")
    measured, failed = (rules, {rule: task_for(rule) for rule in rules}, by_key(rows)), failures(rows)
    print_summary(as_json, lambda: {**as_dict(*measured), "failures": failed}, lambda: report(*measured))
    if failed:
        click.echo("\n".join(f"rnnsim: {line}" for line in failed), err=True)
        sys.exit(2)


def judge(rules: list[str], revision: str, as_json: bool) -> None:
    """Compare the work tree with a revision, print the verdict and exit."""
    from rnnsim.benchmarking.compare import compare

    verdict = compare(revision, rules, say=lambda line: click.echo(line, err=as_json))
    print_summary(as_json, verdict.as_dict, verdict.report)
    sys.exit(1 if verdict.worse else 0)
