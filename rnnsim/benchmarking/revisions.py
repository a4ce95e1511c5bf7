"""Installation of two revisions of a project in separate environments."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement

from rnnsim.errors import RnnsimError, shown

from .through_asv import Suite, configuration, quiet


class Project(NamedTuple):
    """A package in a git repository."""

    name: str
    root: Path  # the root of the repository
    folder: str  # the package's folder in it


def project_here(start: Path | None = None) -> Project:
    """Find the project that contains a folder, by default the current one.

    Raises
    ------
    RnnsimError
        If there is no repository, or no pyproject.toml in it.
    """
    here = (start or Path.cwd()).resolve()
    try:
        root = Path(git(here, "rev-parse", "--show-toplevel"))
    except RnnsimError as error:
        raise RnnsimError(f"--compare works in the repository of a package: {error}") from None
    for folder in (here, *here.parents):
        file = folder / "pyproject.toml"
        if file.exists():
            project = tomllib.loads(file.read_text()).get("project", {})
            relative = folder.relative_to(root).as_posix()
            return Project(project.get("name", folder.name), root, "" if relative == "." else relative)
        if folder == root:
            break
    raise RnnsimError(f"--compare works in the repository of a package; {root} has no pyproject.toml")


def git(folder: Path, *arguments: str, **variables: str) -> str:
    """Run git and return what it prints.

    Raises
    ------
    RnnsimError
        If git is not installed, or with git's own message.
    """
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env={**os.environ, **variables},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    except ValueError:  # an argument that no process can be given
        raise RnnsimError(f"git cannot be given {shown(arguments[-1])}") from None
    except FileNotFoundError:
        raise RnnsimError("--compare needs git, which is not installed") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["it failed"])[0]
        raise RnnsimError(f"git {' '.join(arguments)}: {said}") from None
    return done.stdout.strip()


def snapshot(project: Project) -> str:
    """Commit the work tree, including untracked files; the result is HEAD if nothing has changed.

    The commit is on no branch, and neither the index nor the work tree is touched.
    """
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git(project.root, "read-tree", "HEAD", **index)
        git(project.root, "add", "--all", **index)
        tree = git(project.root, "write-tree", **index)
    if tree == git(project.root, "rev-parse", "HEAD^{tree}"):
        return git(project.root, "rev-parse", "HEAD")
    return commit_tree(project, tree, "HEAD", "the work tree")


def commit_tree(project: Project, tree: str, parent: str, message: str) -> str:
    """Commit a tree on no branch; return the commit."""
    who = {f"GIT_{role}_{what}": f"rnnsim{'' if what == 'NAME' else '@localhost'}"
           for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip
    return git(project.root, "commit-tree", tree, "-p", parent, "-m", message, **who)


def resolve(project: Project, revision: str) -> str:
    """Return the commit of a revision.

    Raises
    ------
    RnnsimError
        If there is none.
    """
    try:
        return git(project.root, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    except RnnsimError:
        raise RnnsimError(f"git knows no revision {shown(revision)}; --compare takes a commit, or the "
                          "name of a branch or a tag") from None  # fmt: skip


def check_builds_here(project: Project) -> None:
    """Refuse a project whose build backend is not installed, since nothing is downloaded.

    Raises
    ------
    RnnsimError
        With the packages to install.
    """
    file = project.root / project.folder / "pyproject.toml"
    build = tomllib.loads(file.read_text()).get("build-system", {})
    backend = build.get("build-backend", "setuptools.build_meta").partition(":")[0].partition(".")[0]
    if importlib.util.find_spec(backend) is None:
        try:
            needed = " ".join(Requirement(text).name for text in build.get("requires", ["setuptools"]))
        except InvalidRequirement:
            needed = backend
        raise RnnsimError(f"{project.name} is built by {backend}, which is not installed here: "
                          f"pip install {needed}")  # fmt: skip


def installed(project: Project, commit: str, folder: Path, select: list[str]) -> Suite:
    """Install a commit in a new environment below ``folder``, and return its benchmarks.

    Raises
    ------
    RnnsimError
        If it cannot be installed.
    """
    from asv.plugins.git import Git
    from asv.util import ProcessError, UserError

    from .environment import INSTALL, LinkedVirtualenv

    settings = configuration(
        project=project.name, repo=str(project.root), repo_subdir=project.folder,
        env_dir=str(folder), build_command=[], uninstall_command=[], install_command=INSTALL,
    )  # fmt: skip
    repository = Git(str(project.root), str(folder / "mirror"))
    environment = LinkedVirtualenv(settings, settings.pythons[0], {}, {})
    try:
        with quiet():
            environment.create()
            environment.install_project(settings, repository, commit)
    except (ProcessError, UserError) as error:
        said = str(getattr(error, "stderr", "") or error).strip().splitlines()
        raise RnnsimError(f"{project.name} at {commit[:8]} cannot be installed: {said[-1]}") from None
    return Suite(environment, select, repository, commit)
