"""``rnnsim compile``: fill the kernel cache before the first run."""

from __future__ import annotations

import sys

import click

from rnnsim import checks, registry
from rnnsim.cli.experiment import verbose
from rnnsim.cli.printing import as_json, print_json
from rnnsim.compiler import kernel_files
from rnnsim.compiler.environment import load_numba
from rnnsim.errors import RnnsimError


@click.command("compile")
@click.argument("rules", nargs=-1, metavar="[RULE]...")
@click.option(
    "--task", "tasks", multiple=True, metavar="TASK", help="Compile for this task; may be repeated."
)
@click.option("--all-tasks", is_flag=True, help="Compile for every task that the rule can train on.")
@click.option("--jobs", type=int, default=1, show_default=True, help="Number of processes.")
@as_json
@verbose
def command(
    rules: tuple[str, ...], tasks: tuple[str, ...], all_tasks: bool, jobs: int, as_json: bool
) -> None:
    """Compile rules, so that their first run starts at once.

    By default every installed rule is compiled, for the tasks that suggest it, or else for the first
    task that it can train on, with the settings that "rnnsim run RULE TASK" uses.
    """
    for kind, names in (("rule", rules), ("task", tasks)):
        for name in names:
            registry.lookup(kind, name)
    checks.whole("jobs", jobs, 1, checks.MOST_PROCESSES)
    load_numba()
    import numba

    from rnnsim.runs.compilation import compile_all, fitting_tasks, suggested_tasks

    if tasks and all_tasks:
        raise RnnsimError("give --task or --all-tasks, not both")
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        raise RnnsimError("NUMBA_DISABLE_JIT is set, and so nothing is compiled")
    if not kernel_files.can_write():
        raise RnnsimError(f"nothing can be kept in {kernel_files.folder()}: compiling is of no use")
    plan = {}
    for rule in rules or registry.installed().rules:
        if tasks:  # where both are named, a pair that does not fit is compiled too, to report why
            plan[rule] = list(tasks) if rules else fitting_tasks(rule, tasks)
        else:
            installed = registry.installed().tasks
            plan[rule] = fitting_tasks(rule, installed) if all_tasks else suggested_tasks(rule)
    outcomes = []
    for outcome in compile_all(plan, jobs):
        failed = bool(outcome.error)
        click.echo(f"rnnsim: {outcome}" if failed else outcome, err=failed or as_json)
        outcomes.append(outcome)
    if as_json:
        print_json([outcome.as_dict() for outcome in outcomes])
    if any(outcome.error for outcome in outcomes):
        sys.exit(2)
