"""``rnnsim bench``: measure what rules cost, and whether a change made them slower."""

from __future__ import annotations

import sys

import click

from rnnsim.errors import RnnsimError


@click.command("bench")
@click.argument("rules", nargs=-1, required=True, metavar="RULE...")
@click.option("--compare", metavar="REV", help="Compare the work tree with this revision.")
@click.option("--quick", is_flag=True, help="Measure everything once, and skip cold compilation.")
def command(rules: tuple[str, ...], compare: str | None, quick: bool) -> None:
    """Measure rules: time per step, memory, how both scale, how soon they learn, the first run.

    With --compare, in the repository of rnnsim or of a plugin, the work tree and the revision are
    installed in separate environments. Instructions are counted first, where valgrind is installed;
    then times are measured alternately. A time counts as worse only if it is confirmed by additional
    rounds of that row. The exit status is 1 if a count or a time is worse.
    """
    from rnnsim import registry

    names = list(dict.fromkeys(rules))
    for rule in names:
        registry.lookup("rule", rule)
    if compare is None:
        measure(names, quick)
    else:
        judge(names, compare)


def measure(rules: list[str], quick: bool) -> None:
    """Measure rules and print their tables."""
    from rnnsim.benchmarking.suite.choices import task_for
    from rnnsim.benchmarking.table import report
    from rnnsim.benchmarking.through_asv import Suite, by_key, failures, of_rules

    suite = Suite(select=of_rules(rules))
    left_out = "starting.ColdRun" if quick else "nothing"
    only = [name for name in suite.benchmarks if not name.startswith(left_out)]
    rows = suite.run(only=only, rounds=1 if quick else None)
    if not rows:
        raise RnnsimError(f"asv, in a new process, finds no benchmark of {', '.join(rules)}")
    click.echo(report(rules, {rule: task_for(rule) for rule in rules}, by_key(rows)))
    if failed := failures(rows):
        click.echo("\n".join(f"rnnsim: {line}" for line in failed), err=True)
        sys.exit(2)


def judge(rules: list[str], revision: str) -> None:
    """Compare the work tree with a revision, print the verdict and exit."""
    from rnnsim.benchmarking.compare import compare

    verdict = compare(revision, rules, say=click.echo)
    click.echo(verdict.report())
    sys.exit(1 if verdict.worse else 0)
